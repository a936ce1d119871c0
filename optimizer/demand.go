package optimizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"purser"
)

// leftSteps is how finely the share of a run that is left is told apart.
const leftSteps = 32

// maxSpan is the longest run that is told apart from any longer one, 100 years in ns.
const maxSpan = int64(100 * 366 * 24 * time.Hour)

// replica is one live copy of a training group.
type replica struct {
	number int
	left   int   // of its run, in leftSteps
	wait   int64 // ns after Input.Now until which it may begin
	stays  bool  // it runs where it could not come to
}

// demand is what one task group needs, before what is held is taken off.
type demand struct {
	key      groupKey
	group    *purser.TaskGroup
	job      *purser.Job
	replicas []replica // training, by number
	stays    []stayOn

	// What stays from the held leases (keep mode).
	base     []basePlacement
	onlyZone string // a gang of which a part stays: the rest must follow it
	onlyName string // and run the same variant
	world    int    // replicas of a gang whose size is settled; 0: it is open, or there is no choice
}

// basePlacement is a held placement that stays.
type basePlacement struct {
	held, at int // in.Held[held].Placements[at]
	variant  int // of the group, -1 when it has no such variant any more
	domain   domainIDs
}

// demands reads jobs and needs, in the order of jobs and groups.
func (p *Problem) demands() ([]*demand, error) {
	needs := make(map[groupKey]Need, len(p.in.Needs))
	p.needs = needs
	for _, n := range p.in.Needs {
		at, ok := p.jobAt[n.Job]
		if !ok {
			return nil, invalid("needs", "there is no live job %s", n.Job)
		}
		g := groupIndex(p.jobs[at], n.Group)
		if g < 0 {
			return nil, invalid("needs", "the job %s has no group %s", n.Job, n.Group)
		}
		key := groupKey{at, g}
		if _, twice := needs[key]; twice {
			return nil, invalid("needs", "the needs of group %s of job %s are given twice", n.Group, n.Job)
		}
		if p.jobs[at].Groups[g].Kind == purser.Inference {
			return nil, invalid("needs", "the group %s of job %s serves a demand; its replicas are not chosen one by one", n.Group, n.Job)
		}
		needs[key] = n
	}
	var out []*demand
	for j := range p.jobs {
		for g := range p.jobs[j].Groups {
			if p.blocked[groupKey{j, g}] {
				continue
			}
			d := &demand{key: groupKey{j, g}, group: &p.jobs[j].Groups[g], job: &p.jobs[j]}
			if d.group.Kind == purser.Training {
				need, given := needs[d.key]
				if d.group.Varies() && need.World == 0 {
					need, given = p.readWorld(d, need, given)
				}
				d.world = need.World
				if err := d.read(need, given); err != nil {
					return nil, err
				}
				if len(d.replicas) == 0 {
					continue
				}
				p.setWaits(d)
				p.setStays(d)
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// read takes over a Need, or the whole group where there is none.
func (d *demand) read(need Need, given bool) error {
	where := fmt.Sprintf("needs (%s/%s)", d.job.ID, d.group.Name)
	numbers := need.Replicas
	if !given {
		numbers = make([]int, d.group.LeastReplicas())
		for i := range numbers {
			numbers[i] = i
		}
	}
	if d.world != 0 && len(waysOf(d.group, d.world)) == 0 || d.world < 0 || (d.world > 0 && !d.group.Varies()) {
		return invalid(where, "the group cannot run with %d replicas", d.world)
	}
	d.replicas = make([]replica, 0, len(numbers))
	for _, n := range numbers {
		if most := cmp.Or(d.world, d.group.MostReplicas()); n < 0 || n >= most {
			return invalid(where, "there is no replica %d; the group has %d", n, most)
		}
		left := leftSteps
		if share, ok := need.Left[n]; ok {
			if !(share > 0 && share <= 1) {
				return invalid(where, "of replica %d a share of %v is left; a share lies above 0 and at most at 1", n, share)
			}
			left = int(math.Ceil(share*leftSteps - 1e-9))
		}
		d.replicas = append(d.replicas, replica{number: n, left: max(left, 1)})
	}
	slices.SortFunc(d.replicas, func(a, b replica) int { return a.number - b.number })
	for i := 1; i < len(d.replicas); i++ {
		if d.replicas[i].number == d.replicas[i-1].number {
			return invalid(where, "replica %d is given twice", d.replicas[i].number)
		}
	}
	if d.group.Gang {
		// A gang ends together.
		longest := slices.MaxFunc(append(d.replicas, replica{}), func(a, b replica) int { return a.left - b.left })
		for i := range d.replicas {
			d.replicas[i].left = longest.left
		}
	}
	return nil
}

// rawGroup is a set of groups that are written alike but for their names and what they run.
type rawGroup struct {
	group    *purser.TaskGroup // one of them
	priority int
	left     int
	n        int64 // replicas of a gang
	wait     int64 // ns after Input.Now until which it may begin, and until which it can and be sure of its deadline
	latest   int64
	onlyZone string
	onlyName string
	base     []basePlacement // of the one service that it is
	stays    []stayOn
	members  []member
	ways     []way
	fits     [][]int32 // by way, the places where it can run
	allowed  int       // offers that could serve it
	reasons  map[purser.RefusalReason]int
}

// member is one unit of a class: a replica, a gang or a service.
type member struct {
	key      groupKey
	replicas []int // none for a service
}

// rawKey is what tells raw groups apart, written as JSON.
type rawKey struct {
	Group              purser.TaskGroup
	Priority, Left     int
	N                  int64
	Wait               int64 `json:",omitempty"`
	OnlyZone, OnlyName string
	Saves              bool // it writes checkpoints, wherever to
	World              int
	Unique             string
}

// rawGroups merges groups that are written alike. The result is in the order of the keys, so that neither the order nor the names of
// jobs matter to the search.
func (p *Problem) rawGroups(demands []*demand) ([]*rawGroup, error) {
	byKey := map[string]*rawGroup{}
	for _, d := range demands {
		if err := d.split(byKey); err != nil {
			return nil, err
		}
	}
	out := make([]*rawGroup, 0, len(byKey))
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		out = append(out, byKey[k])
	}
	return out, nil
}

// split hands the group's units to the raw groups that they belong to.
func (d *demand) split(byKey map[string]*rawGroup) error {
	if d.group.Kind == purser.Inference {
		raw, err := d.raw(byKey, leftSteps, 0, 0, nil)
		if err == nil {
			raw.members = append(raw.members, member{key: d.key})
		}
		return err
	}
	if d.group.Varies() && d.world == 0 {
		raw, err := d.raw(byKey, d.replicas[0].left, 0, d.replicas[0].wait, nil)
		if err == nil {
			raw.members = append(raw.members, member{key: d.key})
		}
		return err
	}
	if d.group.Gang && len(d.replicas) > 1 {
		m, left, wait := member{key: d.key}, 0, d.replicas[0].wait
		for _, r := range d.replicas {
			m.replicas = append(m.replicas, r.number)
			left = max(left, r.left)
		}
		raw, err := d.raw(byKey, left, int64(len(m.replicas)), wait, d.stays)
		if err == nil {
			raw.members = append(raw.members, m)
		}
		return err
	}
	alike := map[replica]*rawGroup{}
	for _, r := range d.replicas {
		like := replica{left: r.left, wait: r.wait}
		if r.stays {
			like = r
		}
		if alike[like] == nil {
			raw, err := d.raw(byKey, r.left, 1, r.wait, d.staysOf(r))
			if err != nil {
				return err
			}
			alike[like] = raw
		}
		alike[like].members = append(alike[like].members, member{key: d.key, replicas: []int{r.number}})
	}
	return nil
}

// raw finds or makes the raw group of such units.
func (d *demand) raw(byKey map[string]*rawGroup, left int, n, wait int64, stays []stayOn) (*rawGroup, error) {
	k := rawKey{Group: *d.group, Priority: d.job.Priority, Left: left, N: n, Wait: wait, OnlyZone: d.onlyZone, OnlyName: d.onlyName, World: d.world}
	k.Group.Name, k.Group.Run, k.Group.Port, k.Group.Retries = "", purser.Run{}, 0, 0
	k.Group.After, k.Group.OutputGB = nil, 0
	k.Group.CanWait = 0
	k.Group.Checkpoint.Path = ""
	k.Saves = d.group.Checkpoint.Path != ""
	if k.Group.Kind == purser.Training && k.Group.Work == 0 {
		k.Group.Replicas = 0
	}
	if len(d.base) > 0 && d.group.Kind == purser.Inference || d.group.Spread.Level != purser.DomainNone {
		k.Unique = string(d.job.ID) + "/" + d.group.Name
	}
	if len(stays) > 0 {
		k.Unique = fmt.Sprintf("%s/%s/%d", d.job.ID, d.group.Name, stays[0].replica)
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, purser.Wrap(purser.KindInvalid, "optimizer.NewProblem", err)
	}
	raw := byKey[string(text)]
	if raw == nil {
		raw = &rawGroup{group: d.group, priority: d.job.Priority, left: left, n: n, wait: wait, stays: stays, onlyZone: d.onlyZone, onlyName: d.onlyName, ways: waysOf(d.group, d.world)}
		if k.Unique != "" && d.group.Kind == purser.Inference {
			raw.base = d.base
		}
		byKey[string(text)] = raw
	}
	return raw, nil
}

// spans gives the time within which a replica has run on v on a machine of the offer, as sure as deadlines are kept, and the time that it
// is expected to run within the horizon, which its machine is paid for; both in ns. Reading its data first is in both, as if it began anew.
func (p *Problem) spans(g *purser.TaskGroup, v purser.Variant, left int, on machine) (full, span int64) {
	switch {
	case p.in.Snapshot:
		return 0, p.horizon
	case g.Kind == purser.Inference:
		return p.horizon, p.horizon
	case g.RunsLonger(v, time.Duration(maxSpan)):
		full = maxSpan
	default:
		full = min(int64(g.RunTimeOn(v)), maxSpan)
	}
	load := g.Data.LoadTime()
	full -= full / leftSteps * int64(leftSteps-left)
	full = min(max(full, int64(time.Second))+int64(load), maxSpan)
	last := p.horizon
	if endless(g) {
		last = max(last, endlessSpan)
	}
	if on.hazard == 0 {
		return full, min(full, last)
	}
	expected, sure := stretch(hoursOf(full), gangHazard(on.hazard, g, v, on.shape), g.Checkpoint, load)
	return stretched(full, sure, math.Ceil), min(stretched(full, expected, math.Round), last)
}

// machine is what of an offer a run's time depends on.
type machine struct {
	hazard float64
	shape  purser.Shape
}

func (p *Problem) machineOf(o purser.Offer) machine { return machine{p.hazard(o), o.Shape} }
