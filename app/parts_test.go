package app

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"purser"
)

func TestCredentialsAreClosedToOthers(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, CredentialsFile)
	if _, err := ReadCredentials(path); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("none: %v", err)
	}
	want := Credentials{URL: "http://127.0.0.1:1", Token: "purser_x"}
	for range 2 {
		if err := writeCredentials(path, want); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := ReadCredentials(path); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCredentials(path); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged: %v", err)
	}
}

// What cannot be written leaves what was there, and no litter.
func TestCredentialsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, CredentialsFile)
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := writeCredentials(path, Credentials{Token: "purser_secret"})
	if purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "purser_secret") {
		t.Errorf("%v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := writeCredentials("/nowhere/credentials.json", Credentials{}); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("no folder: %v", err)
	}
}

func TestFoldersThatAreOfNoUse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := idle(t)
	a.config.DataDir = filepath.Join(file, "data")
	if err := a.startFolders(t.Context()); purser.KindOf(err) != purser.KindForbidden || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a file in the way: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := writable("/proc"); purser.KindOf(err) != purser.KindForbidden {
			t.Errorf("/proc can be written: %v", err)
		}
		return
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := writable(closed); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("a closed folder: %v", err)
	}
}

func TestHostLock(t *testing.T) {
	dir := t.TempDir()
	take := func(host, data string) (func() error, error) { return lockHost(dir, "inst", host, data) }
	first, err := take("h", "/data/a")
	if err != nil {
		t.Fatal(err)
	}
	same, err := take("h", "/data/a")
	if err != nil {
		t.Fatalf("the same folder: %v", err)
	}
	if _, err := take("h", "/data/b"); purser.KindOf(err) != purser.KindConflict || !strings.Contains(err.Error(), "/data/a") {
		t.Errorf("another folder: %v", err)
	}
	other, err := take("g", "/data/b")
	if err != nil {
		t.Errorf("another host: %v", err)
	}
	for _, release := range []func() error{first, same, other} {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	last, err := take("h", "/data/b")
	if err != nil {
		t.Fatalf("after the end of the others: %v", err)
	}
	_ = last()
	if _, err := lockHost("/nowhere", "inst", "h", "/data"); !errors.Is(err, errCannotLock) {
		t.Errorf("no folder for locks: %v", err)
	}
}

func TestStepsAreTriedAgainSoon(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 4: 15 * time.Second, 900: 15 * time.Second} {
		if got := retryAfter(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestSweepIsDue(t *testing.T) {
	w := &sweep{schedule: cron.Every(10 * time.Second), next: noon}
	if _, ok := w.due(noon.Add(-time.Second)); ok {
		t.Error("a second early")
	}
	if at, ok := w.due(noon.Add(time.Minute)); !ok || !at.Equal(noon) {
		t.Errorf("a tick that was missed: %s, %t", at, ok)
	}
	w.asked = noon.Add(time.Minute)
	if _, ok := w.due(noon.Add(time.Minute + claimAgain/2)); ok {
		t.Error("asked again at once after a failure")
	}
	if _, ok := w.due(noon.Add(time.Minute + claimAgain)); !ok {
		t.Error("not asked again")
	}
	// The clock goes back a day: the next tick is ten seconds away, not a day.
	w.next = noon
	back := noon.Add(-24 * time.Hour)
	if _, ok := w.due(back); ok {
		t.Error("due at once")
	}
	if _, ok := w.due(back.Add(10 * time.Second)); !ok {
		t.Error("not due after a clock that was set back")
	}
}

// pause cancels the run under way, waits for it, and lets none begin.
func TestPause(t *testing.T) {
	a := idle(t)
	begun, ended := make(chan struct{}), make(chan error, 1)
	runs := 0
	w := &sweep{name: "w", timeout: time.Hour, schedule: cron.Every(time.Second), kicked: make(chan struct{}, 1), run: func(ctx context.Context) error {
		runs++
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	s := &sweeps{app: a, list: map[string]*sweep{"w": w}}
	go s.once(context.Background(), w)
	<-begun
	s.pause("w")
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	default:
		t.Error("pause did not wait")
	}
	s.once(context.Background(), w)
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
}

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChanges()
		ctx, cancel := context.WithCancel(t.Context())
		slow, other := c.watch(ctx), c.watch(t.Context())
		for range 5 {
			c.wake() // never blocks, and five are one
		}
		<-slow
		if len(slow) != 0 || len(other) != 1 {
			t.Errorf("left: %d, %d", len(slow), len(other))
		}
		cancel()
		synctest.Wait()
		if _, ok := <-slow; ok {
			t.Error("a watcher that has gone is told")
		}
		c.wake()
		if len(c.watchers) != 1 {
			t.Errorf("%d watchers", len(c.watchers))
		}
	})
}

// Watchers come and go while changes happen: none is written to after its end.
func TestChangesRace(t *testing.T) {
	c := newChanges()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				ch := c.watch(ctx)
				c.wake()
				cancel()
				for open := true; open; {
					_, open = <-ch
				}
			}
		})
		all.Go(func() {
			for range 200 {
				c.wake()
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.watchers) != 0 {
		t.Errorf("%d watchers are left", len(c.watchers))
	}
}

// mortal is a database that dies when it is told to.
type mortal struct {
	done chan struct{}
	err  error
}

func (m *mortal) Done() <-chan struct{} { return m.done }
func (m *mortal) Err() error            { return m.err }
func (m *mortal) Stop(context.Context) error {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	return nil
}

func (m *mortal) die() {
	m.err = errors.New("signal: killed")
	close(m.done)
}

func TestDatabaseIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		started := []*mortal{{done: make(chan struct{})}}
		_, attend := newPrivateDatabase(started[0], func(context.Context) (database, error) {
			m := &mortal{done: make(chan struct{})}
			started = append(started, m)
			return m, nil
		}, slog.New(slog.DiscardHandler), func(err error) { failed = err })
		go attend()
		// Five deaths in a while are borne, and old ones do not count.
		for range 12 {
			time.Sleep(databaseWindow / 4)
			started[len(started)-1].die()
			synctest.Wait()
		}
		if len(started) != 13 || failed != nil {
			t.Fatalf("%d starts, %v", len(started), failed)
		}
		time.Sleep(databaseWindow)
		for range databaseRestarts + 1 {
			started[len(started)-1].die()
			synctest.Wait()
		}
		if purser.KindOf(failed) != purser.KindUnavailable || !strings.Contains(failed.Error(), "died 6 times") {
			t.Errorf("six deaths at once: %v", failed)
		}
	})
}

func TestDatabaseThatDoesNotStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		first := &mortal{done: make(chan struct{})}
		_, attend := newPrivateDatabase(first, func(context.Context) (database, error) {
			return nil, purser.Errorf(purser.KindUnavailable, "test", "no room")
		}, slog.New(slog.DiscardHandler), func(err error) { failed = err })
		go attend()
		first.die()
		synctest.Wait()
		if failed == nil || !strings.Contains(failed.Error(), "no room") || !strings.Contains(failed.Error(), "killed") {
			t.Errorf("%v", failed)
		}
	})
}

// A stop does not wait for a start that hangs, and no stop is a death.
func TestDatabaseStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := func(err error) { t.Errorf("a stop is a failure: %v", err) }
		first := &mortal{done: make(chan struct{})}
		p, attend := newPrivateDatabase(first, func(ctx context.Context) (database, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, slog.New(slog.DiscardHandler), fail)
		go attend()
		first.die()
		synctest.Wait()
		if err := p.stop(t.Context()); err != nil {
			t.Error(err)
		}
		quiet := &mortal{done: make(chan struct{})}
		p, attend = newPrivateDatabase(quiet, nil, slog.New(slog.DiscardHandler), fail)
		go attend()
		if err := p.stop(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestDiagnoseChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := DefaultConfig()
	c.DataDir = dir
	byName := func() map[string]Finding {
		out := map[string]Finding{}
		for _, f := range Diagnose(t.Context(), "", c) {
			out[f.Name] = f
		}
		return out
	}
	got := byName()
	for _, name := range []string{"platform", "data folder", "solver", "bundled prices", "server"} {
		if !got[name].OK || got[name].Says == "" {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("doctor made the data folder: %v", err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.DatabaseURL = "postgres://u:swordfish@127.0.0.1:1/none?connect_timeout=1"
	got = byName()
	if f := got["data folder"]; f.OK || !f.Needed {
		t.Errorf("a file in place of the folder: %+v", f)
	}
	if f := got["database"]; f.OK || !f.Needed || f.Says == "" {
		t.Errorf("no database: %+v", f)
	}
	if b, _ := json.Marshal(got); strings.Contains(string(b), "swordfish") {
		t.Errorf("doctor tells the password: %s", b)
	}
}
