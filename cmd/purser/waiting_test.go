package main

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// Plans and lists of jobs say what waits, for what and until when.
func TestWaitingIsSaid(t *testing.T) {
	at := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	w := purser.Waiting{
		Job: "j", Group: "train", Replicas: 2, For: purser.WaitForMachine, Offer: "hall/r/-/one/private", Start: at, Latest: at.Add(4 * time.Hour),
		Saves: purser.MoneyOf(4.1), Sure: 0.95,
	}
	want := "waits for a machine of hall/r/-/one/private, expected at 1 Mar 14:00 UTC, but not beyond 1 Mar 18:00 UTC; that saves $4.10; 95 of 100 such runs keep the deadline"
	if got := w.Sentence(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for kind, part := range map[purser.WaitFor]string{purser.WaitForPrice: "a cheaper hour", purser.WaitForQuota: "room in a quota", purser.WaitForGang: "the rest of its gang"} {
		x := w
		x.For = kind
		if !strings.HasPrefix(x.Sentence(), "waits for "+part) {
			t.Errorf("%s: %q", kind, x.Sentence())
		}
	}
	plan := purser.Plan{Status: purser.PlanOptimal, Horizon: 24 * time.Hour, Waiting: []purser.Waiting{w}}
	var out strings.Builder
	if err := printPlan(&out, api.PlanOf(plan, func(purser.JobID) string { return "nightly" })); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "2 replicas wait") || !strings.Contains(out.String(), "nightly/train (2): "+want) {
		t.Errorf("the plan says:\n%s", out.String())
	}
	out.Reset()
	jobs := []api.Job{{Project: "p", Name: "a", State: purser.JobQueued, Reason: want}, {Project: "p", Name: "b", State: purser.JobRunning, Reason: "no"}}
	if err := printQueued(&out, jobs); err != nil || out.String() != "\np/a: "+want+"\n" {
		t.Errorf("the list says %q, %v", out.String(), err)
	}
}
