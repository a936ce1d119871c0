package pricing

import (
	"slices"
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

// SourceServerless is the Source of the list of serverless offers that Purser brings
// along.
const SourceServerless = "serverless"

// SourceReserved begins the Source of what an account has bought ahead; the provider
// follows.
const SourceReserved = "reserved:"

// Ageless says whether the offer stays usable however old its price is: the lists that
// come along, whose age is shown instead, and private machines.
func Ageless(o purser.Offer) bool {
	return o.Option == purser.Private || isBundled(o) || o.Source == SourceServerless || strings.HasPrefix(o.Source, SourceServerless+":")
}

// Freshness is the age from which on a price is too old to plan with.
type Freshness struct {
	Spot  time.Duration // 0: spot prices do not age
	Other time.Duration // 0: other prices do not age
	// Sources have an age of their own for all that they say.
	Sources map[string]time.Duration
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
	if own, ok := f.Sources[o.Source]; ok {
		limit = own
	}
	return limit > 0 && !Ageless(o) && Age(o, now) > limit
}

// Plannable are the offers that a plan may rely on:
//
//   - their price is not stale;
//   - a machine can be had for it when it is asked for: capacity that is waited for
//     (flex-start), that has to be bought ahead (capacity blocks) or that is billed by
//     requests (serverless) is shown and not planned with; a block that was bought is;
//   - those of the bundled list only where nothing else knows fresh prices of the provider.
func Plannable(offers []purser.Offer, f Freshness, now time.Time) []purser.Offer {
	out := offers[:0:0]
	live := map[string]bool{}
	for _, o := range offers {
		atOnce := o.Option != purser.FlexStart && (o.Option != purser.CapacityBlock || strings.HasPrefix(o.Source, SourceReserved)) && o.Option != purser.Serverless
		if !atOnce || f.Stale(o, now) {
			continue
		}
		if !isBundled(o) {
			live[o.Provider] = true
		}
		out = append(out, o)
	}
	return slices.DeleteFunc(out, func(o purser.Offer) bool { return isBundled(o) && live[o.Provider] })
}

func isBundled(o purser.Offer) bool {
	return o.Source == SourceBundled || strings.HasPrefix(o.Source, SourceBundled+":")
}
