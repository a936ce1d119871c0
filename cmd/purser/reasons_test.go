package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// Why a machine failed or is taken back stands under the leases and under the plan.
func TestReasonsArePrinted(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	why := "unavailable: its machine did not join within 5m0s"
	var out strings.Builder
	if err := printLeases(&out, []api.Lease{{ID: "lease-1", State: purser.LeaseDraining, Reason: why, CreatedAt: at}, {ID: "lease-2", State: purser.LeaseRunning, CreatedAt: at}}, at); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nlease-1 draining: "+why+"\n") || strings.Count(out.String(), "lease-2") != 1 {
		t.Errorf("leases:\n%s", out.String())
	}
	out.Reset()
	plan := api.Plan{Summary: "There is nothing to run.", Setbacks: []api.PlanSetback{
		{Lease: "lease-1", Offer: "aws/us-east-1/a/p5/spot", Reason: why, At: at, Until: at.Add(2 * time.Minute)},
		{Lease: "lease-2", Offer: "gcp/x/a/a3/spot", Reason: purser.TakenBack("now"), At: at},
	}}
	if err := printPlan(&out, plan); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"12:00:00 aws/us-east-1/a/p5/spot (lease-1): " + why + "; left alone until 12:02:00 UTC\n",
		"12:00:00 gcp/x/a/a3/spot (lease-2): its machine is being taken back: now\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	for i := range maxRows + 5 {
		plan.Setbacks = append(plan.Setbacks, api.PlanSetback{Lease: purser.LeaseID(fmt.Sprint(i)), At: at})
	}
	if err := printPlan(&out, plan); err != nil || !strings.Contains(out.String(), "and 7 more") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
