package postgres

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"purser"
)

func TestCharges(t *testing.T) {
	s := newScene(t)
	spot, od := offer(purser.Spot), offer(purser.OnDemand)
	spot.UnitPrice, od.UnitPrice = 10e9, 40e9
	must(s.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start.Add(-time.Hour), Offers: []purser.Offer{seen(spot, 9e9, start.Add(-time.Hour)), seen(od, 40e9, start.Add(-time.Hour))}}))(t)
	job := s.submit(training("a", 1))
	lease := s.place(spot, s.tasks(job)[0])
	if in := must(s.ChargeInputs(t.Context(), s.clock.now()))(t); len(in) != 0 {
		t.Errorf("a lease that does not run is charged: %+v", in)
	}
	s.run(lease)
	s.report(lease, is(s.tasks(job)[0].ID, purser.TaskRunning))
	begun := s.lease(lease).RunningAt
	change := begun.Add(10 * time.Minute)
	must(s.SavePrices(t.Context(), PriceBatch{Source: "feed", At: change, Offers: []purser.Offer{seen(spot, 12e9, change)}}))(t)
	now := s.clock.pass(20 * time.Minute)
	in := must(s.ChargeInputs(t.Context(), now))(t)
	if len(in) != 1 || in[0].OnDemand != 40e9 || len(in[0].Tasks) != 1 || len(in[0].Prices) != 2 || in[0].Prices[0].UnitPrice != 9e9 || in[0].Prices[1].UnitPrice != 12e9 || !in[0].Prices[1].From.Equal(change) {
		t.Fatalf("%+v", in)
	}
	through := begun.Add(15 * time.Minute)
	line := purser.Charge{
		Lease: lease, Job: job, Task: s.tasks(job)[0].ID, Project: "p", Offer: spot.ID(), Start: begun, End: change, UnitPrice: 9e9,
		ListCost: 7, BilledCost: 5, EffectiveCost: 5, Rehearsal: true, PriceSource: "feed", PriceObservedAt: start,
	}
	idle := line
	idle.Job, idle.Task, idle.Project, idle.BilledCost = "", "", "", 3
	save := func(c ...purser.Charge) error { return s.SaveCharges(t.Context(), lease, c, through) }
	if err := save(line, idle); err != nil {
		t.Fatal(err)
	}
	wantKind(t, save(line), purser.KindStale)
	late := line
	late.Start, late.End = change, through.Add(time.Second)
	wantKind(t, save(late), purser.KindInvalid)
	wantKind(t, s.SaveCharges(t.Context(), lease, nil, begun), purser.KindStale)
	wantKind(t, s.SaveCharges(t.Context(), "lease-none", nil, through), purser.KindNotFound)
	if l := s.lease(lease); !l.ChargedThrough.Equal(through) {
		t.Errorf("charged through %s", l.ChargedThrough)
	}
	if in := must(s.ChargeInputs(t.Context(), now))(t); len(in) != 1 || len(in[0].Prices) != 1 || in[0].Prices[0].UnitPrice != 12e9 {
		t.Errorf("the price in force at %s is not the first: %+v", through, in)
	}
	if got := must(s.Charges(t.Context(), ChargeFilter{Job: job}))(t); len(got) != 1 || got[0] != line {
		t.Errorf("%+v\nbecame\n%+v", line, got)
	}
	for name, f := range map[string]struct {
		ChargeFilter
		want int
	}{
		"all": {ChargeFilter{}, 2}, "project": {ChargeFilter{Project: "p"}, 1}, "lease": {ChargeFilter{Lease: lease}, 2}, "limit": {ChargeFilter{Limit: 1}, 1},
		"before": {ChargeFilter{To: begun}, 0}, "from": {ChargeFilter{From: begun}, 2}, "after": {ChargeFilter{From: begun.Add(time.Second)}, 0},
	} {
		if got := must(s.Charges(t.Context(), f.ChargeFilter))(t); len(got) != f.want {
			t.Errorf("%s: %d charges, want %d", name, len(got), f.want)
		}
	}
	spend := must(s.Spend(t.Context(), begun, now))(t)
	want := []SpendRow{{Project: "p", Job: job, JobName: "a", Rehearsal: true, Billed: 5, List: 7, Effective: 5}, {Rehearsal: true, Billed: 3, List: 7, Effective: 5}}
	if !slices.Equal(spend, want) {
		t.Errorf("%+v", spend)
	}
	if c := must(s.LeaseCosts(t.Context(), []purser.LeaseID{lease, "x"}))(t); len(c) != 1 || c[lease] != 8 {
		t.Errorf("%v", c)
	}
	if f := must(s.JobFigures(t.Context(), []purser.JobID{job}))(t); f[job].Billed != 5 {
		t.Errorf("%+v", f)
	}
	for _, sql := range []string{"update charges set billed_cost = 0", "delete from charges", "truncate charges", "delete from audit", "update audit set actor = 'x'"} {
		_, err := s.Pool().Exec(t.Context(), sql)
		wantKind(t, fail("test", err), purser.KindConflict)
	}
	// Fully charged, an ended lease is done with.
	s.advance(lease, purser.Transition{To: purser.LeaseFailed})
	ended := s.lease(lease).EndedAt
	if err := s.SaveCharges(t.Context(), lease, nil, ended.Truncate(time.Second)); err != nil {
		t.Fatal(err)
	}
	if in := must(s.ChargeInputs(t.Context(), now.Add(time.Hour)))(t); len(in) != 0 {
		t.Errorf("%+v", in)
	}
}

func TestTokens(t *testing.T) {
	s := newScene(t)
	at := s.clock.now()
	hash := func(c string) []byte { return bytes.Repeat([]byte(c), 32) }
	admin := Token{ID: "tok-1", Name: "admin", Role: "admin", Hash: hash("a"), CreatedAt: at}
	brief := Token{ID: "tok-2", Name: "brief", Role: "viewer", Hash: hash("b"), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	for _, k := range []Token{admin, brief} {
		if err := s.CreateToken(t.Context(), "init", k); err != nil {
			t.Fatal(err)
		}
	}
	again := admin
	again.ID, again.Hash = "tok-3", hash("c")
	wantKind(t, s.CreateToken(t.Context(), "init", again), purser.KindConflict)
	wantKind(t, s.CreateToken(t.Context(), "init", Token{ID: "x", Name: "y", Role: "z", Hash: []byte("short")}), purser.KindInvalid)
	got := must(s.TokenByHash(t.Context(), admin.Hash, at))(t)
	if got.ID != "tok-1" || got.Role != "admin" || !got.UsedAt.Equal(at) {
		t.Errorf("%+v", got)
	}
	_, err := s.TokenByHash(t.Context(), hash("x"), at)
	wantKind(t, err, purser.KindUnauthorized)
	_, err = s.TokenByHash(t.Context(), brief.Hash, at.Add(time.Hour))
	wantKind(t, err, purser.KindUnauthorized)

	if err := s.CreateLogin(t.Context(), hash("l"), "tok-1", at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateLogin(t.Context(), hash("m"), "tok-1", at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.CreateLogin(t.Context(), hash("n"), "tok-none", at.Add(time.Minute)), purser.KindNotFound)
	_, err = s.UseLogin(t.Context(), hash("m"), at.Add(time.Minute))
	wantKind(t, err, purser.KindUnauthorized)
	var wg sync.WaitGroup
	used := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			k, err := s.UseLogin(context.Background(), hash("l"), at)
			if err == nil && k.ID != "tok-1" {
				t.Errorf("%+v", k)
			}
			used <- err
		})
	}
	wg.Wait()
	good := 0
	for range 8 {
		if <-used == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("a one-time code was used %d times", good)
	}
	if err := s.SaveSession(t.Context(), hash("s"), "tok-1", at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if k := must(s.Session(t.Context(), hash("s"), at))(t); k.ID != "tok-1" {
		t.Errorf("%+v", k)
	}
	_, err = s.Session(t.Context(), hash("s"), at.Add(time.Hour))
	wantKind(t, err, purser.KindUnauthorized)
	if err := s.SaveSession(t.Context(), hash("r"), "tok-1", at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(t.Context(), hash("r")); err != nil {
		t.Fatal(err)
	}
	_, err = s.Session(t.Context(), hash("r"), at)
	wantKind(t, err, purser.KindUnauthorized)
	for range 2 {
		if err := s.RevokeToken(t.Context(), "boss", "tok-1"); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, s.RevokeToken(t.Context(), "boss", "tok-none"), purser.KindNotFound)
	_, err = s.Session(t.Context(), hash("s"), at)
	wantKind(t, err, purser.KindUnauthorized)
	_, err = s.TokenByHash(t.Context(), admin.Hash, at)
	wantKind(t, err, purser.KindUnauthorized)
	if got := s.audited("token", "tok-1"); !slices.Equal(got, []string{"valid", "revoked"}) {
		t.Errorf("%v", got)
	}
	if err := s.CreateToken(t.Context(), "init", again); err != nil {
		t.Errorf("the name of a revoked token cannot be used: %v", err)
	}
	if all := must(s.Tokens(t.Context()))(t); len(all) != 3 {
		t.Errorf("%d tokens", len(all))
	}
}

func TestSweeps(t *testing.T) {
	s := newScene(t)
	if last := must(s.LastRun(t.Context(), "plan"))(t); !last.IsZero() {
		t.Errorf("never ran, and last ran at %s", last)
	}
	claims := func(due time.Time) (n int) {
		var wg sync.WaitGroup
		got := make(chan bool, 5)
		for range 5 {
			wg.Go(func() {
				mine, err := s.ClaimSweep(context.Background(), "plan", due)
				if err != nil {
					t.Error(err)
				}
				got <- mine
			})
		}
		wg.Wait()
		for range 5 {
			if <-got {
				n++
			}
		}
		return n
	}
	if n := claims(start); n != 1 {
		t.Errorf("%d of 5 claimed the tick", n)
	}
	if n := claims(start.Add(-time.Second)); n != 0 {
		t.Errorf("%d claimed an older tick", n)
	}
	must(s.Pool().Exec(t.Context(), "update sweeps set claimed_at = claimed_at - interval '1 hour'"))(t)
	if n := claims(start); n != 1 {
		t.Errorf("%d claimed the tick of a process that died", n)
	}
	if err := s.SweepDone(t.Context(), "plan", start.Add(time.Minute), "no offers"); err != nil {
		t.Fatal(err)
	}
	must(s.Pool().Exec(t.Context(), "update sweeps set claimed_at = claimed_at - interval '1 hour'"))(t)
	if n := claims(start); n != 0 {
		t.Errorf("%d claimed a tick that is done", n)
	}
	if n := claims(start.Add(time.Minute)); n != 1 {
		t.Errorf("%d claimed the next tick", n)
	}
	if last := must(s.LastRun(t.Context(), "plan"))(t); !last.Equal(start.Add(time.Minute)) {
		t.Errorf("last ran at %s", last)
	}
	if all := must(s.Sweeps(t.Context()))(t); len(all) != 1 || all[0].Error != "no offers" || !all[0].DoneAt.IsZero() {
		t.Errorf("%+v", all)
	}
}

func TestSettings(t *testing.T) {
	s := newScene(t)
	var wg sync.WaitGroup
	ids, secrets := make([]string, 6), make([][]byte, 6)
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], secrets[i], err = s.Installation(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range ids {
		if ids[i] != ids[0] || len(ids[i]) != 20 || !bytes.Equal(secrets[i], secrets[0]) || len(secrets[i]) != 32 {
			t.Errorf("%q %x beside %q %x", ids[i], secrets[i], ids[0], secrets[0])
		}
	}
	q := []purser.Quota{{Name: "b", Limit: 3, Unit: purser.QuotaMachines, Provider: "aws"}, {Name: "a", Limit: 8, Unit: purser.QuotaDevices}}
	for range 2 {
		if err := s.SetQuotas(t.Context(), "user", q); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(s.Quotas(t.Context()))(t); !slices.Equal(got, q) {
		t.Errorf("%+v", got)
	}
	wantKind(t, s.SetQuotas(t.Context(), "user", append(q, q[0])), purser.KindInvalid)
	wantKind(t, s.SetQuotas(t.Context(), "user", []purser.Quota{{}}), purser.KindInvalid)
	if n := len(must(s.Events(t.Context(), 0, 0))(t)); n != 1 {
		t.Errorf("%d audit rows for one change", n)
	}
}

// Whoever reads on from the last id it has seen misses no event, however the
// transactions that wrote them overlapped.
func TestEventsAreReadInOrderOfCommit(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	woken := make(chan struct{}, 1)
	listening := make(chan error, 1)
	go func() {
		listening <- s.Listen(ctx, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	const writers, each = 8, 20
	for i := range writers {
		go func() {
			for n := range each {
				if _, err := s.SubmitJobs(context.Background(), "w", []purser.Job{training(NewID("j", start.Add(time.Duration(i*1000+n))), 3)}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var last int64
	seen := 0
	deadline := time.After(60 * time.Second)
	for seen < writers*each*4 {
		select {
		case <-woken:
		case <-deadline:
			t.Fatalf("%d of %d events were seen", seen, writers*each*4)
		}
		for {
			page := must(s.Events(t.Context(), last, 7))(t)
			for _, e := range page {
				if e.ID <= last {
					t.Fatalf("event %d after %d", e.ID, last)
				}
				last = e.ID
			}
			seen += len(page)
			if len(page) == 0 {
				break
			}
		}
	}
	if got := must(s.LastEvent(t.Context()))(t); got != last {
		t.Errorf("the last event is %d, read up to %d", got, last)
	}
	// Its connection breaks: it listens again.
	must(s.Pool().Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'"))(t)
	for len(woken) > 0 {
		<-woken
	}
	select {
	case <-woken:
	case <-deadline:
		t.Fatal("it does not listen any more")
	}
	cancel()
	if err := <-listening; err != nil {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := NewID("task", start.Add(time.Duration(i)*time.Millisecond))
		if len(id) != 25 || seen[id] || id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		seen[id], last = true, id
	}
}
