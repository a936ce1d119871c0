package postgres

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"purser"
)

// chaos plays users, plans, steps and agents that do anything at any time. Whatever
// it does must be carried out or refused, and never break an invariant.
type chaos struct {
	*DB
	clock *ticker
	names int  // of jobs
	shaky bool // connections break: whatever is asked may be unavailable
	// pick draws a number below n; n is above 0.
	pick func(n int) int
	fail func(format string, args ...any)
}

func one[T any](c *chaos, from []T) (T, bool) {
	var zero T
	if len(from) == 0 {
		return zero, false
	}
	return from[c.pick(len(from))], true
}

func some[T any](c *chaos, from []T, most int) (out []T) {
	for range min(most, len(from)) {
		v, _ := one(c, from)
		out = append(out, v)
	}
	return out
}

// tolerate lets refusals pass, and nothing else.
func (c *chaos) tolerate(what string, err error) {
	if err == nil {
		return
	}
	switch purser.KindOf(err) {
	case purser.KindConflict, purser.KindStale, purser.KindForbidden, purser.KindNotFound:
	case purser.KindUnavailable:
		if !c.shaky {
			c.fail("%s: %v", what, err)
		}
	default:
		c.fail("%s: %v", what, err)
	}
}

func (c *chaos) act(ctx context.Context) {
	acts := []func(context.Context){
		c.submit, c.submit, c.admit, c.admit, c.admit, c.advance, c.advance, c.join, c.join, c.join, c.report, c.report, c.report, c.report, c.cancel,
		c.progress, c.charge, c.wait,
	}
	if c.pick(300) == 0 {
		_, err := c.DrainAll(ctx, "stop", []string{"", "here"}[c.pick(2)], "the server stops")
		c.tolerate("drain all", err)
		return
	}
	acts[c.pick(len(acts))](ctx)
}

func (c *chaos) wait(context.Context) { c.clock.pass(time.Duration(c.pick(8000)) * time.Millisecond) }

func (c *chaos) submit(ctx context.Context) {
	name := fmt.Sprint("job", c.pick(c.names))
	j := training(name, 1+c.pick(3), func(g *purser.TaskGroup) { g.Retries, g.Gang = c.pick(2), c.pick(3) == 0 })
	if c.pick(4) == 0 {
		j = service(name)
	}
	_, err := c.SubmitJobs(ctx, "user", []purser.Job{j})
	c.tolerate("submit", err)
}

func (c *chaos) cancel(ctx context.Context) {
	if c.pick(3) > 0 {
		return
	}
	jobs, err := c.Jobs(ctx, JobFilter{})
	c.tolerate("jobs", err)
	if j, ok := one(c, jobs); ok {
		_, err = c.CancelJob(ctx, "user", j.ID)
		c.tolerate("cancel", err)
	}
}

// admit admits what a planner may want that has seen the world a moment ago, and
// some things that none would.
func (c *chaos) admit(ctx context.Context) {
	snap, err := c.Snapshot(ctx)
	if err != nil {
		c.tolerate("snapshot", err)
		return
	}
	now := c.clock.now()
	o := offer([]purser.PurchaseOption{purser.Spot, purser.OnDemand}[c.pick(2)])
	o.Devices = purser.MilliDevices(1000 * (1 + c.pick(3)))
	fresh := purser.Lease{ID: purser.LeaseID(NewID("lease", now)), Offer: o, Holder: "local", Rehearsal: true, Host: []string{"", "here"}[c.pick(2)]}
	a := purser.Admission{Launch: []purser.Lease{fresh}, At: now}
	leases := append(slices.Clone(snap.Leases), fresh, fresh, fresh)
	somewhere := func() purser.LeaseID { l, _ := one(c, leases); return l.ID }
	for _, t := range some(c, snap.Tasks, 3) {
		switch {
		case t.State == purser.TaskQueued || c.pick(4) == 0:
			a.Place = append(a.Place, put(t, somewhere()))
		case c.pick(3) == 0:
			a.Stop = append(a.Stop, t.ID)
		default:
			to := somewhere()
			a.Moves = append(a.Moves, purser.Move{Task: t.ID, From: t.Lease, To: to, Placement: put(t, to).Placement})
		}
	}
	for _, j := range some(c, snap.Jobs, 2) {
		p := put(purser.Task{Job: j.ID, Group: j.Groups[0].Name, Replica: c.pick(2)}, somewhere())
		p.Task = ""
		a.Start = append(a.Start, p)
	}
	if c.pick(8) == 0 {
		for _, l := range some(c, snap.Leases, 2) {
			a.Withdraw, a.Drain = append(a.Withdraw, l.ID), append(a.Drain, l.ID)
		}
	}
	p := purser.Plan{ID: purser.PlanID(NewID("plan", now)), CreatedAt: snap.At, Status: purser.PlanFeasible}
	_, err = c.AdmitPlan(ctx, "plan", p, a)
	c.tolerate("admit", err)
}

func (c *chaos) advance(ctx context.Context) {
	leases, err := c.LiveLeases(ctx)
	c.tolerate("leases", err)
	l, ok := one(c, leases)
	if !ok {
		return
	}
	to := []purser.LeaseState{
		purser.LeaseLaunching, purser.LeaseLaunching, purser.LeaseLaunching, purser.LeaseLaunching, purser.LeaseLaunching, purser.LeaseLaunching,
		purser.LeaseDraining, purser.LeaseReleased, purser.LeaseFailed, purser.LeaseWithdrawn,
	}[c.pick(10)]
	_, err = c.Advance(ctx, l.ID, "step", func(purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: to, Attempt: c.pick(2), Instance: []string{"", "i-1"}[c.pick(2)], Reason: "chaos", At: c.clock.now()}, nil
	})
	c.tolerate("advance", err)
}

func (c *chaos) join(ctx context.Context) {
	leases, err := c.LiveLeases(ctx)
	c.tolerate("leases", err)
	if l, ok := one(c, leases); ok {
		_, err = c.JoinLease(ctx, l.ID, secretOf(l.ID), c.clock.now())
		c.tolerate("join", err)
	}
}

// report says anything of the tasks of a lease, sometimes twice.
func (c *chaos) report(ctx context.Context) {
	leases, err := c.LiveLeases(ctx)
	c.tolerate("leases", err)
	l, ok := one(c, leases)
	if !ok {
		return
	}
	tasks, err := c.Tasks(ctx, TaskFilter{Lease: l.ID})
	c.tolerate("tasks", err)
	var reports []TaskReport
	for _, t := range tasks {
		state := []purser.TaskState{"", "", purser.TaskRunning, purser.TaskRunning, purser.TaskSucceeded, purser.TaskFailed, purser.TaskLost}[c.pick(7)]
		if state != "" {
			reports = append(reports, TaskReport{Task: t.ID, State: state, Progress: float64(c.pick(10)) / 10, Checkpoint: []string{"", "/ck"}[c.pick(2)], StartedAt: start.Add(time.Duration(c.pick(1e6)) * time.Millisecond)})
		}
	}
	for range 1 + c.pick(2) {
		_, err = c.Report(ctx, l.ID, reports, c.clock.now())
		c.tolerate("report", err)
	}
}

func (c *chaos) progress(ctx context.Context) {
	_, err := c.ProgressMoves(ctx, c.clock.now())
	c.tolerate("moves", err)
}

// charge charges every lease that is due, to the task that is there or as idle room.
func (c *chaos) charge(ctx context.Context) {
	inputs, err := c.ChargeInputs(ctx, c.clock.now())
	c.tolerate("charge inputs", err)
	for _, in := range inputs {
		from, through := in.Lease.ChargedThrough, c.clock.now().Truncate(time.Second)
		if from.IsZero() {
			from = in.Lease.RunningAt
		}
		if e := in.Lease.EndedAt; !e.IsZero() {
			through = e.Truncate(time.Second)
		}
		if !through.After(from) {
			continue
		}
		line := purser.Charge{Lease: in.Lease.ID, Offer: in.Lease.Offer.ID(), Start: from, End: through, UnitPrice: 1, BilledCost: 1, Rehearsal: true}
		c.tolerate("charge", c.SaveCharges(ctx, in.Lease.ID, []purser.Charge{line}, through))
	}
}

// invariants are queries that must find nothing.
var invariants = map[string]string{
	"a live task is on a lease that has ended": `select t.id || ' ' || t.state || ' on ' || l.state from tasks t join leases l on l.id = t.lease
		where t.state in ('placed', 'running') and l.ended_at is not null`,
	"a running task is on a lease that nobody joined": `select t.id from tasks t join leases l on l.id = t.lease where t.state = 'running' and l.running_at is null`,
	"a replica has two live tasks":                    `select job from tasks where state in ('queued', 'placed', 'running') group by job, group_name, replica having count(*) > 1`,
	"the newest task is not the last attempt": `select id from tasks t where newest <> not exists (select from tasks o
		where o.job = t.job and o.group_name = t.group_name and o.replica = t.replica and o.attempt > t.attempt)`,
	"a lost task has no successor": `select id from tasks where state = 'lost' and newest`,
	"a replica of an open training job was lost": `select j.id || g.name from jobs j join task_groups g on g.job = j.id and g.kind = 'training'
		cross join generate_series(0, g.replicas - 1) r where j.ended_at is null and j.cancelled_at is null and not exists (select from tasks t
			where t.job = j.id and t.group_name = g.name and t.replica = r and t.newest and t.state in ('queued', 'placed', 'running', 'succeeded'))`,
	"a job that has ended or is cancelled has a task that nobody stops": `select t.id || ' ' || t.state from tasks t join jobs j on j.id = t.job
		where t.state in ('queued', 'placed', 'running') and (j.ended_at is not null or j.cancelled_at is not null) and t.stop_for <> 'cancelled'`,
	"a task of a draining lease is not being stopped": `select t.id from tasks t join leases l on l.id = t.lease
		where l.state = 'draining' and t.state in ('placed', 'running') and t.stop_for = ''`,
	"an open move is of a task that is elsewhere or has ended, or goes where nothing may go": `select m.task || ' ' || m.state || ' ' || t.state || ' ' || l.state
		from moves m join tasks t on t.id = m.task join leases l on l.id = m.to_lease where m.state in ('waiting', 'stopping')
			and (t.state not in ('placed', 'running') or t.lease <> m.from_lease or l.state not in ('planned', 'launching', 'running'))`,
	"a lease is overfull": `select l.id from leases l join tasks t on t.lease = l.id and t.state in ('placed', 'running')
		group by l.id having sum(t.milli_devices) > (l.offer->>'milli_devices')::bigint`,
	"a lease that has to go on has no step": `select id || ' ' || state from leases l where state in ('planned', 'launching', 'draining') and not exists (
		select from river.river_job j where j.args->>'lease' = l.id and (j.args->>'fence')::bigint = l.fence and j.finalized_at is null)`,
	"a second is charged twice": `select a.charge_key::text from charges a join charges b on a.lease = b.lease and a.charge_key < b.charge_key
		and a.start_at < b.end_at and b.start_at < a.end_at`,
	"time was charged outside of a lease's life": `select c.charge_key::text from charges c join leases l on l.id = c.lease
		where c.start_at < l.running_at or c.end_at > l.ended_at or c.end_at > l.charged_through`,
	"times run backwards": `select id from tasks where greatest(placed_at, started_at) > ended_at or queued_at > ended_at or placed_at > started_at or queued_at > placed_at
		union all select id from leases where launched_at > running_at or running_at > ended_at`,
	"the audit skips a step": `select subject || ' ' || name || ': ' || from_state || ' to ' || to_state || ' after ' || before from (
			select *, lag(to_state, 1, '') over (partition by subject, name order by id) as before from audit where subject in ('job', 'task', 'lease')) a
		where from_state <> before`,
	"the audit does not end where the thing is": `select a.name || ': ' || a.to_state || ', is ' || s.state
		from (select distinct on (subject, name) subject, name, to_state from audit where subject in ('job', 'task', 'lease') order by subject, name, id desc) a
		join (select id, state from jobs union all select id, state from tasks union all select id, state from leases) s on s.id = a.name where a.to_state <> s.state`,
	"something has no audit": `select id from (select id from jobs union all select id from tasks union all select id from leases union all select id from plans) s
		where not exists (select from audit a where a.name = s.id)`,
}

func (c *chaos) check(ctx context.Context) {
	for what, sql := range invariants {
		found, err := collect(ctx, c.pool, pgx.RowTo[*string], sql)
		if err != nil {
			c.fail("%s: %v", what, err)
		}
		if len(found) > 0 {
			c.fail("%s: %d, first %s", what, len(found), *found[0])
		}
	}
	c.checkJobs(ctx)
}

// checkJobs compares each job's state with what follows from all of its tasks.
func (c *chaos) checkJobs(ctx context.Context) {
	jobs, err := c.Jobs(ctx, JobFilter{})
	c.tolerate("jobs", err)
	for _, j := range jobs {
		newest, err := c.Tasks(ctx, TaskFilter{Job: j.ID, NewestOnly: true})
		c.tolerate("tasks", err)
		var cancelled bool
		if err := c.pool.QueryRow(ctx, "select cancelled_at is not null from jobs where id = $1", string(j.ID)).Scan(&cancelled); err != nil {
			c.fail("%v", err)
		}
		want := purser.StateOf(j, newest, cancelled)
		if want == purser.JobSucceeded && j.Groups[0].Kind == purser.Inference {
			want = purser.JobRunning
		}
		if want != j.State && j.State != purser.JobFailed {
			c.fail("job %s is %s and its tasks %v make it %s", j.ID, j.State, states(newest), want)
		}
	}
}

// settle ends everything; nothing may be left over.
func (c *chaos) settle(ctx context.Context) {
	jobs, err := c.Jobs(ctx, JobFilter{Live: true})
	c.tolerate("jobs", err)
	for _, j := range jobs {
		_, err := c.CancelJob(ctx, "user", j.ID)
		c.tolerate("cancel", err)
	}
	_, err = c.DrainAll(ctx, "stop", "", "the end")
	c.tolerate("drain", err)
	leases, err := c.LiveLeases(ctx)
	c.tolerate("leases", err)
	for _, l := range leases {
		_, err := c.Advance(ctx, l.ID, "step", func(purser.Lease) (purser.Transition, error) { return purser.Transition{To: purser.LeaseReleased}, nil })
		c.tolerate("release", err)
	}
	var open int
	err = c.pool.QueryRow(ctx, `select (select count(*) from jobs where ended_at is null) + (select count(*) from tasks where ended_at is null)
		+ (select count(*) from leases where ended_at is null) + (select count(*) from moves where ended_at is null)`).Scan(&open)
	if err != nil || open != 0 {
		c.fail("%d things are left over, %v", open, err)
	}
}

func TestAnythingAtAnyTime(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		db, clock := fresh(t)
		defer db.Close()
		c := &chaos{DB: db, clock: clock, names: 6, fail: r.Fatalf, pick: func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "pick") }}
		for range rapid.IntRange(10, 60).Draw(r, "acts") {
			c.act(t.Context())
			c.check(t.Context())
		}
		c.settle(t.Context())
		c.check(t.Context())
	})
}

// several lets actors do anything at once, and checks what they leave.
func several(t *testing.T, db *DB, clock *ticker, actors, acts int, shaky bool, meanwhile func(stop <-chan struct{})) {
	t.Helper()
	var mu sync.Mutex
	var failures []string
	actor := func(seed uint64) *chaos {
		return &chaos{DB: db, clock: clock, names: 60, shaky: shaky, pick: rand.New(rand.NewPCG(seed, 1)).IntN, fail: func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, fmt.Sprintf(format, args...))
		}}
	}
	var working, disturbing sync.WaitGroup
	stop := make(chan struct{})
	disturbing.Go(func() { meanwhile(stop) })
	for i := range actors {
		working.Go(func() {
			c := actor(uint64(i))
			for range acts {
				c.act(context.Background())
			}
		})
	}
	working.Wait()
	close(stop)
	disturbing.Wait()
	last := actor(99)
	last.check(t.Context())
	last.settle(t.Context())
	last.check(t.Context())
	if len(failures) > 0 {
		t.Errorf("%d failures:\n%s", len(failures), strings.Join(failures[:min(10, len(failures))], "\n"))
	}
}

func TestEverythingAtOnce(t *testing.T) {
	db, clock := fresh(t)
	several(t, db, clock, 8, 500, false, func(<-chan struct{}) {})
	// What was only refused proves nothing: all of it has to have happened.
	happened := map[string]int{}
	rows := must(db.Pool().Query(t.Context(), "select subject || ' ' || to_state, count(*) from audit group by 1"))(t)
	var what string
	var n int
	must(pgx.ForEachRow(rows, []any{&what, &n}, func() error { happened[what] = n; return nil }))(t)
	t.Log(happened)
	for _, want := range []string{
		"task placed", "task running", "task succeeded", "task failed", "task lost", "task cancelled", "job running", "job cancelled", "job failed",
		"lease launching", "lease running", "lease draining", "lease released", "lease failed", "lease withdrawn", "move waiting", "move undone",
	} {
		if happened[want] == 0 {
			t.Errorf("it never came to %q", want)
		}
	}
}

// Connections are cut in the middle of whatever they do. What was asked then is done
// whole, or not at all.
func TestConnectionsBreakAtAnyTime(t *testing.T) {
	db, clock := fresh(t)
	cuts := 0
	several(t, db, clock, 6, 200, true, func(stop <-chan struct{}) {
		conn, err := pgx.ConnectConfig(context.Background(), db.Pool().Config().ConnConfig)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		ticker := time.NewTicker(15 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			tag, err := conn.Exec(context.Background(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null order by random() limit 1`)
			if err != nil {
				t.Error(err)
				return
			}
			cuts += int(tag.RowsAffected())
		}
	})
	if cuts < 5 {
		t.Errorf("only %d connections were cut", cuts)
	}
	t.Logf("%d connections were cut", cuts)
}
