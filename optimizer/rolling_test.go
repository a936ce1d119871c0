package optimizer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// rolling plays planning sweeps: each acts on what begins now and plans the rest anew. Runs on private machines take longer than planned.
type rolling struct {
	in    optimizer.Input
	ends  map[purser.LeaseID]time.Time
	began map[string]time.Time // by job and replica
	on    map[string]purser.Offer
	made  int
}

func (r *rolling) name(pl purser.Placement) string { return fmt.Sprintf("%s/%d", pl.Job, pl.Replica) }

// sweep acts on a plan and makes its machines real. late is by how much longer than planned runs take.
func (r *rolling) sweep(plan purser.Plan, late float64) {
	for _, l := range plan.Leases {
		id := l.Held
		if id == "" {
			r.made++
			id = purser.LeaseID(fmt.Sprintf("lease-%04d", r.made))
			r.in.Held = append(r.in.Held, optimizer.Held{Lease: purser.Lease{ID: id, Offer: l.Offer, State: purser.LeaseRunning}})
			r.limit(l.Offer.ID(), -1)
		}
		at := slices.IndexFunc(r.in.Held, func(h optimizer.Held) bool { return h.Lease.ID == id })
		for _, pl := range l.Placements {
			if _, known := r.began[r.name(pl)]; known {
				continue
			}
			r.began[r.name(pl)], r.on[r.name(pl)] = r.in.Now, l.Offer
			r.in.Held[at].Placements = append(r.in.Held[at].Placements, pl)
			run := groupOf(r.in, pl.Job).RunTime
			if end := r.in.Now.Add(time.Duration(float64(run) * late)); end.After(r.ends[id]) {
				r.ends[id] = end
			}
		}
	}
}

func (r *rolling) limit(id purser.OfferID, by int) {
	for k := range r.in.Offers {
		if o := &r.in.Offers[k]; o.ID() == id && o.Limit >= 0 {
			o.Limit += by
		}
	}
}

// pass lets time go on; machines whose work is done are given back.
func (r *rolling) pass(d time.Duration) {
	r.in.Now = r.in.Now.Add(d)
	r.in.Held = slices.DeleteFunc(r.in.Held, func(h optimizer.Held) bool {
		done := !r.ends[h.Lease.ID].After(r.in.Now)
		if done {
			r.limit(h.Lease.Offer.ID(), 1)
		}
		return done
	})
	r.in.Needs = nil
	for _, j := range r.in.Jobs {
		n := optimizer.Need{Job: j.ID, Group: "g", Replicas: []int{}, Left: map[int]float64{}}
		for i := range j.Groups[0].Replicas {
			name := fmt.Sprintf("%s/%d", j.ID, i)
			began, known := r.began[name]
			runs := slices.ContainsFunc(r.in.Held, func(h optimizer.Held) bool {
				return slices.ContainsFunc(h.Placements, func(pl purser.Placement) bool { return r.name(pl) == name })
			})
			if known && !runs {
				continue // it is done
			}
			n.Replicas = append(n.Replicas, i)
			if known {
				n.Left[i] = max(1-r.in.Now.Sub(began).Hours()/j.Groups[0].RunTime.Hours(), 1.0/32)
			}
		}
		r.in.Needs = append(r.in.Needs, n)
	}
}

// Nothing starves, whatever becomes of the machines that are waited for: with an offer that can always be had, everything begins by the time
// that it can wait for, and early enough for its deadline; and something saves by it.
func TestWhatWaitsBeginsInTime(t *testing.T) {
	rt := newSolver(t)
	waited, private := 0, 0
	checkFew(t, 25, func(t *rapid.T) {
		r := &rolling{ends: map[purser.LeaseID]time.Time{}, began: map[string]time.Time{}, on: map[string]purser.Offer{}}
		r.in = optimizer.Input{Now: noon, KeepPlacements: true, Offers: []purser.Offer{
			l4("hall", purser.Private, 0.1, rapid.IntRange(1, 2).Draw(t, "machines of our own")), l4("aws", purser.OnDemand, 4, purser.Unlimited),
		}}
		for i := range rapid.IntRange(2, 5).Draw(t, "jobs") {
			j := waiter(fmt.Sprintf("j%d", i), rapid.IntRange(1, 2).Draw(t, "replicas"), time.Duration(rapid.IntRange(1, 12).Draw(t, "times 20 minutes"))*20*time.Minute,
				time.Duration(rapid.IntRange(0, 8).Draw(t, "half hours"))*30*time.Minute)
			if g := &j.Groups[0]; rapid.Bool().Draw(t, "due") {
				g.Deadline = noon.Add(g.RunTime + 10*time.Minute + time.Duration(rapid.IntRange(0, 12).Draw(t, "quarters"))*15*time.Minute)
			}
			r.in.Jobs = append(r.in.Jobs, j)
		}
		late := rapid.SampledFrom([]float64{0.7, 1, 1.6}).Draw(t, "takes longer")
		step := time.Duration(rapid.IntRange(1, 5).Draw(t, "minutes between sweeps")) * time.Minute
		for sweeps := 0; ; sweeps++ {
			if sweeps > 0 && r.in.Now.Sub(noon) > 5*time.Hour {
				break
			}
			_, plan := planOf(t, rt, r.in, littleWork())
			if missing(plan) > 0 {
				t.Fatalf("%d have no place\n%s\n%s", missing(plan), text(r.in), text(plan))
			}
			waited += len(plan.Waiting)
			r.sweep(plan, late)
			if len(plan.Waiting) == 0 {
				break
			}
			// Nothing happens until a machine is given back or a start time comes.
			next := r.in.Now.Truncate(30 * time.Minute).Add(30 * time.Minute)
			for _, at := range r.ends {
				if at.After(r.in.Now) && at.Before(next) {
					next = at
				}
			}
			r.pass(next.Sub(r.in.Now) + step)
		}
		for _, j := range r.in.Jobs {
			for i := range j.Groups[0].Replicas {
				g, name := j.Groups[0], fmt.Sprintf("%s/%d", j.ID, i)
				at, began := r.began[name]
				if !began || at.After(noon.Add(g.CanWait+step)) {
					t.Fatalf("%s began at %s\n%s", name, at, text(r.in))
				}
				if o := r.on[name]; !g.Deadline.IsZero() && at.Add(optimizer.DefaultStartUp(o)+g.RunTime).After(g.Deadline) {
					t.Fatalf("%s began at %s on %s, too late for its deadline %s\n%s", name, at, o.ID(), g.Deadline, text(r.in))
				}
				if r.on[name].Option == purser.Private {
					private++
				}
			}
		}
	})
	if waited == 0 || private == 0 {
		t.Errorf("%d waited, %d ran on machines of our own", waited, private)
	}
}
