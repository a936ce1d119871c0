// Package providertest is the conformance suite of providers.Provider. Every
// implementer runs it, the fake first:
//
//	providertest.Run(t, func(t *testing.T) providertest.Subject { … })
//
// It checks the contract of package providers as far as one can without breaking a
// cloud: one machine per lease however often and from wherever it is launched, ends
// that are remembered, listings of one's own machines alone, and the kinds of error.
package providertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// Subject is what the suite looks at.
type Subject struct {
	Provider     providers.Provider
	Installation string // that Provider works for

	// Again gives another object on the same cloud and installation, as a server has
	// after a restart, or a second one beside it.
	Again func() providers.Provider

	// Other gives a provider on the same cloud for another installation, named so.
	// Nil where there can be no other.
	Other func(installation string) providers.Provider

	Offer    purser.Offer  // that can be launched
	Patience time.Duration // for a machine to be running or gone. Defaults to 20 s.
}

// Run checks a provider. fresh gives a new subject for each test.
func Run(t *testing.T, fresh func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, suite)
	}{
		{"a machine comes and goes", comesAndGoes},
		{"launching again finds the machine", launchAgain},
		{"launching at the same time makes one machine", launchTogether},
		{"a server that starts again finds the machine", launchAfterRestart},
		{"an ended lease gets no new machine", noSecondLife},
		{"ending before launching lasts", endedBeforeLaunch},
		{"unknown leases", unknown},
		{"machines of other installations are left alone", others},
		{"unfit requests", unfit},
		{"ended contexts", endedContext},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := suite{Subject: fresh(t), t: t}
			if s.Patience == 0 {
				s.Patience = 20 * time.Second
			}
			c.test(t, s)
		})
	}
}

type suite struct {
	Subject
	t *testing.T
}

func (s suite) lease(id purser.LeaseID) purser.Lease {
	return purser.Lease{ID: id, Offer: s.Offer, Holder: s.Provider.Name(), State: purser.LeaseLaunching, Attempt: 1, CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func (s suite) request(id string) providers.Request {
	l := s.lease(purser.LeaseID(id))
	return providers.Request{
		Lease: l, Installation: s.Installation, Token: providers.ClientToken(s.Installation, l),
		JoinToken: "join-" + id, ServerURL: "http://127.0.0.1:1",
		AgentSHA256: map[string]string{"amd64": strings.Repeat("0", 64), "arm64": strings.Repeat("1", 64)},
	}
}

func (s suite) launch(p providers.Provider, r providers.Request) providers.Instance {
	s.t.Helper()
	in, err := p.Launch(s.t.Context(), r)
	if err != nil {
		s.t.Fatalf("Launch(%s): %v", r.Lease.ID, err)
	}
	return in
}

func (s suite) list(p providers.Provider) []providers.Instance {
	s.t.Helper()
	all, err := p.List(s.t.Context())
	if err != nil {
		s.t.Fatalf("List: %v", err)
	}
	return all
}

// eventually waits for a lease's machine to be in a state.
func (s suite) eventually(id purser.LeaseID, want providers.InstanceState) providers.Instance {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), s.Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		in, err := s.Provider.Describe(s.t.Context(), s.lease(id))
		switch {
		case err == nil && in.State == want, want == providers.Gone && err != nil && purser.KindOf(err) == purser.KindNotFound:
			return in
		case err != nil && purser.KindOf(err) != purser.KindNotFound:
			s.t.Fatalf("Describe(%s): %v", id, err)
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("machine of %s is not %s within %s but %+v, %v", id, want, s.Patience, in, err)
		case <-tick.C:
		}
	}
}

func (s suite) terminate(id purser.LeaseID) {
	s.t.Helper()
	if err := s.Provider.Terminate(s.t.Context(), s.lease(id)); err != nil {
		s.t.Fatalf("Terminate(%s): %v", id, err)
	}
}

// clean ends what a test began.
func (s suite) clean(ids ...purser.LeaseID) {
	s.t.Cleanup(func() {
		for _, id := range ids {
			_ = s.Provider.Terminate(context.Background(), s.lease(id))
		}
	})
}

func comesAndGoes(t *testing.T, s suite) {
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	in := s.launch(s.Provider, r)
	if in.ID == "" || in.Lease != r.Lease.ID || in.Installation != s.Installation || in.State == providers.Gone {
		t.Fatalf("Launch gave %+v", in)
	}
	seen := s.eventually(r.Lease.ID, providers.Running)
	if seen.ID != in.ID || seen.Lease != in.Lease || seen.Installation != in.Installation || seen.StartedAt.IsZero() {
		t.Errorf("Describe gave %+v for %+v", seen, in)
	}
	if all := s.list(s.Provider); len(all) != 1 || all[0].ID != in.ID || all[0].Installation != s.Installation {
		t.Errorf("List gave %+v", all)
	}
	s.terminate(r.Lease.ID)
	s.eventually(r.Lease.ID, providers.Gone)
	if all := s.list(s.Provider); slices.ContainsFunc(all, func(i providers.Instance) bool { return i.State != providers.Gone }) {
		t.Errorf("List after the end gave %+v", all)
	}
	s.terminate(r.Lease.ID)
}

func launchAgain(t *testing.T, s suite) {
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	first := s.launch(s.Provider, r)
	r.ServerURL = "http://127.0.0.1:2" // the server has another port after a restart
	for range 3 {
		if again := s.launch(s.Provider, r); again.ID != first.ID {
			t.Fatalf("a repeated launch gave %s, the first %s", again.ID, first.ID)
		}
	}
	if all := s.list(s.Provider); len(all) != 1 {
		t.Errorf("one lease has %d machines", len(all))
	}
}

func launchTogether(t *testing.T, s suite) {
	const leases, callers = 3, 4
	var ids []purser.LeaseID
	for i := range leases {
		ids = append(ids, purser.LeaseID(fmt.Sprintf("lease-%d", i)))
	}
	s.clean(ids...)
	got := make([][]string, leases)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range leases {
		for n := range callers {
			p := s.Provider
			if n%2 == 1 {
				p = s.Again()
			}
			wg.Go(func() {
				in, err := p.Launch(t.Context(), s.request(string(ids[i])))
				if err != nil {
					t.Errorf("Launch(%s): %v", ids[i], err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				got[i] = append(got[i], in.ID)
			})
		}
	}
	wg.Wait()
	seen := map[string]bool{}
	for i := range got {
		slices.Sort(got[i])
		if got[i] = slices.Compact(got[i]); len(got[i]) != 1 {
			t.Fatalf("lease %s has machines %v", ids[i], got[i])
		}
		if seen[got[i][0]] {
			t.Errorf("machine %s has two leases", got[i][0])
		}
		seen[got[i][0]] = true
		s.eventually(ids[i], providers.Running)
	}
	all := s.list(s.Provider)
	if len(all) != leases || !slices.IsSortedFunc(all, func(a, b providers.Instance) int { return len(a.Lease) - len(b.Lease) }) {
		t.Errorf("List gave %+v", all)
	}
	for i, in := range all {
		if in.Lease != ids[i] {
			t.Errorf("List is not in the order of leases: %+v", all)
		}
	}
}

func launchAfterRestart(t *testing.T, s suite) {
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	first := s.launch(s.Provider, r)
	s.eventually(r.Lease.ID, providers.Running)
	later := s.Again()
	if in := s.launch(later, r); in.ID != first.ID {
		t.Errorf("after a restart Launch gave %s, before %s", in.ID, first.ID)
	}
	if in, err := later.Describe(t.Context(), r.Lease); err != nil || in.ID != first.ID || in.State != providers.Running {
		t.Errorf("after a restart Describe gave %+v, %v", in, err)
	}
	if all := s.list(later); len(all) != 1 || all[0].ID != first.ID {
		t.Errorf("after a restart List gave %+v", all)
	}
	if err := later.Terminate(t.Context(), r.Lease); err != nil {
		t.Fatalf("after a restart Terminate: %v", err)
	}
	s.eventually(r.Lease.ID, providers.Gone)
}

func noSecondLife(t *testing.T, s suite) {
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	first := s.launch(s.Provider, r)
	s.eventually(r.Lease.ID, providers.Running)
	s.terminate(r.Lease.ID)
	s.eventually(r.Lease.ID, providers.Gone)
	for _, p := range []providers.Provider{s.Provider, s.Again()} {
		if in := s.launch(p, r); in.ID != first.ID || in.State != providers.Gone {
			t.Errorf("an ended lease was given %+v", in)
		}
	}
	if all := s.list(s.Provider); len(all) != 0 {
		t.Errorf("an ended lease has machines: %+v", all)
	}
}

// A launch that is slow may reach the provider after the end was asked for. Whether
// it is then refused or gives a machine is the provider's choice, but the machine
// must be seen and must go when it is ended again.
func endedBeforeLaunch(t *testing.T, s suite) {
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	s.terminate(r.Lease.ID)
	if _, err := s.Provider.Launch(t.Context(), r); err != nil {
		return
	}
	s.terminate(r.Lease.ID)
	s.eventually(r.Lease.ID, providers.Gone)
	if all := s.list(s.Provider); len(all) != 0 {
		t.Errorf("an ended lease has machines: %+v", all)
	}
}

func unknown(t *testing.T, s suite) {
	if in, err := s.Provider.Describe(t.Context(), s.lease("lease-none")); err == nil || purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("Describe of an unknown lease gave %+v, %v; want not_found", in, err)
	}
	if err := s.Provider.Terminate(t.Context(), s.lease("lease-none")); err != nil {
		t.Errorf("Terminate of an unknown lease: %v", err)
	}
	if all := s.list(s.Provider); len(all) != 0 {
		t.Errorf("List of nothing gave %+v", all)
	}
}

func others(t *testing.T, s suite) {
	if s.Other == nil {
		t.Skip("this provider serves one installation alone")
	}
	r := s.request("lease-a")
	s.clean(r.Lease.ID)
	first := s.launch(s.Provider, r)
	s.eventually(r.Lease.ID, providers.Running)
	other := s.Other("somebody-else")
	if all := s.list(other); len(all) != 0 {
		t.Errorf("another installation sees our machines: %+v", all)
	}
	if in, err := other.Describe(t.Context(), r.Lease); err == nil {
		t.Errorf("another installation can describe our machine: %+v", in)
	}
	if err := other.Terminate(t.Context(), r.Lease); err != nil && purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("Terminate by another installation: %v", err)
	}
	if in := s.eventually(r.Lease.ID, providers.Running); in.ID != first.ID {
		t.Errorf("another installation's Terminate touched our machine: %+v", in)
	}
}

func unfit(t *testing.T, s suite) {
	for name, spoil := range map[string]func(*providers.Request){
		"no lease":        func(r *providers.Request) { r.Lease.ID = "" },
		"no token":        func(r *providers.Request) { r.Token = "" },
		"no installation": func(r *providers.Request) { r.Installation = "" },
	} {
		r := s.request("lease-a")
		spoil(&r)
		if in, err := s.Provider.Launch(t.Context(), r); err == nil || purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: Launch gave %+v, %v; want invalid", name, in, err)
		}
	}
	if all := s.list(s.Provider); len(all) != 0 {
		t.Errorf("unfit requests left machines: %+v", all)
	}
}

func endedContext(t *testing.T, s suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.clean("lease-a")
	_, launch := s.Provider.Launch(ctx, s.request("lease-a"))
	_, describe := s.Provider.Describe(ctx, s.lease("lease-a"))
	_, list := s.Provider.List(ctx)
	for call, err := range map[string]error{"Launch": launch, "Describe": describe, "List": list, "Terminate": s.Provider.Terminate(ctx, s.lease("lease-a"))} {
		if err == nil || purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("%s with an ended context gave %v; want unavailable", call, err)
		}
	}
}
