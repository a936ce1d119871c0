package runpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
	"purser/pricing/pricingtest"
)

var seen = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("PST", -8*3600))

// cloud stands in for RunPod's GraphQL. Its machines are by place, type and GPUs.
type cloud struct {
	places   string
	types    []map[string]any
	machines map[string]string
	key      string            // refuses others when set
	instead  map[string]string // answers by place, instead of the true one
	mu       sync.Mutex
	most     int // queries under way at a time
	now      int
}

func newCloud() *cloud {
	return &cloud{
		places: `{"countryCodes":["US",null,"CA"],"dataCenters":[{"id":"US-KS-2","listed":true},{"id":"EUR-IS-1","listed":true},{"id":"US-OLD-1","listed":false},{"id":"MOON","listed":true}]}`,
		types: []map[string]any{
			{"id": "NVIDIA H100 80GB HBM3", "displayName": "H100 SXM", "memoryInGb": 80, "securePrice": json.Number("2.69"), "communityPrice": json.Number("2.39")},
			{"id": "NVIDIA A100 80GB PCIe", "displayName": "A100 PCIe", "memoryInGb": 80, "securePrice": json.Number("1.64"), "communityPrice": json.Number("1.19")},
			{"id": "NVIDIA H100 PCIe", "displayName": "H100 PCIe", "memoryInGb": 80, "securePrice": json.Number("2.39"), "communityPrice": nil},
			{"id": "unknown", "displayName": "X 9000", "memoryInGb": 512, "securePrice": json.Number("9"), "communityPrice": nil},
			{"id": "NVIDIA GeForce RTX 4090", "displayName": "RTX 4090", "memoryInGb": 48, "securePrice": json.Number("0.59"), "communityPrice": nil},
		},
		machines: map[string]string{
			"US-KS-2/NVIDIA H100 80GB HBM3/8":  `{"stockStatus":"High","uninterruptablePrice":2.69,"minimumBidPrice":1.75,"minVcpu":160,"minMemory":2008}`,
			"US-KS-2/NVIDIA H100 PCIe/1":       `{"stockStatus":"Low","uninterruptablePrice":2.39,"minimumBidPrice":null,"minVcpu":16,"minMemory":188}`,
			"EUR-IS-1/NVIDIA A100 80GB PCIe/2": `{"stockStatus":"Medium","uninterruptablePrice":1.64,"minimumBidPrice":0.82,"minVcpu":32,"minMemory":250}`,
			"CA/NVIDIA H100 PCIe/1":            `{"stockStatus":"Some","uninterruptablePrice":2.05,"minimumBidPrice":1.25,"minVcpu":12,"minMemory":96}`,
			"US/NVIDIA A100 80GB PCIe/4":       `{"stockStatus":null,"uninterruptablePrice":1.19,"minimumBidPrice":0.6,"minVcpu":32,"minMemory":250}`,
		},
		instead: map[string]string{},
	}
}

type input struct {
	GPUCount    int    `json:"gpuCount"`
	SecureCloud bool   `json:"secureCloud"`
	DataCenter  string `json:"dataCenterId"`
	Country     string `json:"countryCode"`
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	if auth := r.Header.Get("Authorization"); c.key != "" && auth != "Bearer "+c.key {
		fmt.Fprint(w, `{"errors":[{"message":"not allowed","extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`)
		return
	}
	var ask struct {
		Query     string           `json:"query"`
		Variables map[string]input `json:"variables"`
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&ask) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if strings.Contains(ask.Query, "dataCenters") {
		fmt.Fprintf(w, `{"data":%s}`, c.places)
		return
	}
	place := ask.Variables["of1"].DataCenter + ask.Variables["of1"].Country
	if other, ok := c.instead[place]; ok {
		fmt.Fprint(w, other)
		return
	}
	var types []map[string]any
	for _, t := range c.types {
		out := map[string]any{}
		for k, v := range t {
			out[k] = v
		}
		for alias, in := range ask.Variables {
			if in.SecureCloud != (in.DataCenter != "") || alias != fmt.Sprintf("of%d", in.GPUCount) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			out[alias] = json.RawMessage(`{"stockStatus":null,"uninterruptablePrice":null,"minimumBidPrice":null,"minVcpu":null,"minMemory":null}`)
			if m, ok := c.machines[fmt.Sprintf("%s/%s/%d", place, t["id"], in.GPUCount)]; ok {
				out[alias] = json.RawMessage(m)
			}
		}
		types = append(types, out)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"gpuTypes": types}})
}

func newAt(url string, client *http.Client, key string) pricing.Collector {
	return New(Options{
		URL: url + "/graphql", Key: key, Now: func() time.Time { return seen },
		Client: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond},
	})
}

func (c *cloud) collect(t *testing.T, key string) ([]pricing.Batch, error) {
	t.Helper()
	srv := httptest.NewServer(c)
	defer srv.Close()
	var out []pricing.Batch
	err := newAt(srv.URL, srv.Client(), key).Collect(t.Context(), func(b pricing.Batch) error {
		out = append(out, b)
		return nil
	})
	return out, err
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(newCloud())
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return newAt(srv.URL, srv.Client(), "") })
}

func TestFaults(t *testing.T) {
	cloud := newCloud()
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: cloud,
		New: func(url string, client *http.Client) pricing.Collector {
			return newAt(url, client, "key")
		},
	})
}

func TestOffersAndSignals(t *testing.T) {
	cloud := newCloud()
	batches, err := cloud.collect(t, "")
	if err != nil {
		t.Fatal(err)
	}
	var regions, got, signals []string
	var rows []pricing.Row
	for _, b := range batches {
		regions = append(regions, b.Region)
		rows = append(rows, b.Rows...)
		for _, s := range b.Signals {
			signals = append(signals, fmt.Sprintf("%s/%s/%s/%s %g-%g %s", s.Region, s.Zone, s.InstanceType, s.Option, s.Low, s.High, s.Detail))
		}
	}
	// Every place that was asked is a batch, also one that has nothing now.
	if want := []string{"CA", "IS", "MOON", "US"}; !slices.Equal(regions, want) {
		t.Errorf("batches of %v, want %v", regions, want)
	}
	sifted := pricing.Sift(rows)
	for _, o := range sifted.Offers {
		got = append(got, fmt.Sprintf("%s $%s %s %s×%s %d/%d", o.ID(), o.UnitPrice.Decimal(), o.Country, o.Accelerator, o.Devices, o.MilliCPU, o.MemoryMiB))
	}
	want := []string{
		"runpod/CA/-/1x_H100_COMMUNITY/on_demand $2.05 CA H100-PCIE×1 12000/98304", // the list has no community price
		"runpod/CA/-/1x_H100_COMMUNITY/spot $1.25 CA H100-PCIE×1 12000/98304",
		"runpod/IS/EUR-IS-1/2x_A100-80GB_SECURE/on_demand $3.28 IS A100-80GB×2 32000/256000",
		"runpod/IS/EUR-IS-1/2x_A100-80GB_SECURE/spot $1.64 IS A100-80GB×2 32000/256000",
		"runpod/US/US-KS-2/1x_H100_SECURE/on_demand $2.39 US H100-PCIE×1 16000/192512",
		"runpod/US/US-KS-2/8x_H100-SXM_SECURE/on_demand $21.52 US H100×8 160000/2056192",
		"runpod/US/US-KS-2/8x_H100-SXM_SECURE/spot $14 US H100×8 160000/2056192",
	}
	if !slices.Equal(got, want) || len(sifted.Quarantined) > 0 {
		t.Errorf("got\n%s\nwant\n%s\nquarantined %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), sifted.Quarantined)
	}
	wantSignals := []string{
		"IS/EUR-IS-1/2x_A100-80GB_SECURE/on_demand 0.5-0.9 stock is Medium", "IS/EUR-IS-1/2x_A100-80GB_SECURE/spot 0.5-0.9 stock is Medium",
		"US/US-KS-2/8x_H100-SXM_SECURE/on_demand 0.9-1 stock is High", "US/US-KS-2/8x_H100-SXM_SECURE/spot 0.9-1 stock is High",
		"US/US-KS-2/1x_H100_SECURE/on_demand 0.1-0.5 stock is Low",
	}
	if !slices.Equal(signals, wantSignals) {
		t.Errorf("signals\n%s\nwant\n%s", strings.Join(signals, "\n"), strings.Join(wantSignals, "\n"))
	}
	if cloud.most > atOnce {
		t.Errorf("%d queries were under way at once, want at most %d", cloud.most, atOnce)
	}
}

// Trap 15: price lists outlive hardware. RunPod has a list price for every type; only
// where there is stock is there an offer.
func TestTrap15_WithoutStockIsNoRow(t *testing.T) {
	cloud := newCloud()
	for k, m := range cloud.machines {
		cloud.machines[k] = strings.NewReplacer(`"High"`, "null", `"Medium"`, "null", `"Low"`, `""`, `"Some"`, "null").Replace(m)
	}
	batches, err := cloud.collect(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if len(b.Rows)+len(b.Signals) > 0 {
			t.Errorf("%s has %d rows and %d signals without stock", b.Region, len(b.Rows), len(b.Signals))
		}
	}
}

// GraphQL says its errors with HTTP 200.
func TestErrorsAreNoEmptyList(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		kind purser.Kind
		ends bool // the collection, instead of leaving out the country
	}{
		"error":           {`{"errors":[{"message":"Cannot query field"}]}`, purser.KindInvalid, false},
		"error and data":  {`{"errors":[{"message":"some"}],"data":{"gpuTypes":[{"id":"a"}]}}`, purser.KindInvalid, false},
		"server":          {`{"errors":[{"message":"oops","extensions":{"code":"INTERNAL_SERVER_ERROR"}}],"data":null}`, purser.KindUnavailable, false},
		"throttled":       {`{"errors":[{"message":"slow","extensions":{"code":"RATE_LIMITED"}}]}`, purser.KindThrottled, false},
		"unauthenticated": {`{"errors":[{"message":"who","extensions":{"code":"UNAUTHENTICATED"}}]}`, purser.KindUnauthorized, true},
		"forbidden":       {`{"errors":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}`, purser.KindForbidden, true},
		"no data":         {`{"data":null}`, purser.KindInvalid, false},
		"nothing":         {`{}`, purser.KindInvalid, false},
		"no types":        {`{"data":{"gpuTypes":[]}}`, purser.KindInvalid, false},
		"other data":      {`{"data":{"gpuTypes":{}}}`, purser.KindInvalid, false},
		"long":            {`{"errors":[{"message":"` + strings.Repeat("ü", 200) + `"}]}`, purser.KindInvalid, false},
	} {
		cloud := newCloud()
		cloud.instead["EUR-IS-1"] = c.body
		batches, err := cloud.collect(t, "")
		var regions []string
		for _, b := range batches {
			regions = append(regions, b.Region)
		}
		want := []string{"CA", "MOON", "US"}
		if c.ends {
			want = want[:1]
		}
		if purser.KindOf(err) != c.kind || !slices.Equal(regions, want) || (!c.ends && !strings.Contains(err.Error(), "IS: ")) {
			t.Errorf("%s: batches of %v and %s: %v, want %v and %s", name, regions, purser.KindOf(err), err, want, c.kind)
		}
	}
}

// A country fails as a whole when one of its data centres does.
func TestACountryIsWholeOrNotThere(t *testing.T) {
	cloud := newCloud()
	cloud.instead["US"] = `{"errors":[{"message":"oops"}]}`
	batches, err := cloud.collect(t, "")
	if err == nil || !strings.Contains(err.Error(), "US: ") {
		t.Errorf("got %v, want an error that names US", err)
	}
	for _, b := range batches {
		if b.Region == "US" {
			t.Errorf("a part of US was emitted: %d rows", len(b.Rows))
		}
	}
}

func TestKey(t *testing.T) {
	cloud := newCloud()
	cloud.key = "rpa_right"
	if batches, err := cloud.collect(t, "rpa_right"); err != nil || len(batches) != 4 {
		t.Errorf("with the key: %d batches and %v", len(batches), err)
	}
	_, err := cloud.collect(t, "rpa_wrong")
	if purser.KindOf(err) != purser.KindUnauthorized || !strings.Contains(err.Error(), "API key") || strings.Contains(err.Error(), "rpa_") {
		t.Errorf("with a wrong key: %v, want unauthorized with a hint and without the key", err)
	}
}

func TestPlaces(t *testing.T) {
	for name, places := range map[string]string{
		"none": `{"countryCodes":[null],"dataCenters":[]}`, "null": `{}`, "no centres": `{"countryCodes":["CA"],"dataCenters":null}`, "no countries": `{"dataCenters":[{"id":"US-KS-2"}]}`, "other": `{"countryCodes":[1]}`,
	} {
		cloud := newCloud()
		cloud.places = places
		batches, err := cloud.collect(t, "")
		if purser.KindOf(err) != purser.KindInvalid || len(batches) > 0 {
			t.Errorf("%s: %d batches and %v, want invalid", name, len(batches), err)
		}
	}
	cloud := newCloud()
	cloud.places = `{"countryCodes":["CA","CA"],"dataCenters":[]}`
	if batches, err := cloud.collect(t, ""); err != nil || len(batches) != 1 || len(batches[0].Rows) != 2 {
		t.Errorf("CA twice: %+v and %v", batches, err)
	}
}

func TestWhatCannotBeBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		machine, list string
		typ           int
		reason        pricing.QuarantineReason
		says          string
	}{
		"unknown device": {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "9", 3, purser.QuarantineAccelerator, "X 9000"},
		"other memory":   {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "9", 4, purser.QuarantineAccelerator, "RTX 4090 of 48 GB"},
		"free":           {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "0", 0, purser.QuarantineNoPrice, "$0/h"},
		"negative":       {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "-2.5", 0, purser.QuarantineNoPrice, "$-20/h"},
		"exponent":       {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "1e-7", 0, purser.QuarantineNoPrice, "1e-7"},
		"huge":           {`{"stockStatus":"Low","minVcpu":8,"minMemory":64}`, "9000000000", 0, purser.QuarantineOutlier, "9000000000"},
		"no shape":       {`{"stockStatus":"Low","minVcpu":null,"minMemory":null}`, "2", 0, purser.QuarantineShape, "vCPUs"},
	} {
		cloud := newCloud()
		cloud.types = cloud.types[c.typ : c.typ+1]
		cloud.types[0]["securePrice"] = json.Number(c.list)
		cloud.machines = map[string]string{fmt.Sprintf("US-KS-2/%s/8", cloud.types[0]["id"]): c.machine}
		batches, err := cloud.collect(t, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sifted := pricing.Sift(batches[3].Rows)
		if len(sifted.Offers) != 0 || len(sifted.Quarantined) != 1 || sifted.Quarantined[0].Reason != c.reason || !strings.Contains(sifted.Quarantined[0].Detail, c.says) {
			t.Errorf("%s: got %+v, want %s that says %q", name, sifted, c.reason, c.says)
		}
	}
}

func TestDefaults(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Options{}).Collect(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context has ended", err)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name      string
		gb        float64
		catalogue string
		model     string
	}{
		{"A100 PCIe", 80, "A100-80GB", "A100-80GB"},
		{"A100 SXM", 80, "A100-80GB-SXM", "A100-80GB"},
		{"H100 PCIe", 80, "H100", "H100-PCIE"},
		{"H100 SXM", 80, "H100-SXM", "H100"},
		{"H100 NVL", 94, "H100-NVL", "H100-NVL"},
		{"H200 SXM", 141, "H200-SXM", "H200"},
		{"B200", 180, "B200", "B200"},
		{"RTX 4090", 24, "RTX4090", "RTX4090"},
		{"RTX A6000", 48, "RTXA6000", "A6000"},
		{"RTX 6000 Ada", 48, "RTX6000-Ada", "RTX6000-ADA"},
		{"RTX PRO 6000", 96, "RTXPRO-6000", "RTX-PRO-6000"},
		{"RTX 3090 Ti", 24, "RTX3090-Ti", ""},
		{"L40S", 48, "L40S", "L40S"},
		{"MI300X", 192, "MI300X", "MI300X"},
		{"V100 SXM2", 16, "V100-SXM2", "V100-16GB"},
		{"V100 SXM2 32GB", 32, "V100-SXM2-32GB", "V100-32GB"},
		{"Tesla V100", 32, "Tesla-V100", "V100-32GB"},
		{"A100 SXM", 0, "A100-80GB-SXM", ""}, // of which size is not said
		{"RTX 4090", 0, "RTX4090", "RTX4090"},
		{"A100 SXM", 64, "A100-80GB-SXM", ""},
		{"A/B", 0, "A-B", ""},
	} {
		if got := catalogueName(c.name); got != c.catalogue {
			t.Errorf("catalogueName(%q) = %q, want %q", c.name, got, c.catalogue)
		}
		if got := accelerator(c.name, c.gb); got != c.model {
			t.Errorf("accelerator(%q, %g) = %q, want %q", c.name, c.gb, got, c.model)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("A100 SXM", 80.0)
	f.Add("RTX 6000 Ada", 48.0)
	f.Add(" pcie", -1.0)
	f.Fuzz(func(t *testing.T, name string, gb float64) {
		if s := catalogueName(name); strings.ContainsAny(s, " /") {
			t.Errorf("catalogueName(%q) = %q, which does not fit into an id", name, s)
		}
		model := accelerator(name, gb)
		if a, ok := purser.AcceleratorNamed(model); model != "" && (!ok || a.Name != model) {
			t.Errorf("accelerator(%q, %g) = %q, which is no canonical name", name, gb, model)
		}
	})
}
