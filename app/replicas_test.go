package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/server"
)

func (w *world) counting(name string, n *atomic.Int64) *sweep {
	x := &sweep{name: name, schedule: cron.Every(10 * time.Second), timeout: time.Minute, next: noon, kicked: make(chan struct{}, 1)}
	x.run = func(context.Context) error { n.Add(1); return nil }
	return x
}

// Two servers on one database: each tick is taken by exactly one of them.
func TestTicksAreTakenOnce(t *testing.T) {
	dsn, clock := database1(t), &hand{}
	worlds := []*world{newWorldOn(t, dsn, clock, "one"), newWorldOn(t, dsn, clock, "two")}
	var runs atomic.Int64
	ticks := []*sweep{worlds[0].counting("tick", &runs), worlds[1].counting("tick", &runs)}
	for turn := range 8 {
		var both sync.WaitGroup
		for i, w := range worlds {
			both.Go(func() { w.sweeps.tick(t.Context(), ticks[i]) })
		}
		both.Wait()
		// Both go by the same schedule, whichever clock reads first.
		ticks[1].next = ticks[0].next
		if n := runs.Load(); n != int64(turn+1) {
			t.Fatalf("%d runs after %d ticks", n, turn+1)
		}
		clock.pass(10 * time.Second)
	}
	rows, err := worlds[0].db.Sweeps(t.Context())
	if err != nil || len(rows) != 1 || rows[0].DoneAt.IsZero() || rows[0].Error != "" {
		t.Errorf("%+v, %v", rows, err)
	}
}

// A clock that is set back an hour does not stop the sweeps for an hour.
func TestTicksGoOnWhenTheClockIsSetBack(t *testing.T) {
	w := newWorld(t)
	var runs atomic.Int64
	x := w.counting("tick", &runs)
	w.sweeps.tick(t.Context(), x)
	w.clock.pass(-time.Hour)
	for range 3 {
		w.clock.pass(10 * time.Second)
		w.sweeps.tick(t.Context(), x)
	}
	if n := runs.Load(); n < 3 {
		t.Errorf("%d runs", n)
	}
}

// A sweep that fails, or panics, says so in its row and in the health, and runs again.
func TestFailedSweepsAreSeen(t *testing.T) {
	w := newWorld(t)
	w.ready.Store(true)
	var runs atomic.Int64
	x := w.counting("tick", &runs)
	x.run = func(context.Context) error {
		if runs.Add(1) == 1 {
			panic("out of bounds")
		}
		return nil
	}
	w.sweeps.tick(t.Context(), x)
	if h := (healthPart{w.App}).Health(t.Context()); h.Status != "degraded" || !strings.Contains(h.Parts["sweeps"], "tick") || strings.Contains(h.Parts["sweeps"], "bounds") {
		t.Errorf("after a panic: %+v", h)
	}
	w.clock.pass(10 * time.Second)
	w.sweeps.tick(t.Context(), x)
	if h := (healthPart{w.App}).Health(t.Context()); h.Status != "ok" || runs.Load() != 2 {
		t.Errorf("after a run that went well: %+v", h)
	}
}

// A server that no longer beats is reaped; one that does is not.
func TestDeadServersAreReaped(t *testing.T) {
	dsn, clock := database1(t), &hand{}
	one, two := newWorldOn(t, dsn, clock, "one"), newWorldOn(t, dsn, clock, "two")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // beat once
	one.beat(ctx)
	beatOnce := func(w *world) {
		w.t.Helper()
		w.must(w.db.Beat(w.t.Context(), postgres.Replica{ID: w.replica, Host: w.host, Addr: w.url, StartedAt: noon, BeatAt: w.now()}))
	}
	beatOnce(one)
	beatOnce(two)
	clock.pass(deadAfter + time.Second)
	beatOnce(two)
	_, err := two.db.ReapDead(t.Context(), two.now().Add(-deadAfter))
	two.must(err)
	left, err := two.db.Replicas(t.Context())
	if err != nil || len(left) != 1 || left[0].Host != "two" {
		t.Errorf("%+v, %v", left, err)
	}
}

// The first token is there for the CLI, survives restarts, and is made again when no
// administrator is left.
func TestFirstToken(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.config.DataDir, CredentialsFile)
	w.must(w.ensureToken(t.Context()))
	first, fresh := w.Credentials()
	kept, err := ReadCredentials(path)
	if err != nil || !fresh || kept != first || first.URL != w.url {
		t.Fatalf("%+v, %+v, %t, %v", kept, first, fresh, err)
	}
	w.freshToken = false
	w.must(w.ensureToken(t.Context()))
	if again, fresh := w.Credentials(); fresh || again != first {
		t.Errorf("a second start: %+v, %t", again, fresh)
	}
	// Another host of the same database makes none: it could not have come by one.
	w.must(os.Remove(path))
	w.credentials = Credentials{}
	w.must(w.ensureToken(t.Context()))
	if c, _ := w.Credentials(); c.Token != "" {
		t.Errorf("a token for a host that has none: %+v", c)
	}
	tokens, err := w.db.Tokens(t.Context())
	w.must(err)
	w.must(w.db.RevokeToken(t.Context(), "tester", tokens[0].ID))
	w.must(w.ensureToken(t.Context()))
	if c, fresh := w.Credentials(); !fresh || c.Token == first.Token {
		t.Errorf("no administrator was left: %+v, %t", c, fresh)
	}
}

// A token that could not be kept is not in the database either.
func TestFirstTokenOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.must(os.MkdirAll(filepath.Join(w.config.DataDir, CredentialsFile, "in the way"), 0o700))
	if err := w.ensureToken(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("%v", err)
	}
	if tokens, err := w.db.Tokens(t.Context()); err != nil || len(tokens) != 0 {
		t.Errorf("%+v, %v", tokens, err)
	}
}

// Sessions: a code works once and for a while, and a session ends with its time, its
// sign-out and its token.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	access, tokens := accessPart{w.App}, tokensPart{w.App}
	ctx := t.Context()
	made, err := tokens.Create(ctx, "tester", api.NewToken{Name: "ann", Role: api.RoleViewer, ValidFor: "30d"})
	w.must(err)
	who, err := access.Authenticate(ctx, made.Secret)
	if err != nil || who.Name != "ann" || who.Role != api.RoleViewer {
		t.Fatalf("%+v, %v", who, err)
	}
	signIn := func() (string, error) {
		login, err := access.NewLogin(ctx, who)
		w.must(err)
		if !strings.HasPrefix(login.URL, w.url+"/#signin=") {
			t.Errorf("the code leaves the browser in %s", login.URL)
		}
		cookie, _, err := access.SignIn(ctx, login.Code)
		if _, _, twice := access.SignIn(ctx, login.Code); purser.KindOf(twice) != purser.KindUnauthorized {
			t.Errorf("the code works twice: %v", twice)
		}
		return cookie, err
	}
	valid := func(cookie string) bool { _, err := access.Session(ctx, cookie); return err == nil }
	old, err := access.NewLogin(ctx, who)
	w.must(err)
	w.clock.pass(loginLife + time.Second)
	if _, _, err := access.SignIn(ctx, old.Code); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("a code that is too old: %v", err)
	}
	out, err := signIn()
	w.must(err)
	stay, err := signIn()
	w.must(err)
	w.must(access.SignOut(ctx, out))
	if valid(out) || !valid(stay) || valid("") || valid(made.Secret) {
		t.Error("a sign-out ends its own session and no other")
	}
	w.clock.pass(sessionLife + time.Second)
	if valid(stay) {
		t.Error("a session outlives its time")
	}
	fresh, err := signIn()
	w.must(err)
	pending, err := access.NewLogin(ctx, who)
	w.must(err)
	w.must(tokens.Revoke(ctx, "tester", made.Token.ID))
	if _, _, err := access.SignIn(ctx, pending.Code); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("a code of a revoked token: %v", err)
	}
	if _, err := access.Authenticate(ctx, made.Secret); valid(fresh) || purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("a revoked token still works: %v", err)
	}
	short, err := tokens.Create(ctx, "tester", api.NewToken{Name: "bob", Role: api.RoleViewer, ValidFor: "1h"})
	w.must(err)
	w.clock.pass(2 * time.Hour)
	if _, err := access.Authenticate(ctx, short.Secret); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("a token outlives its time: %v", err)
	}
	for _, bad := range []api.NewToken{{Name: "x\x1b[2J"}, {Name: " "}, {Name: "y", ValidFor: "0s"}, {Name: "y", ValidFor: "-1h"}, {Name: "y", ValidFor: "soon"}} {
		if _, err := tokens.Create(ctx, "tester", bad); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Plans that people ask for are made one at a time.
func TestOnePlanAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(DefaultConfig(), Options{})
		done, err := a.takeTurn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.takeTurn(t.Context()); purser.KindOf(err) != purser.KindThrottled {
			t.Errorf("a second one: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.takeTurn(ctx); purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("a caller who has gone: %v", err)
		}
		done()
		if done, err := a.takeTurn(t.Context()); err != nil {
			t.Error(err)
		} else {
			done()
		}
	})
}

// A what-if sees what is there and leaves nothing.
func TestWhatIfLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1, "a4": 3})
	w.submitSteady(1)
	w.running()
	jobs := []purser.Job{training("", 2)}
	jobs[0].Name = "maybe"
	plan, err := plansPart{w.App}.WhatIf(t.Context(), jobs)
	w.must(err)
	held, placed := 0, 0
	for _, l := range plan.Leases {
		if l.Held != "" {
			held++
		}
		placed += len(l.Placements)
	}
	if held != 1 || placed != 3 || plan.ID != "" || !plan.Rehearsal {
		t.Errorf("%d held, %d placed: %+v", held, placed, plan)
	}
	list, err := jobsPart{w.App}.List(t.Context(), server.JobQuery{Limit: 10})
	if err != nil || len(list.Jobs) != 1 || len(w.leases()) != 1 {
		t.Errorf("it left %+v, %v", list, err)
	}
}
