package azure_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/providers/azure"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestPermissions makes every kind of call, and holds what reached Azure against the list.
func TestPermissions(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.slowCards, c.step = true, 2*time.Second
	c.usages = map[string][]object{"eastus": {usage("cores", 100, 3)}, "westus2": {usage("cores", 10, 0)}}
	c.keeps = map[string]*reservations{"kept": {}}
	p := h.provider(t, c, func(cfg *azure.Config) {
		cfg.Patience = 10 * time.Millisecond
		place := cfg.Places["eastus"]
		place.ReservationGroup = "/subscriptions/" + c.sub + "/resourceGroups/net/providers/Microsoft.Compute/capacityReservationGroups/kept"
		cfg.Places["eastus"] = place
	})
	ctx := t.Context()
	spot, kept := request("lease-a", offer(a100, purser.Spot)), request("lease-b", offer(a100, purser.Reserved))
	for _, r := range []func() error{
		func() error { _, err := p.Launch(ctx, spot); return err },
		func() error { _, err := p.Launch(ctx, kept); return err },
		func() error { _, err := p.Describe(ctx, spot.Lease); return err },
		func() error { _, err := p.List(ctx); return err },
		func() error { _, err := p.Quotas(ctx); return err },
		func() error { return p.Terminate(ctx, spot.Lease) },
	} {
		if err := r(); err != nil {
			t.Fatal(err)
		}
	}
	c.locked(func() { // what a launch leaves that was killed, and a disk that Azure did not take along
		name := "purser-70b22ff0e1-lease-x"
		c.cards[name+"-nic"] = &card{body: cardBody{Location: "eastus", Tags: map[string]string{"purser-lease": "lease-x", "purser-installation": "test"}}}
		c.disks[name+"-os"] = &disk{made: c.now.Add(-time.Hour)}
	})
	c.pass(25 * time.Hour)
	if n, err := p.Sweep(ctx, time.Minute); err != nil || n != 3 {
		t.Fatalf("Sweep removed %d, %v; want card, disk and record", n, err)
	}
	var listed, made []string
	for _, x := range azure.Permissions() {
		listed = append(listed, x.Call)
		if len(x.Actions) == 0 {
			t.Errorf("%s needs no permission", x.Call)
		}
	}
	c.locked(func() { made = sorted(c.calls) })
	for _, call := range made {
		if !slices.Contains(listed, call) {
			t.Errorf("%s is made and not listed", call)
		}
	}
	for _, call := range listed {
		if !slices.Contains(made, call) {
			t.Errorf("%s is listed and never made", call)
		}
	}
	noOddCalls(t, c)
}

func TestPermissionsRole(t *testing.T) {
	const golden = "../../docs/permissions/azure-role.json"
	got, err := azure.Role("00000000-0000-0000-0000-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("../../docs/permissions", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil { //nolint:gosec // a page that anyone may read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the code needs; run go test ./providers/azure -run Permissions -update. It needs\n%s", golden, got)
	}
}
