package azure_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/azure"
	"purser/providers/bootstrap"
)

const putVM = "PUT one Microsoft.Compute/virtualMachines"

func launch(t *testing.T, p *azure.Provider, r providers.Request) providers.Instance {
	t.Helper()
	in, err := p.Launch(t.Context(), r)
	if err != nil {
		t.Fatalf("Launch(%s): %v", r.Lease.ID, err)
	}
	return in
}

// only gives the one machine that there is.
func (c *fakeCloud) only(t *testing.T) *machine {
	t.Helper()
	var m *machine
	c.locked(func() {
		if len(c.vms) != 1 {
			t.Fatalf("there are %d machines", len(c.vms))
		}
		for _, m = range c.vms {
		}
	})
	return m
}

// TestWhatIsLaunched holds the body of a spot machine against what it has to be.
func TestWhatIsLaunched(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c, func(cfg *azure.Config) { cfg.EncryptionAtHost = true })
	r := request("lease-a", offer(a100, purser.Spot))
	in := launch(t, p, r)
	m := c.only(t)
	props, card := m.body.Properties, c.cards[m.name+"-nic"]
	if in.ID != m.name || in.Region != "eastus" || in.Zone != "1" || in.InstanceType != a100 || in.State != providers.Pending {
		t.Errorf("got %+v", in)
	}
	if m.body.Tags["purser-lease"] != "lease-a" || m.body.Tags["purser-installation"] != "test" || card.body.Tags["purser-lease"] != "lease-a" {
		t.Errorf("tags are %v and %v", m.body.Tags, card.body.Tags)
	}
	if props.Priority != "Spot" || props.EvictionPolicy != "Delete" || props.BillingProfile == nil || props.BillingProfile.MaxPrice != -1 {
		t.Errorf("it is bought as %s, %s, %+v", props.Priority, props.EvictionPolicy, props.BillingProfile)
	}
	if props.StorageProfile.OSDisk.DeleteOption != "Delete" || props.NetworkProfile.NetworkInterfaces[0].Properties.DeleteOption != "Delete" {
		t.Error("disk and card stay when the machine goes")
	}
	if s := props.SecurityProfile; s == nil || !s.EncryptionAtHost || s.SecurityType != "" {
		t.Errorf("its security is %+v", s)
	}
	if nsg := card.body.Properties.NetworkSecurityGroup; nsg == nil || !strings.HasSuffix(nsg.ID, "/eastus") {
		t.Errorf("its card's security group is %v", nsg)
	}
	if len(m.body.Zones) != 1 || m.body.Zones[0] != "1" {
		t.Errorf("zones are %v", m.body.Zones)
	}
	want, err := bootstrap.Script(r)
	if got, _ := base64.StdEncoding.DecodeString(props.OSProfile.CustomData); err != nil || string(got) != want {
		t.Errorf("user data is not the script, %v", err)
	}
	for k, v := range m.body.Tags {
		if strings.Contains(v, r.JoinToken) {
			t.Errorf("tag %s has the secret", k)
		}
	}
}

// TestKeysAreThrownAway: every launch has a key of its own that nobody has.
func TestKeysAreThrownAway(t *testing.T) {
	h := newHub(t, true)
	seen := map[string]bool{}
	for range 2 {
		c := h.cloud()
		launch(t, h.provider(t, c), request("lease-a", offer(a100, purser.Spot)))
		key := c.only(t).body.Properties.OSProfile.LinuxConfiguration.SSH.PublicKeys[0].KeyData
		part := strings.Fields(key)
		wire, err := base64.StdEncoding.DecodeString(part[1])
		if err != nil || part[0] != "ssh-ed25519" || len(wire) != 4+11+4+32 || seen[key] {
			t.Errorf("key %q, %v", key, err)
		}
		seen[key] = true
	}
}

func TestPurchaseOptions(t *testing.T) {
	h := newHub(t, true)
	const kept = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Compute/capacityReservationGroups/kept"
	for _, e := range []struct {
		name   string
		offer  purser.Offer
		change func(*azure.Config)
		check  func(vmProperties) bool
		kind   purser.Kind
	}{
		{"on demand", offer(a100, purser.OnDemand), nil, func(p vmProperties) bool { return p.Priority == "Regular" && p.BillingProfile == nil }, ""},
		{"spot with a limit", offer(a100, purser.Spot), func(c *azure.Config) { c.SpotPriceFactor = 1.1 }, func(p vmProperties) bool { return p.BillingProfile.MaxPrice == 4.0403 }, ""},
		{"reserved", offer(a100, purser.Reserved), func(c *azure.Config) {
			place := c.Places["eastus"]
			place.ReservationGroup = kept
			c.Places["eastus"] = place
		}, func(p vmProperties) bool { return p.CapacityReservation.Group.ID == kept && p.Priority == "Regular" }, ""},
		{"reserved without a group", offer(a100, purser.Reserved), nil, nil, purser.KindInvalid},
		{"serverless", offer(a100, purser.Serverless), nil, nil, purser.KindInvalid},
		{"no accelerator", regional(), nil, func(p vmProperties) bool {
			return p.SecurityProfile.SecurityType == "TrustedLaunch" && p.StorageProfile.ImageReference["sku"] == "server-arm64"
		}, ""},
		{"no such region", func() purser.Offer { o := offer(a100, purser.Spot); o.Region = "marscentral"; return o }(), nil, nil, purser.KindInvalid},
	} {
		t.Run(e.name, func(t *testing.T) {
			c := h.cloud()
			p := h.provider(t, c, func(cfg *azure.Config) {
				if e.change != nil {
					e.change(cfg)
				}
			})
			_, err := p.Launch(t.Context(), request("lease-a", e.offer))
			if e.kind != "" {
				if purser.KindOf(err) != e.kind || err == nil || !strings.Contains(err.Error(), string(e.offer.ID())) {
					t.Errorf("got %v; want %s", err, e.kind)
				}
				if n := len(c.cards); n != 0 {
					t.Errorf("%d cards are left", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p := c.only(t).body.Properties; !e.check(p) {
				t.Errorf("got %+v", p)
			}
		})
	}
}

// TestCapacityThatIsOutIsToldAtOnce: one call, no repetition, within two seconds, whether
// Azure says so at once or as the end of its operation.
func TestCapacityThatIsOutIsToldAtOnce(t *testing.T) {
	h := newHub(t, true)
	for name, no := range map[string]*refusal{
		"at once":          {status: 409, code: "SkuNotAvailable", message: "not available for Spot"},
		"by the operation": {code: "AllocationFailed", message: "Allocation failed.", after: 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.cloud()
			c.step = time.Second
			c.full = func(*vmBody) *refusal { return no }
			p := h.provider(t, c, func(cfg *azure.Config) { cfg.Patience = 100 * time.Millisecond })
			begun := time.Now()
			_, err := p.Launch(t.Context(), request("lease-a", offer(a100, purser.Spot)))
			if took := time.Since(begun); purser.KindOf(err) != purser.KindNoCapacity || err == nil || took > 2*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
			if e, _ := errors.AsType[*purser.Error](err); e == nil || e.Hint == "" || !strings.Contains(e.Message, "azure/eastus/1/"+a100+"/spot") {
				t.Errorf("got %v", err)
			}
			if n := c.count(putVM); n != 1 {
				t.Errorf("Azure was asked %d times", n)
			}
			c.pass(time.Hour)
			if _, err := p.Sweep(t.Context(), time.Minute); err != nil {
				t.Error(err)
			}
			c.locked(func() {
				if len(c.vms)+len(c.cards)+len(c.disks) != 0 {
					t.Errorf("left: %v %v %v", c.vms, c.cards, c.disks)
				}
			})
		})
	}
}

// TestTrapAQuotaIsNoCapacity although Azure answers both with 409, and with a code that
// means several things. It is asked for once, through the decorators too.
func TestTrapAQuotaIsNoCapacity(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.full = func(*vmBody) *refusal { return &refusal{status: 409, code: "OperationNotAllowed", message: quotaText} }
	p := providers.Decorate(h.provider(t, c), providers.Options{})
	_, err := p.Launch(t.Context(), request("lease-a", offer(a100, purser.OnDemand)))
	if purser.KindOf(err) != purser.KindQuota || err == nil {
		t.Errorf("got %v", err)
	}
	if n := c.count(putVM); n != 1 {
		t.Errorf("Azure was asked %d times", n)
	}
}

// TestAFailureAfterLaunchIsToldByDescribe: the operation outlasts Launch's patience.
func TestAFailureAfterLaunchIsToldByDescribe(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.full = func(*vmBody) *refusal {
		return &refusal{code: "ZonalAllocationFailed", message: "Allocation failed. We do not have sufficient capacity in this zone.", after: 40}
	}
	p := h.provider(t, c)
	r := request("lease-a", offer(a100, purser.Spot))
	if in := launch(t, p, r); in.State != providers.Pending {
		t.Fatalf("got %+v", in)
	}
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Pending {
		t.Errorf("before it fails Describe gives %+v, %v", in, err)
	}
	c.pass(time.Minute)
	in, err := p.Describe(t.Context(), r.Lease)
	if err != nil || in.State != providers.Gone || !strings.Contains(in.Reason, "sufficient capacity") || in.Refused != purser.KindNoCapacity {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("List gave %+v, %v", all, err)
	}
	if _, err := p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindNoCapacity || err == nil {
		t.Errorf("a repeated launch gave %v", err)
	}
	c.pass(time.Minute)
	if len(c.vms) != 0 || len(c.disks) != 0 {
		t.Errorf("left: %v %v", c.vms, c.disks)
	}
	if in := launch(t, p, r); in.State != providers.Gone || c.count(putVM) != 1 {
		t.Errorf("a late launch gave %+v after %d creations", in, c.count(putVM))
	}
}

// TestALaunchThatLosesARaceWithTheEnd ends what it made.
func TestALaunchThatLosesARaceWithTheEnd(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	r := request("lease-a", offer(a100, purser.Spot))
	other := h.provider(t, c)
	var once bool
	p, err := azure.New(h.config(c, trip(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/virtualMachines/") && !once {
			once = true
			if err := other.Terminate(t.Context(), r.Lease); err != nil {
				t.Error(err)
			}
		}
		return h.Client().Transport.RoundTrip(req)
	})))
	if err != nil {
		t.Fatal(err)
	}
	if in := launch(t, p, r); in.State != providers.Gone {
		t.Errorf("got %+v", in)
	}
	c.pass(time.Minute)
	if len(c.vms) != 0 {
		t.Error("the machine is still there")
	}
}

// TestAMachineOfSomebodyElseWithOurName is neither taken nor ended.
func TestAMachineOfSomebodyElseWithOurName(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	p := h.provider(t, c)
	r := request("lease-a", offer(a100, purser.Spot))
	launch(t, p, r)
	delete(c.only(t).body.Tags, "purser-installation")
	if _, err := p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindConflict || err == nil {
		t.Errorf("Launch gave %v", err)
	}
	if _, err := p.Describe(t.Context(), r.Lease); purser.KindOf(err) != purser.KindNotFound || err == nil {
		t.Errorf("Describe gave %v", err)
	}
	if err := p.Terminate(t.Context(), r.Lease); purser.KindOf(err) != purser.KindForbidden || err == nil {
		t.Errorf("Terminate gave %v", err)
	}
	if n, err := p.Sweep(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("Sweep removed %d, %v", n, err)
	}
	if !c.only(t).goes.IsZero() {
		t.Error("it is being deleted")
	}
}
