package optimizer_test

import (
	"testing"
	"time"

	"purser"
	"purser/optimizer"
)

// waiter is a job of one group of replicas on one L4 each that run so long and can wait.
func waiter(name string, replicas int, run, wait time.Duration) purser.Job {
	return purser.Job{ID: purser.JobID(name), Project: "p", Name: name, SubmittedAt: noon, Groups: []purser.TaskGroup{{
		Name: "g", Kind: purser.Training, Replicas: replicas, RunTime: run, CanWait: wait, Run: purser.Run{Command: "x"},
		Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
	}}}
}

func l4(provider string, option purser.PurchaseOption, dollars float64, limit int) purser.Offer {
	return purser.Offer{
		Provider: provider, Region: "r", Zone: "a", InstanceType: "one-l4", Option: option,
		Shape: shapeOf("L4", 1, 4), UnitPrice: purser.USDPerHourOf(dollars), Limit: limit,
	}
}

// busy holds one of an offer's machines with a job on it that has so long to run.
func busy(in optimizer.Input, o purser.Offer, left time.Duration) optimizer.Input {
	j := waiter("busy", 1, left, 0)
	in.Jobs = append(in.Jobs, j)
	in.Held = append(in.Held, optimizer.Held{Lease: purser.Lease{ID: "held", Offer: o, State: purser.LeaseRunning}, Placements: []purser.Placement{
		{Job: j.ID, Group: "g", Replica: 0, Variant: "v", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024},
	}})
	in.KeepPlacements = true
	return in
}

func cents(o purser.Offer, dollars float64) purser.Quota {
	return purser.Quota{Name: "spend", Unit: purser.QuotaCents, Limit: int64(100 * dollars), Provider: o.Provider}
}

func TestWhatWaits(t *testing.T) {
	rt := newSolver(t)
	hall, cloud := l4("hall", purser.Private, 0.1, 0), l4("aws", purser.OnDemand, 4, purser.Unlimited)
	due := func(j purser.Job, in time.Duration) purser.Job {
		j.Groups[0].Deadline = noon.Add(in)
		return j
	}
	gang := func(j purser.Job) purser.Job {
		j.Groups[0].Gang = true
		return j
	}
	two := hall
	two.Limit = 2
	for name, c := range map[string]struct {
		in       optimizer.Input
		now      int           // replicas that begin now, those that run included
		waits    int           // that wait
		start    time.Duration // of the first
		latest   time.Duration
		why      purser.WaitFor
		unplaced int
	}{
		"a private machine becomes free": {
			in:  busy(optimizer.Input{Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{waiter("w", 1, time.Hour, 6*time.Hour)}}, hall, 90*time.Minute),
			now: 1, waits: 1, start: 2 * time.Hour, latest: 6 * time.Hour, why: purser.WaitForMachine,
		},
		"what cannot wait does not": {
			in:  busy(optimizer.Input{Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{waiter("w", 1, time.Hour, 0)}}, hall, 90*time.Minute),
			now: 2,
		},
		"what was submitted long ago waits no more": {
			in: busy(optimizer.Input{Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{func() purser.Job {
				j := waiter("w", 1, time.Hour, 6*time.Hour)
				j.SubmittedAt = noon.Add(-5 * time.Hour)
				return j
			}()}}, hall, 90*time.Minute),
			now: 2,
		},
		"the deadline leaves no time": {
			in:  busy(optimizer.Input{Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{due(waiter("w", 1, time.Hour, 6*time.Hour), 150*time.Minute)}}, hall, 90*time.Minute),
			now: 2,
		},
		"it may wait as long as the cloud would still be in time": {
			in:  busy(optimizer.Input{Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{due(waiter("w", 1, time.Hour, 6*time.Hour), 4*time.Hour)}}, hall, 90*time.Minute),
			now: 1, waits: 1, start: 2 * time.Hour, latest: 3*time.Hour - 8*time.Minute, why: purser.WaitForMachine,
		},
		"two one after the other on one machine": {
			in:  optimizer.Input{Offers: []purser.Offer{l4("hall", purser.Private, 0.1, 1), cloud}, Jobs: []purser.Job{waiter("w", 2, time.Hour, 6*time.Hour)}},
			now: 1, waits: 1, start: time.Hour, latest: 6 * time.Hour, why: purser.WaitForMachine,
		},
		"what must begin goes first": {
			in:  optimizer.Input{Offers: []purser.Offer{l4("hall", purser.Private, 0.1, 1), cloud}, Jobs: []purser.Job{waiter("w", 1, time.Hour, 6*time.Hour), waiter("x", 1, time.Hour, 0)}},
			now: 1, waits: 1, start: time.Hour, latest: 6 * time.Hour, why: purser.WaitForMachine,
		},
		"a quota leaves room for one at a time": {
			in:  optimizer.Input{Offers: []purser.Offer{cloud}, Quotas: []purser.Quota{cents(cloud, 4)}, Jobs: []purser.Job{waiter("w", 2, 50*time.Minute, 6*time.Hour)}},
			now: 1, waits: 1, start: time.Hour, latest: 6 * time.Hour, why: purser.WaitForQuota,
		},
		"a quota that is in use for longer than anything may wait": {
			in:  optimizer.Input{Offers: []purser.Offer{cloud}, Quotas: []purser.Quota{cents(cloud, 4)}, Jobs: []purser.Job{waiter("w", 2, 5*time.Hour, 2*time.Hour)}},
			now: 1, unplaced: 1,
		},
		"a gang waits as a whole": {
			in:  busy(optimizer.Input{Offers: []purser.Offer{func() purser.Offer { o := hall; o.Limit = 1; return o }(), cloud}, Jobs: []purser.Job{gang(waiter("w", 2, time.Hour, 6*time.Hour))}}, hall, 90*time.Minute),
			now: 1, waits: 2, start: 2 * time.Hour, latest: 6 * time.Hour, why: purser.WaitForMachine,
		},
		"nothing waits for what is there": {
			in:  optimizer.Input{Offers: []purser.Offer{two, cloud}, Jobs: []purser.Job{waiter("w", 2, time.Hour, 6*time.Hour)}},
			now: 2,
		},
		"cheaper hours": {
			in: optimizer.Input{Offers: []purser.Offer{cloud}, Jobs: []purser.Job{waiter("w", 1, time.Hour, 6*time.Hour)}, PriceAt: func(o purser.Offer, at time.Time) purser.USDPerHour {
				if at.Before(noon.Add(3 * time.Hour)) {
					return o.UnitPrice
				}
				return o.UnitPrice / 2
			}},
			waits: 1, start: 3 * time.Hour, latest: 6 * time.Hour, why: purser.WaitForPrice,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Now = noon
			_, plan := planOf(t, rt, c.in, littleWork())
			waits := 0
			for _, w := range plan.Waiting {
				waits += w.Replicas
			}
			if plan.Placed() != c.now || waits != c.waits || missing(plan) != c.unplaced {
				t.Fatalf("%d run, %d wait, %d have no place\n%s", plan.Placed(), waits, missing(plan), text(plan))
			}
			if c.unplaced == 0 && plan.Status != purser.PlanOptimal {
				t.Errorf("the plan is %s with a gap of %g", plan.Status, plan.Gap)
			}
			if waits == 0 {
				return
			}
			w := plan.Waiting[0]
			if w.Start != noon.Add(c.start) || w.Latest != noon.Add(c.latest) || w.For != c.why {
				t.Errorf("it waits until %s, at most until %s, for %s\n%s", w.Start, w.Latest, w.For, text(plan))
			}
			if w.Sure != 0 && w.Sure != 0.95 || (w.Sure > 0) != !c.in.Jobs[0].Groups[0].Deadline.IsZero() {
				t.Errorf("it is in time with %g", w.Sure)
			}
		})
	}
}

// What waiting saves is what the cheapest machine now costs more.
func TestWaitingSaysWhatItSaves(t *testing.T) {
	hall, cloud := l4("hall", purser.Private, 0.1, 0), l4("aws", purser.OnDemand, 4, purser.Unlimited)
	in := busy(optimizer.Input{Now: noon, Offers: []purser.Offer{hall, cloud}, Jobs: []purser.Job{waiter("w", 1, time.Hour, 6*time.Hour)}}, hall, 90*time.Minute)
	_, plan := planOf(t, newSolver(t), in, littleWork())
	want := purser.MoneyOf(0.1)
	saves := purser.MoneyOf(4*63.0/60) - want
	if last := optimizer.LastTraining(in, plan); last != 3*time.Hour {
		t.Errorf("the last training ends after %s", last)
	}
	if len(plan.Waiting) != 1 || plan.Waiting[0].Cost != want || plan.Waiting[0].Saves != saves {
		t.Errorf("want a cost of %s and a saving of %s\n%s", want, saves, text(plan))
	}
}

// What runs is never stopped to wait.
func TestWhatRunsDoesNotWait(t *testing.T) {
	cloud := l4("aws", purser.OnDemand, 4, purser.Unlimited)
	in := busy(optimizer.Input{Now: noon, Offers: []purser.Offer{cloud}, PriceAt: func(o purser.Offer, at time.Time) purser.USDPerHour {
		return o.UnitPrice / purser.USDPerHour(1+int(at.Sub(noon)/time.Hour))
	}}, cloud, 2*time.Hour)
	in.Jobs[0].Groups[0].CanWait = 12 * time.Hour
	for _, in.KeepPlacements = range []bool{true, false} {
		_, plan := planOf(t, newSolver(t), in, littleWork())
		if len(plan.Later) > 0 || plan.Placed() != 1 || plan.Leases[0].Held != "held" {
			t.Errorf("keeping placements %t: it does not stay\n%s", in.KeepPlacements, text(plan))
		}
	}
}
