package jobfile

import (
	"testing"
	"time"
)

// TestBlame holds that every path that purser.Job.Check can name leads to the
// line of the file that it came from.
func TestBlame(t *testing.T) {
	const text = `
name: a
project: b
priority: 1
groups:
  - name: t
    kind: training
    replicas: 2
    retries: 1
    gang: true
    run_time: 1h
    deadline: in 1h
    checkpoint: {every: 1m}
    data: {provider: aws, size: 1GB}
    max_price: 3
    cpus: 4
    any_of:
      - A100:1
      - accelerators: L4
        memory: 1GiB
        device_memory: 1GiB
    command: x
  - name: s
    kind: inference
    demand: 4
    throughput: 2
    headroom: 0.2
    survive: zone
    max_replicas: 9
    port: 80
    cpus: 1
    image: y
`
	root, err := parseTree("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	j := job{at: root}
	if j.written, err = jobTable.read(&reader{now: time.Unix(1e9, 0)}, root, &j); err != nil {
		t.Fatal(err)
	}
	for path, line := range map[string]int{
		"name": 2, "project": 3, "priority": 4, "groups": 6, "labels": 2,
		"groups[0].name": 6, "groups[0].kind": 7, "groups[0].replicas": 8, "groups[0].retries": 9, "groups[0].gang": 10, "groups[0].run_time": 11,
		"groups[0].work": 6, "groups[0].deadline": 12, "groups[0].checkpoint": 13, "groups[0].data.size_gb": 14, "groups[0].where.max_usd_per_hour": 15,
		"groups[0].run": 22, "groups[0].variants": 18, "groups[0].demand_rps": 6,
		"groups[0].variants[0].accelerator": 18, "groups[0].variants[1].devices": 18, "groups[0].variants[0].cpus": 16, "groups[0].variants[0].memory": 18,
		"groups[0].variants[2].accelerator": 19, "groups[0].variants[2].memory": 20, "groups[0].variants[2].device_memory": 21, "groups[0].variants[2].name": 19,
		"groups[0].variants[2].throughput": 19,
		"groups[1].demand_rps":             25, "groups[1].variants[0].throughput": 26, "groups[1].headroom": 27, "groups[1].survive.share": 28, "groups[1].survive.level": 28,
		"groups[1].max_replicas": 29, "groups[1].port": 30, "groups[1].run": 32, "groups[1].variants[0].cpus": 31, "groups[1].deadline": 23,
		// Paths that are not known fall back to what encloses them.
		"groups[1].moon": 23, "groups[7].name": 2, "groups[x]": 2, "groups[1].variants[9].cpus": 23, "moon": 2,
	} {
		if got := j.find(path).at.Line; got != line {
			t.Errorf("%s leads to line %d, want %d", path, got, line)
		}
	}
}
