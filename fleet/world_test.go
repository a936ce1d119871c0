package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"purser"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// world is a whole installation on a virtual clock: servers that die, a cloud that
// fails and lags, machines with agents, and work. It is one goroutine; what happens
// at the same time in reality happens here within a call, at its borders.
type world struct {
	rand     *rand.Rand
	at       time.Time
	store    *memory
	cloud    *fake.Cloud
	config   fake.Config
	servers  []*serverProcess
	running  *serverProcess // whose call is being made
	depth    int
	calm     bool // no faults any more
	tidy     bool // plans give up machines without work, so that Reconcile need not
	agents   map[string]*agentProcess
	need     map[int]time.Duration // of each replica
	finished map[int]int
	outlived map[string]int // seconds that a machine was without a live lease while it could be ended
	orphans  int
	failed   int
	nudged   int
	crashes  int
	faults   []string
}

// serverProcess is one server; a dead one comes back with an empty memory.
type serverProcess struct {
	fleet   *fleet.Fleet
	downTil time.Time
	dying   bool
}

// agentProcess is the agent of a machine.
type agentProcess struct {
	machine   string
	lease     purser.LeaseID
	mute      bool // it never starts
	joined    bool
	cutOff    time.Time // until then no server hears it
	heard     time.Time
	begun     time.Time
	running   map[purser.TaskID]time.Duration // left
	replicas  map[purser.TaskID]int
	stopping  map[purser.TaskID]time.Duration // left until it has stopped
	reportEnd map[purser.TaskID]purser.TaskState
	draining  bool
}

// crash is what a server dies of.
type crash struct{}

func newWorld(seed uint64) *world {
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 1)), at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), agents: map[string]*agentProcess{},
		need: map[int]time.Duration{}, finished: map[int]int{}, outlived: map[string]int{},
	}
	w.store = newMemory(w.now)
	w.store.cut = w.storeCut
	seconds := func(most int) time.Duration { return time.Duration(w.rand.IntN(most+1)) * time.Second }
	w.config = fake.Config{
		Name: "cloud", Now: w.now, BootTime: seconds(20), StopTime: seconds(15), Lag: seconds(3) * time.Duration(w.rand.IntN(8)),
		Forgetful: w.rand.IntN(3) == 0, Hook: w.cloudHook,
	}
	if w.rand.IntN(2) == 0 {
		w.config.Capacity = map[string]int{"big": 2 + w.rand.IntN(3)}
	}
	w.cloud = fake.New(w.config)
	w.tidy = w.rand.IntN(2) == 0
	for range 1 + w.rand.IntN(2) {
		w.servers = append(w.servers, &serverProcess{fleet: w.newFleet()})
	}
	for i := range 3 + w.rand.IntN(6) {
		w.need[i] = time.Duration(5+w.rand.IntN(60)) * time.Second
		id := purser.TaskID(w.store.newID("task"))
		w.store.tasks[id] = purser.Task{ID: id, Job: "job", Group: "g", Replica: i, Attempt: 1, State: purser.TaskQueued, QueuedAt: w.at}
	}
	return w
}

func (w *world) now() time.Time { return w.at }

func (w *world) newFleet() *fleet.Fleet {
	f, err := fleet.New(fleet.Config{
		Store: w.store, Upkeep: w.store, Providers: map[string]providers.Provider{"cloud": w.cloud.Provider("ours")},
		Installation: "ours", Secret: []byte("0123456789abcdef"), ServerURL: "http://server", Logger: slog.New(slog.DiscardHandler), Now: w.now,
	})
	if err != nil {
		panic(err)
	}
	return f
}

func (w *world) fault(format string, a ...any) {
	w.faults = append(w.faults, fmt.Sprintf("%s: ", w.at.Format(time.TimeOnly))+fmt.Sprintf(format, a...))
}

// maybe is true once in n, as long as there are faults.
func (w *world) maybe(n int) bool { return !w.calm && w.rand.IntN(n) == 0 }

// storeCut lets a server die at the border of a call to the store, and others act
// there.
func (w *world) storeCut(string, bool) {
	if w.running == nil {
		return
	}
	if w.running.dying || w.maybe(400) {
		panic(crash{})
	}
	w.meanwhile()
}

// cloudHook does the same for calls to the cloud, and makes them fail before or after
// they took effect. Listing runs beside the caller, who then dies at its next step.
func (w *world) cloudHook(_ context.Context, call string, _ purser.LeaseID, done bool) error {
	if w.running == nil {
		return nil
	}
	switch {
	case w.maybe(15) || call == fake.Launch && done && w.maybe(4):
		return purser.Errorf([]purser.Kind{purser.KindUnavailable, purser.KindThrottled, purser.KindInternal}[w.rand.IntN(3)], "cloud", "trouble")
	case call == fake.Launch && !done && w.maybe(5):
		return purser.Errorf([]purser.Kind{purser.KindNoCapacity, purser.KindQuota, purser.KindForbidden}[w.rand.IntN(3)], "cloud", "none")
	case call == fake.List:
		w.running.dying = w.running.dying || w.maybe(200)
		return nil
	case w.running.dying || w.maybe(40):
		panic(crash{})
	}
	w.meanwhile()
	return nil
}

// meanwhile lets another server, or time, act while a call is being made.
func (w *world) meanwhile() {
	if w.depth >= 2 || !w.maybe(12) {
		return
	}
	caller := w.running
	w.depth++
	defer func() { w.depth--; w.running = caller }()
	switch w.rand.IntN(4) {
	case 0:
		w.pass(time.Duration(1+w.rand.IntN(40)) * time.Second)
	case 1:
		w.reconcile(caller)
	default:
		w.takeStep(caller)
	}
}

// as runs something as a server that may die of it.
func (w *world) as(s *serverProcess, do func()) {
	caller := w.running
	w.running = s
	defer func() {
		w.running = caller
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			w.crashes++
			s.dying = caller == s // its other call dies with it
			s.downTil = w.at.Add(time.Duration(1+w.rand.IntN(90)) * time.Second)
			s.fleet = w.newFleet()
		}
	}()
	do()
}

// up gives a server that works, other than one.
func (w *world) up(not *serverProcess) *serverProcess {
	var up []*serverProcess
	for _, s := range w.servers {
		if s != not && !s.downTil.After(w.at) {
			up = append(up, s)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[w.rand.IntN(len(up))]
}

func (w *world) reconcile(not *serverProcess) {
	if s := w.up(not); s != nil {
		w.as(s, func() {
			r, _ := s.fleet.Reconcile(context.Background())
			w.orphans += r.Orphans
			w.failed += r.Failed
			w.nudged += r.Nudged
		})
	}
}

// takeStep lets a server take a step that is due. A step whose server died comes back
// when that is noticed.
func (w *world) takeStep(not *serverProcess) {
	s := w.up(not)
	i := slices.IndexFunc(w.store.steps, func(x step) bool { return !x.due.After(w.at) })
	if s == nil || i < 0 {
		return
	}
	x := w.store.steps[i]
	w.store.steps = slices.Delete(w.store.steps, i, i+1)
	if w.store.leases[x.lease].Fence != x.fence {
		return // overtaken
	}
	finished := false
	w.as(s, func() {
		again, err := s.fleet.Step(context.Background(), x.lease)
		finished = true
		switch {
		case err != nil:
			x.due = w.at.Add(5 * time.Second)
			w.store.steps = append(w.store.steps, x)
		case again >= 0:
			x.due = w.at.Add(again)
			w.store.steps = append(w.store.steps, x)
		}
	})
	if !finished && !w.maybe(4) { // some jobs are lost for good
		x.due = w.at.Add(20 * time.Second)
		w.store.steps = append(w.store.steps, x)
	}
}

// pass lets time pass, second by second, for machines and agents.
func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		w.at = w.at.Add(time.Second)
		w.trouble()
		w.agentsAct()
		w.check()
		if w.at.Unix()%10 == 0 {
			w.depth++
			w.reconcile(nil) // beside whatever call is being made
			w.depth--
		}
	}
}

// tell lets a server hear a notice; one that dies of it or is away does not.
func (w *world) tell(n providers.Interruption) {
	if s := w.up(nil); s != nil {
		w.depth++
		w.as(s, func() { _ = s.fleet.Interrupted(context.Background(), n) })
		w.depth--
	}
}

// trouble is what the cloud does of itself.
func (w *world) trouble() {
	if leases := slices.Sorted(maps.Keys(w.store.leases)); len(leases) > 0 && w.maybe(60) {
		w.tell(providers.Interruption{Lease: leases[w.rand.IntN(len(leases))], Kind: providers.Rebalance, Reason: "soon"})
	}
	if machines := w.cloud.Machines(); len(machines) > 0 && w.maybe(80) {
		m := machines[w.rand.IntN(len(machines))]
		if m.Installation == "ours" {
			if w.rand.IntN(2) == 0 {
				w.cloud.Preempt(m.Lease, 30*time.Second)
				for range w.rand.IntN(3) { // the machine hears of it, its provider too, or neither
					w.tell(providers.Interruption{Lease: m.Lease, Kind: providers.Preempted, Reason: "the machine says so"})
				}
			} else {
				w.cloud.Kill(m.Lease)
			}
		}
	}
}
