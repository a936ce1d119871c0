package aws

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"purser"
)

// maxHistory is how far back AWS keeps spot prices.
const maxHistory = 90 * 24 * time.Hour

// current is an offer whose price in force is known already.
type current struct {
	id   purser.OfferID
	from time.Time
}

// point is a price from a second on. A region has hundreds of thousands in 90 days,
// so they are kept small until the end.
type point struct {
	at    int64 // Unix seconds
	price purser.USDPerHour
}

// track is the history of a pool, of one product description.
type track struct {
	plain  bool
	points []point
}

// past gives the earlier prices of the offers, as far back as they are wanted.
func (c *spot) past(ctx context.Context, region string, now time.Time, offers map[pool]current) ([]purser.PastPrice, error) {
	if c.api.opt.Since == nil {
		return nil, nil
	}
	since, err := c.api.opt.Since(ctx, SourceSpot, region)
	if err != nil {
		return nil, purser.Wrap(purser.KindUnavailable, opSpot, err)
	}
	if since.IsZero() || !since.Before(now) {
		return nil, nil
	}
	if oldest := now.Add(-maxHistory); since.Before(oldest) {
		since = oldest
	}
	tracks := map[pool]*track{}
	err = c.history(ctx, region, now, since.UTC(), func(p pool, q quote) {
		if offer, ok := offers[p]; ok && q.at.Before(offer.from) {
			if tracks[p] == nil {
				tracks[p] = &track{plain: q.plain}
			}
			tracks[p].add(q)
		}
	})
	if err != nil {
		return nil, err
	}
	var out []purser.PastPrice
	for _, p := range slices.SortedFunc(maps.Keys(tracks), pool.compare) {
		for _, x := range tracks[p].changes() {
			out = append(out, purser.PastPrice{Offer: offers[p].id, From: time.Unix(x.at, 0).UTC(), UnitPrice: x.price})
		}
	}
	return out, nil
}

// add keeps a price that makes sense; a Linux/UNIX one throws out the others.
func (t *track) add(q quote) {
	price, err := purser.ParseUSDPerHour(q.usd)
	if err != nil || price <= 0 || (t.plain && !q.plain) {
		return
	}
	if q.plain && !t.plain {
		t.plain, t.points = true, nil
	}
	t.points = append(t.points, point{q.at.Unix(), price})
}

// changes gives the prices in order of time, each that differs from the one before.
// Of two of the same second the dearer counts.
func (t *track) changes() []point {
	slices.SortFunc(t.points, func(a, b point) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.price, a.price)) })
	kept := slices.CompactFunc(t.points, func(a, b point) bool { return a.at == b.at })
	return slices.CompactFunc(kept, func(a, b point) bool { return a.price == b.price })
}
