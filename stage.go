package purser

import (
	"fmt"
	"slices"
	"time"
)

// A job's groups may be stages: one begins when those that it names in After have
// succeeded. Together they are a graph without cycles.

// MaxAfter bounds the stages that one waits for.
const MaxAfter = 100

// StageStartUp is what a deadline leaves between two stages: about the time that a
// machine takes from the call to a shell.
const StageStartUp = 3 * time.Minute

// Staged says whether some group of the job waits for another.
func (j Job) Staged() bool {
	return slices.ContainsFunc(j.Groups, func(g TaskGroup) bool { return len(g.After) > 0 })
}

// checkStages finds names that lead nowhere, and cycles.
func (j Job) checkStages() error {
	for i, g := range j.Groups {
		at := fmt.Sprintf("groups[%d].", i)
		if len(g.After) > MaxAfter {
			return fieldError(at+"after", fmt.Sprintf("a stage waits for at most %d others", MaxAfter))
		}
		if !(g.OutputGB >= 0 && g.OutputGB <= maxAmount) {
			return fieldError(at+"output_gb", "a size of data is a number of GB, not negative")
		}
		if g.OutputGB > 0 && g.Kind == Inference {
			return fieldError(at+"output_gb", "a service has no end, and so no output for a later stage")
		}
		for k, name := range g.After {
			before := j.group(name)
			switch {
			case before < 0:
				return fieldError(at+"after", fmt.Sprintf("the job has no group %q to wait for", clip(name)))
			case slices.Contains(g.After[:k], name):
				return fieldError(at+"after", fmt.Sprintf("%q is waited for twice", name))
			case j.Groups[before].Kind == Inference:
				return fieldError(at+"after", fmt.Sprintf("%q serves without an end; nothing can come after it", name))
			}
		}
	}
	if _, loop := j.stageOrder(); loop >= 0 {
		return fieldError(fmt.Sprintf("groups[%d].after", loop), fmt.Sprintf("%q would wait for itself: these stages are a cycle", j.Groups[loop].Name))
	}
	return nil
}

func (j Job) group(name string) int {
	return slices.IndexFunc(j.Groups, func(g TaskGroup) bool { return g.Name == name })
}

// stageOrder lists the groups so that each comes after those that it waits for. loop
// is a group that waits for itself, or -1.
func (j Job) stageOrder() (order []int, loop int) {
	const seen, done = 1, 2
	state := make([]int, len(j.Groups))
	var visit func(i int) int
	visit = func(i int) int {
		switch state[i] {
		case done:
			return -1
		case seen:
			return i
		}
		state[i] = seen
		for _, name := range j.Groups[i].After {
			if before := j.group(name); before >= 0 {
				if l := visit(before); l >= 0 {
					return l
				}
			}
		}
		state[i] = done
		order = append(order, i)
		return -1
	}
	for i := range j.Groups {
		if l := visit(i); l >= 0 {
			return nil, l
		}
	}
	return order, -1
}

// LatestEnds is, for each group, when it has to end so that the deadlines of those
// that come after it can still be kept: each of these takes its least run time, with
// StageStartUp before it. The zero time: no deadline is in the way.
func (j Job) LatestEnds() []time.Time {
	order, _ := j.stageOrder()
	out := make([]time.Time, len(j.Groups))
	for i, g := range j.Groups {
		out[i] = g.Deadline
	}
	for _, i := range slices.Backward(order) {
		if out[i].IsZero() {
			continue
		}
		begin := out[i].Add(-j.Groups[i].LeastRunTime() - StageStartUp)
		for _, name := range j.Groups[i].After {
			if b := j.group(name); b >= 0 && (out[b].IsZero() || begin.Before(out[b])) {
				out[b] = begin
			}
		}
	}
	return out
}

// LeastRunTime is how long a replica of the group runs in the fastest of its ways.
func (g TaskGroup) LeastRunTime() time.Duration {
	least := time.Duration(-1)
	for _, w := range g.Ways() {
		sized := g
		if g.Varies() {
			sized = g.Sized(w.Copies)
		}
		if t := sized.RunTimeOn(g.Variants[w.Variant]); least < 0 || t < least {
			least = t
		}
	}
	return max(least, 0)
}

// Egress is what it costs that one replica of the group reads its data on a machine
// of the offer: its own, and what earlier stages have left; and what it exchanges with
// an aggregator.
func (g TaskGroup) Egress(o Offer) Money {
	total := g.Data.Egress(o) + g.Exchange.Egress(o)
	for _, d := range g.Inputs {
		total += d.Egress(o)
	}
	return total
}
