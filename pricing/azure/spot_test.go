package azure_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"purser"
	"purser/pricing"
	"purser/pricing/azure"
)

func history(t *testing.T, o azure.Options) ([]pricing.Batch, error) {
	t.Helper()
	made, err := azure.NewSpotHistory(o)
	return gather(t, collector(t, made, err))
}

func shown(b pricing.Batch) []string {
	var out []string
	for _, p := range b.Past {
		out = append(out, fmt.Sprintf("%s %s %s", p.Offer, p.From.Format("2006-01-02"), p.UnitPrice.Decimal()))
	}
	return out
}

func TestSpotHistoryByTable(t *testing.T) {
	f := catalogueOf()
	f.pageSize = 2
	srv := serve(t, f)
	got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), regions...)))
	if err != nil || len(got) != 2 || len(got[0].Rows) != 0 {
		t.Fatalf("got %+v and %v", got, err)
	}
	same(t, shown(got[0]),
		"azure/eastus/-/Standard_NC24ads_A100_v4/spot 2026-10-01 0.61", "azure/eastus/-/Standard_NC24ads_A100_v4/spot 2026-11-01 0.444433",
		"azure/eastus/-/Standard_NC4as_T4_v3/spot 2026-11-01 0.062699")
	same(t, shown(got[1]), "azure/westus3/-/Standard_NC8ads_A10_v4/spot 2026-09-15 0.275")
	var said []string
	for _, s := range got[0].Signals {
		said = append(said, fmt.Sprintf("%s %.4f..%.4f %s", s.InstanceType, s.Low, s.High, s.Detail))
	}
	same(t, said,
		"Standard_D8s_v5 0.0000..0.0513 0-5 % evicted per hour, last 28 days",
		"Standard_NC24ads_A100_v4 0.0513..0.1054 5-10 % evicted per hour, last 28 days",
		"Standard_NC4as_T4_v3 0.2231..0.6931 20+ % evicted per hour, last 28 days")
}

// Past prices have the ids of the offers that New makes with the same options.
func TestSpotHistoryHasTheOffersIDs(t *testing.T) {
	f := catalogueOf()
	// The SKU cannot be had as a spot machine, whatever the history says.
	f.history = append(f.history, wasSold("westus3", "standard_nd128isr_ndr_gb200_v6", "2026-10-01T00:00:00Z", "30"))
	srv := serve(t, f)
	for name, sign := range map[string]func(azure.Options) azure.Options{"skus": signedIn, "table": func(o azure.Options) azure.Options { return o }} {
		offers := map[purser.OfferID]bool{}
		for _, o := range sifted(t, sign(options(srv.URL, srv.Client(), regions...))).Offers {
			offers[o.ID()] = true
		}
		o := signedIn(options(srv.URL, srv.Client(), regions...))
		if name == "table" {
			o.Subscription = ""
		}
		got, err := history(t, o)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, b := range got {
			for _, p := range b.Past {
				found++
				// Without SKUs nothing says that GB200 is not sold as spot; the price list does.
				if !offers[p.Offer] && !(name == "table" && strings.Contains(string(p.Offer), "GB200")) {
					t.Errorf("%s: %s is no offer", name, p.Offer)
				}
			}
		}
		if want := map[string]int{"skus": 2 + 3 + 1, "table": 5}[name]; found != want {
			t.Errorf("%s: %d past prices, want %d", name, found, want)
		}
	}
}

func TestSpotHistoryLeavesOutNonsense(t *testing.T) {
	f := &fakeAzure{
		eviction: []object{evicted("eastus", "standard_d2s_v5", "lots"), evicted("eastus", "standard_d4s_v5", "10-15"), evicted("eastus", "standard_d4s_v5", "10-15")},
		history: []object{wasSold("eastus", "standard_d2s_v5",
			"2026-12-01T00:00:00Z", "0.5", "2026-11-01T00:00:00Z", "0.02", "2026-11-01T00:00:00Z", "0.03", "2026-10-01T00:00:00Z", "0", "soon", "0.4",
			"2026-09-01T00:00:00Z", "-1", "2026-08-01T00:00:00Z", "0.0123456789", "2026-07-01T00:00:00Z", "99999999")},
	}
	srv := serve(t, f)
	got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), "eastus")))
	if err != nil || len(got[0].Signals) != 1 {
		t.Fatalf("got %+v and %v", got, err)
	}
	same(t, shown(got[0]), "azure/eastus/-/Standard_D2s_v5/spot 2026-08-01 0.012345679", "azure/eastus/-/Standard_D2s_v5/spot 2026-11-01 0.03")
	for name, broken := range map[string]*fakeAzure{
		"bands":  {eviction: f.eviction[:1]},
		"prices": {history: []object{wasSold("eastus", "standard_d2s_v5", "soon", "0.4")}},
	} {
		srv := serve(t, broken)
		if got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), "eastus"))); purser.KindOf(err) != purser.KindInvalid || len(got) != 0 {
			t.Errorf("%s: got %v and %v", name, got, err)
		}
	}
}

func TestSpotHistoryPages(t *testing.T) {
	f := &fakeAzure{pageSize: 3}
	for i := range 10 {
		f.history = append(f.history, wasSold("eastus", fmt.Sprintf("standard_d%ds_v5", []int{2, 4, 8, 16, 32, 48, 64, 96, 3, 5}[i]), "2026-11-01T00:00:00Z", "0.02"))
	}
	srv := serve(t, f)
	got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), "eastus")))
	if err != nil || len(got[0].Past) != 8 || len(f.queries) != 1+4 {
		t.Errorf("got %+v and %v after %d queries", got, err, len(f.queries))
	}
	for name, c := range map[string]struct {
		answer object
		kind   purser.Kind
	}{
		"cut short": {object{"totalRecords": 2, "count": 1, "data": f.history[:1], "resultTruncated": "true"}, purser.KindUnavailable},
		"endless":   {object{"totalRecords": 2, "count": 1, "data": f.history[:1], "$skipToken": "again"}, purser.KindInvalid},
	} {
		srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, c.answer) }))
		if got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), "eastus"))); purser.KindOf(err) != c.kind || len(got) != 0 {
			t.Errorf("%s: got %v and %v", name, got, err)
		}
	}
}

// The hazard of a band gives back its share: 1 - exp(-h) over an hour.
func TestHazardsAreTheBands(t *testing.T) {
	bands := []string{"0-5", "5-10", "10-15", "15-20", "20+"}
	f := &fakeAzure{}
	for i, b := range bands {
		f.eviction = append(f.eviction, evicted("eastus", []string{"standard_d2s_v5", "standard_d4s_v5", "standard_d8s_v5", "standard_e2s_v5", "standard_f2s_v2"}[i], b))
	}
	srv := serve(t, f)
	got, err := history(t, tenantOnly(options(srv.URL, srv.Client(), "eastus")))
	if err != nil || len(got[0].Signals) != len(bands) {
		t.Fatalf("got %+v and %v", got, err)
	}
	for _, s := range got[0].Signals {
		i := slices.IndexFunc(bands, func(b string) bool { return strings.HasPrefix(s.Detail, b+" %") })
		low, high := 0.05*float64(i), 0.05*float64(i+1)
		if i == 4 {
			high = 0.5
		}
		if math.Abs(1-math.Exp(-s.Low)-low) > 1e-12 || math.Abs(1-math.Exp(-s.High)-high) > 1e-12 {
			t.Errorf("%+v", s)
		}
	}
}
