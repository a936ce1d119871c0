package gcp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

func requestOf(id purser.LeaseID, o purser.Offer) providers.Request {
	l := purser.Lease{ID: id, Offer: o, Holder: "gcp", State: purser.LeaseLaunching, Attempt: 1}
	return providers.Request{
		Lease: l, Installation: installation, Token: providers.ClientToken(installation, l), JoinToken: "join-secret", ServerURL: "https://purser.example:8443",
		AgentSHA256: map[string]string{"amd64": strings.Repeat("0", 64)},
	}
}

func launch(t *testing.T, p *Provider, r providers.Request) providers.Instance {
	t.Helper()
	in, err := p.Launch(t.Context(), r)
	if err != nil {
		t.Fatalf("Launch(%s): %v", r.Lease.ID, err)
	}
	return in
}

func nameFor(t *testing.T, id purser.LeaseID) string {
	t.Helper()
	name, err := nameOf(installation, id)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// refusedAs checks an error's kind, its hint, and that it names the offer and no secret.
func refusedAs(t *testing.T, err error, kind purser.Kind, o purser.Offer) {
	t.Helper()
	e, ok := err.(*purser.Error) //nolint:errorlint // the outermost is looked at
	switch {
	case !ok || e.Kind != kind:
		t.Errorf("error is %v; want %s", err, kind)
	case !strings.Contains(e.Message, string(o.ID())) || e.Hint == "":
		t.Errorf("error %q (%q) does not name the offer, or what to do", e.Message, e.Hint)
	case strings.Contains(err.Error(), "join-secret"):
		t.Errorf("error tells the secret: %v", err)
	}
}

func TestCapacityComesFromTheOperation(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-central1-a"], w.refuseAfter = true, 1300*time.Millisecond
	p := c.provider(t, w)
	o := gpuOffer()
	_, err := p.Launch(t.Context(), requestOf("a", o))
	refusedAs(t, err, purser.KindNoCapacity, o)
	if took := w.clock().Sub(start); took > 2*time.Second {
		t.Errorf("a full zone was answered after %s", took)
	}
	if n := w.count("compute.instances.insert"); n != 1 {
		t.Errorf("%d insertions; want 1", n)
	}
	w.full["us-central1-a"] = false
	if _, err = p.Launch(t.Context(), requestOf("a", o)); purser.KindOf(err) != purser.KindNoCapacity {
		t.Errorf("the lease that was refused got %v the second time", err)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("machines %v after a refusal", live)
	}
}

func TestFullZoneIsAnsweredWithin2s(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-central1-a"], w.latency = true, 20*time.Millisecond
	p := c.provider(t, w, func(c *Config) { c.Wait = nil }) // real pauses
	begun := time.Now()
	w.real = begun
	_, err := p.Launch(t.Context(), requestOf("a", gpuOffer()))
	refusedAs(t, err, purser.KindNoCapacity, gpuOffer())
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("answered after %s", took)
	}
}

func TestLateRefusalIsToldByDescribe(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-central1-a"], w.refuseAfter = true, 20*time.Second
	p := c.provider(t, w)
	r := requestOf("a", gpuOffer())
	in := launch(t, p, r)
	if in.State != providers.Pending {
		t.Errorf("Launch gave %+v", in)
	}
	w.pass(time.Minute)
	r.Lease.Instance = in.ID
	seen, err := p.Describe(t.Context(), r.Lease)
	if err != nil || seen.State != providers.Gone || !strings.Contains(seen.Reason, "ZONE_RESOURCE_POOL_EXHAUSTED") || seen.Refused != purser.KindNoCapacity {
		t.Errorf("Describe gave %+v, %v", seen, err)
	}
	if _, err = p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindNoCapacity {
		t.Errorf("Launch after it gave %v", err)
	}
}

// What failed for the moment would fail again, by its request id: the lease is over at once,
// rather than asked for again for as long as a launch may take.
func TestFailureForTheMomentEndsTheLease(t *testing.T) {
	for _, code := range []string{"INTERNAL_ERROR", "RESOURCE_OPERATION_RATE_EXCEEDED"} {
		c := newCloud(t)
		w := c.world("proj")
		w.full["us-central1-a"] = true
		w.refusal = object{"error": object{"errors": []object{{"code": code, "message": "x"}}}, "httpErrorStatusCode": 500}
		p := c.provider(t, w)
		r := requestOf("a", gpuOffer())
		for range 2 {
			if in := launch(t, p, r); in.State != providers.Gone || !strings.Contains(in.Reason, code) || in.Zone != "us-central1-a" {
				t.Errorf("Launch gave %+v", in)
			}
			w.full["us-central1-a"] = false
		}
		if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone || !strings.Contains(in.Reason, code) {
			t.Errorf("Describe gave %+v, %v", in, err)
		}
		if n := w.count("compute.instances.insert"); n != 1 || len(w.live()) != 0 {
			t.Errorf("%d insertions, machines %v", n, w.live())
		}
	}
	for call, body := range map[string]object{
		"tpu.operations.get":      {"done": true, "error": object{"code": 13, "message": "x"}},
		"tpu.queuedResources.get": {"state": object{"state": "FAILED", "failedData": object{"error": object{"code": 13, "message": "INTERNAL"}}}},
	} {
		c := newCloud(t)
		w := c.world("proj")
		w.answer = func(made string, _ *http.Request) (int, object) {
			if made == call {
				return http.StatusOK, body
			}
			return 0, nil
		}
		if in := launch(t, c.provider(t, w), requestOf("a", tpuOffer())); in.State != providers.Gone || !strings.Contains(in.Reason, "INTERNAL") {
			t.Errorf("%s: Launch gave %+v", call, in)
		}
	}
}

// An operation that cannot be looked at is no refusal: the zone has taken the machine on,
// and no other is asked for one.
func TestUnseenOperationIsNoRefusal(t *testing.T) {
	for call, o := range map[string]purser.Offer{"compute.zoneOperations.get": gpuOffer(), "tpu.operations.get": tpuOffer()} {
		for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusServiceUnavailable} {
			c := newCloud(t)
			w := c.world("proj")
			w.tpuZones = []string{"us-east5-a", "us-east5-b"}
			w.answer = func(made string, _ *http.Request) (int, object) {
				if made == call {
					return status, refuse("", "", "x")
				}
				return 0, nil
			}
			in := launch(t, c.provider(t, w), requestOf("a", with(o, func(o *purser.Offer) { o.Zone = "" })))
			if n := w.count("compute.instances.insert") + w.count("tpu.queuedResources.create"); in.State != providers.Pending || n != 1 || w.count(call) != 1 {
				t.Errorf("%s with %d: Launch gave %+v after %d requests", call, status, in, n)
			}
		}
	}
}

func TestQuotaIsNotCapacityAndAskedOnce(t *testing.T) {
	const message = "Quota 'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1."
	o := gpuOffer()
	t.Run("in the operation", func(t *testing.T) {
		c := newCloud(t)
		w := c.world("proj")
		w.full["us-central1-a"] = true
		w.refusal = object{"error": object{"errors": []object{{"code": "QUOTA_EXCEEDED", "message": message}}}, "httpErrorStatusCode": 403}
		_, err := c.provider(t, w).Launch(t.Context(), requestOf("a", with(o, func(o *purser.Offer) { o.Zone = "" })))
		refusedAs(t, err, purser.KindQuota, with(o, func(o *purser.Offer) { o.Zone = "" }))
		if n := w.count("compute.instances.insert"); n != 1 || !strings.Contains(err.Error(), "more of PREEMPTIBLE_NVIDIA_L4_GPUS") {
			t.Errorf("%d insertions, %v", n, err)
		}
	})
	t.Run("in the answer", func(t *testing.T) {
		c := newCloud(t)
		w := c.world("proj")
		w.answer = func(call string, _ *http.Request) (int, object) {
			if call == "compute.instances.insert" {
				return http.StatusForbidden, refuse("quotaExceeded", "", message)
			}
			return 0, nil
		}
		_, err := c.provider(t, w).Launch(t.Context(), requestOf("a", o))
		refusedAs(t, err, purser.KindQuota, o)
		if n := w.count("compute.instances.insert"); n != 1 {
			t.Errorf("%d insertions; want 1", n)
		}
	})
}

func TestServerErrorsAreNotRepeatedByTheSDK(t *testing.T) {
	for _, call := range []string{"compute.instances.insert", "compute.instances.get", "compute.instances.aggregatedList", "tpu.queuedResources.list"} {
		c := newCloud(t)
		w := c.world("proj")
		w.answer = func(made string, _ *http.Request) (int, object) {
			if made == call {
				return http.StatusServiceUnavailable, refuse("backendError", "UNAVAILABLE", "try later")
			}
			return 0, nil
		}
		p := c.provider(t, w, func(c *Config) { c.TPUZones = []string{"us-east5-b"} })
		_, launched := p.Launch(t.Context(), requestOf("a", gpuOffer()))
		_, listed := p.List(t.Context())
		if w.count(call) != 1 {
			t.Errorf("%s was made %d times", call, w.count(call))
		}
		if launched == nil && listed == nil || (launched != nil && purser.KindOf(launched) != purser.KindUnavailable) || (listed != nil && purser.KindOf(listed) != purser.KindUnavailable) {
			t.Errorf("%s: Launch gave %v, List %v", call, launched, listed)
		}
	}
}

func TestRegionGoesOnToTheZoneThatHasAMachine(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-central1-a"] = true
	p := c.provider(t, w)
	o := with(gpuOffer(), func(o *purser.Offer) { o.Zone = "" })
	r := requestOf("a", o)
	first := launch(t, p, r)
	if first.Zone != "us-central1-b" {
		t.Fatalf("Launch gave %+v", first)
	}
	w.full["us-central1-a"] = false // the first zone has machines again; the lease has one
	if again := launch(t, p, r); again.ID != first.ID || w.live()["a"] != 1 {
		t.Errorf("a repeated launch gave %+v; the lease has %d", again, w.live()["a"])
	}
	w.full["us-central1-a"], w.full["us-central1-b"] = true, true
	_, err := p.Launch(t.Context(), requestOf("b", o))
	refusedAs(t, err, purser.KindNoCapacity, o)
	if n := w.count("compute.instances.insert"); n != 4 {
		t.Errorf("%d insertions; want 2 for each lease", n)
	}
}

func TestRegionWhoseFirstZoneDoesNotSellTheType(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.types = func(zone, _ string) bool { return zone == "us-central1-b" }
	o := with(gpuOffer(), func(o *purser.Offer) { o.Zone = "" })
	if in := launch(t, c.provider(t, w), requestOf("a", o)); in.Zone != "us-central1-b" {
		t.Errorf("Launch gave %+v", in)
	}
	_, err := c.provider(t, w).Launch(t.Context(), requestOf("b", gpuOffer()))
	if purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a zone that does not sell the type gave %v", err)
	}
}

// A lease whose machine came and went is remembered when the request id is not any more.
func TestEndedLeaseIsRememberedByItsOperations(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	r := requestOf("a", gpuOffer())
	first := launch(t, p, r)
	w.pass(time.Minute)
	if err := p.Terminate(t.Context(), r.Lease); err != nil {
		t.Fatal(err)
	}
	w.pass(30 * time.Hour)
	if in := launch(t, p, r); in.ID != first.ID || in.State != providers.Gone || w.count("compute.instances.insert") != 1 {
		t.Errorf("Launch after a day gave %+v with %d insertions", in, w.count("compute.instances.insert"))
	}
}

func TestNameHeldByAnotherCallersMachine(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	r := requestOf("a", gpuOffer())
	other := r
	other.Token = strings.Repeat("f", 64) // as another attempt has it
	first := launch(t, p, other)
	w.answer = func(call string, _ *http.Request) (int, object) { // the looks before the insertion see nothing yet
		if w.calls["compute.instances.insert"] == 1 && (call == "compute.instances.get" || call == "compute.zoneOperations.list") {
			if call == "compute.instances.get" {
				return missing("x")
			}
			return http.StatusOK, object{}
		}
		return 0, nil
	}
	if in := launch(t, p, r); in.ID != first.ID || w.live()["a"] != 1 {
		t.Errorf("Launch gave %+v; the lease has %d", in, w.live()["a"])
	}
}

func TestPreemptedMachineIsGoneWithItsReason(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	r := requestOf("a", gpuOffer())
	launch(t, p, r)
	w.pass(time.Minute)
	w.preempt("us-central1-a/" + nameFor(t, "a"))
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Stopping {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	w.pass(time.Minute)
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone || in.Reason != "it was preempted" {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
}

func TestUnfitOffers(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	for name, o := range map[string]purser.Offer{
		"a slice of several hosts":   with(tpuOffer(), func(o *purser.Offer) { o.InstanceType = "v6e-16" }),
		"a flex start of a TPU":      with(tpuOffer(), func(o *purser.Offer) { o.Option = purser.FlexStart }),
		"a card that does not exist": with(gpuOffer(), func(o *purser.Offer) { o.InstanceType = "n1-standard-8+H100x1" }),
		"a path in the type":         with(gpuOffer(), func(o *purser.Offer) { o.InstanceType = "g2/../x" }),
		"a path in the zone":         with(gpuOffer(), func(o *purser.Offer) { o.Zone = "us-central1-a/x" }),
		"a zone of another region":   with(gpuOffer(), func(o *purser.Offer) { o.Zone = "europe-west4-a" }),
		"a region that is none":      with(gpuOffer(), func(o *purser.Offer) { o.Region, o.Zone = "mars", "" }),
		"an unknown option":          with(gpuOffer(), func(o *purser.Offer) { o.Option = "barter" }),
	} {
		if _, err := p.Launch(t.Context(), requestOf("a", o)); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: Launch gave %v", name, err)
		}
	}
	r := requestOf("A_b", gpuOffer())
	if _, err := p.Launch(t.Context(), r); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a lease that cannot be a name gave %v", err)
	}
	if n := w.count("compute.instances.insert") + w.count("tpu.queuedResources.create"); n != 0 {
		t.Errorf("%d requests for machines", n)
	}
}

func TestLaunchesOfManyAtOnce(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	var wg sync.WaitGroup
	for range 8 {
		p := c.provider(t, w)
		wg.Go(func() {
			if _, err := p.Launch(context.Background(), requestOf("a", with(gpuOffer(), func(o *purser.Offer) { o.Zone = "" }))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.live()["a"] != 1 {
		t.Errorf("the lease has %d machines", w.live()["a"])
	}
}

func TestReservations(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.booked["us-central1-a"] = []object{reservation("used", "a2-ultragpu-8g", 2, 2), reservation("free", "a2-ultragpu-8g", 2, 1)}
	p := c.provider(t, w)
	o := with(gpuOffer(), func(o *purser.Offer) { o.InstanceType, o.Option = "a2-ultragpu-8g", purser.Reserved })
	launch(t, p, requestOf("a", o))
	if got := text(w.bodies[0], "reservationAffinity", "values", 0); got != "free" {
		t.Errorf("the machine uses reservation %q", got)
	}
	_, err := p.Launch(t.Context(), requestOf("b", with(o, func(o *purser.Offer) { o.InstanceType = "a2-ultragpu-4g" })))
	if purser.KindOf(err) != purser.KindNoCapacity {
		t.Errorf("a type without a reservation gave %v", err)
	}
	launch(t, p, requestOf("c", gpuOffer()))
	if got := text(w.bodies[1], "reservationAffinity", "consumeReservationType"); got != "NO_RESERVATION" {
		t.Errorf("a spot machine has affinity %q", got)
	}
}
