package app

import (
	"testing"
	"time"

	"purser"
)

func TestDemandInForce(t *testing.T) {
	service := func(zone string) []purser.Job {
		return []purser.Job{{Name: "web", Groups: []purser.TaskGroup{{Name: "g", Kind: purser.Inference, Demand: 5, TimeZone: zone, DemandHours: []purser.DemandHours{
			{From: 8 * 60, To: 18 * 60, Demand: 40}, {From: 22 * 60, To: 2 * 60, Demand: 10},
		}}}}}
	}
	for name, c := range map[string]struct {
		zone, at string
		want     float64
	}{
		"before the day":             {"", "2026-03-02T07:00:00Z", 5},
		"minutes before the day":     {"", "2026-03-02T07:55:00Z", 40},
		"in the day":                 {"", "2026-03-02T12:00:00Z", 40},
		"its last minute":            {"", "2026-03-02T17:59:00Z", 40},
		"after the day":              {"", "2026-03-02T18:00:00Z", 5},
		"past midnight":              {"", "2026-03-02T01:59:00Z", 10},
		"in Berlin it is later":      {"Europe/Berlin", "2026-03-02T07:00:00Z", 40},
		"in Berlin in summer, too":   {"Europe/Berlin", "2026-07-02T06:00:00Z", 40},
		"in Berlin in summer, after": {"Europe/Berlin", "2026-07-02T16:00:00Z", 5},
		"nowhere":                    {"Nowhere/Else", "2026-03-02T03:00:00Z", 40},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		jobs := service(c.zone)
		got := demandInForce(jobs, at)
		if d := got[0].Groups[0].Demand; d != c.want || len(got[0].Groups[0].DemandHours) != 0 {
			t.Errorf("%s: %g, want %g", name, d, c.want)
		}
		if len(jobs[0].Groups[0].DemandHours) != 2 || jobs[0].Groups[0].Demand != 5 {
			t.Errorf("%s: the job itself was changed", name)
		}
	}
}

// A service grows when the hour comes, and shrinks when it is over.
func TestServicesFollowTheirHours(t *testing.T) {
	w := newWorld(t) // it is noon
	w.price(map[string]float64{"a1": 1, "a4": 3})
	w.submit(`
jobs:
  - name: steady
    serve: {accelerators: T4:1, cpus: 1, memory: 1GiB, throughput: 10/s, demand: 10/s, demand_at: [{from: "14:00", to: "16:00", demand: 30/s}], command: "true"}
`)
	replicas := func() int {
		w.running()
		w.must(w.plan(t.Context()))
		n := 0
		tasks, err := jobsPart{w.App}.Tasks(t.Context(), jobRef("steady"))
		w.must(err)
		for _, x := range tasks {
			if !x.State.Ended() && !x.Stop {
				n++
			}
		}
		return n
	}
	if n := replicas(); n != 1 {
		t.Fatalf("%d replicas serve 10/s", n)
	}
	w.clock.pass(2 * time.Hour)
	w.price(map[string]float64{"a1": 1, "a4": 3})
	if n := replicas(); n != 3 {
		t.Errorf("%d replicas serve 30/s", n)
	}
	w.clock.pass(2 * time.Hour)
	w.price(map[string]float64{"a1": 1, "a4": 3})
	if n := replicas(); n != 1 {
		t.Errorf("%d replicas serve 10/s after the hour", n)
	}
}
