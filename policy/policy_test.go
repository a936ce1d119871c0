package policy

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func usd(f float64) purser.Money { return purser.MoneyOf(f) }

func TestMovePays(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after float64
		disrupted     float64
		want          bool
		says          string
	}{
		{"half saved, all disturbed", 100, 50, 1, true, "50.0 %"},
		{"a little less than half saved, all disturbed", 100, 51, 1, false, "too little for stopping 100.0 %"},
		{"tenth saved, tenth disturbed", 100, 90, 0.1, true, "$10.00 saved"},
		{"tenth saved, half disturbed", 100, 90, 0.5, false, "0.20, and 0.50 is asked"},
		{"under the least share", 1000, 960, 0.01, false, "least share of 5.0 %"},
		{"under the least gain", 2, 1.5, 0.1, false, "least gain of $1.00"},
		{"nothing moves", 100, 10, 0, false, "nothing would move"},
		{"same cost", 100, 100, 0.1, false, "nothing would be saved"},
		{"dearer", 100, 120, 0.1, false, "nothing would be saved"},
		{"free before", 0, 0, 0.5, false, "nothing would be saved"},
		{"share above one counts as one", 100, 40, 7, true, "100.0 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, reason := MovePays(usd(c.before), usd(c.after), c.disrupted, DefaultMoveRule())
			if got != c.want || !strings.Contains(reason, c.says) {
				t.Errorf("MovePays = %v, %q; want %v with %q", got, reason, c.want, c.says)
			}
		})
	}
}

// Saving more, or disturbing less, never turns a move that pays into one that does
// not; and a move never pays without a gain.
func TestMovePaysIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := MoveRule{Threshold: rapid.Float64Range(0, 3).Draw(t, "threshold"), MinGain: purser.Money(rapid.Int64Range(0, 5e9).Draw(t, "min gain")), MinShare: rapid.Float64Range(0, 1).Draw(t, "min share")}
		before := purser.Money(rapid.Int64Range(0, 1e13).Draw(t, "before"))
		after := purser.Money(rapid.Int64Range(0, 1e13).Draw(t, "after"))
		disrupted := rapid.Float64Range(0, 1.2).Draw(t, "disrupted")
		pays, _ := MovePays(before, after, disrupted, r)
		if pays && after >= before {
			t.Fatalf("a move from %s to %s is said to pay", before, after)
		}
		cheaper := purser.Money(rapid.Int64Range(0, int64(after)).Draw(t, "cheaper"))
		less := rapid.Float64Range(1e-9, 1).Draw(t, "less") * disrupted
		if better, why := MovePays(before, cheaper, less, r); pays && less > 0 && !better {
			t.Fatalf("pays at (%s, %v) but not at (%s, %v): %s", after, disrupted, cheaper, less, why)
		}
	})
}

func TestIdle(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if Idle(time.Time{}, at, IdleGrace) {
		t.Error("a machine with work is idle")
	}
	if Idle(at, at.Add(IdleGrace-1), IdleGrace) || !Idle(at, at.Add(IdleGrace), IdleGrace) {
		t.Error("the grace does not end when it should")
	}
}

func TestCoolDown(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, k := range []purser.Kind{
		purser.KindInvalid, purser.KindNotFound, purser.KindConflict, purser.KindUnauthorized, purser.KindForbidden, purser.KindInfeasible,
		purser.KindNoCapacity, purser.KindQuota, purser.KindThrottled, purser.KindStale, purser.KindUnavailable, purser.KindInternal,
	} {
		if d := CoolDown(k); d <= 0 || !CoolingDown(k, at, at.Add(d-1)) || CoolingDown(k, at, at.Add(d)) {
			t.Errorf("cool-down after %s is %s and does not end there", k, d)
		}
	}
	if CoolDown(purser.KindNoCapacity) != 10*time.Minute {
		t.Error("an offer without capacity is left alone for ten minutes")
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range []time.Duration{1, 1, 2, 4, 8, 10, 10} {
		if got := Backoff(n, time.Second, 10*time.Second); got != want*time.Second {
			t.Errorf("Backoff(%d) = %s, want %s", n, got, want*time.Second)
		}
	}
	if Backoff(1000, time.Second, time.Minute) != time.Minute {
		t.Error("a large n overflows")
	}
}
