package gcp

import (
	"fmt"
	"math"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
)

// maxShare is the largest share that is turned into a hazard: 1 would be infinite.
const maxShare = 0.99

// hazard is the number of preemptions per hour at which a share p of machines is
// preempted within a time.
func hazard(p float64, over time.Duration) float64 {
	return -math.Log1p(-min(p, maxShare)) / over.Hours()
}

// interruption is the hazard of the last interval that is over, or of the running one
// where no other is known.
func interruption(p pool, records []*computepb.CapacityHistoryResponsePreemptionRecord, now time.Time) (purser.Signal, bool) {
	var last struct {
		from, to time.Time
		share    float64
		known    bool
	}
	for _, r := range records {
		from, to, err := times(r.GetInterval())
		share := r.GetPreemptionRate()
		if err != nil || r.PreemptionRate == nil || !(share >= 0 && share <= 1) || from.After(now) || to.Sub(from) < time.Hour {
			continue
		}
		over, lastOver := !to.After(now), !last.to.After(now)
		if !last.known || (over && !lastOver) || (over == lastOver && from.After(last.from)) {
			last.from, last.to, last.share, last.known = from, to, share, true
		}
	}
	if !last.known {
		return purser.Signal{}, false
	}
	detail := fmt.Sprintf("%.4g of the spot machines that stopped were preempted, from %s to %s",
		last.share, last.from.Format(time.RFC3339), last.to.Format(time.RFC3339))
	return p.signal(purser.SignalInterruption, hazard(last.share, last.to.Sub(last.from)), detail, now), true
}
