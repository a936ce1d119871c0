package aws_test

import (
	"slices"
	"strings"
	"testing"

	"purser"
	"purser/providers"
	"purser/providers/aws/awstest"
)

// TestStates maps EC2's states, and says why a machine ends.
func TestStates(t *testing.T) {
	w := fresh(t)
	p := w.provider(t)
	r := request("lease-a", onDemand)
	launch(t, p, r)
	look := func(want providers.InstanceState) providers.Instance {
		t.Helper()
		in, err := p.Describe(t.Context(), r.Lease)
		if err != nil || in.State != want {
			t.Fatalf("got %+v, %v; want %s", in, err, want)
		}
		return in
	}
	look(providers.Pending)
	w.clock.pass(w.Boot)
	if in := look(providers.Running); in.Reason != "" || in.Zone != "use1-az1" || in.InstanceType != "g5.xlarge" || in.StartedAt.IsZero() {
		t.Errorf("a running machine is %+v", in)
	}
	w.Halt(w.only(t).ID)
	look(providers.Running) // what stops is left alone until it is gone, and this one never is
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("a stopped machine is not listed: %v, %v", all, err)
	}
	w.End(w.only(t).ID, "Server.SpotInstanceTermination")
	if in := look(providers.Stopping); !strings.Contains(in.Reason, "took the spot machine back") {
		t.Errorf("the reason is %q", in.Reason)
	}
	w.clock.pass(w.Cloud.Stop)
	look(providers.Gone)
	w.clock.pass(w.Remember)
	_, err := p.Describe(t.Context(), r.Lease)
	refusal(t, err, purser.KindNotFound)
}

// TestRefEnds is a machine whose lease nobody knows: List's reference is enough.
func TestRefEnds(t *testing.T) {
	w := fresh(t, "us-east-1", "us-west-2")
	p := w.provider(t)
	launch(t, p, request("lease-a", onDemand))
	all, err := p.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("List gave %v, %v", all, err)
	}
	if err := p.Terminate(t.Context(), purser.Lease{ID: all[0].Lease}); err != nil { // not even a region
		t.Fatal(err)
	}
	if !slices.Equal(ids(all), []string{w.only(t).ID}) || w.only(t).Ending.IsZero() {
		t.Errorf("the machine was not ended")
	}
}

// TestForeignTagsAreSpared are machines of others with our lease's name.
func TestForeignTagsAreSpared(t *testing.T) {
	w := fresh(t)
	m := w.Add("us-east-1", awstest.Machine{Type: "g5.xlarge", Zone: "use1-az1", Tags: map[string]string{"purser-lease": "lease-a", "purser-installation": "other"}, Made: w.clock.now()})
	l := request("lease-a", onDemand).Lease
	l.Instance = m.ID
	if err := w.provider(t).Terminate(t.Context(), l); err != nil || !m.Ending.IsZero() {
		t.Errorf("another installation's machine was ended (%v)", err)
	}
	if in, err := w.provider(t).Describe(t.Context(), l); err == nil {
		t.Errorf("another installation's machine was described: %+v", in)
	}
}
