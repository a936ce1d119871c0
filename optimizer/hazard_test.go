package optimizer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func TestStretchByHand(t *testing.T) {
	every := func(tau, delta, restart time.Duration) purser.Checkpoint {
		return purser.Checkpoint{Path: "x", Every: tau, Cost: delta, Restart: restart}
	}
	for name, c := range map[string]struct {
		t, h           float64
		c              purser.Checkpoint
		expected, sure float64
	}{
		"never taken back":             {10, 0, every(time.Hour, time.Minute, time.Minute), 1, 1},
		"no checkpoints":               {10, 0.1, purser.Checkpoint{}, (math.E - 1) / 1, 1 + 4*(10+1.0/6)/10},
		"none before the end":          {1, 0.1, every(2*time.Hour, time.Minute, 0), math.Expm1(0.1) / 0.1, 1 + 1*(1+1.0/6)/1},
		"every hour for ten":           {10, 0.1, every(time.Hour, 0, 0), math.Expm1(0.1) / 0.1, 1 + 3*(1+1.0/6)/10},
		"a restart of six minutes":     {10, 0.1, every(time.Hour, 0, 6*time.Minute), (10 + 0.1) * math.Expm1(0.1), 1 + 3*(1+0.1+1.0/6)/10},
		"what writing costs is in t":   {10, 1e-9, every(time.Hour, 6*time.Minute, 0), 1, 1},
		"it gets nowhere":              {100, 10, purser.Checkpoint{}, maxStretch, maxStretch},
		"checkpoints as it is best to": {10, 0.02, purser.Checkpoint{Path: "x", Cost: time.Minute}, 1.01307, 0},
	} {
		expected, sure := stretch(c.t, c.h, c.c, 0)
		if math.Abs(expected-c.expected) > 2e-3*c.expected || name != "checkpoints as it is best to" && math.Abs(sure-c.sure) > 1e-9 {
			t.Errorf("%s: %.6f and %.6f, want %.6f and %.6f", name, expected, sure, c.expected, c.sure)
		}
	}
}

// The expected time is what playing many runs gives, and sureShare of them end within the sure time.
func TestStretchAgreesWithPlaying(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	for name, c := range map[string]struct {
		t, h                float64
		tau, delta, restart time.Duration
		path                string
	}{
		"checkpoints":    {12, 0.1, 30 * time.Minute, 2 * time.Minute, 5 * time.Minute, "x"},
		"no checkpoints": {6, 0.1, 0, 0, 0, ""},
		"restless":       {5, 1, 20 * time.Minute, time.Minute, 3 * time.Minute, "x"},
	} {
		ck := purser.Checkpoint{Path: c.path, Every: c.tau, Cost: c.delta, Restart: c.restart}
		expected, sure := stretch(c.t, c.h, ck, 0)
		tau, delta := c.tau.Hours(), c.delta.Hours()
		if c.path == "" {
			tau, delta = c.t, 0
		}
		// The run time includes its checkpoints: there are t/(τ+δ) intervals.
		const runs = 20_000
		total, late := 0.0, 0
		for range runs {
			machine, wall := 0.0, 0.0
			for done := 0.0; done < c.t-1e-9; {
				need := min(tau+delta, c.t-done)
				paused := 0.0
				for {
					until := random.ExpFloat64() / c.h
					if until >= need+paused {
						machine, wall = machine+need+paused, wall+need+paused
						break
					}
					machine, wall = machine+until, wall+until+outage
					paused = c.restart.Hours()
				}
				done += need
			}
			total += machine
			if wall > c.t*sure {
				late++
			}
		}
		mean := total / runs / c.t
		if math.Abs(mean-expected) > 0.03*expected {
			t.Errorf("%s: played runs take %.3f times as long, computed %.3f", name, mean, expected)
		}
		if share := float64(late) / runs; share > 1-sureShare+0.01 {
			t.Errorf("%s: %.1f %% of played runs are late", name, 100*share)
		}
	}
}

func TestStretchLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		run := rapid.Float64Range(0.02, 300).Draw(rt, "hours")
		h := rapid.Float64Range(1e-5, 5).Draw(rt, "hazard")
		c := purser.Checkpoint{
			Path: "x", Every: time.Duration(rapid.IntRange(1, 300).Draw(rt, "every")) * time.Minute, Cost: time.Duration(rapid.IntRange(0, 600).Draw(rt, "cost")) * time.Second,
			Restart: time.Duration(rapid.IntRange(0, 600).Draw(rt, "restart")) * time.Second,
		}
		expected, sure := stretch(run, h, c, 0)
		if expected < 1-1e-12 || sure < 1 || expected > maxStretch || sure > maxStretch {
			rt.Fatalf("%g and %g", expected, sure)
		}
		if more, _ := stretch(run, 2*h, c, 0); more < expected-1e-9 {
			rt.Fatalf("twice the hazard takes less: %g and %g", more, expected)
		}
		best := c
		best.Every = time.Duration(bestInterval(h, c.Cost.Hours()) * float64(time.Hour))
		// Compared by the whole run, writing included, where a checkpoint costs something.
		if whole := func(k purser.Checkpoint) float64 {
			e, _ := stretch(1e4, h, k, 0)
			return e * (1 + k.Cost.Hours()/k.Every.Hours())
		}; c.Cost >= time.Second && best.Every > 0 && whole(best) > whole(c)*(1+1e-6) && whole(c) < maxStretch/2 {
			rt.Fatalf("every %s is better than the best, %s: %g and %g", c.Every, best.Every, whole(c), whole(best))
		}
		ns := int64(run * float64(time.Hour))
		if got := float64(stretched(ns, expected, math.Ceil)) / float64(ns); got < expected-1e-6 || got > expected+1.0/stretchSteps+1e-6 {
			rt.Fatalf("%g is rounded to %g", expected, got)
		}
	})
}

// Spot is not simply its price: a run that loses all it did is cheaper on demand, one that writes checkpoints is not; and a
// deadline that on-demand machines keep may rule spot out.
func TestHazardDecides(t *testing.T) {
	offer := func(option purser.PurchaseOption, price float64) purser.Offer {
		return purser.Offer{
			Provider: "aws", Region: "r", Zone: "a", InstanceType: "m", Option: option, Limit: purser.Unlimited, UnitPrice: purser.USDPerHourOf(price),
			Shape: purser.Shape{Accelerator: "L4", Devices: 1000, DeviceMemoryMiB: 24 << 10, MilliCPU: 8000, MemoryMiB: 32 << 10},
		}
	}
	in := func(c purser.Checkpoint, replicas int, gang bool, deadline time.Duration) Input {
		g := purser.TaskGroup{
			Name: "g", Kind: purser.Training, Replicas: replicas, Gang: gang, RunTime: 20 * time.Hour, Checkpoint: c, Run: purser.Run{Command: "x"},
			Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, MilliCPU: 4000, MemoryMiB: 1024}},
		}
		if deadline > 0 {
			g.Deadline = testNow.Add(deadline)
		}
		return Input{
			Now: testNow, Horizon: 48 * time.Hour, Offers: []purser.Offer{offer(purser.OnDemand, 1), offer(purser.Spot, 0.5)},
			Jobs: []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}},
			Hazard: func(o purser.Offer) float64 {
				if o.Option == purser.Spot {
					return 0.1
				}
				return 0
			},
		}
	}
	often := purser.Checkpoint{Path: "x", Every: 30 * time.Minute, Cost: time.Minute, Restart: time.Minute}
	for name, c := range map[string]struct {
		in   Input
		want purser.PurchaseOption
		most float64 // hours of the lease
	}{
		"checkpoints":                {in(often, 1, false, 0), purser.Spot, 21},
		"none: e² − 1 times as long": {in(purser.Checkpoint{}, 1, false, 0), purser.OnDemand, 20.1},
		"a gang of forty":            {in(often, 40, true, 0), purser.OnDemand, 20.1},
		"a deadline with room":       {in(often, 1, false, 30*time.Hour), purser.Spot, 21},
		"a deadline without":         {in(often, 1, false, 22*time.Hour), purser.OnDemand, 20.1},
	} {
		_, plan := mustSolve(t, t, c.in, Options{})
		if len(plan.Leases) == 0 || plan.Leases[0].Offer.Option != c.want || plan.Leases[0].Duration.Hours() > c.most || plan.Leases[0].Duration < 20*time.Hour {
			t.Errorf("%s: %+v", name, plan.Leases)
		}
	}
}

// Groups that differ in nothing but their checkpoints take unlike times where machines are taken back, and are told apart: planOf's
// check counts each by its own. Data that every start reads makes runs longer, and so do starts after a machine was taken back.
func TestCheckpointsTellGroupsApart(t *testing.T) {
	in := simple(3)
	in.Hazard = func(purser.Offer) float64 { return 0.2 }
	for i := range in.Jobs {
		in.Jobs[i].Groups[0].RunTime = 10 * time.Hour
	}
	in.Jobs[1].Groups[0].Checkpoint = purser.Checkpoint{Path: "x", Every: 20 * time.Minute, Cost: time.Minute, Restart: time.Minute}
	in.Jobs[2].Groups[0].Checkpoint = in.Jobs[1].Groups[0].Checkpoint
	in.Jobs[2].Groups[0].Data = purser.Data{Provider: "aws", Region: "r", SizeGB: 340, Storage: purser.StorageStandard}
	p, plan := mustSolve(t, t, in, Options{})
	if err := Check(p, plan); err != nil {
		t.Fatal(err)
	}
	var took [3]time.Duration
	for _, job := range []int{0, 1, 2} {
		g := &in.Jobs[job].Groups[0]
		_, span := p.spans(g, g.Variants[0], leftSteps, machine{hazard: 0.2, shape: in.Offers[0].Shape})
		took[job] = durationOf(span)
	}
	load := 1000 * time.Second
	if took[0] < 20*time.Hour || took[1] > 12*time.Hour || took[2] < took[1]+load || took[2] > took[1]+4*load {
		t.Errorf("the runs take %v", took)
	}
}
