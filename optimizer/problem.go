package optimizer

import (
	"cmp"
	"slices"
	"time"

	"purser"
)

// Problem is an Input made ready for the search: sites to rent, classes of equal work, and groups of sites that look the same to
// every class. It is not changed by Solve and may be shared.
type Problem struct {
	in       Input
	horizon  int64 // ns
	moveCost float64
	minGain  float64

	jobs     []purser.Job // live ones by ID
	jobAt    map[purser.JobID]int
	sites    []site
	classes  []class
	items    []item
	lateSpan int64 // the longest span of any item, ns
	groups   []group
	groupOf  []int32   // by site; -1: no group uses it
	groupsOf [][]int32 // by item
	quotas   []quota
	domains  [levelCount]domainTable

	places     []place
	bases      []heldBase                                   // what stays, by index in in.Held; keep mode alone
	kept       map[groupKey][]int                           // replica numbers of what stays
	heldDomain []domainIDs                                  // by index in in.Held
	where      map[replicaName]seatNow                      // what runs on which held lease
	placeOf    []int32                                      // by index in in.Held
	itemOf     func(place int32, pl purser.Placement) int32 // the item of a replica on a place; -1: it needs no place any more
	needs      map[groupKey]Need
	blocked    map[groupKey]bool // groups that wait for others of their job
	basePaid   int64             // nano-USD that the bases cost
	raws       []*rawGroup
	caps       bool // what a machine may hold of some classes is capped
	apart      map[groupKey]*apart
	apartRows  []apartRow
	hopeless   []hopeless // what no offer can serve, and reserves that no set of offers can give
	levels     int        // priorities among the classes; level 0 goes first

	line  *timeline               // nil: nothing may wait
	hours map[purser.Offer]*hours // of the offers whose prices change

	stay *Problem // the same with KeepPlacements; nil when nothing runs
}

// groupKey names a task group.
type groupKey struct{ job, group int }

// item is one way to run one replica of a class.
type item struct {
	class, variant int
	size           amounts
	span           int64 // ns
}

// quota is a limit over sites, in thousandths of its unit, with what held machines need of it already given.
type quota struct {
	limit int64
	name  string
}

// Size says how large a problem is.
type Size struct {
	Offers, Jobs, Replicas, Classes, Shapes int
}

// Size counts offers, jobs, replicas that need a place (of a service: the least number it needs), classes of equal work, and groups
// of equal offers.
func (p *Problem) Size() Size {
	s := Size{Offers: len(p.in.Offers), Jobs: len(p.jobs), Classes: len(p.classes), Shapes: len(p.groups)}
	for i := range p.classes {
		s.Replicas += int(p.classes[i].replicas())
	}
	return s
}

// NewProblem checks the input and makes it ready. The error is a *purser.Error of kind invalid that says what is wrong where; what
// cannot be placed is no error but part of the plan.
func NewProblem(in Input) (*Problem, error) {
	p := &Problem{in: in}
	if err := p.settle(); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	if err := p.settleStages(); err != nil {
		return nil, err
	}
	if !in.KeepPlacements && p.anythingRuns() {
		var err error
		in.KeepPlacements = true
		if p.stay, err = NewProblem(in); err != nil {
			return nil, err
		}
		p.trim()
	}
	for l := range p.domains {
		p.domains[l] = newDomainTable()
	}
	if times := p.startTimes(); len(times) > 1 {
		p.line = &timeline{times: times}
	}
	demands, err := p.demands()
	if err != nil {
		return nil, err
	}
	p.keepHeld(demands)
	if p.raws, err = p.rawGroups(demands); err != nil {
		return nil, err
	}
	p.buildPlaces()
	p.judgeAll(p.raws)
	p.addStarts()
	p.buildClasses()
	p.caps = slices.ContainsFunc(p.classes, func(c class) bool { return c.need.machines || c.apart != nil && c.apart.machines })
	p.buildSites()
	p.splitSites()
	p.buildGroups()
	return p, nil
}

// settle fills in defaults and puts everything into an order of its own, so that the caller's order does not matter.
func (p *Problem) settle() error {
	in := &p.in
	if in.Horizon == 0 {
		in.Horizon = DefaultHorizon
	}
	if in.Snapshot {
		in.Horizon = time.Hour
	}
	if in.Horizon < 0 || in.Horizon > 366*24*time.Hour {
		return invalid("horizon", "a horizon lies above 0 and within a year")
	}
	p.horizon = int64(in.Horizon)
	p.moveCost, p.minGain = in.MoveHours, in.MinGain
	if p.moveCost == 0 {
		p.moveCost = DefaultMoveHours
	}
	if p.minGain == 0 {
		p.minGain = DefaultMinGain
	}
	if !(p.moveCost > 0 && p.moveCost <= 1000) || !(p.minGain > 0 && p.minGain <= 1) {
		return invalid("move_hours", "move hours lie above 0 and at most at 1000, a least gain above 0 and at most at 1")
	}
	if in.StartUp == nil {
		in.StartUp = DefaultStartUp
	}
	in.Offers = slices.Clone(in.Offers)
	slices.SortFunc(in.Offers, func(a, b purser.Offer) int { return cmp.Compare(a.ID(), b.ID()) })
	in.Held = slices.Clone(in.Held)
	slices.SortFunc(in.Held, func(a, b Held) int { return cmp.Compare(a.Lease.ID, b.Lease.ID) })
	in.Quotas = slices.Clone(in.Quotas)
	slices.SortFunc(in.Quotas, func(a, b purser.Quota) int { return cmp.Compare(a.Name, b.Name) })
	in.Commitments = slices.Clone(in.Commitments)
	slices.SortFunc(in.Commitments, func(a, b purser.Commitment) int { return cmp.Compare(a.Name, b.Name) })
	p.jobs = slices.DeleteFunc(slices.Clone(in.Jobs), func(j purser.Job) bool { return j.State.Ended() })
	slices.SortFunc(p.jobs, func(a, b purser.Job) int { return cmp.Compare(a.ID, b.ID) })
	p.jobAt = make(map[purser.JobID]int, len(p.jobs))
	for i, j := range p.jobs {
		p.jobAt[j.ID] = i
	}
	return nil
}

// startUp is the paid time before a new machine of the offer works, in ns.
func (p *Problem) startUp(o purser.Offer) int64 {
	if p.in.Snapshot {
		return 0
	}
	return max(0, int64(p.in.StartUp(o)))
}

func (p *Problem) anythingRuns() bool {
	return slices.ContainsFunc(p.in.Held, func(h Held) bool { return len(h.Placements) > 0 })
}
