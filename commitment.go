package purser

import (
	"cmp"
	"math"
	"slices"
)

// Commitment is spend promised ahead at a provider, as a savings plan or a committed-use discount is: so much an hour is paid whether it
// is used or not, and on-demand machines run under it at a discount as long as their discounted prices fit into it together. A machine
// runs under one commitment whole or not at all.
type Commitment struct {
	Name      string     `json:"name"`         // e.g. aws-savings-plan
	UnitPrice USDPerHour `json:"usd_per_hour"` // what is promised; sunk
	Discount  float64    `json:"discount"`     // off the on-demand price: 0.4 is 40 % less; from 0 to below 1
	// Which on-demand machines may run under it. Empty fields match all but the provider.
	Provider    string `json:"provider"`
	Region      string `json:"region,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
	TypePrefix  string `json:"instance_type_prefix,omitempty"` // several with commas between: any of them
}

// Weight is what a machine of the offer takes of the commitment: its discounted price in thousandths of a cent an hour, rounded up; 0
// where it may not run under it.
func (c Commitment) Weight(o Offer) int64 {
	match := Quota{Unit: QuotaCents, Provider: c.Provider, Region: c.Region, Accelerator: c.Accelerator, TypePrefix: c.TypePrefix}
	if o.Option != OnDemand || match.Weight(o) == 0 {
		return 0
	}
	return max(1, int64(math.Ceil(float64(float64(o.UnitPrice)*(1-c.Discount))/nanosPerMilliCent*(1-1e-12))))
}

// Limit is what the commitment holds, in the unit of Weight, rounded down.
func (c Commitment) Limit() int64 { return int64(c.UnitPrice) / nanosPerMilliCent }

// PriceOf is a weight as a price.
func (c Commitment) PriceOf(weight int64) USDPerHour { return USDPerHour(weight * nanosPerMilliCent) }

// Check says what is wrong with the commitment, or nil.
func (c Commitment) Check() error {
	const op = "purser.Commitment.Check"
	switch {
	case c.Name == "":
		return Errorf(KindInvalid, op, "a commitment needs a name")
	case c.Provider == "" || c.Provider == string(Private):
		return Errorf(KindInvalid, op, "commitment %s: it is made with a provider that sells machines on demand", c.Name)
	case c.Limit() < 1:
		return Errorf(KindInvalid, op, "commitment %s: what is promised must be at least a thousandth of a cent an hour", c.Name)
	case !(c.Discount >= 0 && c.Discount < 1):
		return Errorf(KindInvalid, op, "commitment %s: a discount lies from 0 to below 1", c.Name)
	}
	return nil
}

// CommitmentUse is what a plan's machines take of a commitment.
type CommitmentUse struct {
	Name      string     `json:"name"`
	UnitPrice USDPerHour `json:"usd_per_hour"`      // promised
	Used      USDPerHour `json:"used_usd_per_hour"` // the discounted prices of the machines under it
	Machines  int        `json:"machines"`
}

// Idle is what is paid an hour for nothing.
func (u CommitmentUse) Idle() USDPerHour { return u.UnitPrice - u.Used }

// coverNodes bounds the search of Cover.
const coverNodes = 20_000

// Cover says under which commitment each machine runs, by its index, or -1: those whose on-demand prices are most together, as far as
// coverNodes steps find them; of equal machines the first. A provider decides it alike, by the hour.
func Cover(commitments []Commitment, machines []Offer) []int {
	s := coverSearch{commitments: commitments, machines: machines, nodes: coverNodes, best: -1}
	for i, o := range machines {
		if slices.ContainsFunc(commitments, func(c Commitment) bool { return c.Weight(o) > 0 }) {
			s.order = append(s.order, i)
		}
	}
	slices.SortStableFunc(s.order, func(a, b int) int {
		x, y := machines[a], machines[b]
		return cmp.Or(cmp.Compare(y.UnitPrice, x.UnitPrice), cmp.Compare(x.ID(), y.ID()))
	})
	s.rest = make([]USDPerHour, len(s.order)+1)
	for i := len(s.order) - 1; i >= 0; i-- {
		s.rest[i] = s.rest[i+1] + machines[s.order[i]].UnitPrice
	}
	for i, c := range commitments {
		s.left, s.rank = append(s.left, c.Limit()), append(s.rank, i)
	}
	slices.SortStableFunc(s.rank, func(a, b int) int { return cmp.Compare(commitments[b].Discount, commitments[a].Discount) })
	s.under = slices.Repeat([]int{-1}, len(machines))
	s.found = slices.Clone(s.under)
	s.try(0, 0, 0)
	return s.found
}

// coverSearch goes through the machines, the dearest first, and puts each under a commitment or none.
type coverSearch struct {
	commitments []Commitment
	machines    []Offer
	order       []int        // machines that may run under some
	rest        []USDPerHour // by place in order: the prices from there on
	rank        []int        // commitments, the deepest discount first
	left        []int64
	under       []int
	nodes       int

	best  USDPerHour
	found []int
}

// try puts the machine at a place of the order; of a machine that equals the one before it only choices from first on count.
func (s *coverSearch) try(at int, covered USDPerHour, first int) {
	if s.nodes--; covered > s.best {
		s.best = covered
		copy(s.found, s.under)
	}
	if at == len(s.order) || s.nodes < 0 || covered+s.most(at) <= s.best {
		return
	}
	i := s.order[at]
	o := s.machines[i]
	next := func(choice int) int {
		if at+1 < len(s.order) && sameForCommitments(s.machines[s.order[at+1]], o) {
			return choice
		}
		return 0
	}
	for r := first; r < len(s.rank); r++ {
		k := s.rank[r]
		w := s.commitments[k].Weight(o)
		if w == 0 || w > s.left[k] {
			continue
		}
		s.left[k] -= w
		s.under[i] = k
		s.try(at+1, covered+o.UnitPrice, next(r))
		s.under[i] = -1
		s.left[k] += w
	}
	s.try(at+1, covered, next(len(s.rank)))
}

// most bounds what the machines from a place on can still be worth.
func (s *coverSearch) most(at int) USDPerHour {
	room := 0.0
	for k, c := range s.commitments {
		room += float64(s.left[k]) * nanosPerMilliCent / (1 - c.Discount)
	}
	return min(s.rest[at], USDPerHour(math.Min(math.Ceil(room*(1+1e-9)), math.MaxInt64/2)))
}

func sameForCommitments(a, b Offer) bool {
	return a.Provider == b.Provider && a.Region == b.Region && a.InstanceType == b.InstanceType && a.Accelerator == b.Accelerator && a.UnitPrice == b.UnitPrice
}
