package vast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
	"purser/pricing/pricingtest"
)

var seen = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("JST", 9*3600))

// host is an ask with what most have in common; change gives other values of fields.
func host(id int, change string) string {
	fields := map[string]any{}
	for _, s := range []string{
		fmt.Sprintf(`{"id":%d,"ask_contract_id":%d,"machine_id":%d,"gpu_name":"RTX 4090","num_gpus":1,"gpu_ram":24564,"cpu_cores":64,"cpu_cores_effective":16,"cpu_ram":257600,
		"disk_space":500,"dph_base":0.3,"dph_total":0.31,"min_bid":0.15,"storage_cost":0.144,"geolocation":"Texas, US","verification":"verified","rentable":true,"rented":false,"external":false,"is_bid":false,"gpu_frac":0.25}`, id, id, 1000+id),
		"{" + change + "}",
	} {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if err := d.Decode(&fields); err != nil {
			panic(err)
		}
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var listed = []string{
	host(1, ""),
	host(2, `"dph_base":0.4,"min_bid":0.2`),
	host(3, `"dph_base":0.29,"min_bid":0.1,"cpu_cores_effective":31.9`), // the same class of vCPUs and, with half a host, of more memory
	host(4, `"dph_base":0.5,"min_bid":0.25`),
	host(5, `"dph_base":0.9,"min_bid":null`), // not to be had as spot
	host(6, `"dph_base":2.5,"min_bid":1.25,"gpu_name":"A100 PCIE","num_gpus":2,"gpu_ram":81251,"geolocation":"Sweden, SE"`),
	host(7, `"dph_base":14.4,"min_bid":8,"gpu_name":"H100 SXM","num_gpus":8,"gpu_ram":81559,"cpu_cores_effective":64,"geolocation":null`),
}

// search stands in for the search: it knows how it must be asked.
func search(body string, key string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); key != "" && auth != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"success":false,"error":"auth_error","msg":"Invalid user key"}`)
			return
		}
		var got map[string]any
		if r.Method != http.MethodPost || r.URL.Path != "/bundles/" || json.NewDecoder(r.Body).Decode(&got) != nil {
			http.NotFound(w, r)
			return
		}
		is := func(v any) map[string]any { return map[string]any{"eq": v} }
		want := map[string]any{
			"verified": is(true), "external": is(false), "rentable": is(true), "rented": is(false), "num_gpus": map[string]any{"gte": 1.0}, "disk_space": map[string]any{"gte": 50.0},
			"type": "on-demand", "order": []any{[]any{"dph_total", "asc"}}, "limit": 10000.0, "disable_bundling": true, "allocated_storage": 50.0,
		}
		if !reflect.DeepEqual(got, want) {
			http.Error(w, "not what is expected", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, body)
	})
}

func offers(asks ...string) string {
	return `{"success":true,"offers":[` + strings.Join(asks, ",") + `]}`
}

func newAt(url string, client *http.Client, key string) pricing.Collector {
	return New(Options{
		URL: url, Key: key, Now: func() time.Time { return seen },
		Client: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond},
	})
}

func collect(t *testing.T, h http.Handler, key string) ([]pricing.Row, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return pricing.Collect(t.Context(), newAt(srv.URL, srv.Client(), key))
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(search(offers(listed...), ""))
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return newAt(srv.URL+"/", srv.Client(), "") })
}

func TestFaults(t *testing.T) {
	h := search(offers(listed...), "")
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler:    h,
		OneRequest: true,
		New: func(url string, client *http.Client) pricing.Collector {
			return newAt(url, client, "key")
		},
	})
}

func TestOffers(t *testing.T) {
	rows, err := collect(t, search(offers(listed...), ""), "")
	if err != nil {
		t.Fatal(err)
	}
	sifted := pricing.Sift(rows)
	if len(sifted.Quarantined) > 0 {
		t.Errorf("quarantined: %+v", sifted.Quarantined)
	}
	var got []string
	for _, o := range sifted.Offers {
		got = append(got, fmt.Sprintf("%s $%s limit %d %q %s×%s %d/%d/%d", o.ID(), o.UnitPrice.Decimal(), o.Limit, o.Country, o.Accelerator, o.Devices, o.MilliCPU, o.MemoryMiB, o.DiskMiB))
	}
	// 50 GB at 0.144 $ a month are a cent an hour.
	want := []string{
		`vast/SE/-/2x_A100-PCIE-80GB_16c_32g/on_demand $2.51 limit 1 "SE" A100-80GB×2 16000/32768/51200`,
		`vast/SE/-/2x_A100-PCIE-80GB_16c_32g/spot $1.26 limit 1 "SE" A100-80GB×2 16000/32768/51200`,
		`vast/US/-/1x_RTX-4090_16c_32g/on_demand $0.41 limit 2 "US" RTX4090×1 16000/32768/51200`, // of 0.3, 0.4, 0.5 and 0.9
		`vast/US/-/1x_RTX-4090_16c_32g/spot $0.21 limit 2 "US" RTX4090×1 16000/32768/51200`,      // of 0.15, 0.2 and 0.25
		`vast/US/-/1x_RTX-4090_16c_64g/on_demand $0.3 limit 1 "US" RTX4090×1 16000/65536/51200`,
		`vast/US/-/1x_RTX-4090_16c_64g/spot $0.11 limit 1 "US" RTX4090×1 16000/65536/51200`,
		`vast/ZZ/-/8x_H100-SXM_64c_128g/on_demand $14.41 limit 1 "" H100×8 64000/131072/51200`,
		`vast/ZZ/-/8x_H100-SXM_64c_128g/spot $8.01 limit 1 "" H100×8 64000/131072/51200`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o := rows[0].Offer; !o.ObservedAt.Equal(seen) || o.ObservedAt.Location() != time.UTC {
		t.Errorf("observed at %s", o.ObservedAt)
	}
}

// An id says nothing of single asks: other hosts of the same class give the same offers.
func TestIDsLast(t *testing.T) {
	ids := func(asks ...string) []string {
		rows, err := collect(t, search(offers(asks...), ""), "")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range rows {
			out = append(out, string(r.Offer.ID()))
		}
		return out
	}
	first := ids(host(1, ""), host(2, ""))
	second := ids(host(77, `"dph_base":0.35,"cpu_cores_effective":17.5,"cpu_ram":200000,"gpu_ram":24217,"geolocation":"Ohio, US"`))
	if !slices.Equal(first, second) || len(first) != 2 {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestAHostCountsOnceAtItsDearest(t *testing.T) {
	same := func(id int, change string) string { return host(id, `"machine_id":9,`+change) }
	rows, err := collect(t, search(offers(
		same(1, `"dph_base":0.2`), same(2, `"dph_base":0.6`), same(3, `"dph_base":0.4`),
		host(4, `"dph_base":0.7`), host(5, `"dph_base":0.7,"machine_id":null`), host(6, `"dph_base":0.8,"machine_id":null`),
	), ""), "")
	if err != nil {
		t.Fatal(err)
	}
	// Hosts at 0.6, 0.7, 0.7 and 0.8: the lower median is 0.7, which three of them take.
	if o := rows[0].Offer; o.Option != purser.OnDemand || o.UnitPrice.Decimal() != "0.71" || o.Limit != 3 {
		t.Errorf("%s at %s, limit %d, want 0.71 and 3", o.ID(), o.UnitPrice.Decimal(), o.Limit)
	}
}

func TestWhatWasNotAskedForIsLeftOut(t *testing.T) {
	asks := []string{
		host(1, `"rented":true`), host(2, `"rentable":false`), host(3, `"external":true`),
		host(4, `"verification":"unverified"`), host(5, `"verification":"deverified"`), host(6, `"disk_space":49.9`),
	}
	rows, err := collect(t, search(offers(asks...), ""), "")
	if purser.KindOf(err) != purser.KindInvalid || len(rows) > 0 {
		t.Errorf("%d rows and %v, want no batch at all", len(rows), err)
	}
	rows, err = collect(t, search(offers(append(asks, host(7, ""))...), ""), "")
	if err != nil || len(rows) != 2 || rows[0].Offer.Limit != 1 {
		t.Errorf("got %+v and %v, want the seventh alone", rows, err)
	}
	rows, err = collect(t, search(offers(host(1, `"rented":null,"rentable":null,"external":null,"verification":null`)), ""), "")
	if err != nil || len(rows) != 2 {
		t.Errorf("%d rows and %v, want 2 where the answer says nothing of it", len(rows), err)
	}
}

func TestUnverifiedHosts(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got map[string]any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got["verified"] != nil || got["allocated_storage"] != 100.0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, offers(host(1, `"verification":"unverified"`)))
	}))
	defer srv.Close()
	rows, err := pricing.Collect(t.Context(), New(Options{URL: srv.URL, Unverified: true, DiskGB: 100}))
	if err != nil || len(rows) != 2 || rows[0].Offer.UnitPrice.Decimal() != "0.32" || rows[0].Offer.DiskMiB != 102400 {
		t.Errorf("got %+v and %v, want 0.30 $ and 100 GB at 0.02 $", rows, err)
	}
}

func TestWhatCannotBeBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		reason pricing.QuarantineReason
		says   string
	}{
		"unknown device": {`"gpu_name":"RTX 3060 Ti","gpu_ram":8192`, purser.QuarantineAccelerator, "RTX 3060 Ti"},
		"other memory":   {`"gpu_ram":49140`, purser.QuarantineAccelerator, "RTX 4090 of 48 GiB"},
		"no memory":      {`"gpu_ram":null`, purser.QuarantineAccelerator, "RTX 4090"},
		"no name":        {`"gpu_name":null`, purser.QuarantineAccelerator, "no name"},
		"free":           {`"dph_base":0,"min_bid":0`, purser.QuarantineNoPrice, "1 asks"},
		"negative":       {`"dph_base":-1,"min_bid":-1`, purser.QuarantineNoPrice, "1 asks"},
		"huge":           {`"dph_base":9000000000,"min_bid":1e300`, purser.QuarantineNoPrice, "1 asks"},
		"dear disk":      {`"storage_cost":1001`, purser.QuarantineNoPrice, "1 asks"},
		"odd disk":       {`"storage_cost":1e-5`, purser.QuarantineNoPrice, "1 asks"},
		"no vCPUs":       {`"cpu_cores":null,"cpu_cores_effective":null`, purser.QuarantineShape, "vCPUs"},
	} {
		rows, err := collect(t, search(offers(host(1, c.change)), ""), "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sifted := pricing.Sift(rows)
		if len(sifted.Offers) != 0 || len(sifted.Quarantined) != 2 {
			t.Errorf("%s: got %+v, want two rows in quarantine", name, sifted)
			continue
		}
		for _, q := range sifted.Quarantined {
			if q.Reason != c.reason || !strings.Contains(q.Detail, c.says) {
				t.Errorf("%s: %s: %s, want %s that says %q", name, q.Reason, q.Detail, c.reason, c.says)
			}
		}
	}
}

// A price that makes no sense is shown beside the offer and does not change it.
func TestBadPricesAreNoPartOfTheMedian(t *testing.T) {
	rows, err := collect(t, search(offers(host(1, ""), host(2, `"dph_base":0,"min_bid":null`), host(3, `"dph_base":-1,"min_bid":null`)), ""), "")
	if err != nil {
		t.Fatal(err)
	}
	sifted := pricing.Sift(rows)
	if len(sifted.Offers) != 2 || sifted.Offers[0].UnitPrice.Decimal() != "0.31" || len(sifted.Quarantined) != 1 || !strings.Contains(sifted.Quarantined[0].Detail, "2 asks") {
		t.Errorf("got %+v", sifted)
	}
}

func TestRefusals(t *testing.T) {
	many := offers(slices.Repeat([]string{`{"id":1}`}, most)...)
	for name, c := range map[string]struct {
		key, body string
		kind      purser.Kind
		says      string
	}{
		"wrong key": {"key-wrong", offers(listed...), purser.KindUnauthorized, "permission misc"},
		"empty":     {"key-right", offers(), purser.KindInvalid, "nothing to rent"},
		"no offers": {"key-right", `{"success":false}`, purser.KindInvalid, "nothing to rent"},
		"one offer": {"key-right", `{"offers":{"id":1}}`, purser.KindInvalid, "form"},
		"cut":       {"key-right", many, purser.KindInvalid, "may be missing"},
	} {
		rows, err := collect(t, search(c.body, "key-right"), c.key)
		if purser.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "key-") || len(rows) > 0 {
			t.Errorf("%s: got %s: %v, want %s that says %q and no key", name, purser.KindOf(err), err, c.kind, c.says)
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

// Whoever takes no more machines than the limit pays no more than the price for any.
func TestMarketNeverPromisesLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.MapOfN(rapid.Int64(), rapid.Custom(func(t *rapid.T) purser.USDPerHour {
			return purser.USDPerHour(rapid.Int64Range(1, 50).Draw(t, "price"))
		}), 1, 30).Draw(t, "hosts")
		price, limit := market(hosts)
		n, there := 0, false
		for _, p := range hosts {
			if p <= price {
				n++
			}
			there = there || p == price
		}
		if n != limit || !there || limit < (len(hosts)+1)/2 {
			t.Errorf("%v: %d of %d hosts at %d", hosts, limit, len(hosts), price)
		}
	})
}

// A machine has at least what its class says, and less than twice of it.
func TestClassIsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(1, 1<<30).Draw(t, "n")
		if c := float64(class(n)); c > n || 2*c <= n {
			t.Errorf("class(%g) = %g", n, c)
		}
	})
	for _, n := range []float64{0, 0.9, -4} {
		if class(n) != 0 {
			t.Errorf("class(%g) = %d, want 0", n, class(n))
		}
	}
}

func TestAccelerator(t *testing.T) {
	for _, c := range []struct {
		name string
		mib  float64
		want string
	}{
		{"RTX 4090", 24564, "RTX4090"},
		{"RTX 5090", 32607, "RTX5090"},
		{"H100 SXM", 81559, "H100"},
		{"H100 PCIE", 81559, "H100-PCIE"},
		{"H100 NVL", 95830, "H100-NVL"},
		{"A100 SXM4", 40960, "A100-40GB"},
		{"A100 SXM4", 81920, "A100-80GB"},
		{"A100 PCIE", 81251, "A100-80GB"},
		{"H200", 143771, "H200"},
		{"B200", 183359, "B200"},
		{"Tesla V100", 16384, "V100-16GB"},
		{"Tesla V100", 32768, "V100-32GB"},
		{"Tesla T4", 15360, "T4"},
		{"A10", 23028, "A10"},
		{"L40S", 46068, "L40S"},
		{"RTX A6000", 49140, "A6000"},
		{"RTX 6000Ada", 49140, "RTX6000-ADA"},
		{"RTX PRO 6000 S", 97887, "RTX-PRO-6000"},
		{"GTX 1080", 8192, ""},
		{"A100 X", 81920, ""},
		{"", 24564, ""},
	} {
		if got := accelerator(c.name, nominalGiB(c.mib)); got != c.want {
			t.Errorf("%q of %g MiB is %q, want %q", c.name, c.mib, got, c.want)
		}
	}
}

func TestCountryOf(t *testing.T) {
	for place, want := range map[string]string{
		"Texas, US": "US", "Sweden, SE": "SE", ", DE": "DE", "US": "US", "Québec, CA": "CA", "Seoul,KR ": "KR", "": "", "Atlantis": "", "Texas, us": "", "MOMA": "",
	} {
		if got := countryOf(place); got != want {
			t.Errorf("countryOf(%q) = %q, want %q", place, got, want)
		}
	}
}

func FuzzGroupOf(f *testing.F) {
	f.Add("RTX 4090", 24564.0, 16.0, 64.0, 257600.0, "Texas, US")
	f.Add("A100 PCIE", -1.0, 1e300, 0.0, 1e-300, "US")
	f.Fuzz(func(t *testing.T, name string, gpuMiB, cores, hostCores, hostMB float64, place string) {
		g := groupOf(ask{GPU: name, GPUs: 1, GPUMiB: gpuMiB, Cores: cores, HostCores: hostCores, HostMB: hostMB, Place: place})
		if g.vcpus < 0 || g.memory < 0 || (g.country != "" && len(g.country) != 2) {
			t.Errorf("%+v", g)
		}
		o := g.row(50).Offer
		if strings.ContainsAny(o.InstanceType, " /") {
			t.Errorf("%q does not fit into an id", o.InstanceType)
		}
		if a, ok := purser.AcceleratorNamed(o.Accelerator); o.Accelerator != "" && (!ok || a.Name != o.Accelerator) {
			t.Errorf("%q is no canonical name", o.Accelerator)
		}
	})
}
