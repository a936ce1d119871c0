package optimizer

import (
	"fmt"
	"math"

	"purser"
)

// MaxMachines caps the machines of one plan: above it a quantity is a slip of the pen.
const MaxMachines = 1_000_000

// maxCarbonPrice is 1 $ a gram.
const maxCarbonPrice = 1_000_000

func invalid(path, format string, args ...any) error {
	err := purser.Errorf(purser.KindInvalid, "optimizer.NewProblem", format, args...)
	err.Place = &purser.Place{Path: path}
	return err
}

// wrapInvalid gives an error of the nouns its place in the input.
func wrapInvalid(path string, err error) error {
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "optimizer.NewProblem", Message: "this cannot be planned with",
		Place: &purser.Place{Path: path}, Cause: err,
	}
}

// validate checks what the nouns can say of themselves, and that names are unique.
func (p *Problem) validate() error {
	for i, o := range p.in.Offers {
		if err := o.Check(); err != nil {
			return wrapInvalid("offers", err)
		}
		if i > 0 && o.ID() == p.in.Offers[i-1].ID() {
			return invalid("offers", "the offer %s is given twice", o.ID())
		}
	}
	for i, q := range p.in.Quotas {
		if err := q.Check(); err != nil {
			return wrapInvalid("quotas", err)
		}
		if i > 0 && q.Name == p.in.Quotas[i-1].Name {
			return invalid("quotas", "the quota %s is given twice", q.Name)
		}
		if q.Limit > math.MaxInt64/1000 {
			return invalid("quotas", "the quota %s is larger than can be counted", q.Name)
		}
	}
	if err := p.validateCommitments(); err != nil {
		return err
	}
	if p.in.CarbonPrice < 0 || p.in.CarbonPrice > purser.MoneyOf(maxCarbonPrice) {
		return invalid("carbon_price_usd", "a tonne of carbon counts between 0 and %d USD", maxCarbonPrice)
	}
	if err := p.in.Atlas.Check(); err != nil {
		return wrapInvalid("atlas", err)
	}
	total := 0
	for i, j := range p.jobs {
		if j.ID == "" {
			return invalid("jobs", "the job %q has no ID", j.Name)
		}
		if i > 0 && j.ID == p.jobs[i-1].ID {
			return invalid("jobs", "the job %s is given twice", j.ID)
		}
		if err := j.Check(); err != nil {
			return wrapInvalid(fmt.Sprintf("jobs (%s)", j.ID), err)
		}
		for k := range j.Groups {
			n := replicasOf(&j.Groups[k])
			if n > purser.MaxReplicasPerGroup {
				return invalid(fmt.Sprintf("jobs (%s)", j.ID), "the demand of group %s needs more than %d replicas of its fastest variant", j.Groups[k].Name, purser.MaxReplicasPerGroup)
			}
			total += int(n)
		}
	}
	if total > MaxMachines {
		return invalid("jobs", "%d replicas are more than one plan can hold (%d)", total, MaxMachines)
	}
	return p.validateHeld()
}

func (p *Problem) validateHeld() error {
	p.where = map[replicaName]seatNow{}
	running := p.where
	for i, h := range p.in.Held {
		id := h.Lease.ID
		if id == "" || (i > 0 && id == p.in.Held[i-1].Lease.ID) {
			return invalid("held", "each held lease has an ID of its own; %q is empty or given twice", id)
		}
		if err := h.Lease.Offer.Check(); err != nil {
			return wrapInvalid(fmt.Sprintf("held (%s)", id), err)
		}
		for _, pl := range h.Placements {
			at, ok := p.jobAt[pl.Job]
			if !ok {
				return invalid(fmt.Sprintf("held (%s)", id), "it runs the job %s, which is not among the live jobs", pl.Job)
			}
			if groupIndex(p.jobs[at], pl.Group) < 0 {
				return invalid(fmt.Sprintf("held (%s)", id), "it runs the group %s of job %s, which has no such group", pl.Group, pl.Job)
			}
			key := replicaName{pl.Job, pl.Group, pl.Replica}
			if other, ok := running[key]; ok {
				return invalid(fmt.Sprintf("held (%s)", id), "%s runs on lease %s already", key, other.lease)
			}
			if pl.Replica < 0 || pl.Devices < 0 || pl.MilliCPU < 0 || pl.MemoryMiB < 0 {
				return invalid(fmt.Sprintf("held (%s)", id), "%s has a negative number or size", key)
			}
			running[key] = seatNow{id, pl.Variant}
		}
	}
	return nil
}

// replicaName names one copy.
type replicaName struct {
	job     purser.JobID
	group   string
	replica int
}

// seatNow is where a copy runs now, and as which variant.
type seatNow struct {
	lease   purser.LeaseID
	variant string
}

func (n replicaName) String() string {
	return fmt.Sprintf("replica %d of %s/%s", n.replica, n.job, n.group)
}

// replicasOf is about how many replicas the group needs.
func replicasOf(g *purser.TaskGroup) float64 {
	fastest := 0.0
	for _, v := range g.Variants {
		fastest = max(fastest, v.Throughput)
	}
	if g.Kind == purser.Inference && g.Demand > 0 && fastest > 0 {
		return max(float64(g.Replicas), math.Ceil(g.Demand*(1+g.Headroom)*(1+g.Survive.Share)/fastest))
	}
	return float64(max(g.Replicas, 1))
}

func groupIndex(j purser.Job, name string) int {
	for i := range j.Groups {
		if j.Groups[i].Name == name {
			return i
		}
	}
	return -1
}
