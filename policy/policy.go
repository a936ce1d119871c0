// Package policy holds decisions over time that are not the optimizer's, as pure
// functions: when a move pays, when an idle machine is let go, how long an offer
// that failed is left alone, which private machine a task goes to, and which jobs
// share a machine although they slow one another. Fleet and simulator are to share
// them, so that what is simulated is what is done; the last is the simulator's alone
// so far.
//
// Nothing here reads a clock; times are arguments. No function fails: each gives
// an answer for any input, and impossible figures get the cautious one (do not
// move, keep the machine).
package policy

import (
	"fmt"
	"time"

	"purser"
)

// MoveRule says what a gain must be for work to be disturbed for it.
//
//	savings share ÷ disrupted share ≥ Threshold
//	and  savings ≥ MinGain  and  savings share ≥ MinShare
//
// The savings share is (before − after) / before; the disrupted share is the part
// of what runs, by price, that would be stopped and started elsewhere. Karpenter's
// balanced consolidation weighs the two the same way. The minimums keep plans that
// differ by rounding or by a small price step from moving anything.
type MoveRule struct {
	Threshold float64      // Defaults to 0.5: to move everything, half must be saved.
	MinGain   purser.Money // Defaults to $1 over the horizon.
	MinShare  float64      // Defaults to 0.05.
}

// DefaultMoveRule is the rule for installations that set none.
func DefaultMoveRule() MoveRule {
	return MoveRule{Threshold: 0.5, MinGain: purser.MoneyOf(1), MinShare: 0.05}
}

// MovePays says whether going from a cost to another over the same horizon is
// worth disturbing a share (0 to 1) of what runs, with the reason as a sentence.
// The cost after includes what the moves themselves cost.
func MovePays(before, after purser.Money, disrupted float64, r MoveRule) (bool, string) {
	gain := before - after
	switch {
	case !(disrupted > 0):
		return false, "nothing would move"
	case before <= 0 || gain <= 0:
		return false, fmt.Sprintf("nothing would be saved: %s now, %s after", before, after)
	case gain < r.MinGain:
		return false, fmt.Sprintf("%s saved is less than the least gain of %s", gain, r.MinGain)
	}
	share := float64(gain) / float64(before)
	if share < r.MinShare {
		return false, fmt.Sprintf("%s saved is %s of the cost, less than the least share of %s", gain, percent(share), percent(r.MinShare))
	}
	disrupted = min(disrupted, 1)
	ratio := share / disrupted
	if ratio < r.Threshold {
		return false, fmt.Sprintf("%s saved (%s) is too little for stopping %s of what runs: %.2f, and %.2f is asked", gain, percent(share), percent(disrupted), ratio, r.Threshold)
	}
	return true, fmt.Sprintf("%s saved (%s) for stopping %s of what runs", gain, percent(share), percent(disrupted))
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Idle says whether a machine that has had no work since a moment is let go. A
// zero since means that it has work.
func Idle(since, now time.Time, grace time.Duration) bool {
	return !since.IsZero() && now.Sub(since) >= grace
}

// IdleGrace is how long a machine without work is kept, for work that follows on.
// A plan is made within seconds of a submission; a machine costs by the second.
const IdleGrace = 15 * time.Second

// CoolDown is how long an offer is left alone after its launch failed so. Capacity
// comes back by itself within minutes; a quota takes a person; a refusal of the
// request or of the account will be refused again.
func CoolDown(kind purser.Kind) time.Duration {
	switch kind {
	case purser.KindNoCapacity, purser.KindQuota:
		return 10 * time.Minute
	case purser.KindInvalid, purser.KindForbidden, purser.KindUnauthorized, purser.KindConflict:
		return time.Hour
	case purser.KindThrottled, purser.KindUnavailable, purser.KindInternal:
		return 2 * time.Minute
	default:
		return 10 * time.Minute
	}
}

// CoolingDown says whether an offer whose launch failed at a time is still left
// alone.
func CoolingDown(kind purser.Kind, failedAt, now time.Time) bool {
	return now.Sub(failedAt) < CoolDown(kind)
}

// Backoff is the pause before the n-th repetition (from 1) of a step that did not
// work: base·2ⁿ⁻¹, at most most.
func Backoff(n int, base, most time.Duration) time.Duration {
	if n < 1 {
		n = 1
	}
	if n > 30 || base<<(n-1) > most || base<<(n-1) <= 0 {
		return most
	}
	return base << (n - 1)
}
