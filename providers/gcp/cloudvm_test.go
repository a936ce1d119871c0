package gcp

import (
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
)

const (
	provisioning = 8 * time.Second  // from an insertion to a running machine
	stopping     = 10 * time.Second // from a deletion to the end
)

// vm is a virtual machine.
type vm struct {
	zone, name string
	body       object
	made       time.Time
	state      string    // once set from outside, it stays
	ending     time.Time // since when it is being deleted; zero: not
	insert     *operation
}

// operation is one of Compute Engine's.
type operation struct {
	name, zone, kind, target, user string
	begun, done                    time.Time
	failure                        object
}

func (w *world) link(zone, what, name string) string {
	return "https://www.googleapis.com/compute/v1/projects/p/zones/" + zone + "/" + what + "/" + name
}

func (w *world) operate(zone, kind, name string, takes time.Duration, failure object) *operation {
	op := &operation{
		name: w.next("operation"), zone: zone, kind: kind, target: w.link(zone, "instances", name), begun: w.now, done: w.now.Add(takes), failure: failure,
	}
	w.ops = append(w.ops, op)
	return op
}

func (w *world) wireOp(op *operation) object {
	out := object{
		"kind": "compute#operation", "id": strconv.Itoa(len(op.name)), "name": op.name, "operationType": op.kind, "targetLink": op.target, "zone": w.link(op.zone, "", ""),
		"insertTime": stamp(op.begun), "startTime": stamp(op.begun), "status": "RUNNING", "progress": 0, "selfLink": w.link(op.zone, "operations", op.name),
	}
	if !w.now.Before(op.done) {
		out["status"], out["progress"], out["endTime"] = "DONE", 100, stamp(op.done)
		if op.failure != nil {
			maps.Copy(out, op.failure)
		}
	}
	return out
}

// settle carries out what is due.
func (w *world) settle() {
	for key, m := range w.vms {
		refused := m.insert != nil && m.insert.failure != nil && !w.now.Before(m.insert.done)
		if refused || (!m.ending.IsZero() && !w.now.Before(m.ending.Add(stopping))) {
			delete(w.vms, key)
			if !refused || !w.leaveDisks {
				delete(w.disks, key)
			} else {
				w.disks[key]["users"] = []string{}
			}
		}
	}
	w.settleTPUs()
}

func (w *world) status(m *vm) string {
	switch age := w.now.Sub(m.made); {
	case !m.ending.IsZero():
		return "STOPPING"
	case m.state != "":
		return m.state
	case m.insert != nil && m.insert.failure != nil, age < provisioning/2:
		return "PROVISIONING"
	case age < provisioning:
		return "STAGING"
	default:
		return "RUNNING"
	}
}

func (w *world) wireVM(m *vm) object {
	out := maps.Clone(m.body)
	out["id"], out["status"], out["creationTimestamp"], out["zone"] = "4711", w.status(m), stamp(m.made), w.link(m.zone, "", "")
	base, _ := m.body["machineType"].(string)
	out["machineType"] = w.link(m.zone, "machineTypes", path.Base(base))
	if out["status"] == "RUNNING" {
		out["lastStartTimestamp"] = stamp(m.made.Add(provisioning))
	}
	if m.state == "TERMINATED" {
		out["lastStopTimestamp"] = stamp(m.made.Add(provisioning))
	}
	return out
}

var exhausted503 = object{"error": object{"errors": []object{{
	"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "message": "The zone 'projects/p/zones/z' does not have enough resources available to fulfill the request, try a different zone or try again later.",
}}}, "httpErrorStatusCode": 503, "httpErrorMessage": "SERVICE UNAVAILABLE"}

func (w *world) insertVM(r *http.Request) (int, object) {
	zone, id := r.PathValue("zone"), r.URL.Query().Get("requestId")
	if !slices.Contains(w.zones, zone) {
		return missing("projects/p/zones/" + zone)
	}
	if !uuidForm.MatchString(id) || id == "00000000-0000-0000-0000-000000000000" {
		return w.bad("Invalid value for field 'requestId': '%s'", id)
	}
	if op, ok := w.byID[zone+id]; ok && w.now.Sub(op.begun) < w.forget {
		return http.StatusOK, w.wireOp(op)
	}
	var body object
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return w.bad("parse: %s", err)
	}
	if why := checkVM(zone, body); why != "" {
		return w.bad("%s", why)
	}
	name, _ := body["name"].(string)
	kind, _ := body["machineType"].(string)
	if w.types != nil && !w.types(zone, path.Base(kind)) {
		return w.bad("Invalid value for field 'resource.machineType': '%s'. Machine type with name '%s' does not exist in zone '%s'.", kind, path.Base(kind), zone)
	}
	key := zone + "/" + name
	if _, taken := w.vms[key]; taken {
		return http.StatusConflict, refuse("alreadyExists", "ALREADY_EXISTS", "The resource '"+key+"' already exists")
	}
	w.bodies = append(w.bodies, body)
	var failure object
	takes := provisioning
	if w.full[zone] {
		failure, takes = w.refusal, w.refuseAfter
		if failure == nil {
			failure = exhausted503
		}
	}
	op := w.operate(zone, "insert", name, takes, failure)
	w.byID[zone+id] = op
	w.vms[key] = &vm{zone: zone, name: name, body: body, made: w.now, insert: op}
	w.disks[key] = object{
		"name": name, "creationTimestamp": stamp(w.now), "users": []string{w.link(zone, "instances", name)},
		"labels": at(body, "disks", 0, "initializeParams", "labels"),
	}
	return http.StatusOK, w.wireOp(op)
}

// at follows keys and indexes into a JSON value.
func at(v any, keys ...any) any {
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			o, _ := v.(object)
			v = o[k]
		case int:
			list, _ := v.([]any)
			if k >= len(list) {
				return nil
			}
			v = list[k]
		}
	}
	return v
}

func text(v any, keys ...any) string {
	s, _ := at(v, keys...).(string)
	return s
}

var gpuTypes = regexp.MustCompile(`^(a2|a3|a4|g2|g4)-`)

// checkVM says what Compute Engine would refuse of a body.
func checkVM(zone string, body object) string {
	kind := text(body, "machineType")
	model, action := text(body, "scheduling", "provisioningModel"), text(body, "scheduling", "instanceTerminationAction")
	run := text(body, "scheduling", "maxRunDuration", "seconds")
	seconds, _ := strconv.Atoi(run)
	gpus := gpuTypes.MatchString(path.Base(kind)) || at(body, "guestAccelerators") != nil
	labels, _ := at(body, "labels").(object)
	for k, v := range labels {
		if s, ok := v.(string); !ok || !labelValue.MatchString(k) || !labelValue.MatchString(s) {
			return "Invalid label " + k
		}
	}
	switch {
	case !rfc1035.MatchString(text(body, "name")):
		return "Invalid value for field 'resource.name'"
	case !strings.HasPrefix(kind, "zones/"+zone+"/machineTypes/"):
		return "Invalid value for field 'resource.machineType'"
	case at(body, "disks", 0, "boot") != true || text(body, "disks", 0, "initializeParams", "sourceImage") == "":
		return "Boot disk must be the first disk and have an image"
	case at(body, "networkInterfaces", 0) == nil:
		return "At least one network interface is required"
	case gpus && text(body, "scheduling", "onHostMaintenance") != "TERMINATE":
		return "Instances with guest accelerators do not support live migration"
	case model == "SPOT" && (at(body, "scheduling", "automaticRestart") != false || text(body, "scheduling", "onHostMaintenance") != "TERMINATE"):
		return "Scheduling must have preemptible settings"
	case model == "FLEX_START" && (seconds <= 0 || seconds > 7*24*3600):
		return "maxRunDuration is required for FLEX_START, at most 7 days"
	case action != "" && model == "STANDARD" && seconds == 0:
		return "instanceTerminationAction needs a provisioning model or a run duration"
	case strings.HasPrefix(path.Base(kind), "a4-") && strings.Contains(text(body, "disks", 0, "initializeParams", "diskType"), "pd-"):
		return "[pd-balanced] features are not compatible for creating instance"
	case at(body, "guestAccelerators") != nil && !strings.HasPrefix(path.Base(kind), "n1-"):
		return "guest accelerators are not supported by the machine type"
	}
	return ""
}

func (w *world) getVM(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	m, ok := w.vms[key]
	if !ok || w.now.Sub(m.made) < w.hidden {
		return missing(key)
	}
	return http.StatusOK, w.wireVM(m)
}

func (w *world) deleteVM(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	m, ok := w.vms[key]
	if !ok || w.now.Sub(m.made) < w.hidden {
		return missing(key)
	}
	if m.ending.IsZero() {
		m.ending = w.now
	}
	return http.StatusOK, w.wireOp(w.operate(m.zone, "delete", m.name, stopping, nil))
}

func (w *world) listVMs(r *http.Request) (int, object) {
	var all []listed
	for _, key := range slices.Sorted(maps.Keys(w.vms)) {
		if m := w.vms[key]; w.now.Sub(m.made) >= w.lag {
			all = append(all, listed{m.zone, w.wireVM(m)})
		}
	}
	return w.aggregated(r, "instances", all)
}

func (w *world) getOperation(r *http.Request) (int, object) {
	for _, op := range w.ops {
		if op.name == r.PathValue("name") && op.zone == r.PathValue("zone") {
			return http.StatusOK, w.wireOp(op)
		}
	}
	return missing(r.URL.Path)
}

func (w *world) visibleOps() []listed {
	var all []listed
	for _, op := range w.ops {
		if w.now.Sub(op.begun) >= w.lag {
			all = append(all, listed{op.zone, w.wireOp(op)})
		}
	}
	return all
}

func (w *world) listOperations(r *http.Request) (int, object) {
	return w.list(r, slices.DeleteFunc(w.visibleOps(), func(l listed) bool { return l.zone != r.PathValue("zone") }))
}

func (w *world) listAllOperations(r *http.Request) (int, object) {
	return w.aggregated(r, "operations", w.visibleOps())
}

func (w *world) listDisks(r *http.Request) (int, object) {
	var all []listed
	for _, key := range slices.Sorted(maps.Keys(w.disks)) {
		all = append(all, listed{path.Dir(key), w.disks[key]})
	}
	return w.aggregated(r, "disks", all)
}

func (w *world) deleteDisk(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	d, ok := w.disks[key]
	switch {
	case !ok:
		return missing(key)
	case len(users(d)) > 0:
		return http.StatusBadRequest, refuse("resourceInUseByAnotherResource", "", "The disk resource '"+key+"' is already being used")
	}
	delete(w.disks, key)
	return http.StatusOK, w.wireOp(w.operate(r.PathValue("zone"), "delete", r.PathValue("name"), time.Second, nil))
}

func users(disk object) []string {
	u, _ := disk["users"].([]string)
	return u
}

// preempt takes a spot machine back, as the cloud does it.
func (w *world) preempt(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.vms[key]
	m.ending = w.now
	w.operate(m.zone, "compute.instances.preempted", m.name, stopping, nil).user = "system"
}

// powerOff stops a machine from within.
func (w *world) powerOff(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.vms[key]
	m.state = "TERMINATED"
	w.operate(m.zone, "compute.instances.guestTerminate", m.name, 0, nil)
}

// live counts the machines of each lease that cost money now.
func (w *world) live() map[purser.LeaseID]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[purser.LeaseID]int{}
	for _, m := range w.vms {
		if w.status(m) != "TERMINATED" {
			out[purser.LeaseID(text(m.body, "labels", "purser-lease"))]++
		}
	}
	for _, q := range w.queued {
		if s := w.queuedState(q); s != "FAILED" && s != "SUSPENDED" {
			out[purser.LeaseID(text(q.body, "tpu", "nodeSpec", 0, "node", "labels", "purser-lease"))]++
		}
	}
	return out
}

// leavings names what costs money or stands in the way and is no machine.
func (w *world) leavings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for key, m := range w.vms {
		if w.status(m) == "TERMINATED" {
			out = append(out, "stopped machine "+key)
		}
	}
	for key, d := range w.disks {
		if len(users(d)) == 0 {
			out = append(out, "disk "+key)
		}
	}
	for key, q := range w.queued {
		if s := w.queuedState(q); s == "FAILED" || s == "SUSPENDED" {
			out = append(out, "request "+key)
		}
	}
	return out
}
