package fake_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
)

// ears collect notices.
type ears struct {
	mu    sync.Mutex
	heard []providers.Interruption
	want  chan struct{} // gets one for each
	deaf  func(providers.Interruption) error
}

func newEars() *ears { return &ears{want: make(chan struct{}, 1000)} }

func (e *ears) hear(_ context.Context, n providers.Interruption) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, n)
	e.want <- struct{}{}
	if e.deaf != nil {
		return e.deaf(n)
	}
	return nil
}

func (e *ears) all() []providers.Interruption {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]providers.Interruption(nil), e.heard...)
}

// listen runs Interruptions until the function that it gives is called.
func listen(t *testing.T, p providers.Interrupter, e *ears) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Interruptions(ctx, e.hear) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-done }
}

func TestNoticesOfPreemption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Spot: fake.Spot{Notice: 2 * time.Minute, Quiet: true, Trace: []fake.TraceRow{{At: time.Hour, Zone: "*", InstanceType: "*", Available: 0}}}})
		p, began := cloud.Provider("ours"), time.Now()
		for _, id := range []string{"a", "b"} {
			if _, err := p.Launch(t.Context(), of(id, spotOffer())); err != nil {
				t.Fatal(err)
			}
		}
		theirs := of("c", spotOffer())
		theirs.Installation, theirs.Token = "theirs", "another"
		if _, err := cloud.Provider("theirs").Launch(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		e := newEars()
		stop := listen(t, p, e)
		time.Sleep(time.Hour + time.Second)
		if got := e.all(); len(got) != 2 || got[0].Kind != providers.Preempted || got[0].Lease == got[1].Lease || got[0].Lease == "c" || got[1].Lease == "c" ||
			got[0].Instance == "" || got[0].Reason == "" || !got[0].At.Equal(began.Add(time.Hour+2*time.Minute)) {
			t.Fatalf("after the row of the trace: %+v", got)
		}
		if in, err := p.Describe(t.Context(), purser.Lease{ID: "a"}); err != nil || in.State != providers.Running {
			t.Errorf("a quiet cloud says of a machine under notice: %+v, %v", in, err)
		}
		// One is ended by its owner meanwhile: no more is said of it.
		if err := p.Terminate(t.Context(), purser.Lease{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := e.all(); len(got) != 3 || got[2].Kind != providers.Ended || got[2].Lease != "b" {
			t.Errorf("after the notice: %+v", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Interruptions ended with %v", err)
		}
	})
}

// A notice that was not taken comes again until it is, and holds no other up; one that
// was taken does not come again, to whatever server.
func TestNoticesComeAtLeastOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{})
		p := cloud.Provider("ours")
		for _, id := range []string{"a", "b"} {
			if _, err := p.Launch(t.Context(), of(id, spotOffer())); err != nil {
				t.Fatal(err)
			}
			cloud.Preempt(purser.LeaseID(id), time.Hour)
		}
		e, tries := newEars(), 0
		e.deaf = func(n providers.Interruption) error {
			if n.Lease != "a" {
				return nil
			}
			if tries++; tries < 4 {
				return purser.Errorf(purser.KindInvalid, "store", "the database is away")
			}
			return nil
		}
		cloud.FailNext(fake.Interruptions, purser.Errorf(purser.KindThrottled, "x", "slowly"), errors.New("odd"))
		stop := listen(t, p, e)
		time.Sleep(time.Minute)
		count := map[purser.LeaseID]int{}
		for _, n := range e.all() {
			count[n.Lease]++
		}
		if count["a"] != 4 || count["b"] != 1 {
			t.Errorf("notices came %v times", count)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		later := newEars()
		stop = listen(t, cloud.Provider("ours"), later)
		time.Sleep(time.Minute)
		if got := later.all(); len(got) != 0 {
			t.Errorf("another server hears %+v", got)
		}
		_ = stop()
	})
}

func TestDuplicatesOfNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Seed: 1, Calls: fake.Calls{Duplicates: 0.5}})
		p := cloud.Provider("ours")
		const n = 100
		for i := range n {
			id := fmt.Sprint("l", i)
			if _, err := p.Launch(t.Context(), of(id, spotOffer())); err != nil {
				t.Fatal(err)
			}
			cloud.Preempt(purser.LeaseID(id), time.Hour)
		}
		e := newEars()
		stop := listen(t, p, e)
		time.Sleep(time.Minute)
		_ = stop()
		count := map[purser.LeaseID]int{}
		for _, n := range e.all() {
			count[n.Lease]++
		}
		twice := 0
		for id, c := range count {
			if c > 2 {
				t.Errorf("%s was told %d times", id, c)
			}
			if c == 2 {
				twice++
			}
		}
		if len(count) != n || twice < 30 || twice > 70 {
			t.Errorf("%d of %d were told, %d twice; want half", len(count), n, twice)
		}
	})
}

// What can never work ends the listening; nothing else does.
func TestListeningEndsWhenItCannotWork(t *testing.T) {
	cloud := fake.New(fake.Config{})
	for name, p := range map[string]providers.Interrupter{"here": cloud.Provider("ours"), "there": dial(t, newSky(t).add(cloud), "ours", nil)} {
		for _, kind := range []purser.Kind{purser.KindForbidden, purser.KindUnauthorized, purser.KindInvalid} {
			cloud.FailNext(fake.Interruptions, purser.Errorf(kind, "x", "no"))
			if err := p.Interruptions(t.Context(), newEars().hear); purser.KindOf(err) != kind {
				t.Errorf("%s: %v, want %s", name, err, kind)
			}
		}
	}
}

// Over the wire a notice comes as soon as it is there, and again if its acknowledgement
// was lost with the server that had it.
func TestNoticesOverTheWire(t *testing.T) {
	cloud := fake.New(fake.Config{})
	url := newSky(t).add(cloud)
	c := dial(t, url, "ours", nil)
	if _, err := c.Launch(t.Context(), of("a", spotOffer())); err != nil {
		t.Fatal(err)
	}
	e := newEars()
	e.deaf = func(providers.Interruption) error { return errors.New("killed before it was taken") }
	stop := listen(t, c, e)
	began := time.Now()
	cloud.Preempt("a", time.Hour)
	<-e.want
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the notice took %s", took)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	again := newEars()
	stop = listen(t, dial(t, url, "ours", nil), again)
	<-again.want
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := again.all(); got[0].Lease != "a" || got[0].Kind != providers.Preempted {
		t.Errorf("heard %+v", got)
	}
}
