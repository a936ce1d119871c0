package jobfile

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reader is what decoding one file needs and counts.
type reader struct {
	project  string
	now      time.Time
	readFile func(path string) ([]byte, error)
	brought  int64 // bytes of files so far, over all jobs
}

// field is one field of a mapping that becomes a T.
type field[T any] struct {
	name string
	read func(*reader, *T, value) error
}

// table is every field of a mapping. elsewhere names fields that belong to
// another mapping, each with a sentence that says where.
type table[T any] struct {
	what      string // for messages: a job, a training group
	fields    []field[T]
	elsewhere map[string]string
}

// names lists the fields in the order of the table.
func (t table[T]) names() []string {
	out := make([]string, len(t.fields))
	for i, f := range t.fields {
		out[i] = f.name
	}
	return out
}

// written holds where each field that is present was written.
type written map[string]value

// has says whether the field is present.
func (w written) has(name string) bool { _, ok := w[name]; return ok }

// read decodes a mapping field by field, in the order of the file.
func (t table[T]) read(r *reader, v value, into *T) (written, error) {
	if !v.isMapping() {
		return nil, v.wrong(t.what+" with fields", fmt.Sprintf("its fields are %s", listed(t.names())))
	}
	out := written{}
	for _, p := range v.pairs() {
		i := slices.IndexFunc(t.fields, func(f field[T]) bool { return f.name == p.name })
		if i < 0 {
			return nil, p.key.fail(t.hint(p.name), "%q is not a field of %s", clip(p.name), t.what)
		}
		if p.tag() == "!!null" {
			return nil, p.fail("give it a value or leave the field out", "%s has no value", p.name)
		}
		out[p.name] = p.value
		if err := t.fields[i].read(r, into, p.value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lift makes the fields of a part into fields of the whole that holds it.
func lift[Whole, Part any](part []field[Part], pick func(*Whole) *Part) []field[Whole] {
	out := make([]field[Whole], len(part))
	for i, f := range part {
		out[i] = field[Whole]{f.name, func(r *reader, w *Whole, v value) error { return f.read(r, pick(w), v) }}
	}
	return out
}

// hint says what the user may have meant with an unknown field.
func (t table[T]) hint(name string) string {
	if s, ok := t.elsewhere[name]; ok {
		return s
	}
	if s, ok := advice[name]; ok {
		return s
	}
	names := t.names()
	if s, ok := foreign[strings.ToLower(name)]; ok && slices.Contains(names, s) {
		return "write " + s
	}
	if s := nearest(name, names); s != "" {
		return fmt.Sprintf("did you mean %s?", s)
	}
	return "its fields are " + listed(names)
}

func listed(names []string) string {
	return strings.Join(names, ", ")
}

// foreign maps the words of SkyPilot, dstack, Kubernetes and Docker Compose to
// ours.
var foreign = map[string]string{
	"run": "command", "commands": "command", "cmd": "command", "args": "command", "entrypoint": "command",
	"envs": "env", "environment": "env", "secrets": "env",
	"num_nodes": "replicas", "nodes": "replicas", "num_replicas": "replicas", "parallelism": "replicas", "completions": "replicas",
	"min_replicas": "replicas", "maxreplicas": "max_replicas",
	"gpu": "accelerators", "gpus": "accelerators", "accelerator": "accelerators", "tpu": "accelerators", "device": "accelerators", "devices": "accelerators",
	"cpu": "cpus", "vcpus": "cpus", "vcpu": "cpus", "mem": "memory", "ram": "memory", "memory_gib": "memory",
	"gpu_memory": "device_memory", "vram": "device_memory",
	"region": "regions", "zone": "zones", "availability_zones": "zones", "cloud": "providers", "clouds": "providers", "provider": "providers",
	"infra": "providers", "backends": "providers", "countries": "residency", "country": "residency",
	"use_spot": "spot", "spot_policy": "spot", "preemptible": "spot", "purchase_option": "purchase_options",
	"working_dir": "workdir", "workingdir": "workdir", "file_mounts": "files", "container": "image", "docker": "image", "image_id": "image",
	"max_duration": "run_time", "runtime": "run_time", "duration": "run_time", "due": "deadline", "patience": "can_wait", "max_wait": "can_wait", "max_queue_time": "can_wait",
	"qps": "demand", "rps": "demand", "target_qps": "demand", "demand_rps": "demand", "failover": "survive",
	"latency": "max_latency", "compliances": "compliance", "confidential_computing": "confidential", "audience": "users",
	"accuracy": "quality", "min_accuracy": "min_quality",
	"restarts": "retries", "retry": "retries", "backofflimit": "retries", "max_restarts": "retries", "tags": "labels",
	"training": "train", "inference": "serve", "service": "serve", "tasks": "groups", "price": "usd_per_hour",
}

// advice is for words that no single field of ours replaces.
var advice = map[string]string{
	"resources":   "the fields of resources stand directly in train or serve",
	"any_order":   "write any_of",
	"ports":       "a replica listens on one port: write port",
	"disk_size":   "disks are not chosen in a job file",
	"disk_tier":   "disks are not chosen in a job file",
	"apiVersion":  "a job file begins with version: 1",
	"spec":        "the fields of spec stand directly in the job",
	"metadata":    "the fields of metadata stand directly in the job",
	"type":        "write train: or serve: with the group's fields",
	"max_per_day": "write max_price, the ceiling of one machine per hour",
}

// nearest is the known word within two slips of the pen, or "".
func nearest(word string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		// A short word is near to everything; ask for more likeness there.
		if d := slips(strings.ToLower(word), k); d < at && d*2 <= len(k) {
			best, at = k, d
		}
	}
	return best
}

// slips counts the letters to insert, delete, replace or swap with their
// neighbour (optimal string alignment). Long words are not compared.
func slips(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
