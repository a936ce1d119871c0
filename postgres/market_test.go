package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"purser"
)

// at is so many hours after start.
func at(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }

// told is the history of an offer in short: 5@1 for 5 $/h from hour 1 on, x@2 for gone.
func told(t *testing.T, db *DB, o purser.Offer) string {
	t.Helper()
	var out []string
	for _, p := range must(db.PriceHistory(t.Context(), o.ID(), time.Time{}, time.Time{}))(t) {
		s := fmt.Sprintf("%g@%g", p.UnitPrice.USD(), p.From.Sub(start).Hours())
		if p.Gone {
			s = fmt.Sprintf("x@%g", p.From.Sub(start).Hours())
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestHistoryKnowsWhenAnOfferWasGone(t *testing.T) {
	db, _ := fresh(t)
	o, other := offer(purser.Spot), numbered(5)
	save := func(hour float64, offers ...purser.Offer) PriceReport {
		t.Helper()
		for i := range offers {
			offers[i].ObservedAt, offers[i].ValidFrom = at(hour), time.Time{}
		}
		return must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at(hour), Offers: append(offers, slices.Clone(other)...), Full: true}))(t)
	}
	for i := range other {
		other[i].ObservedAt = at(100)
	}
	o.UnitPrice = 5e9
	save(1, o)
	if r := save(2); r.Gone != 1 {
		t.Fatalf("%+v", r)
	}
	save(3)
	if got := told(t, db, o); got != "5@1 x@2" {
		t.Errorf("gone once: %s", got)
	}
	if r := save(4, o); r.Changed != 1 {
		t.Errorf("back at the same price: %+v", r)
	}
	if got := told(t, db, o); got != "5@1 x@2 5@4" {
		t.Errorf("back: %s", got)
	}
	for hour, want := range map[float64]int{0.5: 0, 1.5: 1, 2.5: 0, 4: 1} {
		if got := must(db.Offers(t.Context(), OfferFilter{AsOf: at(hour), Option: purser.Spot}))(t); len(got) != want {
			t.Errorf("as of hour %g: %+v", hour, got)
		}
	}
}

// A region is taken whole by itself: what another region's batch lacks is nobody's loss.
func TestPricesByRegion(t *testing.T) {
	db, _ := fresh(t)
	offers := func(region string, n int) []purser.Offer {
		list := numbered(n)
		for i := range list {
			list[i].Region, list[i].ObservedAt = region, time.Time{}
		}
		return list
	}
	save := func(region string, hour float64, list []purser.Offer) PriceReport {
		t.Helper()
		return must(db.SavePrices(t.Context(), PriceBatch{Source: "aws", Region: region, At: at(hour), Offers: list, Full: true}))(t)
	}
	save("us-east-1", 1, offers("us-east-1", 10))
	save("eu-west-1", 1, offers("eu-west-1", 10))
	if r := save("us-east-1", 2, offers("us-east-1", 8)); r.Gone != 2 || r.Alarm != "" {
		t.Errorf("two of ten: %+v", r)
	}
	if r := save("eu-west-1", 2, offers("eu-west-1", 3)); r.Gone != 0 || r.Alarm == "" {
		t.Errorf("seven of ten: %+v", r)
	}
	if n := len(must(db.Offers(t.Context(), OfferFilter{}))(t)); n != 18 {
		t.Errorf("%d offers", n)
	}
	s := must(db.Sources(t.Context()))(t)
	if len(s) != 1 || s[0].Regions != 2 || s[0].Offers != 18 || !strings.HasPrefix(s[0].Alarm, "eu-west-1: 7 of 10") {
		t.Errorf("sources %+v", s)
	}
	if got := must(db.CollectedAt(t.Context(), "aws", "eu-west-1"))(t); !got.Equal(at(2)) {
		t.Errorf("collected at %s", got)
	}
	if got := must(db.CollectedAt(t.Context(), "aws", "elsewhere"))(t); !got.IsZero() {
		t.Errorf("never collected, at %s", got)
	}
}

func TestSuddenFallsAreHeldUntilSeenAgain(t *testing.T) {
	o := offer(purser.Spot)
	save := func(t *testing.T, db *DB, hour float64, price float64, change ...func(*PriceBatch)) PriceReport {
		t.Helper()
		b := PriceBatch{Source: "feed", At: at(hour), Full: true, Offers: []purser.Offer{seen(o, purser.USDPerHourOf(price), at(hour))}}
		for _, c := range change {
			c(&b)
		}
		return must(db.SavePrices(t.Context(), b))(t)
	}
	for name, c := range map[string]struct {
		second, third float64
		at            float64 // hour of the second
		change        func(*PriceBatch)
		want          string
		alarm         string // of the last batch
	}{
		"to a third is no jump":         {second: 4, third: 4, at: 2, want: "12@1 4@2"},
		"below a third, said twice":     {second: 3, third: 3.5, at: 2, want: "12@1 3.5@3"},
		"below a third, said once":      {second: 3, third: 12, at: 2, want: "12@1"},
		"two falls that do not agree":   {second: 3, third: 1, at: 2, want: "12@1", alarm: "1 prices fell"},
		"a rise is taken at once":       {second: 40, third: 40, at: 2, want: "12@1 40@2"},
		"after a week nothing is known": {second: 1, third: 1, at: 200, want: "12@1 1@200"},
		"an operator vouches for it":    {second: 1, third: 1, at: 2, want: "12@1 1@2", change: func(b *PriceBatch) { b.Trusted = true }},
		"an operator has released it": {second: 1, third: 1, at: 2, want: "12@1 1@2", change: func(b *PriceBatch) {
			b.Vouched = map[purser.OfferID]purser.PriceRule{o.ID(): {Offer: o.ID(), Reason: purser.QuarantineFell, High: 2e9, Until: at(999)}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := fresh(t)
			var changes []func(*PriceBatch)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			save(t, db, 1, 12)
			save(t, db, c.at, c.second, changes...)
			r := save(t, db, c.at+1, c.third, changes...)
			if got := told(t, db, o); got != c.want || !strings.Contains(r.Alarm, c.alarm) || (r.Alarm == "") != (c.alarm == "") {
				t.Errorf("%s, want %s; alarm %q, want %q", got, c.want, r.Alarm, c.alarm)
			}
			held := must(db.Quarantine(t.Context(), QuarantineFilter{}))(t)
			if (len(held) == 1) != (c.alarm != "") {
				t.Errorf("in quarantine: %+v", held)
			}
			// What is held back is not gone, and still costs what it did.
			if now := must(db.Offers(t.Context(), OfferFilter{}))(t); len(now) != 1 {
				t.Errorf("offers %+v", now)
			}
		})
	}
	t.Run("a rise is an alarm", func(t *testing.T) {
		db, _ := fresh(t)
		save(t, db, 1, 12)
		if r := save(t, db, 2, 37); !strings.Contains(r.Alarm, "1 prices rose") {
			t.Errorf("%+v", r)
		}
	})
}

func TestPastPricesFillTheHistory(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.Spot)
	past := func(pairs ...float64) (list []purser.PastPrice) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, purser.PastPrice{Offer: o.ID(), From: at(pairs[i]), UnitPrice: purser.USDPerHourOf(pairs[i+1]), Gone: pairs[i+1] == 0})
		}
		return list
	}
	save := func(hour, price float64, list []purser.PastPrice) PriceReport {
		t.Helper()
		return must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at(hour), Offers: []purser.Offer{seen(o, purser.USDPerHourOf(price), at(hour))}, Past: list, Full: true}))(t)
	}
	unknown := purser.PastPrice{Offer: "aws/nowhere/-/nothing/spot", From: at(1), UnitPrice: 1e9}
	r := save(10, 5, append(past(4, 3, 2, 2, 3, 2, 6, 0, 8, 4, 99, 1), unknown))
	if got := told(t, db, o); got != "2@2 3@4 x@6 4@8 5@10" || r.Past != 4 {
		t.Errorf("%s; %+v", got, r)
	}
	// The same again, with one more in between and one that repeats what was in force.
	r = save(20, 6, past(5, 3, 4, 3, 9, 7, 8, 4, 15, 5.5))
	if got := told(t, db, o); got != "2@2 3@4 x@6 4@8 7@9 5@10 5.5@15 6@20" || r.Past != 2 {
		t.Errorf("%s; %+v", got, r)
	}
	if got := must(db.Offers(t.Context(), OfferFilter{}))(t); len(got) != 1 || got[0].UnitPrice != 6e9 {
		t.Errorf("now %+v", got)
	}
}

func TestSignals(t *testing.T) {
	db, _ := fresh(t)
	band := func(zone string, high float64) purser.Signal {
		return purser.Signal{
			Provider: "aws", Region: "us-east-1", Zone: zone, InstanceType: "p5.48xlarge", Option: purser.Spot, Kind: purser.SignalInterruption, High: high, Detail: "<5% a month",
		}
	}
	save := func(source string, hour float64, list ...purser.Signal) {
		t.Helper()
		must(db.SavePrices(t.Context(), PriceBatch{Source: source, Region: "us-east-1", At: at(hour), Signals: list, Full: true}))(t)
	}
	save("one", 1, band("", 0.1), band("a", 0.2), band("a", 0.9))
	save("two", 1, band("", 0.3))
	available := band("", 0.9)
	available.Kind = purser.SignalAvailability
	save("one", 2, band("", 0.4), available)
	save("one", 3) // it could not be asked for any
	got := must(db.Signals(t.Context(), "aws", "", ""))(t)
	if len(got) != 3 || got[0].Kind != purser.SignalAvailability || got[1].High != 0.4 || got[1].Source != "one" || !got[1].ObservedAt.Equal(at(2)) || got[2].High != 0.3 {
		t.Errorf("%+v", got)
	}
	if got := must(db.Signals(t.Context(), "gcp", "", ""))(t); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPriceRules(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.Spot)
	must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at(1), Offers: []purser.Offer{seen(o, 5e9, at(1))}, Full: true}))(t)
	rule := purser.PriceRule{Offer: o.ID(), Reason: purser.QuarantineByHand, High: 1e12, Until: at(50), Actor: "op", Note: "they bill more", MadeAt: at(2)}
	if err := db.BlockOffer(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	if n := len(must(db.Offers(t.Context(), OfferFilter{}))(t)); n != 0 {
		t.Errorf("%d offers after it was blocked", n)
	}
	if got := told(t, db, o); got != "5@1 x@2" {
		t.Errorf("history %s", got)
	}
	wantKind(t, db.BlockOffer(t.Context(), rule), purser.KindNotFound)
	if got := must(db.Quarantine(t.Context(), QuarantineFilter{Kept: true}))(t); len(got) != 1 || got[0].Reason != purser.QuarantineByHand || !strings.Contains(got[0].Detail, "they bill more") || got[0].Source != "feed" {
		t.Errorf("%+v", got)
	}
	if got := must(db.Quarantine(t.Context(), QuarantineFilter{}))(t); len(got) != 0 {
		t.Errorf("what an operator did is to be reviewed: %+v", got)
	}
	if got := must(db.PriceRules(t.Context(), at(3)))(t); len(got) != 1 || got[0] != rule {
		t.Errorf("%+v", got)
	}
	if got := must(db.PriceRules(t.Context(), at(50)))(t); len(got) != 0 {
		t.Errorf("a rule that has ended: %+v", got)
	}
	if err := db.DropPriceRule(t.Context(), "op", o.ID(), purser.QuarantineByHand); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.DropPriceRule(t.Context(), "op", o.ID(), purser.QuarantineByHand), purser.KindNotFound)
	wantKind(t, db.KeepQuarantined(t.Context(), "op", "feed", o.ID(), purser.QuarantineOutlier, ""), purser.KindNotFound)
	must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: at(4), Offers: []purser.Offer{seen(o, 5e9, at(4))}, Full: true}))(t)
	if got := told(t, db, o); got != "5@1 x@2 5@4" {
		t.Errorf("believed again: %s", got)
	}
}

func TestOneServerHoldsASource(t *testing.T) {
	dsn := migrated(t)
	open := func() *DB {
		db := must(Open(t.Context(), dsn, Options{}))(t)
		t.Cleanup(db.Close)
		return db
	}
	one, two := open(), open()
	release, ok, err := one.HoldSource(t.Context(), "aws")
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, err)
	}
	if _, ok, err := two.HoldSource(t.Context(), "aws"); ok || err != nil {
		t.Errorf("held twice: %v", err)
	}
	if free, ok, err := two.HoldSource(t.Context(), "azure"); !ok || err != nil {
		t.Errorf("another source: %v", err)
	} else {
		free()
	}
	release()
	free, ok, err := two.HoldSource(t.Context(), "aws")
	if !ok || err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	free()
}

func TestCollectionsAreTold(t *testing.T) {
	db, _ := fresh(t)
	source := func() Source {
		t.Helper()
		list := must(db.Sources(t.Context()))(t)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		return list[0]
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(db.CollectionBegins(t.Context(), "aws", at(1)))
	if s := source(); !s.BeganAt.IsZero() {
		t.Errorf("under way, and nobody holds it: %+v", s)
	}
	release, ok, err := db.HoldSource(t.Context(), "aws")
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, err)
	}
	defer release()
	do(db.CollectionGoes(t.Context(), "aws", "3 regions"))
	if s := source(); !s.BeganAt.Equal(at(1)) || s.Progress != "3 regions" || !s.EndedAt.IsZero() {
		t.Errorf("under way: %+v", s)
	}
	denied := purser.Errorf(purser.KindForbidden, "x", "ec2:DescribeRegions is not allowed")
	do(db.CollectionEnds(t.Context(), "aws", "", at(2), denied))
	do(db.CollectionEnds(t.Context(), "aws", "3 regions", at(3), denied))
	if s := source(); s.Failures != 2 || s.LastError != denied.Error() || s.ErrorKind != "forbidden" || !s.FailedAt.Equal(at(3)) || !s.BeganAt.IsZero() || !s.EndedAt.Equal(at(3)) {
		t.Errorf("failed twice: %+v", s)
	}
	do(db.CollectionEnds(t.Context(), "aws", "4 regions", at(4), nil))
	if s := source(); s.Failures != 0 || s.LastError != "" || s.ErrorKind != "" || !s.FailedAt.IsZero() || s.Progress != "4 regions" {
		t.Errorf("well again: %+v", s)
	}
}

func TestDaysAndMonths(t *testing.T) {
	db, _ := fresh(t)
	day := func(n int, hour float64) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n).Add(time.Duration(hour * float64(time.Hour)))
	}
	o, steady := offer(purser.Spot), numbered(1)[0]
	past := func(o purser.Offer, n int, hour, price float64) purser.PastPrice {
		return purser.PastPrice{Offer: o.ID(), From: day(n, hour), UnitPrice: purser.USDPerHourOf(price), Gone: price == 0}
	}
	save := func(list ...purser.PastPrice) {
		t.Helper()
		now := seen(o, 9e9, day(70, 0))
		must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: day(70, 0), Offers: []purser.Offer{now, seen(steady, 1e9, day(70, 0))}, Past: list}))(t)
	}
	save(past(o, 0, 6, 4), past(o, 0, 18, 8), past(o, 1, 12, 0), past(o, 3, 0, 2), past(o, 40, 0, 3), past(steady, 0, 0, 1))
	keep := func(since time.Time) KeptPrices {
		t.Helper()
		return must(db.KeepPrices(t.Context(), day(71, 0), since))(t)
	}
	if got := keep(day(0, 0)); got.Days != 71 || got.Dropped != 0 || got.Stray != 0 {
		t.Errorf("first: %+v", got)
	}
	if got := keep(day(0, 0)); got.Days != 0 {
		t.Errorf("again: %+v", got)
	}
	told := func() string {
		t.Helper()
		var out []string
		for _, d := range must(db.PriceDays(t.Context(), OfferFilter{ID: o.ID()}, day(0, 0), day(100, 0)))(t) {
			out = append(out, fmt.Sprintf("%d:%g-%g~%g>%g(%gh)", int(d.Day.Sub(day(0, 0)).Hours()/24), d.Low.USD(), d.High.USD(), d.Mean.USD(), d.Last.USD(), float64(d.Seconds)/3600))
		}
		return strings.Join(out, " ")
	}
	// Day 0: 4 $ for 12 h, 8 $ for 6 h; day 1: 8 $ until noon, then gone.
	want := "0:4-8~5.333333333>8(18h) 1:8-8~8>0(12h) 3:2-2~2>2(24h) 40:3-3~3>3(24h) 70:9-9~9>9(24h)"
	if got := told(); got != want {
		t.Errorf("days\n%s, want\n%s", got, want)
	}
	// What is filled in later is rolled up anew.
	save(past(o, 2, 12, 6))
	keep(day(0, 0))
	want = "0:4-8~5.333333333>8(18h) 1:8-8~8>0(12h) 2:6-6~6>6(12h) 3:2-2~2>2(24h) 40:3-3~3>3(24h) 70:9-9~9>9(24h)"
	if got := told(); got != want {
		t.Errorf("days\n%s, want\n%s", got, want)
	}
	// January goes; what was in force at its end is carried to February.
	if got := keep(day(45, 0)); got.Dropped != 1 {
		t.Errorf("dropped: %+v", got)
	}
	var points []string
	for _, p := range must(db.PriceHistory(t.Context(), o.ID(), time.Time{}, time.Time{}))(t) {
		points = append(points, fmt.Sprintf("%g@%g", p.UnitPrice.USD(), p.From.Sub(day(0, 0)).Hours()/24))
	}
	if got := strings.Join(points, " "); got != "2@31 3@40 9@70" { // 31: the 1st of February
		t.Errorf("points %s", got)
	}
	if got := must(db.Offers(t.Context(), OfferFilter{AsOf: day(35, 0)}))(t); len(got) != 2 {
		t.Errorf("as of day 35: %+v", got)
	}
	if got := told(); got != want {
		t.Errorf("days went with the points: %s", got)
	}
	many := must(db.PricePoints(t.Context(), OfferFilter{ID: o.ID()}, day(41, 0), day(60, 0)))(t)
	if len(many) != 1 || len(many[o.ID()]) != 1 || many[o.ID()][0].UnitPrice != 3e9 {
		t.Errorf("points of many: %+v", many)
	}
	// A gap of months is crossed at once, and no point is left without a month.
	far := time.Date(2026, 10, 15, 0, 0, 0, 0, time.UTC)
	if got := must(db.KeepPrices(t.Context(), day(71, 0), far))(t); got.Dropped == 0 || got.Stray != 0 {
		t.Errorf("all are old: %+v", got)
	}
	if got := told(); got != want {
		t.Errorf("days went with the points: %s", got)
	}
	left := must(db.PriceHistory(t.Context(), o.ID(), time.Time{}, time.Time{}))(t)
	if len(left) != 1 || left[0].UnitPrice != 9e9 || !left[0].From.Equal(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("carried over the gap: %+v", left)
	}
}

// The catalogue as of any time is what the histories say, and the days say what the
// points do.
func TestAsOfAndDaysAgreeWithPoints(t *testing.T) {
	dsn := migrated(t)
	db := must(Open(t.Context(), dsn, Options{}))(t)
	defer db.Close()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		list := numbered(3)
		from := time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)
		var past []purser.PastPrice
		truth := map[purser.OfferID]map[int]float64{} // by hour; 0: gone
		for i := range list {
			list[i].InstanceType = fmt.Sprintf("case%d-%d", n, i)
			list[i].ObservedAt = from.AddDate(0, 0, 150)
			truth[list[i].ID()] = map[int]float64{}
			for range rapid.IntRange(0, 8).Draw(rt, "points") {
				hour, price := rapid.IntRange(0, 24*120).Draw(rt, "hour"), float64(rapid.IntRange(0, 3).Draw(rt, "price"))
				if _, ok := truth[list[i].ID()][hour]; ok {
					continue
				}
				truth[list[i].ID()][hour] = price
				past = append(past, purser.PastPrice{Offer: list[i].ID(), From: from.Add(time.Duration(hour) * time.Hour), UnitPrice: purser.USDPerHourOf(price), Gone: price == 0})
			}
		}
		must(db.SavePrices(t.Context(), PriceBatch{Source: fmt.Sprint("feed", n), At: from.AddDate(0, 0, 150), Offers: list, Past: past}))(t)
		inForce := func(id purser.OfferID, hour int) float64 {
			for h := hour; h >= 0; h-- {
				if p, ok := truth[id][h]; ok {
					return p
				}
			}
			return 0
		}
		hour := rapid.IntRange(0, 24*130).Draw(rt, "asked")
		got := map[purser.OfferID]float64{}
		for _, o := range must(db.Offers(t.Context(), OfferFilter{AsOf: from.Add(time.Duration(hour) * time.Hour), Source: fmt.Sprint("feed", n)}))(t) {
			got[o.ID()] = o.UnitPrice.USD()
		}
		for id := range truth {
			if want := inForce(id, hour); got[id] != want {
				rt.Fatalf("%s at hour %d: %g, want %g; %v", id, hour, got[id], want, truth[id])
			}
		}
	})
}

func TestAsOfTouchesFewPartitions(t *testing.T) {
	db, _ := fresh(t)
	o := offer(purser.Spot)
	var past []purser.PastPrice
	for m := range 14 {
		past = append(past, purser.PastPrice{Offer: o.ID(), From: start.AddDate(0, -m, -1), UnitPrice: purser.USDPerHour(1e9 + m)})
	}
	must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: start, Offers: []purser.Offer{seen(o, 5e9, start)}, Past: past}))(t)
	plan := strings.Join(must(collect(t.Context(), db.Pool(), pgx.RowTo[string], "explain (analyze, costs off, timing off) "+pricesAsOf, []int32{1}, start.AddDate(0, -6, 0)))(t), "\n")
	scanned, left := 0, 0
	for line := range strings.Lines(plan) {
		if strings.Contains(line, "using price_points_") {
			if strings.Contains(line, "never executed") {
				left++
			} else {
				scanned++
			}
		}
	}
	if scanned < 1 || scanned > 2 || left < 6 {
		t.Errorf("%d partitions are scanned and %d left alone:\n%s", scanned, left, plan)
	}
	if strings.Contains(plan, "price_points_y2026m07") {
		t.Errorf("partitions of later months are not pruned:\n%s", plan)
	}
	// An offer whose price began before needs no point at all.
	plan = strings.Join(must(collect(t.Context(), db.Pool(), pgx.RowTo[string], "explain (analyze, costs off, timing off) "+pricesAsOf, []int32{1}, start.AddDate(0, 0, 1)))(t), "\n")
	for line := range strings.Lines(plan) {
		if strings.Contains(line, "using price_points_") && !strings.Contains(line, "never executed") {
			t.Errorf("a point is looked for of a price that is still in force:\n%s", plan)
			break
		}
	}
}
