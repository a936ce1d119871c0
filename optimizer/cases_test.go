package optimizer_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"purser"
	"purser/optimizer"
)

// expected is what is known of a case by hand.
type expected struct {
	Why      string                                        `json:"why"`
	Status   purser.PlanStatus                             `json:"status"`
	USD      purser.Money                                  `json:"usd"`
	Machines map[purser.OfferID]int                        `json:"machines"`
	Unplaced map[purser.JobID]int                          `json:"unplaced"`
	Reasons  map[purser.JobID]map[purser.RefusalReason]int `json:"reasons"` // of the jobs that the case is about
	Allowed  map[purser.JobID]int                          `json:"allowed"`
}

// strictly reads a file of a case; an unknown field is a slip of the pen.
func strictly(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Each folder of testdata/cases is a problem whose best plan is known by hand.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "cases", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("there are no cases (%v)", err)
	}
	rt := newSolver(t)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var in optimizer.Input
			var want expected
			strictly(t, filepath.Join(folder, "problem.json"), &in)
			strictly(t, filepath.Join(folder, "expected.json"), &want)
			_, plan := planOf(t, rt, in, optimizer.Options{})
			if err := audit(in, plan); err != nil {
				t.Error(err)
			}
			machines := map[purser.OfferID]int{}
			for _, l := range plan.Leases {
				machines[l.Offer.ID()]++
			}
			if plan.Status != want.Status || plan.Objective != want.USD || !maps.Equal(machines, want.Machines) {
				t.Errorf("%s for %s on %v, not %s for %s on %v: %s", plan.Status, plan.Objective, machines, want.Status, want.USD, want.Machines, want.Why)
			}
			unplaced := map[purser.JobID]int{}
			for _, u := range plan.Unplaced {
				unplaced[u.Job] += u.Replicas
			}
			if !maps.Equal(unplaced, want.Unplaced) {
				t.Errorf("unplaced: %v, not %v: %s", unplaced, want.Unplaced, want.Why)
			}
			checkRefusals(t, plan, want)
		})
	}
}

func checkRefusals(t *testing.T, plan purser.Plan, want expected) {
	t.Helper()
	for _, r := range plan.Refusals {
		if reasons, given := want.Reasons[r.Job]; given && !maps.Equal(r.Reasons, reasons) {
			t.Errorf("%s is refused for %v, not %v: %s", r.Job, r.Reasons, reasons, want.Why)
		}
		if allowed, given := want.Allowed[r.Job]; given && r.Allowed != allowed {
			t.Errorf("%s is allowed %d offers, not %d: %s", r.Job, r.Allowed, allowed, want.Why)
		}
		sum := r.Allowed
		for _, n := range r.Reasons {
			sum += n
		}
		if sum != r.Offers {
			t.Errorf("%s: %d allowed and refused of %d offers", r.Job, sum, r.Offers)
		}
		delete(want.Reasons, r.Job)
		delete(want.Allowed, r.Job)
	}
	if len(want.Reasons) > 0 || len(want.Allowed) > 0 {
		t.Errorf("nothing is said of the refusals of %v %v", want.Reasons, want.Allowed)
	}
}
