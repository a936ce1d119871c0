package pricing

import (
	"strings"
	"time"

	"purser"
)

// SourceBundled is the Source of the price list that Purser brings along. The
// Source of its rows is this and, after a colon, where the figure is from.
const SourceBundled = "bundled"

// Age is how long before now the offer's price was last seen; 0 for one that is
// said to be seen later than now.
func Age(o purser.Offer, now time.Time) time.Duration { return max(now.Sub(o.ObservedAt), 0) }

// Ageless says whether the offer stays usable however old its price is: the
// bundled list, whose age is shown instead, and private machines.
func Ageless(o purser.Offer) bool {
	return o.Option == purser.Private || o.Source == SourceBundled || strings.HasPrefix(o.Source, SourceBundled+":")
}

// Freshness is the age from which on a price is too old to plan with.
type Freshness struct {
	Spot  time.Duration // 0: spot prices do not age
	Other time.Duration // 0: other prices do not age
}

// DefaultFreshness lets spot prices live for a day, since the slowest spot market
// changes its prices once a day, and other list prices for 30 days.
func DefaultFreshness() Freshness {
	return Freshness{Spot: 24 * time.Hour, Other: 30 * 24 * time.Hour}
}

// Stale says whether the offer's price is too old to plan with at now.
func (f Freshness) Stale(o purser.Offer, now time.Time) bool {
	limit := f.Other
	if o.Option == purser.Spot {
		limit = f.Spot
	}
	return limit > 0 && !Ageless(o) && Age(o, now) > limit
}
