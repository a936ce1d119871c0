package kubernetes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// spoiler loses calls before or after they took effect, repeats them, or cuts a server off
// at one of them.
type spoiler struct {
	rng    *rand.Rand
	killIn int // calls until all fail
	calm   bool
}

var errSpoilt = errors.New("connection reset by peer")

func (s *spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	send := func() (*http.Response, error) {
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			again.Body, _ = r.GetBody() // it was read once before
		}
		return wire.RoundTrip(again)
	}
	if s.calm {
		return send()
	}
	if s.killIn > 0 {
		if s.killIn--; s.killIn == 0 {
			s.killIn = -1
		}
	}
	n := s.rng.IntN(20)
	switch {
	case s.killIn < 0 || n == 0:
		return nil, errSpoilt
	case n == 1:
		if res, err := send(); err == nil {
			_ = res.Body.Close() // its answer is lost
		}
		return nil, errSpoilt
	case n == 2:
		if res, err := send(); err == nil {
			_ = res.Body.Close() // the second one's answer counts
		}
	}
	return send()
}

// stormWorld is a gang's life as a store sees it: each replica has a task on a lease, and
// gets the next attempt when the last has ended.
type stormWorld struct {
	*cluster
	t       *testing.T
	rng     *rand.Rand
	n       int
	tasks   []providers.Member
	done    []bool
	old     []providers.Member // earlier members, for calls that come late
	ended   []purser.Lease
	leases  int
	offer   purser.Offer
	history []string
}

// server is one of several that work on the same cluster.
func (w *stormWorld) server() (*Provider, *spoiler) {
	s := &spoiler{rng: w.rng}
	if w.rng.IntN(3) == 0 {
		s.killIn = 1 + w.rng.IntN(12)
	}
	return w.provider(w.t, s), s
}

func (w *stormWorld) calm() *Provider { return w.provider(w.t, &spoiler{calm: true}) }

func (w *stormWorld) launch() purser.Lease {
	w.t.Helper()
	w.leases++
	r := request(fmt.Sprintf("l%d", w.leases), w.offer)
	for range 20 {
		if in, err := w.calm().Launch(w.t.Context(), r); err == nil && in.State == providers.Running {
			return r.Lease
		}
		w.pass(time.Second) // places get free
	}
	w.t.Fatalf("no place for %s after %v", r.Lease.ID, w.history)
	return purser.Lease{}
}

// hear does what a store does with what Works tells.
func (w *stormWorld) hear(p *Provider, i int) {
	m := w.tasks[i]
	all, err := p.Works(w.t.Context(), m.Lease)
	if err != nil {
		return
	}
	for _, state := range all {
		if !state.State.Ended() {
			continue
		}
		if w.running()[string(state.Task)] != 0 {
			w.t.Fatalf("%s is told as ended and runs; after %v", state.Task, w.history)
		}
		_ = p.Forget(w.t.Context(), m.Lease, state.Task) // it is told again until that works
		if state.Task != w.tasks[i].Work.Task.ID || w.done[i] {
			continue
		}
		w.history = append(w.history, fmt.Sprintf("%s %s", state.Task, state.State))
		if state.State == purser.TaskSucceeded {
			w.done[i] = true
			continue
		}
		w.next(i, m.Lease)
	}
}

// next begins the next attempt of a replica.
func (w *stormWorld) next(i int, on purser.Lease) {
	t := w.tasks[i].Work.Task
	w.old = append(w.old, w.tasks[i])
	w.tasks[i] = providers.Member{Lease: on, Work: replica(fmt.Sprintf("t%d-%d", i, t.Attempt+1), i, w.n, t.Attempt+1)}
}

// members are the replicas that have not succeeded.
func (w *stormWorld) members() (out []providers.Member) {
	for i, m := range w.tasks {
		if !w.done[i] {
			out = append(out, m)
		}
	}
	return out
}

// check is what must hold at every moment: a replica runs once, and a task once.
func (w *stormWorld) check() {
	w.t.Helper()
	replicas := map[string]int{}
	for task, n := range w.running() {
		var i, attempt int
		if _, err := fmt.Sscanf(task, "t%d-%d", &i, &attempt); err != nil {
			w.t.Fatal(err)
		}
		if replicas[fmt.Sprint(i)] += n; replicas[fmt.Sprint(i)] > 1 {
			w.t.Fatalf("replica %d runs twice (%v) after %v", i, w.running(), w.history)
		}
	}
}

// TestGangStorm drives gangs through random schedules in which calls are lost before or
// after they took effect, are repeated, come late, or are cut off by a kill, while leases end,
// tasks end, and servers are started anew. A replica never runs twice, an ended lease runs
// nothing after one sweep, and in the end, left alone, every gang runs to its success.
func TestGangStorm(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for seed := range rounds {
		w := &stormWorld{cluster: newCluster(t), t: t, rng: rand.New(rand.NewPCG(uint64(seed), 7)), n: 2 + seed%2} //nolint:gosec // a test's lot
		w.missing[jobsets.Group] = false
		for i := range 2*w.n + 2 {
			w.set(*h100(fmt.Sprintf("n%d", i)))
		}
		w.offer = offersOf(t, w.calm())[0]
		w.done = make([]bool, w.n)
		for i := range w.n {
			w.tasks = append(w.tasks, providers.Member{Lease: w.launch(), Work: replica(fmt.Sprintf("t%d-1", i), i, w.n, 1)})
		}
		for range 25 {
			w.step()
			w.check()
		}
		w.settle()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// step does one thing that may happen.
func (w *stormWorld) step() {
	p, _ := w.server()
	i := w.rng.IntN(w.n)
	m := w.tasks[i]
	ctx := w.t.Context()
	kind := w.rng.IntN(10)
	w.history = append(w.history, fmt.Sprintf("%d:%s", kind, m.Work.Task.ID))
	switch kind {
	case 0, 1, 2:
		_ = p.RunGang(ctx, w.members()) // it is done again
	case 3:
		if len(w.old) > 0 { // a call that comes late, of what was so once
			late := append([]providers.Member{w.old[w.rng.IntN(len(w.old))]}, w.members()[1:]...)
			_ = p.RunGang(ctx, late)
		}
	case 4:
		_ = p.Stop(ctx, m.Lease, m.Work.Task.ID)
	case 5:
		w.hear(w.calm(), i) // a drain waits for what the task came to
		if m.Work.Task.ID == w.tasks[i].Work.Task.ID && !w.done[i] && w.rng.IntN(2) == 0 {
			_ = p.Terminate(ctx, m.Lease)
			w.end(m.Lease)
			w.ended = append(w.ended, m.Lease)
			on := w.launch()
			w.next(i, on)
		}
	case 6:
		if w.running()[string(m.Work.Task.ID)] == 1 {
			w.finish(string(m.Work.Task.ID), int32(w.rng.IntN(2)*3))
		}
	case 7:
		w.hear(p, i)
	default:
		w.pass(time.Second)
	}
}

// end ends a lease as the fleet does: until its machine is gone.
func (w *stormWorld) end(l purser.Lease) {
	for range 50 {
		if err := w.calm().Terminate(w.t.Context(), l); err != nil {
			w.t.Fatal(err)
		}
		if in, err := w.calm().Describe(w.t.Context(), l); err == nil && in.State == providers.Gone {
			return
		}
		w.pass(time.Second)
		w.check()
	}
	w.t.Fatalf("lease %s does not end; after %v", l.ID, w.history)
}

// whole says whether all replicas that have not succeeded run.
func (w *stormWorld) whole() bool {
	running := w.running()
	return !slices.ContainsFunc(w.members(), func(m providers.Member) bool { return running[string(m.Work.Task.ID)] != 1 })
}

// settle lets servers without faults bring the gang to its end.
func (w *stormWorld) settle() {
	p := w.calm()
	for range 60 {
		for i := range w.tasks {
			w.hear(p, i)
		}
		if !w.whole() {
			_ = p.RunGang(w.t.Context(), w.members()) // what is still on its way out holds it up
		}
		w.pass(time.Second)
		w.check()
		if w.whole() {
			for _, m := range w.members() {
				w.finish(string(m.Work.Task.ID), 0)
			}
		}
	}
	if n := len(w.members()); n != 0 {
		err := p.RunGang(w.t.Context(), w.members())
		w.t.Fatalf("%d of %d replicas never came to an end (%v: %v); after %v", n, w.n, w.running(), err, w.history)
	}
	w.pass(2 * time.Hour)
	if _, err := p.Sweep(w.t.Context(), time.Hour); err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Second)
	w.pass(time.Second)
	if left := len(w.objects["jobsets"]) + len(w.objects["jobs"]); left != 0 || len(w.running()) != 0 {
		w.t.Fatalf("%d JobSets and Jobs are left; after %v", left, w.history)
	}
}
