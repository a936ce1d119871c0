package purser

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Scaling says how much of their speed replicas keep when they work together.
// The zero value: all of it.
type Scaling struct {
	Points        []ScalingPoint `json:"points,omitempty"`        // as measured, by replicas, ascending
	Communication float64        `json:"communication,omitempty"` // share of one replica's time that does not get less by more of them
}

// ScalingPoint is a measured efficiency η(n): n replicas together are n·η(n) times
// as fast as one.
type ScalingPoint struct {
	Replicas   int     `json:"replicas"`
	Efficiency float64 `json:"efficiency"`
}

// Given says whether anything is said of scaling.
func (s Scaling) Given() bool { return len(s.Points) > 0 || s.Communication > 0 }

// Efficiency is η(n) for n replicas, above 0 and at most 1. Between two measured
// points 1/η grows evenly with n, as it does when what replicas tell one another
// grows with their number; one replica has 1 unless it is a point itself, and above
// the last point the speed n·η stays what it is there. With a share c of
// communication it is 1/(1 + c·(n−1)), which is Amdahl's law.
func (s Scaling) Efficiency(n int) float64 {
	if n < 1 {
		return 1
	}
	if len(s.Points) == 0 {
		return 1 / (1 + float64(s.Communication*float64(n-1)))
	}
	before := ScalingPoint{1, 1}
	for _, p := range s.Points {
		if n <= p.Replicas {
			if p.Replicas == before.Replicas || n == p.Replicas {
				return p.Efficiency
			}
			part := float64(n-before.Replicas) / float64(p.Replicas-before.Replicas)
			return 1 / (float64((1-part)/before.Efficiency) + float64(part/p.Efficiency))
		}
		before = p
	}
	return before.Efficiency * float64(before.Replicas) / float64(n)
}

func (s Scaling) check() string {
	if len(s.Points) > 0 && s.Communication > 0 {
		return "scaling is given by points or by a share of communication, not by both"
	}
	if !(s.Communication >= 0 && s.Communication <= 1) {
		return "the share of communication lies between 0 and 1"
	}
	for i, p := range s.Points {
		switch {
		case p.Replicas < 1 || p.Replicas > MaxReplicasPerGroup:
			return "a point of scaling is about a number of replicas"
		case i > 0 && p.Replicas <= s.Points[i-1].Replicas:
			return "points of scaling go from few replicas to many"
		case !(p.Efficiency > 0 && p.Efficiency <= 1):
			return "an efficiency lies above 0 and at most at 1"
		}
	}
	return ""
}

// MaxSizesPerGroup bounds the sizes that a gang can be chosen from.
const MaxSizesPerGroup = 32

// Way is one way to run a gang as a whole: a variant, and how many copies of the
// model train together, each on as many replicas as the variant has stages.
type Way struct {
	Variant  int // index in TaskGroup.Variants
	Copies   int
	Replicas int // copies times stages: what has to be placed
}

// Varies says whether the plan decides how many replicas the group has.
func (g TaskGroup) Varies() bool {
	return g.Kind == Training && (len(g.Sizes) > 0 || slices.ContainsFunc(g.Variants, func(v Variant) bool { return v.Stages > 1 }))
}

// Ways lists the ways to run the group, by variant and then by size.
func (g TaskGroup) Ways() []Way {
	sizes := g.Sizes
	if len(sizes) == 0 {
		sizes = []int{max(g.Replicas, 1)}
	}
	out := make([]Way, 0, len(sizes)*len(g.Variants))
	for i, v := range g.Variants {
		for _, n := range sizes {
			out = append(out, Way{i, n, n * max(v.Stages, 1)})
		}
	}
	return out
}

// StagesOf is how many replicas hold one copy of the model together on a variant.
func (g TaskGroup) StagesOf(variant string) int {
	for _, v := range g.Variants {
		if v.Name == variant {
			return max(v.Stages, 1)
		}
	}
	return 1
}

// LeastReplicas is how many replicas the group has at the least.
func (g TaskGroup) LeastReplicas() int {
	if !g.Varies() {
		return g.Replicas
	}
	return slices.MinFunc(g.Ways(), func(a, b Way) int { return cmp.Compare(a.Replicas, b.Replicas) }).Replicas
}

// MostReplicas is how many replicas the group has at the most.
func (g TaskGroup) MostReplicas() int {
	if !g.Varies() {
		return g.Replicas
	}
	return slices.MaxFunc(g.Ways(), func(a, b Way) int { return cmp.Compare(a.Replicas, b.Replicas) }).Replicas
}

// Sized is the group with so many copies and no other size to choose.
func (g TaskGroup) Sized(copies int) TaskGroup {
	g.Replicas = copies
	if len(g.Sizes) > 0 {
		g.Sizes = []int{copies}
	}
	return g
}

// AsRun is the group in the size that a placed task of it runs in.
func (g TaskGroup) AsRun(t Task) TaskGroup {
	if g.Varies() {
		for _, w := range g.Ways() {
			if w.Replicas == t.World && g.Variants[w.Variant].Name == t.Variant {
				return g.Sized(w.Copies)
			}
		}
	}
	return g
}

// RunTimeOn is how long one replica of the group runs on v. With Work it is
// T = W / (n·θ·η(n)): the work shared by n replicas that keep η(n) of their speed.
// A service has no end: 0.
func (g TaskGroup) RunTimeOn(v Variant) time.Duration {
	if g.Kind == Inference {
		return 0
	}
	if g.Work > 0 && v.Throughput > 0 {
		return time.Duration(math.Ceil(g.hoursOn(v) * float64(time.Hour)))
	}
	return g.RunTime
}

// hoursOn is the run time in hours of a group with work; it may be longer than a
// time.Duration holds.
func (g TaskGroup) hoursOn(v Variant) float64 {
	n := max(g.Replicas, 1)
	h := g.Work / (float64(n) * v.Throughput)
	if g.Scaling.Given() {
		h /= g.Scaling.Efficiency(n)
	}
	return h
}

// RunsLonger says whether a replica runs longer on v than d.
func (g TaskGroup) RunsLonger(v Variant, d time.Duration) bool {
	return g.Kind == Training && g.Work > 0 && v.Throughput > 0 && g.hoursOn(v) > float64(d)/float64(time.Hour)
}

func (g TaskGroup) checkGang(bad func(field, message string) error) error {
	if s := g.Scaling.check(); s != "" {
		return bad("scaling", s)
	}
	if g.Scaling.Given() && g.Work == 0 {
		return bad("scaling", "scaling needs work, and a throughput for each variant")
	}
	if len(g.Sizes) > MaxSizesPerGroup {
		return bad("sizes", fmt.Sprintf("a gang is chosen from at most %d sizes; write a list of those that matter", MaxSizesPerGroup))
	}
	for i, n := range g.Sizes {
		switch {
		case n < 1 || n > MaxReplicasPerGroup:
			return bad("sizes", fmt.Sprintf("the size of a gang lies between 1 and %d", MaxReplicasPerGroup))
		case i > 0 && n <= g.Sizes[i-1]:
			return bad("sizes", "the sizes of a gang go from few replicas to many")
		}
	}
	switch {
	case !g.Varies():
	case len(g.Sizes) > 0 && g.Sizes[0] != g.Replicas:
		return bad("sizes", "the replicas are the least of the sizes")
	case !g.Gang:
		return bad("gang", "replicas in stages, or of several sizes, are a gang: all run, or none")
	case g.Work == 0:
		return bad("work", "a group with stages or several sizes needs work, and a throughput for each variant, in place of a run time")
	case len(g.Ways()) > MaxVariantsPerGroup:
		return bad("sizes", fmt.Sprintf("variants and sizes are more than %d ways to run", MaxVariantsPerGroup))
	case g.MostReplicas() > MaxReplicasPerGroup:
		return bad("sizes", fmt.Sprintf("that may be more than %d replicas", MaxReplicasPerGroup))
	}
	return nil
}

// WorldOf is how many replicas a gang has whose size the plan decides, from its live
// tasks: 0, its size is open, when it waits as a whole. A part that waits alone, since
// the rest runs or has succeeded, waits for the size that the gang has.
func WorldOf(live []Task) int {
	world, waits := 0, true
	for _, t := range live {
		world, waits = max(world, t.World), waits && t.State == TaskQueued
	}
	switch {
	case waits && (world == 0 || len(live) == world):
		return 0
	case world == 0:
		return len(live)
	}
	return world
}
