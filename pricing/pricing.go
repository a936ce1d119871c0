package pricing

import (
	"context"
	"time"

	"purser"
)

// Row is one price as a feed says it, before it can be believed. The collector
// fills the offer as far as the feed goes; Sift fills DeviceMemoryMiB, Country and
// ValidFrom where they are missing.
type Row struct {
	Offer purser.Offer
	Place string // where the feed says it, for the quarantine: file:line or a URL

	// AcceleratorName is the device as the feed wrote it, where the collector did
	// not translate it: Sift looks it up when Offer.Accelerator is empty.
	AcceleratorName string

	// Reason is set by a collector that already knows why the row cannot be
	// believed, such as half of a machine whose other half has no price; Detail
	// then says so in a sentence.
	Reason QuarantineReason
	Detail string
}

// Batch is all that a feed said at one time of one region, or of everything. It is
// stored whole or not at all, and an offer of the source in that region that it does
// not have is gone; so a region that failed half way is not emitted.
type Batch struct {
	Source     string // the Source of every row in it
	Region     string // the Region of every row and signal in it; empty: it is all that the source has
	ObservedAt time.Time
	Rows       []Row
	// Past are earlier prices of the batch's offers, from before the Rows' ones, in
	// any order. A collector that can fill history back gives them; the store knows
	// which are new.
	Past []purser.PastPrice
	// Signals are what the feed says beside prices; Source and ObservedAt are the batch's.
	Signals []purser.Signal
}

// Collector fetches and parses one price feed.
//
// Collect emits the feed's rows in batches and returns once all are emitted.
//   - It may be called again at any time and from several goroutines at once; each
//     call starts anew and, as long as the feed says the same, emits the same rows
//     in the same order.
//   - Every row names provider, region, instance type, option, source and when it
//     was observed, and has a Place. Batch.Source is Source() or begins with it
//     and a colon, and equals the Source of its rows.
//   - A price that the feed does not offer is no row. A price that it offers and
//     that makes no sense is a row: it is Sift's to refuse.
//   - An error of emit ends the call at once and is returned, wrapped or as it is.
//   - When ctx ends, Collect returns soon with ctx's error in the chain.
//   - A feed whose form is broken fails before the first batch where its whole
//     form can be known then (a file). Of a feed that is read region by region, a
//     region that fails is left out, the others are emitted all the same, and the
//     error, returned at the end, names those that failed. When the same refusal
//     would meet every region (credentials, permissions), it ends the call at once.
//   - The result is nil or a *purser.Error, apart from what emit returned. A single
//     request that was throttled or not answered is repeated a few times, with
//     growing pauses; after that, when to call again is the caller's decision, by
//     kind and RetryAfter. An error about permissions names the permission.
type Collector interface {
	Source() string
	Collect(ctx context.Context, emit func(Batch) error) error
}

// Quarantined is a row that cannot be believed, the noun that everybody speaks.
type Quarantined = purser.Quarantined

// QuarantineReason says why a row cannot be believed; the package comment has the
// rules.
type QuarantineReason = purser.QuarantineReason

// QuarantineIncomplete is the reason of a row that does not say all that an offer
// needs, such as a machine whose GPU has no price. The other reasons are purser's.
const QuarantineIncomplete QuarantineReason = "incomplete"

// MaxPrice is the highest price of one machine that can be believed. The dearest
// slice of accelerators on any price list, thousands of TPU chips, costs less
// than 50,000 $/h.
const MaxPrice purser.USDPerHour = 1_000_000 * 1_000_000_000

// Sifted is what Sift makes of rows. Offers are sorted by ID, which is unique
// among them; Quarantined by provider, region, zone, type, option and place.
type Sifted struct {
	Offers      []purser.Offer
	Quarantined []Quarantined
	Merged      int // rows that repeated an offer exactly
}

// Reasons counts the quarantined rows by reason.
func (s Sifted) Reasons() map[QuarantineReason]int {
	out := map[QuarantineReason]int{}
	for _, q := range s.Quarantined {
		out[q.Reason]++
	}
	return out
}

// Collect gathers all rows of one collection of c, for callers that sift a whole
// feed at once, as the rules that compare rows need.
func Collect(ctx context.Context, c Collector) ([]Row, error) {
	var rows []Row
	err := c.Collect(ctx, func(b Batch) error {
		rows = append(rows, b.Rows...)
		return nil
	})
	if err != nil {
		return nil, purser.Wrap(purser.KindUnavailable, "pricing.Collect", err)
	}
	return rows, nil
}
