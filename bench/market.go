package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/postgres"
	"purser/pricing"
	"purser/pricing/csvfile"
)

// Market measures how prices are kept, on real catalogues and a real history, through
// the path that the server uses: a collector's batches, sifted, judged and saved with
// fsync.
//
// The folder has price-catalogs-2024-02/*.csv.gz and aws-spot-history-2023/spot_prices.csv.gz.
type Market struct {
	DB     *postgres.DB
	Dir    string
	Offers int // with devices, that the collector's path observes and the history is filled up for
	Rows   int // observed rows of the collector's path
	Goal   int // points that the history is filled up to
	Now    func() time.Time
	Say    func(string) // progress
}

// catalogueDay is when the six catalogues were taken.
var catalogueDay = time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC)

// changedShare of the observed offers cost something else each time, as in the real
// series.
const changedShare = 0.45

// Run gives the figures in the order in which they were taken.
func (m Market) Run(ctx context.Context) ([]Figure, error) {
	var out []Figure
	for _, step := range []func(context.Context) ([]Figure, error){m.catalogues, m.history, m.collector, m.fill, m.queries} {
		figures, err := step(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, figures...)
	}
	return out, nil
}

func (m Market) catalogues(ctx context.Context) ([]Figure, error) {
	paths, err := filepath.Glob(filepath.Join(m.Dir, "price-catalogs-2024-02", "*.csv.gz"))
	if err != nil || len(paths) == 0 {
		return nil, purser.Errorf(purser.KindNotFound, "bench.Market", "there are no catalogues in %s", m.Dir)
	}
	began := m.Now()
	rows, offers := 0, 0
	for _, path := range paths {
		m.Say("importing " + filepath.Base(path))
		c, err := csvfile.New(csvfile.Options{Path: path, AsOf: catalogueDay})
		if err != nil {
			return nil, err
		}
		intake := pricing.Intake{Save: func(ctx context.Context, b pricing.Batch, s pricing.Sifted) error {
			rows += len(b.Rows)
			offers += len(s.Offers)
			_, err := m.save(ctx, b, s, true)
			return err
		}}
		if err := intake.Collect(ctx, c); err != nil {
			return nil, err
		}
	}
	took := m.Now().Sub(began).Seconds()
	return []Figure{
		{Case: "catalogues", Method: "ours", Value: float64(rows), Unit: "rows", Seconds: took},
		{Case: "catalogues", Method: "ours", Value: float64(rows) / took, Unit: "rows/s"},
		{Case: "catalogues", Method: "ours", Value: float64(offers), Unit: "offers"},
	}, nil
}

func (m Market) save(ctx context.Context, b pricing.Batch, s pricing.Sifted, trusted bool) (postgres.PriceReport, error) {
	return m.DB.SavePrices(ctx, postgres.PriceBatch{
		Source: b.Source, Region: b.Region, At: b.ObservedAt, Offers: s.Offers, Quarantined: s.Quarantined, Past: b.Past, Signals: b.Signals, Full: true, Trusted: trusted,
	})
}

func (m Market) history(ctx context.Context) ([]Figure, error) {
	const name = "spot_prices.csv.gz"
	m.Say("importing ten months of AWS prices")
	began := m.Now()
	content, err := os.ReadFile(filepath.Join(m.Dir, "aws-spot-history-2023", name))
	if err != nil {
		return nil, purser.Errorf(purser.KindNotFound, "bench.Market", "the history cannot be read: %w", err)
	}
	offers, err := m.DB.Offers(ctx, postgres.OfferFilter{Gone: true})
	if err != nil {
		return nil, err
	}
	b, err := csvfile.ReadBatch(ctx, content, name, pricing.ShapesOf(offers), csvfile.Options{})
	if err != nil {
		return nil, err
	}
	r, err := m.save(ctx, b, pricing.Sift(b.Rows), true)
	if err != nil {
		return nil, err
	}
	took := m.Now().Sub(began).Seconds()
	n := float64(len(b.Past) + len(b.Rows))
	return []Figure{
		{Case: "history", Method: "ours", Value: n, Unit: "changes", Seconds: took},
		{Case: "history", Method: "ours", Value: n / took, Unit: "changes/s"},
		{Case: "history", Method: "ours", Value: float64(r.Past), Unit: "new points"},
	}, nil
}

// accelerated are some offers with devices, as the collector's path and the questions
// are about.
func (m Market) accelerated(ctx context.Context) ([]purser.Offer, error) {
	offers, err := m.DB.Offers(ctx, postgres.OfferFilter{Accelerated: true, Gone: true})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(offers, func(a, b purser.Offer) int { return strings.Compare(string(a.ID()), string(b.ID())) })
	if len(offers) < m.Offers || m.Offers < 1 {
		return nil, purser.Errorf(purser.KindInvalid, "bench.Market", "the catalogues have %d offers with devices, and %d are asked about", len(offers), m.Offers)
	}
	return offers[:m.Offers], nil
}

// repeated is a collector that says the same offers again and again, an hour apart,
// some of them at another price.
type repeated struct {
	rows   []pricing.Row
	random *rand.Rand
	at     time.Time
}

func (*repeated) Source() string { return "market" }

func (c *repeated) Collect(_ context.Context, emit func(pricing.Batch) error) error {
	c.at = c.at.Add(time.Hour)
	for i := range c.rows {
		o := &c.rows[i].Offer
		o.ObservedAt = c.at
		if c.random.Float64() < changedShare {
			o.UnitPrice += purser.USDPerHour(1 + c.random.Int64N(1_000_000))
			o.ValidFrom = c.at.Add(-time.Duration(c.random.Int64N(int64(time.Hour))))
		}
	}
	return emit(pricing.Batch{Source: "market", ObservedAt: c.at, Rows: c.rows})
}

func (m Market) collector(ctx context.Context) ([]Figure, error) {
	offers, err := m.accelerated(ctx)
	if err != nil {
		return nil, err
	}
	c := &repeated{random: rand.New(rand.NewPCG(1, 0)), at: catalogueDay.AddDate(0, 1, 0)}
	for _, o := range offers {
		o.Source = "market"
		c.rows = append(c.rows, pricing.Row{Offer: o, Place: "market"})
	}
	m.Say(fmt.Sprintf("observing %d rows", m.Rows))
	seen, changed := 0, 0
	intake := pricing.Intake{Market: pricing.NewMarket(nil), Save: func(ctx context.Context, b pricing.Batch, s pricing.Sifted) error {
		r, err := m.save(ctx, b, s, false)
		seen += r.Seen
		changed += r.New + r.Changed
		return err
	}}
	began := m.Now()
	for seen < m.Rows {
		if err := intake.Collect(ctx, c); err != nil {
			return nil, err
		}
	}
	took := m.Now().Sub(began).Seconds()
	return []Figure{
		{Case: "collector's path", Method: "ours", Value: float64(seen), Unit: "observed rows", Seconds: took},
		{Case: "collector's path", Method: "ours", Value: 100 * float64(changed) / float64(seen), Unit: "% changes"},
		{Case: "collector's path", Method: "ours", Value: float64(seen) / took, Unit: "rows/s"},
	}, nil
}

// fillChunk is how many past prices are saved at once.
const fillChunk = 500_000

// fill adds generated past prices of the offers, over two years, until the history is
// as long as it is to be.
func (m Market) fill(ctx context.Context) ([]Figure, error) {
	size, err := m.DB.PriceSize(ctx)
	if err != nil {
		return nil, err
	}
	offers, err := m.accelerated(ctx)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(2, 0))
	first := catalogueDay.AddDate(0, -13, 0)
	began, added := m.Now(), 0
	need := m.Goal - int(size.Points)
	for part := 0; added < need; part++ {
		// Each part has its own seconds, so that no point meets another.
		each := min(fillChunk, need-added)/len(offers) + 1
		span := 365 * 24 * time.Hour / time.Duration(each)
		past := make([]purser.PastPrice, 0, each*len(offers))
		for _, o := range offers {
			id := o.ID()
			for i := range each {
				at := first.Add(time.Duration(i)*span + time.Duration(random.Int64N(int64(span)))).Truncate(time.Second).Add(time.Duration(part) * time.Millisecond)
				past = append(past, purser.PastPrice{Offer: id, From: at, UnitPrice: o.UnitPrice/2 + purser.USDPerHour(random.Int64N(int64(o.UnitPrice)))})
			}
		}
		r, err := m.DB.SavePrices(ctx, postgres.PriceBatch{Source: "market", At: m.Now(), Past: past})
		if err != nil {
			return nil, err
		}
		added += r.Past
		m.Say(fmt.Sprintf("%d of %d points", int(size.Points)+added, m.Goal))
		if r.Past == 0 {
			return nil, purser.Errorf(purser.KindInternal, "bench.Market", "the history does not grow")
		}
	}
	took := m.Now().Sub(began).Seconds()
	if err := m.DB.Settle(ctx); err != nil {
		return nil, err
	}
	if size, err = m.DB.PriceSize(ctx); err != nil {
		return nil, err
	}
	out := []Figure{
		{Case: "stored", Method: "ours", Value: float64(size.Points), Unit: "points"},
		{Case: "stored", Method: "ours", Value: float64(size.Bytes) / (1 << 30), Unit: "GiB on disk, indexes included"},
		{Case: "stored", Method: "ours", Value: float64(size.Bytes) / float64(max(size.Points, 1)), Unit: "bytes a point"},
	}
	if added > 0 {
		out = append(out, Figure{Case: "filled back", Method: "ours", Value: float64(added) / took, Unit: "points/s", Seconds: took})
	}
	return out, nil
}

// queries asks each question several times; the median counts.
func (m Market) queries(ctx context.Context) ([]Figure, error) {
	m.Say("asking")
	offers, err := m.accelerated(ctx)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(3, 0))
	someTime := func() time.Time {
		return catalogueDay.AddDate(0, -12, 0).Add(time.Duration(random.Int64N(int64(400 * 24 * time.Hour))))
	}
	var out []Figure
	for _, q := range []struct {
		name string
		ask  func() (int, error)
	}{
		{"latest prices of the offers with devices", func() (int, error) {
			list, err := m.DB.Offers(ctx, postgres.OfferFilter{Accelerated: true})
			return len(list), err
		}},
		{"their catalogue as of some time", func() (int, error) {
			list, err := m.DB.Offers(ctx, postgres.OfferFilter{AsOf: someTime(), Accelerated: true})
			return len(list), err
		}},
		{"one offer's history of 90 days", func() (int, error) {
			from := someTime()
			list, err := m.DB.PriceHistory(ctx, offers[random.IntN(len(offers))].ID(), from, from.AddDate(0, 0, 90))
			return len(list), err
		}},
		{"latest prices of all offers, into Go", func() (int, error) {
			list, err := m.DB.Offers(ctx, postgres.OfferFilter{Gone: true})
			return len(list), err
		}},
	} {
		var took []float64
		rows := 0
		for range 21 {
			began := m.Now()
			n, err := q.ask()
			if err != nil {
				return nil, err
			}
			took = append(took, m.Now().Sub(began).Seconds())
			rows = max(rows, n)
		}
		slices.Sort(took)
		out = append(out, Figure{Case: q.name, Method: "ours", Value: 1000 * took[len(took)/2], Unit: fmt.Sprintf("ms (median of 21; %.1f to %.1f; up to %d rows)", 1000*took[0], 1000*took[len(took)-1], rows)})
	}
	return out, nil
}
