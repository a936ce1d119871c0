package azure_test

import (
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/azure"
)

// TestTrapChangedUserDataIsNoConflict: the server's address is in the user data, and Azure
// refuses to change that of a machine. A repeat finds the machine whatever it is told.
func TestTrapChangedUserDataIsNoConflict(t *testing.T) {
	h := newHub(t, true)
	for _, code := range []string{"PreconditionFailed", "PropertyChangeNotAllowed"} {
		c := h.cloud()
		c.lag = 30 * time.Second // so that the machine is not seen before
		c.refuse = func(call string) *refusal {
			switch {
			case call == "PUT one Microsoft.Network/applicationSecurityGroups": // nor is it on record
				return &refusal{status: 503, code: "ServerTimeout"}
			case call == putVM && len(c.vms) > 0 && code != "PreconditionFailed": // which the cloud says by itself
				return &refusal{status: 409, code: code, message: "Changing property 'osProfile.customData' is not allowed."}
			}
			return nil
		}
		p := h.provider(t, c)
		r := request("lease-a", offer(a100, purser.Spot))
		if _, err := p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindUnavailable || err == nil {
			t.Fatalf("got %v", err)
		}
		r.ServerURL = "https://elsewhere.example"
		if _, err := p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindUnavailable || err == nil {
			t.Fatalf("%s: got %v", code, err)
		}
		refuse := c.refuse
		c.locked(func() {
			c.refuse = func(call string) *refusal {
				if call == putVM {
					return refuse(call)
				}
				return nil
			}
		})
		if in := launch(t, p, r); in.State != providers.Pending || c.made["lease-a"] != 1 || c.count(putVM) != 3 {
			t.Errorf("%s: got %+v, %d machines by %d calls", code, in, c.made["lease-a"], c.count(putVM))
		}
	}
}

// TestTrapAnEndIsNotForgotten: a launch that finds the name taken by a machine that it is
// not shown does not write over an end that was asked for meanwhile.
func TestTrapAnEndIsNotForgotten(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.lag = 30 * time.Second // so that the machine is not seen
	p := h.provider(t, c)
	r := request("lease-a", offer(a100, purser.Spot))
	launch(t, p, r)
	name := c.only(t).name
	c.locked(func() {
		delete(c.records, name) // as if the other launch were about to write it
		c.refuse = func(call string) *refusal {
			if call == putVM {
				c.records[name] = &groupBody{Location: "eastus", Tags: map[string]string{
					"purser-lease": "lease-a", "purser-installation": "test", "purser-created": c.now.Format(time.RFC3339), "purser-ended": "true",
				}}
			}
			return nil
		}
	})
	if in := launch(t, p, r); in.State != providers.Gone || c.records[name].Tags["purser-ended"] != "true" || c.made["lease-a"] != 1 {
		t.Errorf("got %+v, on record %v, made %d", in, c.records[name].Tags, c.made["lease-a"])
	}
}

// TestTrapNamesAreFreeAgain: after the end of a machine, by Terminate or by Azure, a late
// repeat makes no second one, for a day.
func TestTrapNamesAreFreeAgain(t *testing.T) {
	h := newHub(t, true)
	for name, end := range map[string]func(*fakeCloud, *azure.Provider, providers.Request) error{
		"ended": func(_ *fakeCloud, p *azure.Provider, r providers.Request) error {
			return p.Terminate(t.Context(), r.Lease)
		},
		"evicted": func(c *fakeCloud, p *azure.Provider, r providers.Request) error {
			c.evict("purser-70b22ff0e1-lease-a")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.cloud()
			p := h.provider(t, c)
			r := request("lease-a", offer(a100, purser.Spot))
			launch(t, p, r)
			c.pass(30 * 24 * time.Hour) // a long life
			if _, err := p.Sweep(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := end(c, p, r); err != nil {
				t.Fatal(err)
			}
			c.pass(2 * time.Minute)
			for range 24 {
				if _, err := p.Sweep(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
				if in := launch(t, p, r); in.State != providers.Gone {
					t.Fatalf("got %+v", in)
				}
				if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone {
					t.Fatalf("Describe gave %+v, %v", in, err)
				}
				c.pass(59 * time.Minute)
			}
			c.pass(2 * time.Hour)
			if n, err := p.Sweep(t.Context(), time.Minute); err != nil || n != 1 || len(c.records) != 0 {
				t.Errorf("a day later Sweep removed %d, %v; records: %v", n, err, c.records)
			}
		})
	}
}

// TestTrapSpotThatIsDeallocatedKeepsItsDisk: were a spot machine deallocated all the same,
// it is gone for Purser, and swept.
func TestTrapSpotThatIsDeallocatedKeepsItsDisk(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c)
	r := request("lease-a", offer(a100, purser.Spot))
	launch(t, p, r)
	c.pass(time.Minute)
	c.only(t).power = "deallocated"
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	if n, err := p.Sweep(t.Context(), time.Hour); err != nil || n != 1 {
		t.Errorf("Sweep removed %d, %v", n, err)
	}
	c.pass(time.Minute)
	if left := c.leavings(); len(left)+len(c.vms) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestTrapAResourceGroupThatIsNotFoundIsNoProof that machines are gone.
func TestTrapAResourceGroupThatIsNotFoundIsNoProof(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	r := request("lease-a", offer(a100, purser.Spot))
	launch(t, h.provider(t, c), r)
	wrong := h.provider(t, c, func(cfg *azure.Config) { cfg.ResourceGroup = "mistyped" })
	if in, err := wrong.Describe(t.Context(), r.Lease); purser.KindOf(err) != purser.KindInvalid || err == nil {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	if err := wrong.Terminate(t.Context(), r.Lease); err == nil {
		t.Error("Terminate says that it is done")
	}
}
