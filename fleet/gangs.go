package fleet

import "purser"

// size gives a gang that waits as a whole the number of replicas that the plan has. It says whether the plan's
// placements are of the size that the gang has or gets: of another they would be a part of it, or too much.
func (a *admission) size(key groupKey) bool {
	spots, live := a.spots[key], a.groups[key]
	if len(live) == 0 {
		return false // it ended since
	}
	if purser.WorldOf(live) != 0 {
		return true
	}
	g := a.known[key]
	fits := false
	for _, w := range g.Ways() {
		fits = fits || w.Replicas == len(spots) && g.Variants[w.Variant].Name == spots[0].placement.Variant
	}
	if !fits || !a.fit(spots) {
		return false
	}
	size := purser.GangSize{Job: key.job, Group: key.group, Replicas: len(spots), New: map[int]purser.TaskID{}}
	for r := range spots {
		k := replicaKey{key, r}
		if _, has := a.byKey[k]; has {
			continue
		}
		t := purser.Task{ID: purser.TaskID(a.in.NewID("task")), Job: key.job, Group: key.group, Replica: r, State: purser.TaskQueued}
		size.New[r], a.byKey[k] = t.ID, t
	}
	a.out.Sizes = append(a.out.Sizes, size)
	return true
}
