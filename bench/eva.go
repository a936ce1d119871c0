package bench

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"purser"
	"purser/optimizer"
	"purser/optimizer/highs"
)

// RunEva packs Eva's tasks at once on each of its two catalogues, by the baselines and
// by the planner, and gives $/h. The case is E1 (a) of the experiments.
//
// The published figures of "reservation-price greedy", 1,439.63 and 756.01, depend on
// which of equal tasks goes first; the first of the trace gives 1,439.63 and 759.18.
//
// Three bounds are given. The first two use that tasks with devices lie on machines
// with devices: α is the price of one resource of those, of the resource that asks for
// most machines, and β a price for a vCPU and one for a GiB at which no machine without
// devices costs less than it holds. Then no packing costs less than
//
//	Σ_{with devices} α·d + Σ_{others} min(α·d, β·d)
//
// "bound, one resource" has β on vCPUs or memory alone, "bound, linear" the best β. The
// third, "bound", is the planner's own, which holds for every plan.
func RunEva(ctx context.Context, rt *highs.Runtime, dir string, now func() time.Time) ([]Figure, error) {
	var out []Figure
	for _, name := range strings.Fields(evaCatalogues) {
		c, err := readEva(dir, name)
		if err != nil {
			return out, err
		}
		figures, err := c.run(ctx, rt, "E1a "+name, now)
		if err != nil {
			return out, err
		}
		out = append(out, figures...)
	}
	return out, nil
}

// baselines are the packers that the planner is set beside.
func (c *packCase) baselines() []baseline {
	return []baseline{
		{"no packing", c.alone},
		{"first fit decreasing", func() []bin { return c.fitDecreasing(false) }},
		{"best fit decreasing", func() []bin { return c.fitDecreasing(true) }},
		{"Stratus run-time binning", c.stratus},
		{"reservation-price greedy", func() []bin { return c.reservation(false) }},
		{"reservation-price greedy, aligned", func() []bin { return c.reservation(true) }},
	}
}

type baseline struct {
	name string
	pack func() []bin
}

func (c *packCase) run(ctx context.Context, rt *highs.Runtime, name string, now func() time.Time) ([]Figure, error) {
	figure := func(method string, usd float64, began time.Time) Figure {
		return Figure{Case: name, Method: method, Value: usd, Unit: "USD/h", Seconds: now().Sub(began).Seconds()}
	}
	began := now()
	one, linear := c.bounds()
	out := []Figure{figure("bound, one resource", one, began), figure("bound, linear", linear, began)}
	for _, b := range c.baselines() {
		began := now()
		bins := b.pack()
		f := figure(b.name, c.cost(bins).USD(), began)
		if err := c.check(bins); err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		out = append(out, f)
	}
	began = now()
	p, err := optimizer.NewProblem(c.input())
	if err != nil {
		return nil, err
	}
	plan, err := optimizer.Solve(ctx, rt, p, optimizer.Options{})
	if err != nil {
		return nil, err
	}
	ours := figure("ours", plan.Objective.USD(), began)
	if err := optimizer.Check(p, plan); err != nil {
		return nil, err
	}
	return append(out, Figure{Case: name, Method: "bound", Value: plan.Bound.USD(), Unit: "USD/h"}, ours,
		Figure{Case: name, Method: "gap", Value: plan.Gap, Unit: "share"}), nil
}

// input is the case for the planner. It prices one moment: $ per hour of what runs.
func (c *packCase) input() optimizer.Input {
	in := optimizer.Input{Snapshot: true}
	for _, t := range c.types {
		in.Offers = append(in.Offers, t.offer())
	}
	for i, t := range c.tasks {
		v := t.variant()
		id := fmt.Sprintf("task-%d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "eva", Name: id, Groups: []purser.TaskGroup{{
			Name: "main", Kind: purser.Training, Replicas: 1, RunTime: time.Hour, Variants: []purser.Variant{v}, Run: purser.Run{Command: "true"},
		}}})
	}
	return in
}

func (t machineType) offer() purser.Offer {
	o := purser.Offer{
		Provider: "aws", Region: "us-east-1", InstanceType: t.name, Option: purser.OnDemand, UnitPrice: t.price, Limit: purser.Unlimited,
		Shape: purser.Shape{MilliCPU: 1000 * t.room[1], MemoryMiB: 1024 * t.room[2]},
	}
	if t.room[0] > 0 {
		o.Accelerator, o.Devices = evaDevice, purser.MilliDevices(t.room[0])*purser.OneDevice
	}
	return o
}

func (t packTask) variant() purser.Variant {
	v := purser.Variant{Name: evaAny, MilliCPU: 1000 * t.need[1], MemoryMiB: 1024 * t.need[2]}
	if t.need[0] > 0 {
		v.Accelerator, v.Devices = evaDevice, purser.MilliDevices(t.need[0])*purser.OneDevice
	}
	return v
}

// bounds gives the two simple bounds in $/h.
func (c *packCase) bounds() (one, linear float64) {
	return c.boundsOver(func(packTask) float64 { return 1 })
}

// boundsOver counts each task as often as hours says: where that is how long it runs,
// the bounds are in $.
func (c *packCase) boundsOver(hours func(packTask) float64) (one, linear float64) {
	var with [3]float64 // what tasks with devices need together
	for _, t := range c.tasks {
		if t.need[0] > 0 {
			for r, n := range t.need {
				with[r] += hours(t) * float64(n)
			}
		}
	}
	alpha, most := [3]float64{}, 0.0
	for r := range with {
		if a := c.unitPrice(r, true); a*with[r] > most {
			alpha, most = [3]float64{}, a*with[r]
			alpha[r] = a
		}
	}
	for _, beta := range c.vertices() {
		sum := most
		for _, t := range c.tasks {
			if t.need[0] == 0 {
				sum += hours(t) * min(value(alpha, t.need), value(beta, t.need))
			}
		}
		linear = max(linear, sum)
		if beta[1] == 0 || beta[2] == 0 {
			one = max(one, sum)
		}
	}
	return one, linear
}

func value(price [3]float64, a amount) float64 {
	return price[0]*float64(a[0]) + price[1]*float64(a[1]) + price[2]*float64(a[2])
}

// unitPrice is the least price of a unit of a resource, on machines with devices or on
// those without.
func (c *packCase) unitPrice(r int, devices bool) float64 {
	least := math.Inf(1)
	for _, t := range c.types {
		if (t.room[0] > 0) == devices && t.room[r] > 0 {
			least = min(least, t.price.USD()/float64(t.room[r]))
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

// vertices are the prices for a vCPU and a GiB at which no machine without devices
// costs less than it holds, at the corners of what is possible.
func (c *packCase) vertices() [][3]float64 {
	out := [][3]float64{{0, c.unitPrice(1, false), 0}, {0, 0, c.unitPrice(2, false)}}
	for i, a := range c.types {
		for _, b := range c.types[:i] {
			det := float64(a.room[1]*b.room[2] - a.room[2]*b.room[1])
			if a.room[0] > 0 || b.room[0] > 0 || det == 0 {
				continue
			}
			pa, pb := a.price.USD(), b.price.USD()
			beta := [3]float64{0, (pa*float64(b.room[2]) - pb*float64(a.room[2])) / det, (pb*float64(a.room[1]) - pa*float64(b.room[1])) / det}
			if c.affordable(&beta) {
				out = append(out, beta)
			}
		}
	}
	return out
}

// affordable says whether no machine without devices holds more than it costs. What
// is too much by rounding alone is taken off.
func (c *packCase) affordable(beta *[3]float64) bool {
	const rounding = 1e-12
	if min(beta[1], beta[2]) < 0 {
		return false
	}
	for _, t := range c.types {
		if t.room[0] == 0 && value(*beta, t.room) > t.price.USD()*(1+rounding) {
			return false
		}
	}
	for r := range beta {
		beta[r] *= 1 - rounding
	}
	return true
}
