package simulator

import (
	"fmt"
	"time"

	"purser"
)

// Amount is what a job needs or a machine has: thousandths of a device, thousandths
// of a vCPU, MiB of memory.
type Amount [3]int64

// Fits says whether the amount lies within another.
func (a Amount) Fits(room Amount) bool { return a[0] <= room[0] && a[1] <= room[1] && a[2] <= room[2] }

// Plus adds an amount.
func (a Amount) Plus(b Amount) Amount { return Amount{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

// Minus takes an amount away.
func (a Amount) Minus(b Amount) Amount { return Amount{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

// Offer is a machine that can be rented as often as wanted, and how long it takes.
type Offer struct {
	purser.Offer
	Asked   time.Duration // from the call until the machine is there; not paid
	Booting time.Duration // from then until it takes jobs; paid
	Ending  time.Duration // from the call that ends it; paid
}

// Room is what the machine has.
func (o Offer) Room() Amount { return Amount{int64(o.Devices), o.MilliCPU, o.MemoryMiB} }

// Job is one task that runs to its end on one machine at a time.
type Job struct {
	Name    string         // what planners know it by; jobs of one name are alike
	Program string         // what it runs: how much it slows others, and whether a machine knows its image
	Needs   purser.Variant // of which accelerator, vCPUs and memory count
	Arrives time.Duration  // whole seconds from the start of the simulation
	Work    time.Duration  // how long it runs when nothing slows it

	Fetch time.Duration // what starting it takes before it is on the machine
	Build time.Duration // beside that, where the machine has not had its program before
	Start time.Duration // on the machine, before it gets on with its work
	Stop  time.Duration // until it stops when it is moved; it works meanwhile
	Save  time.Duration // from then until its checkpoint is written and its room is free
}

// Amount is what the job needs.
func (j Job) Amount() Amount {
	return Amount{int64(j.Needs.Devices), j.Needs.MilliCPU, j.Needs.MemoryMiB}
}

// World is everything that happens by itself.
type World struct {
	Offers []Offer
	Jobs   []Job         // by time of arrival
	Round  time.Duration // a planner is asked at every multiple of it
	// Slow is the share of its speed that a program keeps beside another one on the
	// same machine, above 0 and at most 1. With several others the shares multiply.
	// Nil means that nothing slows anything.
	Slow func(program, other string) float64
}

// check says what is wrong with the world: an error of kind invalid.
func (w World) check() error {
	bad := func(format string, a ...any) error {
		return purser.Errorf(purser.KindInvalid, "simulator", format, a...)
	}
	if !whole(w.Round) || w.Round <= 0 {
		return bad("a round lasts whole seconds, not %v", w.Round)
	}
	for i, o := range w.Offers {
		if o.UnitPrice < 0 || !whole(o.Asked, o.Booting, o.Ending) {
			return bad("offer %d, %s: a price is not negative, and delays are whole seconds, not negative", i, o.InstanceType)
		}
	}
	for i, j := range w.Jobs {
		switch {
		case j.Work < 0 || !whole(j.Arrives, j.Fetch, j.Build, j.Start, j.Stop, j.Save):
			return bad("job %d, %s: times are not negative, and all but its work are whole seconds", i, j.Name)
		case i > 0 && j.Arrives < w.Jobs[i-1].Arrives:
			return bad("job %d, %s, arrives before the one that stands in front of it", i, j.Name)
		case !w.fitsSomewhere(j):
			return bad("job %d, %s: no offer holds %v", i, j.Name, j.Amount())
		}
	}
	return nil
}

func (w World) fitsSomewhere(j Job) bool {
	for _, o := range w.Offers {
		if CanRun(j.Needs, o) {
			return true
		}
	}
	return false
}

// CanRun says whether an empty machine of an offer holds a job.
func CanRun(needs purser.Variant, o Offer) bool {
	return Job{Needs: needs}.Amount().Fits(o.Room()) && (needs.Devices == 0 || needs.Accelerator == o.Accelerator)
}

func whole(ds ...time.Duration) bool {
	for _, d := range ds {
		if d < 0 || d%time.Second != 0 {
			return false
		}
	}
	return true
}

// Report is what a run came to.
type Report struct {
	Jobs     int           // that ended
	Cost     purser.Money  // of all machines, each from when it was there to its end
	MeanTime time.Duration // from a job's arrival to its end, over all jobs
	Length   time.Duration // until the last machine was gone
	Machines int           // rented in all
	Held     time.Duration // machine time that was paid
	Moves    int           // jobs that were stopped and started elsewhere
	Rounds   int           // in which the planner was asked
	MostLive int           // jobs at once in a round
}

// String is the report in a line.
func (r Report) String() string {
	return fmt.Sprintf("%d jobs, %s, mean %.3f h, %d machines, %d moves", r.Jobs, r.Cost, r.MeanTime.Hours(), r.Machines, r.Moves)
}
