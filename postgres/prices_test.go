package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

func seen(o purser.Offer, price purser.USDPerHour, at time.Time) purser.Offer {
	o.UnitPrice, o.ObservedAt, o.ValidFrom = price, at, time.Time{}
	return o
}

func numbered(n int) []purser.Offer {
	out := make([]purser.Offer, n)
	for i := range out {
		out[i] = offer(purser.OnDemand)
		out[i].InstanceType = fmt.Sprintf("type-%06d", i)
		out[i].UnitPrice = purser.USDPerHour(1_000_000_000 + i)
		out[i].ValidFrom = time.Time{}
	}
	return out
}

func TestPricesChangeOnly(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.Spot)
	save := func(price purser.USDPerHour, at time.Time) PriceReport {
		t.Helper()
		return must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at, Offers: []purser.Offer{seen(o, price, at)}}))(t)
	}
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	for _, step := range []struct {
		price purser.USDPerHour
		at    time.Time
		want  PriceReport
	}{
		{5e9, hour(1), PriceReport{Seen: 1, New: 1}},
		{5e9, hour(2), PriceReport{Seen: 1, Unchanged: 1}},
		{6e9, hour(3), PriceReport{Seen: 1, Changed: 1}},
		{9e9, hour(2), PriceReport{Seen: 1, Older: 1}},
		{6e9, hour(3), PriceReport{Seen: 1, Unchanged: 1}}, // the same batch again
		{5e9, hour(4), PriceReport{Seen: 1, Changed: 1}},
	} {
		if got := save(step.price, step.at); got != step.want {
			t.Errorf("%s at %s: %+v, want %+v", step.price, step.at.Format(time.TimeOnly), got, step.want)
		}
	}
	points := must(db.PriceHistory(t.Context(), o.ID(), time.Time{}, time.Time{}))(t)
	want := []purser.PricePoint{
		{From: hour(1), UnitPrice: 5e9, Source: "feed", ObservedAt: hour(1)},
		{From: hour(3), UnitPrice: 6e9, Source: "feed", ObservedAt: hour(3)},
		{From: hour(4), UnitPrice: 5e9, Source: "feed", ObservedAt: hour(4)},
	}
	if !slices.Equal(points, want) {
		t.Errorf("history %+v", points)
	}
	// A part of it begins with the price that was in force.
	if part := must(db.PriceHistory(t.Context(), o.ID(), hour(2), hour(4)))(t); !slices.Equal(part, want[:2]) {
		t.Errorf("from 2 to 4: %+v", part)
	}
	now := must(db.Offers(t.Context(), OfferFilter{}))(t)
	if len(now) != 1 || now[0].UnitPrice != 5e9 || !now[0].ObservedAt.Equal(hour(4)) || !now[0].ValidFrom.Equal(hour(4)) || now[0].Shape != o.Shape {
		t.Errorf("now %+v", now)
	}
	if now[0].ID() != o.ID() {
		t.Errorf("%s came back as %s", o.ID(), now[0].ID())
	}
}

// A price that a feed dates back lies after the point before it; one dated ahead
// begins when it was seen.
// Who said a price first keeps it against an equally new sighting of another
// source, unless the offer has gone meanwhile.
func TestEquallyNewPricesOfAnotherSource(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.OnDemand)
	save := func(source string, price purser.USDPerHour, full bool, offers ...purser.Offer) PriceReport {
		t.Helper()
		for i := range offers {
			offers[i] = seen(offers[i], price, start)
		}
		return must(db.SavePrices(t.Context(), PriceBatch{Source: source, At: start, Offers: offers, Full: full}))(t)
	}
	is := func(source string, price purser.USDPerHour) {
		t.Helper()
		got := must(db.Offers(t.Context(), OfferFilter{}))(t)
		if len(got) != 1 || got[0].Source != source || got[0].UnitPrice != price {
			t.Errorf("%+v, want %s of %s", got, price, source)
		}
	}
	save("first", 5e9, true, o)
	for _, price := range []purser.USDPerHour{5e9, 7e9} {
		if got := save("second", price, true, o); got.Older != 1 || got.Changed+got.Unchanged != 0 {
			t.Errorf("%s: %+v", price, got)
		}
		is("first", 5e9)
	}
	if got := save("first", 6e9, true, o); got.Changed != 1 {
		t.Errorf("the source's own word: %+v", got)
	}
	must(db.Pool().Exec(t.Context(), "update price_now set gone_at = $1", start))(t)
	save("second", 7e9, true, o)
	is("second", 7e9)
}

func TestPricesBegin(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.Spot)
	for i, c := range []struct{ observed, from, want time.Duration }{
		{time.Hour, 30 * time.Minute, 30 * time.Minute},
		{2 * time.Hour, 90 * time.Minute, 90 * time.Minute},
		{3 * time.Hour, time.Hour, 3 * time.Hour}, // before the point at 90 minutes
		{4 * time.Hour, 9 * time.Hour, 4 * time.Hour},
	} {
		o.UnitPrice, o.ObservedAt, o.ValidFrom = purser.USDPerHour(1e9+i), start.Add(c.observed), start.Add(c.from)
		must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: o.ObservedAt, Offers: []purser.Offer{o}}))(t)
		points := must(db.PriceHistory(t.Context(), o.ID(), time.Time{}, time.Time{}))(t)
		if last := points[len(points)-1]; len(points) != i+1 || !last.From.Equal(start.Add(c.want)) || last.UnitPrice != o.UnitPrice {
			t.Errorf("price %d: %+v, want it from %v on", i, points, c.want)
		}
	}
}

func TestPricesThatVanish(t *testing.T) {
	db, _ := fresh(t)
	all := numbered(10)
	private := offer(purser.Private)
	at := start
	save := func(offers []purser.Offer, q []purser.Quarantined, full bool) PriceReport {
		t.Helper()
		at = at.Add(time.Hour)
		for i := range offers {
			offers[i].ObservedAt = at
		}
		return must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at, Offers: offers, Quarantined: q, Full: full}))(t)
	}
	count := func(f OfferFilter) int { return len(must(db.Offers(t.Context(), f))(t)) }
	save(append(slices.Clone(all), private), nil, true)
	must(db.SavePrices(t.Context(), PriceBatch{Source: "other", At: at, Offers: []purser.Offer{offer(purser.Spot)}, Full: true}))(t)
	if r := save(slices.Clone(all[:8]), nil, false); r.Gone != 0 || count(OfferFilter{}) != 12 {
		t.Errorf("a batch that is not full took offers off: %+v", r)
	}
	if r := save(append(slices.Clone(all[:7]), private), nil, true); r.Gone != 3 || r.Alarm != "" || count(OfferFilter{}) != 9 || count(OfferFilter{Gone: true}) != 12 {
		t.Errorf("3 of 10 vanished: %+v", r)
	}
	r := save(slices.Clone(all[:4]), nil, true) // 3 of 7: too many; the private one goes all the same
	if r.Gone != 1 || r.Alarm == "" || count(OfferFilter{}) != 8 {
		t.Errorf("3 of 7 vanished: %+v, %d left", r, count(OfferFilter{}))
	}
	source := func() Source {
		t.Helper()
		sources := must(db.Sources(t.Context()))(t)
		if len(sources) != 2 || sources[0].Name != "feed" {
			t.Fatalf("sources %+v", sources)
		}
		return sources[0]
	}
	if s := source(); !strings.Contains(s.Alarm, "3 of 7") || s.Offers != 7 || !s.LastAt.Equal(at) {
		t.Errorf("source %+v", s)
	}
	// What is in quarantine has not vanished, and comes back when it is believed.
	q := []purser.Quarantined{{Offer: all[0], Reason: purser.QuarantineOutlier, Detail: "a \x00 byte", Place: "f:1"}}
	if r := save(slices.Clone(all[1:9]), q, true); r.Gone != 0 || r.Quarantined != 1 || r.Alarm != "" || count(OfferFilter{}) != 10 {
		t.Errorf("one in quarantine, two back: %+v, %d", r, count(OfferFilter{}))
	}
	if s := source(); s.Alarm != "" || s.Quarantined != 1 || s.Offers != 9 {
		t.Errorf("source %+v", s)
	}
	if got := must(db.Quarantine(t.Context(), QuarantineFilter{Source: "feed"}))(t); len(got) != 1 || got[0].Reason != purser.QuarantineOutlier || got[0].Offer.ID() != all[0].ID() || got[0].Place != "f:1" {
		t.Errorf("quarantine %+v", got)
	}
	save(slices.Clone(all[:9]), nil, false)
	if got := must(db.Quarantine(t.Context(), QuarantineFilter{}))(t); len(got) != 0 {
		t.Errorf("still in quarantine: %+v", got)
	}
	// An older full batch takes nothing off that was seen after it.
	if r := must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start, Offers: []purser.Offer{seen(all[0], 1, start)}, Full: true}))(t); r.Gone != 0 || r.Older != 1 || r.Alarm != "" {
		t.Errorf("an old batch: %+v", r)
	}
}

func TestPricesRefuseWhatCannotBe(t *testing.T) {
	db, _ := fresh(t)
	bad := offer(purser.Spot)
	bad.UnitPrice = 0
	_, err := db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start, Offers: []purser.Offer{offer(purser.OnDemand), bad}, Full: true})
	wantKind(t, err, purser.KindInvalid)
	_, err = db.SavePrices(t.Context(), PriceBatch{Source: "", At: start})
	wantKind(t, err, purser.KindInvalid)
	if n := len(must(db.Offers(t.Context(), OfferFilter{Gone: true}))(t)); n != 0 {
		t.Errorf("%d offers of a refused batch were kept", n)
	}
	odd := offer(purser.OnDemand)
	odd.InstanceType = "nul\x00 and \xff"
	must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start, Offers: []purser.Offer{odd}}))(t)
	// Twice in one batch: the newest sighting, of equals the last.
	a, b, c := seen(offer(purser.Spot), 3e9, start.Add(time.Hour)), seen(offer(purser.Spot), 2e9, start), seen(offer(purser.Spot), 4e9, start.Add(time.Hour))
	if r := must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start, Offers: []purser.Offer{a, b, c}}))(t); r.Seen != 1 || r.New != 1 {
		t.Errorf("three sightings of one offer: %+v", r)
	}
	if got := must(db.Offers(t.Context(), OfferFilter{Option: purser.Spot}))(t); len(got) != 1 || got[0].UnitPrice != 4e9 {
		t.Errorf("%+v", got)
	}
}

func TestOffersFilter(t *testing.T) {
	db, _ := fresh(t)
	a, b, c := offer(purser.OnDemand), offer(purser.Spot), offer(purser.OnDemand)
	b.UnitPrice = 10e9
	c.Provider, c.Region, c.InstanceType, c.Shape = "gcp", "europe-west4", "n2", purser.Shape{MilliCPU: 4000, MemoryMiB: 16384}
	c.UnitPrice = 20e9
	must(db.SavePrices(t.Context(), PriceBatch{Source: "one", At: start, Offers: []purser.Offer{a, b}, Full: true}))(t)
	must(db.SavePrices(t.Context(), PriceBatch{Source: "two", At: start, Offers: []purser.Offer{c}, Full: true}))(t)
	for name, f := range map[string]struct {
		OfferFilter
		want []purser.OfferID
	}{
		"cheapest first": {OfferFilter{Limit: 9}, []purser.OfferID{b.ID(), c.ID(), a.ID()}},
		"provider":       {OfferFilter{Provider: "gcp"}, []purser.OfferID{c.ID()}},
		"region":         {OfferFilter{Region: "us-east-1"}, []purser.OfferID{b.ID(), a.ID()}},
		"accelerators":   {OfferFilter{Accelerators: []string{"H100", "A100-80GB"}}, []purser.OfferID{b.ID(), a.ID()}},
		"option":         {OfferFilter{Option: purser.Spot}, []purser.OfferID{b.ID()}},
		"source":         {OfferFilter{Source: "two"}, []purser.OfferID{c.ID()}},
		"limit":          {OfferFilter{Limit: 1}, []purser.OfferID{b.ID()}},
		"none":           {OfferFilter{Provider: "azure"}, nil},
	} {
		var got []purser.OfferID
		offers := must(db.Offers(t.Context(), f.OfferFilter))(t)
		if f.Limit == 0 {
			slices.SortFunc(offers, func(x, y purser.Offer) int { return cmp.Compare(x.UnitPrice, y.UnitPrice) })
		}
		for _, o := range offers {
			got = append(got, o.ID())
		}
		if !slices.Equal(got, f.want) {
			t.Errorf("%s: %v, want %v", name, got, f.want)
		}
	}
	// The price now is read from price_now; the history is not touched.
	plan := must(collect(t.Context(), db.Pool(), pgx.RowTo[string], "explain "+pricesNow, false))(t)
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "price_now") || strings.Contains(text, "price_points") {
		t.Errorf("the price now is not read from price_now:\n%s", text)
	}
}

// Two feeds at once, each saving many times, lose nothing and do not lock up.
func TestPricesAtOnce(t *testing.T) {
	db, _ := fresh(t)
	done := make(chan error, 4)
	for i := range 4 {
		go func() {
			var err error
			for n := range 5 {
				offers := numbered(200)
				slices.Reverse(offers[:100*(i%2)])
				for k := range offers {
					offers[k].UnitPrice = purser.USDPerHour(1e9 + n)
					offers[k].ObservedAt = start.Add(time.Duration(n) * time.Minute)
				}
				if _, e := db.SavePrices(t.Context(), PriceBatch{Source: fmt.Sprint("feed", i), At: start, Offers: offers, Full: true}); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, o := range must(db.Offers(t.Context(), OfferFilter{}))(t) {
		if o.UnitPrice != 1e9+4 {
			t.Errorf("%s costs %s in the end", o.ID(), o.UnitPrice)
		}
	}
}

func BenchmarkSavePrices100k(b *testing.B) {
	offers := numbered(100_000)
	for _, kind := range []string{"new", "unchanged", "changed"} {
		b.Run(kind, func(b *testing.B) {
			db, _ := fresh(b)
			at := start
			save := func(n int) {
				at = at.Add(time.Hour)
				for i := range offers {
					offers[i].ObservedAt = at
					if kind == "changed" {
						offers[i].UnitPrice = purser.USDPerHour(1e9 + 1e6*n + i)
					}
				}
				must(db.SavePrices(b.Context(), PriceBatch{Source: "feed", At: at, Offers: offers, Full: true}))(b)
			}
			if kind != "new" {
				save(0)
			}
			n := 0
			for b.Loop() {
				if kind == "new" && n > 0 {
					b.StopTimer()
					db, _ = fresh(b)
					b.StartTimer()
				}
				n++
				save(n)
			}
		})
	}
}

// BenchmarkObserve saves 5,000 offers 40 times over, 45 % of them at another price.
func BenchmarkObserve(b *testing.B) {
	offers := numbered(5000)
	db, _ := fresh(b)
	at := start
	rows := 0
	for b.Loop() {
		for range 40 {
			at = at.Add(time.Hour)
			for i := range offers {
				offers[i].ObservedAt = at
				if (i*7+at.Hour()*13)%100 < 45 {
					offers[i].UnitPrice += 1e6
				}
			}
			must(db.SavePrices(b.Context(), PriceBatch{Source: "feed", At: at, Offers: offers, Full: true}))(b)
			rows += len(offers)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
