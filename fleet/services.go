package fleet

import (
	"slices"

	"purser"
)

// service matches the placements of a service with its tasks.
func (a *admission) service(key groupKey) {
	spots := slices.Clone(a.spots[key])
	tasks := slices.DeleteFunc(slices.Clone(a.groups[key]), func(t purser.Task) bool { return t.Stop || a.draining(t.Lease) })

	// What already is where the plan has it stays, then what waits gets a place, then
	// the rest is paired, like variants first.
	a.pair(&spots, &tasks, func(t purser.Task, s spot) bool {
		return t.State != purser.TaskQueued && t.Lease == a.in.Plan.Leases[s.lease].Held && t.Variant == s.placement.Variant
	})
	a.pair(&spots, &tasks, func(t purser.Task, _ spot) bool { return t.State == purser.TaskQueued })
	a.pair(&spots, &tasks, func(t purser.Task, s spot) bool { return t.Variant == s.placement.Variant })
	a.pair(&spots, &tasks, func(purser.Task, spot) bool { return true })

	for _, s := range spots {
		s.placement.Replica = a.freeReplica(key)
		if to, ok := a.take(s); ok {
			a.byKey[replicaKey{key, s.placement.Replica}] = purser.Task{}
			a.out.Start = append(a.out.Start, purser.TaskPlacement{Lease: to, Placement: s.placement})
		}
	}
	if slices.ContainsFunc(a.in.Plan.Unplaced, func(u purser.Unplaced) bool { return u.Job == key.job && u.Group == key.group }) {
		return
	}
	for _, t := range tasks {
		if !a.moving[t.ID] {
			a.out.Stop = append(a.out.Stop, t.ID)
		}
	}
}

// pair puts tasks to spots that fit them, and takes both from the lists.
func (a *admission) pair(spots *[]spot, tasks *[]purser.Task, fits func(purser.Task, spot) bool) {
	*spots = slices.DeleteFunc(*spots, func(s spot) bool {
		i := slices.IndexFunc(*tasks, func(t purser.Task) bool { return fits(t, s) })
		if i < 0 {
			return false
		}
		t := (*tasks)[i]
		*tasks = slices.Delete(*tasks, i, i+1)
		if s.placement.Replica = t.Replica; a.goes(t, s) {
			a.put(t, s)
		}
		return true
	})
}

// freeReplica is the lowest replica number of the group that no live task has.
func (a *admission) freeReplica(key groupKey) int {
	for {
		if _, taken := a.byKey[replicaKey{key, a.free[key]}]; !taken {
			return a.free[key]
		}
		a.free[key]++
	}
}
