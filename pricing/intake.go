package pricing

import (
	"context"
	"time"

	"purser"
)

// Intake takes what collectors emit: each batch is sifted against the market,
// reviewed by the operators' rules, and stored whole, before the next one is asked for.
type Intake struct {
	Market *Market // learns what is believed; nil: batches are only compared with themselves
	Rules  []purser.PriceRule
	// Save stores a batch and what came of its rows, in one transaction. Its error ends
	// the collection.
	Save func(context.Context, Batch, Sifted) error
}

// Collect runs one collection. What was stored before an error stands. Batches without
// a region are parts of one whole, which is stored under the collector's source when all
// of them have come.
func (in Intake) Collect(ctx context.Context, c Collector) error {
	whole := Batch{Source: c.Source()}
	err := c.Collect(ctx, func(b Batch) error {
		if b.Region != "" {
			return in.take(ctx, b)
		}
		whole.Rows, whole.Past, whole.Signals = append(whole.Rows, b.Rows...), append(whole.Past, b.Past...), append(whole.Signals, b.Signals...)
		if b.ObservedAt.After(whole.ObservedAt) {
			whole.ObservedAt = b.ObservedAt
		}
		return nil
	})
	if err != nil || whole.ObservedAt.IsZero() {
		return err
	}
	return in.take(ctx, whole)
}

func (in Intake) take(ctx context.Context, b Batch) error {
	sifted := Review(SiftAmong(b.Rows, in.Market), in.Rules, b.ObservedAt)
	if err := in.Save(ctx, b, sifted); err != nil {
		return err
	}
	in.Market.Put(sifted.Offers)
	return nil
}

// Review applies the operators' rules that hold at a time: a quarantined price that a
// rule covers for its reason becomes an offer, if an offer it can be, and an offer that a
// rule by_hand covers goes to quarantine.
func Review(s Sifted, rules []purser.PriceRule, at time.Time) Sifted {
	if len(rules) == 0 {
		return s
	}
	type key struct {
		offer  purser.OfferID
		reason purser.QuarantineReason
	}
	byKey := make(map[key]purser.PriceRule, len(rules))
	for _, r := range rules {
		byKey[key{r.Offer, r.Reason}] = r
	}
	have := make(map[purser.OfferID]bool, len(s.Offers))
	out := Sifted{Merged: s.Merged}
	for _, o := range s.Offers {
		id := o.ID()
		have[id] = true
		if r, ok := byKey[key{id, purser.QuarantineByHand}]; ok && r.Covers(o, at) {
			detail := "an operator does not believe it"
			if r.Note != "" {
				detail += ": " + r.Note
			}
			out.Quarantined = append(out.Quarantined, Quarantined{Offer: o, Reason: purser.QuarantineByHand, Detail: detail, Place: "rule of " + r.Actor})
			continue
		}
		out.Offers = append(out.Offers, o)
	}
	for _, q := range s.Quarantined {
		id := q.Offer.ID()
		if r, ok := byKey[key{id, q.Reason}]; ok && !have[id] && r.Covers(q.Offer, at) && q.Offer.Check() == nil {
			have[id] = true
			out.Offers = append(out.Offers, q.Offer)
			continue
		}
		out.Quarantined = append(out.Quarantined, q)
	}
	out.sortOffers()
	out.sortQuarantined()
	return out
}
