package optimizer

import (
	"slices"

	"purser"
)

// placedIn is how many replicas of each group a plan places, now or later: of a gang whose size the plan decides, that is its size.
func (p *Problem) placedIn(plan purser.Plan) map[groupKey]int {
	out := map[groupKey]int{}
	count := func(l purser.PlannedLease) {
		for _, pl := range l.Placements {
			if key, g := p.groupOfPlacement(pl); g != nil {
				out[key]++
			}
		}
	}
	for _, l := range plan.Leases {
		count(l)
	}
	for _, l := range plan.Later {
		count(l.PlannedLease)
	}
	return out
}

// sizeOf is the group in the size that it runs in with a variant.
func (c *checker) sizeOf(key groupKey, variant int) (purser.TaskGroup, error) {
	group := &c.p.jobs[key.job].Groups[key.group]
	world := c.p.worldOf(key)
	if world == 0 {
		world = c.world[key]
	}
	sized, ok := sizedAs(group, variant, world)
	if !ok {
		return sized, wrong("%s: %d replicas of %s are no way to run it", c.p.name(key), world, group.Variants[variant].Name)
	}
	return sized, nil
}

// openGang checks a gang whose size the plan decides: it is placed whole, in one zone, on one variant and in a size of that variant, with
// replicas numbered from 0; or it is missing with its least size.
func (c *checker) openGang(key groupKey) error {
	group := &c.p.jobs[key.job].Groups[key.group]
	placed, missing, name := c.placed[key], c.unplaced[key], c.p.name(key)
	if need, given := c.p.needFor(key); given && len(need.Replicas) == 0 {
		if len(placed)+missing > 0 {
			return wrong("%s needs no place and has %d", name, len(placed)+missing)
		}
		return nil
	}
	if len(placed) == 0 {
		if missing != group.LeastReplicas() {
			return wrong("%s: nothing is placed and %d replicas are listed as unplaced", name, missing)
		}
		return nil
	}
	if missing != 0 {
		return wrong("%s: a part of a gang is placed and %d replicas are missing", name, missing)
	}
	numbers := make([]int, 0, len(placed))
	for _, on := range placed {
		if on.offer.Domain(purser.DomainZone) != placed[0].offer.Domain(purser.DomainZone) || on.pl.Variant != placed[0].pl.Variant {
			return wrong("%s: the gang is torn between zones or variants", name)
		}
		numbers = append(numbers, on.pl.Replica)
	}
	if slices.Sort(numbers); numbers[len(numbers)-1] != len(numbers)-1 {
		return wrong("%s: its %d replicas are not numbered from 0", name, len(numbers))
	}
	v := slices.IndexFunc(group.Variants, func(v purser.Variant) bool { return v.Name == placed[0].pl.Variant })
	if v < 0 {
		return wrong("%s runs no variant of its group (%s)", name, placed[0].pl.Variant)
	}
	_, err := c.sizeOf(key, v)
	return err
}
