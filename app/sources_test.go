package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/pricing"
	"purser/pricing/pricingtest"
	"purser/server"
)

// region is a batch of one offer in a region.
func region(name string, at time.Time, price float64) pricing.Batch {
	o := offer("m", purser.Spot, price)
	o.Region, o.ObservedAt, o.ValidFrom, o.Source = name, at, at, "cloud"
	return pricing.Batch{Source: "cloud", Region: name, ObservedAt: at, Rows: []pricing.Row{{Offer: o, Place: "cloud:" + name}}}
}

func (w *world) sourceNamed(name string) api.Source {
	w.t.Helper()
	list, err := feedsPart{w.App}.Sources(w.t.Context())
	w.must(err)
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("there is no source %s", name)
	return api.Source{}
}

// A region that fails keeps its last good prices, marked old after a while; the
// others go on, and the error and how far it came are there to be read.
func TestASourceThatFailsInPartKeepsItsPrices(t *testing.T) {
	w := newWorld(t)
	f := &pricingtest.Fake{Name: "cloud", Batches: []pricing.Batch{region("us-east-1", w.now(), 5), region("eu-west-1", w.now(), 6)}}
	w.sources = []source{feedOf("cloud", f)}
	w.must(w.collect(t.Context(), w.sources[0]))
	if s := w.sourceNamed("cloud"); s.Offers != 2 || s.Regions != 2 || s.LastError != "" || s.EndedAt == nil || s.BeganAt != nil || s.Progress != "2 regions, 2 offers, 2 new or changed" {
		t.Errorf("at first: %+v", s)
	}
	w.clock.pass(10 * time.Hour)
	f.Batches = []pricing.Batch{region("us-east-1", w.now(), 5.5)}
	f.Err = purser.Errorf(purser.KindUnavailable, "cloud.Collect", "eu-west-1 does not answer")
	if err := w.collect(t.Context(), w.sources[0]); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("got %v", err)
	}
	if s := w.sourceNamed("cloud"); s.Offers != 2 || s.Failures != 1 || s.ErrorKind != "unavailable" || !strings.Contains(s.LastError, "eu-west-1 does not answer") || s.Progress != "1 region, 1 offer, 1 new or changed" {
		t.Errorf("half failed: %+v", s)
	}
	w.clock.pass(20 * time.Hour)
	out, err := pricesPart{w.App}.Offers(t.Context(), server.OfferQuery{Per: "machine", Limit: 9})
	w.must(err)
	if len(out.Offers) != 2 || out.Offers[0].Region != "us-east-1" || out.Offers[0].Stale || !out.Offers[1].Stale {
		t.Errorf("%+v: the price of eu-west-1 is 30 h old, and spot prices live a day", out.Offers)
	}
}

// The server that asks second leaves a source to the one that collects it.
func TestOneServerCollectsASource(t *testing.T) {
	dsn, clock := database1(t), &hand{}
	one, two := newWorldOn(t, dsn, clock, "one"), newWorldOn(t, dsn, clock, "two")
	var inside sync.WaitGroup
	inside.Add(1)
	done := make(chan struct{})
	slow := &pricingtest.Fake{Name: "cloud", Batches: []pricing.Batch{region("us-east-1", one.now(), 5)}, Before: func(_ context.Context, n int) error {
		if n == 0 {
			inside.Done()
			<-done
		}
		return nil
	}}
	var first sync.WaitGroup
	first.Go(func() { one.must(one.collect(t.Context(), feedOf("cloud", slow))) })
	inside.Wait()
	if s := two.sourceNamed("cloud"); s.BeganAt == nil {
		t.Errorf("under way: %+v", s)
	}
	if err := two.collect(t.Context(), feedOf("cloud", slow)); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("the second server: %v", err)
	}
	close(done)
	first.Wait()
	if s := two.sourceNamed("cloud"); s.BeganAt != nil || s.Offers != 1 || s.LastError != "" {
		t.Errorf("afterwards: %+v", s)
	}
}

func TestFailedCollectionsAreTriedAgainLater(t *testing.T) {
	unavailable, refused := purser.Errorf(purser.KindUnavailable, "x", "silent"), purser.Errorf(purser.KindForbidden, "x", "no")
	throttled := &purser.Error{Kind: purser.KindThrottled, Op: "x", RetryAfter: 2 * time.Hour}
	w := &sweep{patient: true}
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if w.later(unavailable, noon); w.again.Sub(noon) != want {
			t.Errorf("failure %d: tried again after %s, want %s", i+1, w.again.Sub(noon), want)
		}
	}
	if w.later(throttled, noon); w.again.Sub(noon) != 2*time.Hour {
		t.Errorf("throttled for two hours: tried again after %s", w.again.Sub(noon))
	}
	if w.later(refused, noon); !w.again.IsZero() {
		t.Error("a refusal is tried again before its time")
	}
	w.later(nil, noon)
	if w.later(unavailable, noon); w.again.Sub(noon) != time.Minute {
		t.Errorf("after a good one the pauses begin anew: %s", w.again.Sub(noon))
	}
	impatient := &sweep{}
	if impatient.later(unavailable, noon); !impatient.again.IsZero() {
		t.Error("a sweep that is not patient is tried again")
	}
}

func TestJitter(t *testing.T) {
	a, b := jitter("installation-1", "aws"), jitter("installation-2", "aws")
	if a == b || a != jitter("installation-1", "aws") || a < 0 || a >= time.Minute || b >= time.Minute {
		t.Errorf("%s, %s", a, b)
	}
	w := &sweep{schedule: mustParse(t, "0 0 * * * *"), jitter: 30 * time.Second, next: noon}
	if _, ok := w.due(noon.Add(29 * time.Second)); ok {
		t.Error("due before its jitter is over")
	}
	if at, ok := w.due(noon.Add(30 * time.Second)); !ok || !at.Equal(noon) {
		t.Errorf("due %t at %s", ok, at)
	}
	if _, ok := (&sweep{}).due(noon); ok {
		t.Error("a source that is not enabled is due")
	}
}

// publicLists serves a region of AWS's public price files and one of Azure's price API,
// and refuses whatever is signed.
func publicLists(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /offers/v1.0/aws/index.json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"offers":{"AmazonEC2":{"currentRegionIndexUrl":"/offers/v1.0/aws/AmazonEC2/current/region_index.json"}}}`)
	})
	mux.HandleFunc("GET /offers/v1.0/aws/AmazonEC2/current/region_index.json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"regions":{"us-east-1":{"regionCode":"us-east-1","currentVersionUrl":"/offers/v1.0/aws/AmazonEC2/20261120/us-east-1/index.json"}}}`)
	})
	mux.HandleFunc("GET /offers/v1.0/aws/AmazonEC2/20261120/us-east-1/index.csv", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "\"FormatVersion\",\"v1.0\"\n\"Disclaimer\",\"x\"\n\"Publication Date\",\"2026-11-20T00:00:00Z\"\n\"Version\",\"1\"\n\"OfferCode\",\"AmazonEC2\"\n"+
			`"SKU","TermType","Unit","PricePerUnit","Currency","Product Family","Instance Type","vCPU","Memory","Tenancy","Operating System","CapacityStatus","GPU","Pre Installed S/W","MarketOption","Region Code"`+"\n"+
			`"A","OnDemand","Hrs","1.0060000000","USD","Compute Instance","g5.xlarge","4","16 GiB","Shared","Linux","Used","1","NA","OnDemand","us-east-1"`+"\n")
	})
	mux.HandleFunc("GET /retail", func(w http.ResponseWriter, _ *http.Request) {
		items := []map[string]any{}
		for sku, usd := range map[string]string{"Standard_NC4as_T4_v3": "0.526", "Standard_NC4as_T4_v3 Spot": "0.0627"} {
			items = append(items, map[string]any{
				"currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": json.Number(usd), "unitPrice": json.Number(usd), "armRegionName": "eastus", "location": "US East",
				"effectiveStartDate": "2020-01-01T00:00:00Z", "meterId": sku, "meterName": sku, "productName": "Virtual Machines NCasT4 v3 Series", "skuName": sku, "serviceName": "Virtual Machines",
				"serviceFamily": "Compute", "unitOfMeasure": "1 Hour", "type": "Consumption", "isPrimaryMeterRegion": true, "armSkuName": "Standard_NC4as_T4_v3",
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"BillingCurrency": "USD", "Items": items, "NextPageLink": nil, "Count": len(items)})
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation.</Message></Error></Errors><RequestID>1</RequestID></Response>`)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// Public lists need no credentials; a source whose credentials do not reach names the
// permission that is missing, and the others go on.
func TestSourcesWithAndWithoutCredentials(t *testing.T) {
	srv := publicLists(t)
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_SUBSCRIPTION_ID", "GOOGLE_CLOUD_PROJECT", "LAMBDA_API_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
	w := newWorld(t)
	w.config.Sources = map[string]SourceConfig{
		"aws-bulk": {URL: srv.URL, Regions: []string{"us-east-1"}}, "azure": {URL: srv.URL + "/retail", Regions: []string{"eastus"}}, "aws-spot": {URL: srv.URL + "/advisor.json", Regions: []string{"us-east-1"}},
	}
	w.sources = sources()
	collect := func(name string) error {
		t.Helper()
		s, err := w.source(name)
		w.must(err)
		return w.collect(t.Context(), s)
	}
	if err := collect("aws-spot"); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("no credentials: %v", err)
	}
	w.must(collect("aws-bulk"))
	w.must(collect("azure"))
	offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{})
	w.must(err)
	got := map[purser.OfferID]string{}
	for _, o := range offers {
		got[o.ID()] = o.UnitPrice.Decimal()
	}
	for id, price := range map[purser.OfferID]string{
		"aws/us-east-1/-/g5.xlarge/on_demand": "1.006", "azure/eastus/-/Standard_NC4as_T4_v3/on_demand": "0.526", "azure/eastus/-/Standard_NC4as_T4_v3/spot": "0.0627",
	} {
		if got[id] != price {
			t.Errorf("%s costs %s, want %s", id, got[id], price)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
	t.Setenv("AWS_ENDPOINT_URL", srv.URL)
	err = collect("aws-spot")
	if purser.KindOf(err) != purser.KindForbidden || !strings.Contains(err.Error(), "ec2:Describe") || strings.Contains(err.Error(), "secret-key") {
		t.Errorf("wrong credentials: %v", err)
	}
	if s := w.sourceNamed("aws-spot"); s.ErrorKind != "forbidden" || !strings.Contains(s.LastError, "ec2:Describe") || !s.Enabled || s.NextAt == nil {
		t.Errorf("%+v", s)
	}
	if s := w.sourceNamed("lambda"); s.Enabled || s.NextAt != nil || s.Says == "" {
		t.Errorf("a source that was not configured: %+v", s)
	}
	if _, err := (feedsPart{w.App}).Collect(t.Context(), "op", "nobody"); purser.KindOf(err) != purser.KindNotFound || !strings.Contains(err.Error(), "aws-bulk") {
		t.Errorf("an unknown source: %v", err)
	}
}

// What an operator releases is believed at once and at later collections; what he
// blocks leaves the plans at once and stays away.
func TestReviews(t *testing.T) {
	w := newWorld(t)
	feeds := feedsPart{w.App}
	batches := func(prices ...float64) []pricing.Batch {
		var out []pricing.Batch
		for i, p := range prices {
			out = append(out, region([]string{"us-east-1", "eu-west-1", "eu-north-1", "ap-south-1"}[i], w.now(), p))
		}
		return out
	}
	f := &pricingtest.Fake{Name: "cloud"}
	w.sources = []source{feedOf("cloud", f)}
	collect := func() {
		t.Helper()
		w.clock.pass(time.Hour)
		f.Batches = batches(5, 6, 5.5, 60)
		w.must(w.collect(t.Context(), w.sources[0]))
	}
	count := func() int {
		t.Helper()
		offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{})
		w.must(err)
		return len(offers)
	}
	collect()
	held, err := feeds.Quarantine(t.Context(), server.QuarantineQuery{Limit: 9})
	w.must(err)
	if len(held) != 1 || held[0].Offer.Region != "ap-south-1" || held[0].Reason != purser.QuarantineOutlier || held[0].Source != "cloud" || count() != 3 {
		t.Fatalf("quarantine %+v, %d offers", held, count())
	}
	dear := held[0].Offer.ID
	w.must(feeds.Keep(t.Context(), "op", api.Review{Offer: dear, Note: "looks wrong"}))
	if left, err := feeds.Quarantine(t.Context(), server.QuarantineQuery{Limit: 9}); err != nil || len(left) != 0 {
		t.Errorf("reviewed: %+v, %v", left, err)
	}
	rule, err := feeds.Release(t.Context(), "op", api.Review{Offer: dear, Days: 2, Note: "the region is dear"})
	w.must(err)
	if rule.Reason != purser.QuarantineOutlier || rule.Low != purser.USDPerHourOf(30) || rule.High != purser.USDPerHourOf(120) || rule.Until.Sub(rule.MadeAt) != 48*time.Hour || count() != 4 {
		t.Errorf("rule %+v, %d offers", rule, count())
	}
	collect()
	if count() != 4 {
		t.Errorf("a released price was held again")
	}
	w.must(feeds.DropRule(t.Context(), "op", dear, purser.QuarantineOutlier))
	collect()
	if held, err = feeds.Quarantine(t.Context(), server.QuarantineQuery{Limit: 9}); err != nil || len(held) != 1 {
		t.Errorf("without the rule: %+v, %v", held, err)
	}
	cheap := purser.OfferID("aws/us-east-1/-/m/spot")
	_, err = feeds.Block(t.Context(), "op", api.Review{Offer: cheap, Note: "they bill more"})
	w.must(err)
	before := count()
	collect()
	offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{ID: cheap})
	w.must(err)
	if len(offers) != 0 || count() != before {
		t.Errorf("blocked: %+v", offers)
	}
	if _, err := feeds.Release(t.Context(), "op", api.Review{Offer: cheap}); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("releasing what was blocked: %v", err)
	}
	if _, err := feeds.Release(t.Context(), "op", api.Review{Offer: "aws/x/-/y/spot"}); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("releasing what is not held: %v", err)
	}
	rules, err := feeds.Rules(t.Context())
	w.must(err)
	if len(rules) != 1 || rules[0].Reason != purser.QuarantineByHand {
		t.Errorf("rules %+v", rules)
	}
}

func TestHazards(t *testing.T) {
	band := func(zone string, low, high float64, at time.Time) purser.Signal {
		return purser.Signal{
			Provider: "aws", Region: "us-east-1", Zone: zone, InstanceType: "p5", Option: purser.Spot, Kind: purser.SignalInterruption, Low: low, High: high,
			Detail: "5-10% a month", Source: "aws-spot", ObservedAt: at,
		}
	}
	run := func(zone string, hoursAgo, hours float64, preempted bool) postgres.SpotRun {
		from := noon.Add(-time.Duration(hoursAgo * float64(time.Hour)))
		return postgres.SpotRun{Provider: "aws", Region: "us-east-1", Zone: zone, InstanceType: "p5", From: from, To: from.Add(time.Duration(hours * float64(time.Hour))), Preempted: preempted}
	}
	got := hazards([]purser.Signal{band("", 0.01, 0.02, noon), band("", 0.5, 0.6, noon.Add(-time.Hour))},
		[]postgres.SpotRun{run("a", 20, 10, true), run("a", 9, 1, true), run("b", 500, 490, false)}, noon)
	if len(got) != 3 || got[0].Zone != "" || got[1].Zone != "a" || got[2].Zone != "b" {
		t.Fatalf("%+v", got)
	}
	whole, restless, calm := got[0], got[1], got[2]
	if whole.Events != 0 || whole.Mean < 0.014 || whole.Mean > 0.016 || whole.Basis != "aws-spot: 5-10% a month" {
		t.Errorf("what the cloud says, newest first: %+v", whole)
	}
	if restless.Mean <= whole.Mean || calm.Mean >= whole.Mean || restless.Events < 1.9 || restless.Basis != whole.Basis || calm.Hours < 300 {
		t.Errorf("what our machines saw: %+v and %+v", restless, calm)
	}
	for _, h := range got {
		if !(h.Low <= h.Mean && h.Mean <= h.High && h.Low > 0) {
			t.Errorf("interval %+v", h)
		}
	}
	if unknown := hazards(nil, []postgres.SpotRun{run("c", 5, 5, false)}, noon); len(unknown) != 1 || unknown[0].Basis != "no band known" {
		t.Errorf("%+v", unknown)
	}
}

func TestHazardOfOffers(t *testing.T) {
	o := func(zone string, option purser.PurchaseOption) purser.Offer {
		x := offer("m", option, 1)
		x.Zone = zone
		return x
	}
	place := o("a", purser.Spot)
	of := hazardOf([]postgres.SpotHazard{
		{Provider: place.Provider, Region: place.Region, Zone: "a", InstanceType: "m", Mean: 0.3}, {Provider: place.Provider, Region: place.Region, InstanceType: "m", Mean: 0.1},
	})
	unknown := o("a", purser.Spot)
	unknown.InstanceType = "other"
	for name, c := range map[string]struct {
		o    purser.Offer
		want float64
	}{
		"its zone": {place, 0.3}, "its region": {o("b", purser.Spot), 0.1}, "nothing known": {unknown, 0.02}, "on demand": {o("a", purser.OnDemand), 0}, "private": {o("a", purser.Private), 0},
	} {
		if got := of(c.o); got < c.want*0.99 || got > c.want*1.01 {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}

// The sweep reads what is stored, stores what comes of it, and the API shows it with
// what the clouds say.
func TestHazardSweep(t *testing.T) {
	w := newWorld(t)
	b := region("us-east-1", w.now(), 5)
	b.Signals = []purser.Signal{{
		Provider: "aws", Region: "us-east-1", InstanceType: "m", Option: purser.Spot, Kind: purser.SignalInterruption, Low: 0.001, High: 0.002, Detail: "<5% a month", Source: "cloud", ObservedAt: b.ObservedAt,
	}}
	w.sources = []source{feedOf("cloud", &pricingtest.Fake{Name: "cloud", Batches: []pricing.Batch{b}})}
	w.must(w.collect(t.Context(), w.sources[0]))
	w.must(w.estimateHazards(t.Context()))
	out, err := pricesPart{w.App}.Hazards(t.Context(), "aws", "", "")
	w.must(err)
	if len(out.Hazards) != 1 || out.Hazards[0].Basis != "cloud: <5% a month" || len(out.Hazards[0].Signals) != 1 || out.Hazards[0].Mean <= 0 {
		t.Errorf("%+v", out)
	}
}

func mustParse(t *testing.T, expr string) cron.Schedule {
	t.Helper()
	s, err := scheduleParser().Parse(expr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
