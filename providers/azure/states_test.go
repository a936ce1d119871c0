package azure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// TestStates holds every state of a machine of Azure against what Describe and List say
// of it, and whether Sweep ends it.
func TestStates(t *testing.T) {
	h := newHub(t, true)
	set := func(power string) func(*machine) { return func(m *machine) { m.power = power } }
	failed := func(power string) func(*machine) {
		return func(m *machine) {
			m.power, m.code, m.message = power, "OSProvisioningTimedOut", "OS Provisioning did not finish."
		}
	}
	for _, e := range []struct {
		name   string
		after  time.Duration
		change func(*machine)
		want   providers.InstanceState
		reason string
		swept  bool
	}{
		{"creating", 0, func(*machine) {}, providers.Pending, "", false},
		{"running", time.Minute, func(*machine) {}, providers.Running, "", false},
		{"starting", time.Minute, set("starting"), providers.Running, "", false},
		{"unknown power", time.Minute, set("unknown"), providers.Running, "", false},
		{"stopping", time.Minute, set("stopping"), providers.Stopping, "stopped", false},
		{"powered off and billed", time.Minute, set("stopped"), providers.Stopping, "billed", true},
		{"deallocating", time.Minute, set("deallocating"), providers.Stopping, "stopped", false},
		{"deallocated", time.Minute, set("deallocated"), providers.Gone, "deallocated", true},
		{"failed and running", time.Minute, failed("running"), providers.Running, "did not finish", false},
		{"failed and powered off", time.Minute, failed("stopped"), providers.Stopping, "billed", true},
		{"failed and never there", time.Minute, failed(""), providers.Gone, "did not finish", true},
		{"failed and deallocated", time.Minute, failed("deallocated"), providers.Gone, "did not finish", true},
		{"deleting", time.Minute, func(m *machine) { m.goes = m.made.Add(time.Hour) }, providers.Stopping, "deleted", false},
	} {
		t.Run(e.name, func(t *testing.T) {
			c := h.cloud()
			p := h.provider(t, c)
			r := request("lease-a", offer(a100, purser.Spot))
			launch(t, p, r)
			c.pass(e.after)
			e.change(c.only(t))
			for _, blind := range []bool{false, true} { // Azure may leave out the power of some in the listing
				c.blind = blind
				in, err := p.Describe(t.Context(), r.Lease)
				if err != nil || in.State != e.want || !strings.Contains(in.Reason, e.reason) {
					t.Errorf("Describe gave %+v, %v; want %s", in, err, e.want)
				}
				all, err := p.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case e.want == providers.Gone && len(all) == 0:
				case len(all) == 1 && (all[0] == in || blind && all[0].State == providers.Running):
				case blind && e.want == providers.Gone && all[0].State == providers.Running:
				default:
					t.Errorf("List gave %+v (blind: %v); want %+v", all, blind, in)
				}
			}
			c.blind = false
			n, err := p.Sweep(t.Context(), 24*time.Hour)
			if err != nil || (n == 1) != e.swept || n > 1 {
				t.Errorf("Sweep removed %d, %v", n, err)
			}
		})
	}
}

// TestAMachineThatPoweredItselfOffIsEnded: the bootstrap script powers off what cannot
// join; Azure bills it until it is deleted.
func TestAMachineThatPoweredItselfOffIsEnded(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c)
	a, b := request("lease-a", offer(a100, purser.Spot)), request("lease-b", offer(a100, purser.OnDemand))
	launch(t, p, a)
	launch(t, p, b)
	c.pass(time.Minute)
	c.vms["purser-70b22ff0e1-lease-a"].power = "stopped"
	if n, err := p.Sweep(t.Context(), time.Hour); err != nil || n != 1 {
		t.Fatalf("Sweep removed %d, %v", n, err)
	}
	c.pass(time.Minute)
	if in, err := p.Describe(t.Context(), a.Lease); err != nil || in.State != providers.Gone {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	if in, err := p.Describe(t.Context(), b.Lease); err != nil || in.State != providers.Running {
		t.Errorf("the other one: %+v, %v", in, err)
	}
	if left := c.leavings(); len(left) != 0 || len(c.vms) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestTheEndIsForced: without it Azure would let the machine's system take its time.
func TestTheEndIsForced(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c)
	r := request("lease-a", offer(a100, purser.Spot))
	launch(t, p, r)
	if err := p.Terminate(t.Context(), r.Lease); err != nil {
		t.Fatal(err)
	}
	c.pass(c.deleteFor)
	if left := c.leavings(); len(left)+len(c.vms) != 0 {
		t.Errorf("left: %v %v", c.vms, left)
	}
}

func TestSweep(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.page = 2
	p := h.provider(t, c)
	launch(t, p, request("lease-a", offer(a100, purser.Spot)))
	c.pass(time.Hour)
	const ours = "purser-70b22ff0e1-"
	tags := func(installation string, age time.Duration) map[string]string {
		return map[string]string{"purser-lease": "x", "purser-installation": installation, "purser-created": c.now.Add(-age).Format(time.RFC3339)}
	}
	put := func(name string, tags map[string]string) {
		c.cards[name] = &card{body: cardBody{Location: "eastus", Tags: tags}}
	}
	put(ours+"old-nic", tags("test", time.Hour))
	put(ours+"new-nic", tags("test", time.Minute))
	put(ours+"theirs-nic", tags("other", time.Hour))
	put("foreign", nil)
	c.disks[ours+"old-os"] = &disk{made: c.now.Add(-time.Hour)}
	c.disks[ours+"new-os"] = &disk{made: c.now.Add(-time.Minute)}
	c.disks["foreign-os"] = &disk{made: c.now.Add(-time.Hour)}
	c.disks["purser-0000000000-theirs-os"] = &disk{made: c.now.Add(-time.Hour)}
	if n, err := p.Sweep(t.Context(), 10*time.Minute); n != 2 || err != nil {
		t.Errorf("Sweep removed %d, %v; want the old card and disk", n, err)
	}
	want := []string{"foreign", ours + "lease-a-nic", ours + "new-nic", ours + "theirs-nic"}
	if got := sorted(c.cards); !slices.Equal(got, want) {
		t.Errorf("cards are %v", got)
	}
	want = []string{"foreign-os", "purser-0000000000-theirs-os", ours + "lease-a-os", ours + "new-os"}
	if got := sorted(c.disks); !slices.Equal(got, want) {
		t.Errorf("disks are %v", got)
	}
	if n, err := p.Sweep(t.Context(), 10*time.Minute); n != 0 || err != nil {
		t.Errorf("a second Sweep removed %d, %v", n, err)
	}
}

// TestSweepGoesOn past what fails, and past what is in use after all.
func TestSweepGoesOn(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c)
	for _, name := range []string{"a", "b"} {
		c.cards["purser-70b22ff0e1-"+name+"-nic"] = &card{body: cardBody{Location: "eastus", Tags: map[string]string{"purser-lease": name, "purser-installation": "test"}}}
	}
	c.disks["purser-70b22ff0e1-a-os"] = &disk{}
	c.refuse = func(call string) *refusal {
		if call == "DELETE one Microsoft.Network/networkInterfaces" && c.calls[call] == 1 {
			return &refusal{status: 400, code: "NicReservedForAnotherVm", message: "kept for 180 seconds"}
		}
		if call == "DELETE one Microsoft.Compute/disks" {
			return &refusal{status: 403, code: "AuthorizationFailed"}
		}
		return nil
	}
	if n, err := p.Sweep(t.Context(), time.Minute); n != 1 || purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("Sweep removed %d, %v; want one card and the disk's refusal", n, err)
	}
	c.refuse = nil
	if n, err := p.Sweep(t.Context(), time.Minute); n != 2 || err != nil {
		t.Errorf("Sweep removed %d, %v; want the rest", n, err)
	}
}
