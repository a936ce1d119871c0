package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// logbook keeps all that a server logs, at every level.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// launching gives a world with leases whose machines have not joined yet, and what is
// logged from here on.
func launching(t *testing.T, n int) (*world, []purser.LeaseID, *logbook) {
	t.Helper()
	w := newWorld(t)
	book := &logbook{}
	w.log = slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.fleet.Logger = w.log
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(n)
	w.must(w.plan(t.Context()))
	w.steps()
	var ids []purser.LeaseID
	for _, l := range w.leases() {
		if l.State != purser.LeaseLaunching {
			t.Fatalf("%+v", l)
		}
		ids = append(ids, l.ID)
	}
	if len(ids) != n {
		t.Fatalf("%d leases, want %d", len(ids), n)
	}
	return w, ids, book
}

func (w *world) tryJoin(token string, id purser.LeaseID, secret string) error {
	_, err := agentsPart{w.App}.Join(w.t.Context(), token, api.AgentJoin{Lease: id, Secret: secret})
	return err
}

func (w *world) wantJoin(what string, err error, kind purser.Kind) {
	w.t.Helper()
	if purser.KindOf(err) != kind {
		w.t.Errorf("%s: %v; want %s", what, err, kind)
	}
}

// A join token lets one agent in, once, on its own lease, while that lease is launching
// and the token has not expired; and nothing secret is logged over all of it.
func TestJoinTokenIsGoodForOneThing(t *testing.T) {
	w, ids, book := launching(t, 3)
	first, second, third := ids[0], ids[1], ids[2]
	one, two, three := joinTokenOf(w, first, 1), joinTokenOf(w, second, 1), joinTokenOf(w, third, 1)
	mine, stranger := secretOf(first), strings.Repeat("5", 64)

	w.wantJoin("another lease's token", w.tryJoin(two, first, mine), purser.KindForbidden)
	w.wantJoin("a lease that nobody knows", w.tryJoin(one, "lease-unknown", mine), purser.KindForbidden)
	w.wantJoin("the token of a lease that nobody knows", w.tryJoin(joinTokenOf(w, "lease-unknown", 0), "lease-unknown", mine), purser.KindForbidden)
	w.wantJoin("a token that is cut short", w.tryJoin(one[:len(one)-1], first, mine), purser.KindForbidden)
	if l := w.lease(first); l.State != purser.LeaseLaunching {
		t.Fatalf("a refused join changed the lease: %+v", l)
	}

	w.must(w.tryJoin(one, first, mine))
	w.wantJoin("a second use", w.tryJoin(one, first, stranger), purser.KindForbidden)
	w.must(w.tryJoin(one, first, mine)) // the same agent, whose answer was lost or who was started again
	if _, err := (agentsPart{w.App}).Report(t.Context(), one, api.AgentReport{Lease: first}); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("the token in place of the secret: %v", err)
	}

	// It expires: the lease is still launching, since nobody has looked.
	w.clock.pass(w.fleet.JoinBy(w.lease(second)).Sub(w.now()) - time.Second)
	w.must(w.tryJoin(two, second, secretOf(second)))
	w.clock.pass(2 * time.Second)
	w.wantJoin("an expired token", w.tryJoin(three, third, secretOf(third)), purser.KindUnauthorized)
	if l := w.lease(third); l.State != purser.LeaseLaunching || !l.RunningAt.IsZero() {
		t.Errorf("an expired token changed the lease: %+v", l)
	}
	w.must(w.tryJoin(one, first, mine)) // who is in stays in

	for name, secret := range map[string]string{"join token": one, "second token": two, "third token": three, "secret": mine, "stranger's secret": stranger, "installation's secret": string(w.secret)} {
		if book.has(secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

// A lease that is not launching lets nobody in.
func TestJoinTokenOfALeaseThatDoesNotLaunch(t *testing.T) {
	w, ids, _ := launching(t, 1)
	id := ids[0]
	token := joinTokenOf(w, id, 1)
	for _, state := range []purser.LeaseState{purser.LeaseDraining, purser.LeaseFailed} {
		_, err := w.db.Advance(t.Context(), id, "test", func(purser.Lease) (purser.Transition, error) {
			return purser.Transition{To: state, Reason: "unwanted", Next: -1}, nil
		})
		w.must(err)
		w.wantJoin(string(state), w.tryJoin(token, id, secretOf(id)), purser.KindStale)
	}
	w.submit(strings.Replace(strings.Replace(oneJob, "REPLICAS", "1", 1), "steady", "later", 1))
	w.must(w.plan(t.Context()))
	for _, l := range w.leases() {
		if l.State == purser.LeasePlanned {
			w.wantJoin("planned", w.tryJoin(joinTokenOf(w, l.ID, l.Attempt), l.ID, secretOf(l.ID)), purser.KindStale)
			return
		}
	}
	t.Fatal("no lease is planned")
}

// Of two agents with the same token that come at once, one gets in.
func TestTwoAgentsWithOneToken(t *testing.T) {
	w, ids, _ := launching(t, 1)
	token := joinTokenOf(w, ids[0], 1)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = w.tryJoin(token, ids[0], strings.Repeat(string(rune('0'+i)), 64)) })
	}
	all.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
		} else if purser.KindOf(err) != purser.KindForbidden {
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d agents got in: %v", in, errs)
	}
}

// While the server starts, agents are told to come again rather than refused.
func TestAgentsOfAStartingServer(t *testing.T) {
	w, ids, _ := launching(t, 1)
	id := ids[0]
	w.fleetUp.Store(false)
	w.wantJoin("a join", w.tryJoin(joinTokenOf(w, id, 1), id, secretOf(id)), purser.KindUnavailable)
	w.fleetUp.Store(true)
	w.join(id)
	w.fleetUp.Store(false)
	w.report(id, purser.TaskRunning)
	_, err := agentsPart{w.App}.Report(context.Background(), secretOf(id), api.AgentReport{Lease: id, Notice: &api.AgentNotice{Kind: "preempted", Leave: true}})
	w.wantJoin("a notice", err, purser.KindUnavailable)
}

// A machine that does not join in time is ended, the reason is told wherever one looks,
// and the work goes to the next offer while the machine is still being ended.
func TestMachineThatDoesNotJoinIsAReason(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1, "b1": 2})
	w.submitSteady(1)
	w.must(w.plan(t.Context()))
	w.steps()
	mute := w.leases()[0]
	if mute.Offer.InstanceType != "a1" || mute.State != purser.LeaseLaunching {
		t.Fatalf("%+v", mute)
	}
	w.clock.pass(time.Minute + time.Second)
	_, err := w.fleet.Step(t.Context(), mute.ID)
	w.must(err)
	const why = "its machine did not join within 1m0s"
	if l := w.lease(mute.ID); l.State != purser.LeaseDraining || !strings.Contains(l.Reason, why) {
		t.Fatalf("%+v", l)
	}
	w.must(w.plan(t.Context()))
	var next purser.Lease
	for _, l := range w.leases() {
		if l.ID != mute.ID {
			next = l
		}
	}
	if next.Offer.InstanceType != "b1" {
		t.Fatalf("the work went to %+v", next)
	}
	w.steps()
	if l := w.lease(mute.ID); l.State != purser.LeaseFailed || !strings.Contains(l.Reason, why) {
		t.Errorf("%+v", l)
	}
	if live := w.cloud.Live(mute.ID); len(live) != 0 {
		t.Errorf("its machine still runs: %+v", live)
	}
	view, err := leasesPart{w.App}.Get(t.Context(), mute.ID)
	w.must(err)
	if view.Reason != "unavailable: "+why {
		t.Errorf("the lease says %q", view.Reason)
	}
	plan, err := plansPart{w.App}.Get(t.Context(), "latest")
	w.must(err)
	if len(plan.Setbacks) != 1 || plan.Setbacks[0].Lease != mute.ID || plan.Setbacks[0].Reason != "unavailable: "+why || !plan.Setbacks[0].Until.After(w.now()) {
		t.Errorf("the plan says %+v", plan.Setbacks)
	}
	tasks, err := jobsPart{w.App}.Tasks(t.Context(), jobRef("steady"))
	w.must(err)
	events, err := w.db.Events(t.Context(), 0, 10_000)
	w.must(err)
	told := false
	for _, e := range events {
		told = told || e.Subject == "task" && e.Name == string(tasks[0].ID) && e.To == string(purser.TaskQueued) && strings.Contains(e.Reason, why)
	}
	if !told {
		t.Errorf("the task's audit does not say why it went back: %+v", tasks)
	}
}
