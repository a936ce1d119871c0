package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"purser"
)

// planLock is held by whoever admits a plan, so that two are never mixed.
const planLock = 0x706c616e // "plan"

// AdmitPlan stores a plan and makes its admission come true, in one transaction:
// gangs of the size that it decides, leases with their first step, placed and started tasks, moves, and the leases and
// tasks that the plan has no use for. Everything is checked again under the locks of
// the rows, because the world went on since the snapshot: what is no longer true is
// left out and listed in Skipped. A lease whose tasks were all left out is not made;
// the replicas of a gang are placed all or none; nothing is placed where no room is left.
//
// stale: another plan was admitted after this one's snapshot (p.CreatedAt, which is
// Snapshot.At). conflict: this plan was admitted before; nothing is done twice.
func (db *DB) AdmitPlan(ctx context.Context, actor string, p purser.Plan, a purser.Admission) (AdmitReport, error) {
	const op = "postgres.AdmitPlan"
	if p.ID == "" || p.CreatedAt.IsZero() || (a.Plan != "" && a.Plan != p.ID) {
		return AdmitReport{}, purser.Errorf(purser.KindInvalid, op, "a plan needs an id and the time of its snapshot, and its admission the same id")
	}
	var report AdmitReport
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		at := a.At
		if at.IsZero() {
			at = db.clock()
		}
		m := &admitting{world: newWorld(t, actor, at), plan: p, Admission: a, launch: map[purser.LeaseID]*leaseRow{}, room: map[purser.LeaseID]*room{}, latest: map[replicaKey]*taskRow{}}
		if err := m.claim(ctx); err != nil {
			return err
		}
		if err := m.lock(ctx); err != nil {
			return err
		}
		if err := m.savePlan(ctx); err != nil {
			return err
		}
		if err := m.apply(ctx); err != nil {
			return err
		}
		if err := m.save(ctx); err != nil {
			return err
		}
		report = m.report
		return m.savePlacements(ctx)
	})
	return report, err
}

// admitting is a plan on its way in.
type admitting struct {
	*world
	purser.Admission
	plan   purser.Plan
	launch map[purser.LeaseID]*leaseRow // new leases, whether or not they come to be
	room   map[purser.LeaseID]*room     // of the leases that something is put on
	latest map[replicaKey]*taskRow      // newest task of each replica of the services that are started
	report AdmitReport
}

// room is what is left of a machine.
type room struct {
	left purser.Shape
	puts int // what this admission puts there
}

// claim takes the lock of plans and refuses a plan that was overtaken.
func (m *admitting) claim(ctx context.Context) error {
	const op = "postgres.AdmitPlan"
	if _, err := m.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(planLock)); err != nil {
		return err
	}
	var known, overtaken bool
	err := m.QueryRow(ctx, "select exists (select from plans where id = $1), exists (select from plans where admitted_at > $2)",
		string(m.plan.ID), utc(m.plan.CreatedAt)).Scan(&known, &overtaken)
	switch {
	case err != nil:
		return err
	case known:
		return purser.Errorf(purser.KindConflict, op, "plan %s was admitted before", m.plan.ID)
	case overtaken:
		return purser.Errorf(purser.KindStale, op, "another plan was admitted after this one's snapshot was taken")
	}
	return nil
}

// lock takes the locks of everything that the admission speaks of, leases first,
// then jobs, and reads it.
func (m *admitting) lock(ctx context.Context) error {
	targets, ending := map[purser.LeaseID]bool{}, map[purser.LeaseID]bool{}
	tasks, jobs := map[purser.TaskID]bool{}, map[purser.JobID]bool{}
	for _, p := range m.Place {
		targets[p.Lease], tasks[p.Task] = true, true
	}
	for _, p := range m.Start {
		targets[p.Lease], jobs[p.Placement.Job] = true, true
	}
	for _, s := range m.Sizes {
		jobs[s.Job] = true
	}
	starts := sortedKeys(jobs)
	for _, v := range m.Moves {
		targets[v.To], targets[v.From], tasks[v.Task] = true, true, true
	}
	for _, id := range slices.Concat(m.Withdraw, m.Drain) {
		ending[id] = true
	}
	for _, id := range m.Stop {
		tasks[id] = true
	}
	if err := m.lockLeases(ctx, slices.Concat(sortedKeys(targets), sortedKeys(ending))...); err != nil {
		return err
	}
	aroundEnding, err := m.jobsAround(ctx, sortedKeys(ending))
	if err != nil {
		return err
	}
	named, err := collect(ctx, m, pgx.RowTo[purser.JobID], "select distinct job from tasks where id = any($1)", texts(sortedKeys(tasks)))
	if err != nil {
		return err
	}
	for _, id := range slices.Concat(aroundEnding, named) {
		jobs[id] = true
	}
	if err := m.lockJobs(ctx, sortedKeys(jobs)); err != nil {
		return err
	}
	if err := m.loadTasks(ctx, around, texts(sortedKeys(ending))); err != nil {
		return err
	}
	if err := m.loadTasks(ctx, "t.id = any($1) or (t.job = any($2) and (t.newest or t.state in "+liveStates+"))",
		texts(sortedKeys(tasks)), texts(starts)); err != nil {
		return err
	}
	if err := m.loadMoves(ctx); err != nil {
		return err
	}
	return m.measure(ctx, sortedKeys(targets))
}

// measure finds the room on each lease that something may be put on. Tasks that are
// about to leave take their room until they have left.
func (m *admitting) measure(ctx context.Context, targets []purser.LeaseID) error {
	for _, l := range m.leases {
		m.room[l.ID] = &room{left: l.Offer.Shape}
	}
	for _, l := range m.Launch {
		l.State, l.Plan, l.Attempt, l.Fence, l.CreatedAt = purser.LeasePlanned, m.plan.ID, 0, 0, m.at
		m.launch[l.ID] = &leaseRow{Lease: l, fresh: true}
		m.room[l.ID] = &room{left: l.Offer.Shape}
	}
	rows, err := m.Query(ctx, `select t.lease, t.milli_devices, t.milli_cpu, t.memory_mib from tasks t where t.lease = any($1) and t.state in `+liveStates+`
		union all select to_lease, (placement->>'milli_devices')::bigint, (placement->>'milli_cpu')::bigint, (placement->>'memory_mib')::bigint
		from moves where to_lease = any($1) and `+openMoves, texts(targets))
	if err != nil {
		return err
	}
	var lease purser.LeaseID
	var p purser.Placement
	_, err = pgx.ForEachRow(rows, []any{&lease, &p.Devices, &p.MilliCPU, &p.MemoryMiB}, func() error {
		if r := m.room[lease]; r != nil {
			r.take(p, 1)
		}
		return nil
	})
	return err
}

// take takes room for a placement, or gives it back with sign -1.
func (r *room) take(p purser.Placement, sign int64) {
	r.left.Devices -= purser.MilliDevices(sign) * p.Devices
	r.left.MilliCPU -= sign * p.MilliCPU
	r.left.MemoryMiB -= sign * p.MemoryMiB
}

// fits says whether a placement finds room. A size that the shape does not tell (0)
// is not held against it.
func (r *room) fits(p purser.Placement, shape purser.Shape) bool {
	return p.Devices <= r.left.Devices && (shape.MilliCPU == 0 || p.MilliCPU <= r.left.MilliCPU) &&
		(shape.MemoryMiB == 0 || p.MemoryMiB <= r.left.MemoryMiB)
}

// target is the lease that something is to be put on, or the reason why not. It
// takes the room.
func (m *admitting) target(id purser.LeaseID, p purser.Placement) (*leaseRow, string) {
	l := m.launch[id]
	if l == nil {
		l = m.leases[id]
	}
	switch {
	case l == nil:
		return nil, fmt.Sprintf("there is no lease %s", id)
	case !usable(l.State):
		return nil, fmt.Sprintf("lease %s is %s", id, l.State)
	case !m.room[id].fits(p, l.Offer.Shape):
		return nil, fmt.Sprintf("lease %s has no room for it now", id)
	}
	m.room[id].take(p, 1)
	m.room[id].puts++
	return l, ""
}

func (m *admitting) giveBack(id purser.LeaseID, p purser.Placement) {
	m.room[id].take(p, -1)
	m.room[id].puts--
}

func (m *admitting) skip(subject string, name any, reason string) {
	m.report.Skipped = append(m.report.Skipped, Skipped{Subject: subject, Name: fmt.Sprint(name), Reason: reason})
}

// spare says that the admission gives nothing to a new lease, which is made as it is
// then, as capacity held ready.
func (m *admitting) spare(id purser.LeaseID) bool {
	put := func(p purser.TaskPlacement) bool { return p.Lease == id }
	return !slices.ContainsFunc(m.Place, put) && !slices.ContainsFunc(m.Start, put) &&
		!slices.ContainsFunc(m.Moves, func(v purser.Move) bool { return v.To == id })
}

// makeLeases takes the new leases into the world that something goes to.
func (m *admitting) makeLeases() {
	for _, id := range slices.Sorted(maps.Keys(m.launch)) {
		l := m.launch[id]
		if m.room[id].puts == 0 && !m.spare(id) {
			m.skip("lease", id, "nothing would run on it")
			continue
		}
		m.leases[id] = l
		m.say(purser.Event{At: m.at, Actor: m.actor, Subject: "lease", Name: string(id), To: string(purser.LeasePlanned), Reason: "plan " + string(m.plan.ID)})
		m.step(l.Lease, m.at)
		m.report.Launched++
	}
}
