package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
	"purser/pricing/pricingtest"
)

var seen = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("CET", 3600))

const list = `{"data":{
 "gpu_8x_h100_sxm5":{"instance_type":{"name":"gpu_8x_h100_sxm5","description":"8x H100 (80 GB SXM5)","gpu_description":"H100 (80 GB SXM5)",
   "price_cents_per_hour":2392,"specs":{"vcpus":208,"memory_gib":1800,"storage_gib":22528,"gpus":8}},
   "regions_with_capacity_available":[{"name":"us-west-3","description":"Utah, USA"},{"name":"us-east-1","description":"Virginia, USA"}]},
 "gpu_1x_a100_sxm4":{"instance_type":{"name":"gpu_1x_a100_sxm4","description":"1x A100 (40 GB SXM4)","price_cents_per_hour":129,
   "specs":{"vcpus":30,"memory_gib":200,"storage_gib":512,"gpus":1}},
   "regions_with_capacity_available":[{"name":"asia-south-1","description":"Chennai, India"}]},
 "gpu_1x_gh200":{"instance_type":{"name":"gpu_1x_gh200","description":"1x GH200 (96 GB)","price_cents_per_hour":149,
   "specs":{"vcpus":64,"memory_gib":432,"storage_gib":4096,"gpus":1}},"regions_with_capacity_available":[]},
 "cpu_4x_general":{"instance_type":{"name":"cpu_4x_general","description":"4x CPU General (16 GiB)","price_cents_per_hour":10,
   "specs":{"vcpus":4,"memory_gib":16,"storage_gib":512,"gpus":0}},"regions_with_capacity_available":[{"name":"us-east-1"}]}
}}`

const key = "secret_lambda_0123"

// serve answers as Lambda does to whoever has the key.
func serve(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":{"code":"global/invalid-api-key","message":"API key was invalid, expired, or deleted.","suggestion":"Check your API key."}}`)
			return
		}
		if r.Method != http.MethodGet || r.URL.Path != "/instance-types" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, body)
	})
}

func newAt(url string, client *http.Client, k string) pricing.Collector {
	return New(Options{
		URL: url, Key: k, Now: func() time.Time { return seen },
		Client: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond},
	})
}

func rowsOf(t *testing.T, body string) []pricing.Row {
	t.Helper()
	srv := httptest.NewServer(serve(body))
	defer srv.Close()
	rows, err := pricing.Collect(t.Context(), newAt(srv.URL, srv.Client(), key))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(serve(list))
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return newAt(srv.URL+"/", srv.Client(), key) })
}

func TestFaults(t *testing.T) {
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: serve(list), OneRequest: true,
		New: func(url string, client *http.Client) pricing.Collector { return newAt(url, client, key) },
	})
}

func TestOffersStandWhereThereIsCapacity(t *testing.T) {
	rows := rowsOf(t, list)
	sifted := pricing.Sift(rows)
	if len(sifted.Quarantined) > 0 {
		t.Errorf("quarantined: %+v", sifted.Quarantined)
	}
	var got []string
	for _, o := range sifted.Offers {
		got = append(got, fmt.Sprintf("%s $%s %s %s×%s %d/%d", o.ID(), o.UnitPrice.Decimal(), o.Country, o.Accelerator, o.Devices, o.MilliCPU, o.MemoryMiB))
	}
	want := []string{
		"lambda/asia-south-1/-/gpu_1x_a100_sxm4/on_demand $1.29 IN A100-40GB×1 30000/204800",
		"lambda/us-east-1/-/cpu_4x_general/on_demand $0.1 US ×0 4000/16384",
		"lambda/us-east-1/-/gpu_8x_h100_sxm5/on_demand $23.92 US H100×8 208000/1843200",
		"lambda/us-west-3/-/gpu_8x_h100_sxm5/on_demand $23.92 US H100×8 208000/1843200",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o := rows[0].Offer; !o.ObservedAt.Equal(seen) || o.ObservedAt.Location() != time.UTC || o.DiskMiB != 512*1024 || o.Limit != purser.Unlimited {
		t.Errorf("the first row is %+v", rows[0])
	}
}

// Trap 15: price lists outlive hardware, so a type without capacity is no offer.
func TestTrap15_SoldOutIsNoRow(t *testing.T) {
	for _, r := range rowsOf(t, list) {
		if r.Offer.InstanceType == "gpu_1x_gh200" {
			t.Errorf("%s is offered, and no region has it", r.Offer.ID())
		}
	}
}

func TestWhatCannotBeBelieved(t *testing.T) {
	type_ := func(description, cents, specs string) string {
		return fmt.Sprintf(`{"data":{"gpu_2x_new":{"instance_type":{"description":%q,"price_cents_per_hour":%s,"specs":%s},"regions_with_capacity_available":[{"name":"us-east-1"}]}}}`,
			description, cents, specs)
	}
	const specs = `{"vcpus":8,"memory_gib":64,"gpus":2}`
	for name, c := range map[string]struct {
		body   string
		reason pricing.QuarantineReason
		says   string
	}{
		"unknown device": {type_("2x X9000 (512 GB SXM9)", "100", specs), purser.QuarantineAccelerator, "X9000"},
		"no description": {type_("", "100", specs), purser.QuarantineAccelerator, "new"},
		"free":           {type_("2x H100 (80 GB PCIe)", "0", specs), purser.QuarantineNoPrice, "$0/h"},
		"negative":       {type_("2x H100 (80 GB PCIe)", "-5", specs), purser.QuarantineNoPrice, "$-0.05/h"},
		"half a cent":    {type_("2x H100 (80 GB PCIe)", "99.5", specs), purser.QuarantineNoPrice, "99.5"},
		"no price":       {type_("2x H100 (80 GB PCIe)", "null", specs), purser.QuarantineNoPrice, "no whole number"},
		"no memory":      {type_("2x H100 (80 GB PCIe)", "100", `{"vcpus":8,"gpus":2}`), purser.QuarantineShape, "memory"},
	} {
		sifted := pricing.Sift(rowsOf(t, c.body))
		if len(sifted.Offers) != 0 || len(sifted.Quarantined) != 1 || sifted.Quarantined[0].Reason != c.reason || !strings.Contains(sifted.Quarantined[0].Detail, c.says) {
			t.Errorf("%s: got %+v, want %s that says %q", name, sifted, c.reason, c.says)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		key, body string
		kind      purser.Kind
		says      string
	}{
		"no key":      {"", list, purser.KindUnauthorized, "dashboard"},
		"wrong key":   {"secret_wrong", list, purser.KindForbidden, "the API key is not accepted"},
		"no data":     {key, `{}`, purser.KindInvalid, "no instance type"},
		"empty":       {key, `{"data":{}}`, purser.KindInvalid, "no instance type"},
		"a list":      {key, `{"data":[]}`, purser.KindInvalid, "form"},
		"text prices": {key, `{"data":{"a":{"instance_type":{"price_cents_per_hour":"cheap"}}}}`, purser.KindInvalid, "form"},
	} {
		srv := httptest.NewServer(serve(c.body))
		err := newAt(srv.URL, srv.Client(), c.key).Collect(t.Context(), func(pricing.Batch) error { return errors.New("it emitted") })
		srv.Close()
		if purser.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret_") {
			t.Errorf("%s: got %s: %v, want %s that says %q and no key", name, purser.KindOf(err), err, c.kind, c.says)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := New(Options{Key: key})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Collect(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context has ended", err)
	}
}

func TestDeviceOf(t *testing.T) {
	for _, c := range []struct {
		description, name string
		want              device
	}{
		{"8x H100 (80 GB SXM5)", "", device{8, "H100 (80 GB SXM5)", "H100"}},
		{"1x H100 (80 GB PCIe)", "", device{1, "H100 (80 GB PCIe)", "H100-PCIE"}},
		{"8x A100 (80 GB SXM4)", "", device{8, "A100 (80 GB SXM4)", "A100-80GB"}},
		{"1x A100 (40 GB PCIe)", "", device{1, "A100 (40 GB PCIe)", "A100-40GB"}},
		{"8x Tesla V100 (16 GB)", "", device{8, "Tesla V100 (16 GB)", "V100-16GB"}},
		{"1x RTX 6000 (24 GB)", "", device{1, "RTX 6000 (24 GB)", "RTX6000"}},
		{"4x A6000 (48 GB)", "", device{4, "A6000 (48 GB)", "A6000"}},
		{"1x A10 (24 GB PCIe)", "", device{1, "A10 (24 GB PCIe)", "A10"}},
		{"1x GH200 (96 GB)", "", device{1, "GH200 (96 GB)", "GH200"}},
		{"8x B200 (180 GB SXM6)", "", device{8, "B200 (180 GB SXM6)", "B200"}},
		{"2x X9000 (512 GB)", "gpu_2x_h100", device{2, "X9000 (512 GB)", ""}},
		{"8x A100 (60 GB SXM4)", "", device{8, "A100 (60 GB SXM4)", ""}}, // of no size that is known
		{"", "gpu_8x_h100_sxm5", device{8, "h100-sxm5", "H100"}},
		{"", "gpu_1x_h100_pcie", device{1, "h100-pcie", "H100-PCIE"}},
		{"", "gpu_8x_a100_80gb_sxm4", device{8, "a100-80gb-sxm4", "A100-80GB"}},
		{"soon", "gpu_1x_a100_sxm4", device{1, "a100-sxm4", "A100-40GB"}},
		{"", "gpu_8x_v100_n", device{8, "v100-n", "V100-16GB"}},
		{"4x CPU General (16 GiB)", "cpu_4x_general", device{}},
		{"", "", device{}},
	} {
		if got := deviceOf(c.description, c.name); got != c.want {
			t.Errorf("deviceOf(%q, %q) = %+v, want %+v", c.description, c.name, got, c.want)
		}
	}
}

func FuzzDeviceOf(f *testing.F) {
	f.Add("8x H100 (80 GB SXM5)", "gpu_8x_h100_sxm5")
	f.Add("1x RTX 6000 (24 GB)", "gpu_1x_rtx6000")
	f.Add("", "gpu_999x_")
	f.Fuzz(func(t *testing.T, description, name string) {
		d := deviceOf(description, name)
		if d.count < 0 || d.count > 999 {
			t.Errorf("%d devices", d.count)
		}
		if a, ok := purser.AcceleratorNamed(d.model); d.model != "" && (!ok || a.Name != d.model) {
			t.Errorf("%q is no canonical name", d.model)
		}
		if d.model != "" && d.name == "" {
			t.Errorf("%+v knows a model by no name", d)
		}
	})
}
