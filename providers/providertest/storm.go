package providertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// World is a cloud of a test's own that an adapter is driven against.
type World struct {
	// Provider makes an adapter object as a server has it after a start. All its calls
	// go through the faults. It keeps no state but the cloud's.
	Provider func(*Faults) providers.Provider

	// Live says how many machines of each lease cost money now, whoever asked for them.
	Live func() map[purser.LeaseID]int

	// Leavings names things of the installation that cost money, or block others, and
	// belong to no machine. Nil: machines are all there is.
	Leavings func() []string

	// Pass lets time go by in the cloud: machines come and go. Nil: it takes none.
	Pass func(time.Duration)

	Installation string
	Offers       []purser.Offer // that can be launched; each schedule uses them in turn
}

// StormOptions say how long a storm lasts.
type StormOptions struct {
	Schedules int    // Defaults to 1,000; a tenth with -short.
	Seed      uint64 // of the first schedule. Defaults to 1.
}

// Storm drives an adapter through random schedules of launches, ends and looks, whose
// calls to the cloud are lost before or after they took effect, repeated, or cut off by
// a kill between any two of them. After each schedule the cloud works again, the fleet's
// repetitions and one sweep follow, and then:
//
//   - at no time did a lease have more than one machine,
//   - every lease that is wanted has its machine,
//   - nothing else is left that costs money.
//
// A failure names its seed; StormOptions{Schedules: 1, Seed: n} repeats it.
func Storm(t *testing.T, fresh func(t *testing.T) World, o StormOptions) {
	t.Helper()
	if o.Schedules == 0 {
		o.Schedules = 1000
		if testing.Short() {
			o.Schedules = 100
		}
	}
	o.Seed = max(o.Seed, 1)
	calls := 0
	for i := range uint64(o.Schedules) {
		s := &storm{World: fresh(t), t: t, seed: o.Seed + i, rng: rand.New(rand.NewPCG(o.Seed+i, 1))} //nolint:gosec // a schedule, no secret
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", s.seed, strings.Join(s.log, "\n"))
		}
		calls += s.calls
	}
	t.Logf("%d schedules, seeds %d to %d, %d calls to the cloud", o.Schedules, o.Seed, o.Seed+uint64(o.Schedules)-1, calls)
}

// storm is one schedule.
type storm struct {
	World
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	faults *Faults
	p      providers.Provider
	ended  map[purser.LeaseID]bool // the fleet asked for the end
	asked  map[purser.LeaseID]bool // the fleet asked for a launch
	calls  int
	log    []string
}

func (s *storm) run() {
	s.ended, s.asked = map[purser.LeaseID]bool{}, map[purser.LeaseID]bool{}
	s.begin()
	for range 4 + s.rng.IntN(10) {
		s.step()
		if s.t.Failed() {
			return
		}
	}
	s.calm()
}

// begin starts a server: a new adapter object on the same cloud.
func (s *storm) begin() {
	if s.faults != nil {
		s.calls += s.faults.Calls()
	}
	s.faults = &Faults{}
	kill := 0
	if s.rng.IntN(2) == 0 {
		kill = 1 + s.rng.IntN(12)
	}
	s.faults.arm(s.rng, []float64{0, 0.1, 0.3, 0.6}[s.rng.IntN(4)], kill)
	s.p = s.Provider(s.faults)
	s.note("a server begins (kill in %d)", kill)
}

func (s *storm) note(format string, a ...any) { s.log = append(s.log, fmt.Sprintf(format, a...)) }

func (s *storm) lease(i int) purser.Lease {
	return purser.Lease{
		ID: purser.LeaseID(fmt.Sprintf("lease-%d-%d", s.seed, i)), Offer: s.Offers[i%len(s.Offers)], State: purser.LeaseLaunching, Attempt: 1,
		CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

const stormLeases = 3

func (s *storm) step() {
	if s.faults.Dead() {
		s.begin()
	}
	l := s.lease(s.rng.IntN(stormLeases))
	switch s.rng.IntN(8) {
	case 0, 1, 2: // also of a lease whose end was asked for: a launch can be late
		s.asked[l.ID] = true
		in, err := s.launch(l)
		s.note("launch %s: %s %s %v", l.ID, in.ID, in.State, err)
	case 3:
		s.ended[l.ID] = true
		s.note("terminate %s: %v", l.ID, s.p.Terminate(context.Background(), l))
	case 4:
		in, err := s.p.Describe(context.Background(), l)
		s.note("describe %s: %s %s %v", l.ID, in.ID, in.State, err)
	case 5:
		all, err := s.p.List(context.Background())
		s.note("list: %d %v", len(all), err)
	case 6:
		if w, ok := providers.As[providers.Sweeper](s.p); ok {
			n, err := w.Sweep(context.Background(), time.Hour) // of long ago alone: work may be under way
			s.note("sweep: %d %v", n, err)
		}
	default:
		s.pass(time.Duration(s.rng.IntN(90)) * time.Second)
	}
	s.atMostOne()
}

func (s *storm) launch(l purser.Lease) (providers.Instance, error) {
	return s.p.Launch(context.Background(), providers.Request{
		Lease: l, Installation: s.Installation, Token: providers.ClientToken(s.Installation, l),
		JoinToken: "join-" + string(l.ID), ServerURL: fmt.Sprintf("http://127.0.0.1:%d", 1+s.rng.IntN(3)),
		AgentSHA256: map[string]string{"amd64": strings.Repeat("0", 64), "arm64": strings.Repeat("1", 64)},
	})
}

func (s *storm) pass(d time.Duration) {
	if s.Pass != nil {
		s.Pass(d)
		s.note("%s pass", d)
	}
}

func (s *storm) atMostOne() {
	for id, n := range s.Live() {
		if n > 1 {
			s.t.Errorf("lease %s has %d machines", id, n)
		}
	}
}

// calm is what the fleet does once the cloud works again: repeat what had no answer,
// end what is not wanted, sweep once.
func (s *storm) calm() {
	s.calls += s.faults.Calls()
	s.faults = &Faults{}
	s.p = s.Provider(s.faults)
	s.note("the cloud works again")
	ctx := context.Background()
	wanted := map[purser.LeaseID]bool{}
	for i := range stormLeases {
		l := s.lease(i)
		switch {
		case s.ended[l.ID]:
			if err := s.p.Terminate(ctx, l); err != nil {
				s.t.Errorf("terminate %s with a working cloud: %v", l.ID, err)
			}
		case s.asked[l.ID]:
			wanted[l.ID] = true
			if in, err := s.launch(l); err != nil || in.State == providers.Gone || in.State == providers.Stopping {
				s.t.Errorf("launch %s with a working cloud: %+v, %v", l.ID, in, err)
			}
		}
		s.atMostOne()
	}
	s.pass(5 * time.Minute)
	s.sweep(wanted)
	s.pass(5 * time.Minute)
	for id, n := range s.Live() {
		if n != 0 && !wanted[id] {
			s.t.Errorf("lease %s is not wanted and has a machine", id)
		}
	}
	for id := range wanted {
		if n := s.Live()[id]; n != 1 {
			s.t.Errorf("lease %s is wanted and has %d machines", id, n)
		}
		if in, err := s.p.Describe(ctx, purser.Lease{ID: id, Offer: s.Offers[0]}); err != nil || in.State != providers.Running {
			s.t.Errorf("describe %s: %+v, %v; want running", id, in, err)
		}
	}
	if s.Leavings != nil {
		if left := s.Leavings(); len(left) > 0 {
			s.t.Errorf("left over: %v", left)
		}
	}
	s.calls += s.faults.Calls()
}

// sweep ends listed machines that nobody wants, as fleet.Reconcile does, and removes
// leavings.
func (s *storm) sweep(wanted map[purser.LeaseID]bool) {
	ctx := context.Background()
	all, err := s.p.List(ctx)
	if err != nil {
		s.t.Errorf("list with a working cloud: %v", err)
	}
	if !slices.IsSortedFunc(all, func(a, b providers.Instance) int { return strings.Compare(string(a.Lease), string(b.Lease)) }) {
		s.t.Errorf("List is not in the order of leases: %+v", all)
	}
	for _, in := range all {
		if wanted[in.Lease] || in.State == providers.Stopping || in.State == providers.Gone {
			continue
		}
		if err := s.p.Terminate(ctx, in.Ref(s.p.Name())); err != nil {
			s.t.Errorf("terminate orphan %s: %v", in.ID, err)
		}
	}
	if w, ok := providers.As[providers.Sweeper](s.p); ok {
		s.pass(5 * time.Minute)
		if _, err := w.Sweep(ctx, time.Minute); err != nil {
			s.t.Errorf("sweep with a working cloud: %v", err)
		}
	}
}
