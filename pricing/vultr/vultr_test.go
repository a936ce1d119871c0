package vultr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

var seen = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("EST", -5*3600))

// lists are what the API has, by path, as JSON entries.
type lists map[string][]string

var list = lists{
	"regions": {
		`{"id":"ewr","city":"New Jersey","country":"US","continent":"North America","options":["ddos_protection"]}`,
		`{"id":"ams","city":"Amsterdam","country":"NL"}`,
		`{"id":"sao","city":"São Paulo","country":"BR"}`,
	},
	"plans": {
		`{"id":"vc2-1c-1gb","vcpu_count":1,"ram":1024,"disk":25,"disk_count":1,"monthly_cost":5,"hourly_cost":0.007,"type":"vc2","locations":["ewr","ams","sao"],
		  "deploy_ondemand":true,"deploy_preemptible":false,"location_cost":{"sao":{"hourly_cost":0.01,"monthly_cost":7.5}}}`,
		`{"id":"vcg-a100-1c-6g-4vram","vcpu_count":1,"ram":6144,"disk":70,"monthly_cost":90,"hourly_cost":0.123,"type":"vcg","gpu_vram_gb":4,"gpu_type":"NVIDIA_A100","locations":["ewr"],"location_cost":[]}`,
		`{"id":"vcg-l40s-16c-180g-48vram","vcpu_count":16,"ram":184320,"disk":1200,"monthly_cost":1193,"hourly_cost":1.671,"type":"vcg","gpu_vram_gb":48,"gpu_type":"NVIDIA_L40S","gpu_count":1,"locations":["ams"]}`,
		`{"id":"vcg-a40-1c-5g-2vram","vcpu_count":1,"ram":5120,"disk":50,"monthly_cost":54,"hourly_cost":0.075,"type":"vcg","gpu_vram_gb":2,"gpu_type":"NVIDIA_A40","gpu_count":"1/24","locations":["ewr"]}`,
		`{"id":"vcg-a100-12c-120g-80vram","vcpu_count":12,"ram":122880,"disk":1400,"monthly_cost":1750,"hourly_cost":2.397,"type":"vcg","gpu_vram_gb":80,"gpu_type":"NVIDIA_A100","locations":[]}`,
	},
	"plans-metal": {
		`{"id":"vbm-112c-2048gb-8-h100-gpu","cpu_count":112,"cpu_cores":112,"cpu_threads":224,"ram":2097152,"disk":960,"disk_count":2,"monthly_cost":16074.24,"hourly_cost":23.92,
		  "monthly_cost_preemptible":12364.8,"hourly_cost_preemptible":18.4,"type":"NVMe","locations":["ewr"],"deploy_ondemand":true,"deploy_preemptible":true}`,
		`{"id":"vbm-112c-2048gb-8-a100-gpu","cpu_count":112,"cpu_threads":224,"ram":2097152,"disk":960,"monthly_cost":15053,"hourly_cost":22.4,"hourly_cost_preemptible":11.92,
		  "gpu_type":"NVIDIA_A100_SXM","gpu_count":8,"locations":["ewr"],"deploy_ondemand":false,"deploy_preemptible":true}`,
		`{"id":"vbm-256c-3072gb-8-b200-gpu","cpu_count":256,"cpu_threads":512,"ram":3145728,"disk":960,"monthly_cost":45696,"gpu_type":"NVIDIA_B200","gpu_vram_gb":1536,"locations":["ams"]}`,
		`{"id":"vbm-4c-32gb","cpu_count":4,"cpu_threads":8,"ram":32768,"disk":240,"disk_count":2,"monthly_cost":120,"hourly_cost":0.179,"gpu_type":"none","locations":["ewr"]}`,
	},
}

var listName = map[string]string{"regions": "regions", "plans": "plans", "plans-metal": "plans_metal"}

// ServeHTTP gives two entries to a page, whatever per_page says, as an API may.
func (l lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	entries, ok := l[path]
	if !ok || r.URL.Query().Get("per_page") != "500" {
		http.NotFound(w, r)
		return
	}
	at := 0
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		if n, err := fmt.Sscanf(cursor, "bmV4dF9f=%d", &at); n != 1 || err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	to := min(at+2, len(entries))
	next := ""
	if to < len(entries) {
		next = fmt.Sprintf("bmV4dF9f=%d", to)
	}
	fmt.Fprintf(w, `{%q:[%s],"meta":{"total":%d,"links":{"next":%q,"prev":""}}}`, listName[path], strings.Join(entries[at:to], ","), len(entries), next)
}

func newAt(url string, client *http.Client) pricing.Collector {
	return New(Options{
		URL: url, Now: func() time.Time { return seen },
		Client: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond},
	})
}

func collect(t *testing.T, h http.Handler) ([]pricing.Row, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return pricing.Collect(t.Context(), newAt(srv.URL, srv.Client()))
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(list)
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return newAt(srv.URL+"/", srv.Client()) })
}

func TestFaults(t *testing.T) {
	pricingtest.RunFaults(t, pricingtest.Feed{Handler: list, NoAuth: true, New: newAt})
}

func TestOffers(t *testing.T) {
	rows, err := collect(t, list)
	if err != nil {
		t.Fatal(err)
	}
	sifted := pricing.Sift(rows)
	if len(sifted.Quarantined) > 0 {
		t.Errorf("quarantined: %+v", sifted.Quarantined)
	}
	var got []string
	for _, o := range sifted.Offers {
		got = append(got, fmt.Sprintf("%s $%s %s %s×%s %d/%d/%d", o.ID(), o.UnitPrice.Decimal(), o.Country, o.Accelerator, o.Devices, o.MilliCPU, o.MemoryMiB, o.DiskMiB))
	}
	want := []string{
		"vultr/ams/-/vbm-256c-3072gb-8-b200-gpu/on_demand $68 NL B200×8 512000/3145728/983040", // 45,696 $ a month
		"vultr/ams/-/vc2-1c-1gb/on_demand $0.007 NL ×0 1000/1024/25600",
		"vultr/ams/-/vcg-l40s-16c-180g-48vram/on_demand $1.671 NL L40S×1 16000/184320/1228800",
		"vultr/ewr/-/vbm-112c-2048gb-8-a100-gpu/spot $11.92 US A100-80GB×8 224000/2097152/983040",
		"vultr/ewr/-/vbm-112c-2048gb-8-h100-gpu/on_demand $23.92 US H100×8 224000/2097152/1966080",
		"vultr/ewr/-/vbm-112c-2048gb-8-h100-gpu/spot $18.4 US H100×8 224000/2097152/1966080",
		"vultr/ewr/-/vbm-4c-32gb/on_demand $0.179 US ×0 8000/32768/491520",
		"vultr/ewr/-/vc2-1c-1gb/on_demand $0.007 US ×0 1000/1024/25600",
		"vultr/ewr/-/vcg-a100-1c-6g-4vram/on_demand $0.123 US A100-80GB×0.05 1000/6144/71680",
		"vultr/ewr/-/vcg-a40-1c-5g-2vram/on_demand $0.075 US A40×0.041 1000/5120/51200",
		"vultr/sao/-/vc2-1c-1gb/on_demand $0.01 BR ×0 1000/1024/25600",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o := rows[0].Offer; !o.ObservedAt.Equal(seen) || o.ObservedAt.Location() != time.UTC {
		t.Errorf("observed at %s", o.ObservedAt)
	}
}

// Trap 15: price lists outlive hardware, so a plan without locations is no offer.
func TestTrap15_WithoutLocationsIsNoRow(t *testing.T) {
	rows, err := collect(t, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Offer.InstanceType == "vcg-a100-12c-120g-80vram" {
			t.Errorf("%s is offered, and no region has it", r.Offer.ID())
		}
	}
}

func TestWhatCannotBeBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		plan   string
		reason pricing.QuarantineReason
		says   string
	}{
		"free":           {`"id":"vc2-1c-0.5gb-free","vcpu_count":1,"ram":512,"hourly_cost":0,"monthly_cost":0`, purser.QuarantineNoPrice, "$0/h"},
		"negative":       {`"id":"a","vcpu_count":1,"ram":512,"hourly_cost":-1`, purser.QuarantineNoPrice, "$-1/h"},
		"no price":       {`"id":"a","vcpu_count":1,"ram":512`, purser.QuarantineNoPrice, `""`},
		"huge":           {`"id":"a","vcpu_count":1,"ram":512,"hourly_cost":1e30`, purser.QuarantineNoPrice, "1e30"},
		"unknown device": {`"id":"vcg-x9-6c-64g-16vram","vcpu_count":6,"ram":65536,"hourly_cost":0.5,"gpu_type":"NVIDIA_X9","gpu_vram_gb":16`, purser.QuarantineAccelerator, "X9"},
		"odd memory":     {`"id":"a","vcpu_count":6,"ram":65536,"hourly_cost":0.5,"gpu_type":"NVIDIA_A40","gpu_vram_gb":70`, purser.QuarantineShape, "has none"},
	} {
		rows, err := collect(t, lists{"regions": list["regions"], "plans": {"{" + c.plan + `,"locations":["ewr"]}`}, "plans-metal": {`{"id":"b"}`}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sifted := pricing.Sift(rows)
		if len(sifted.Offers) != 0 || len(sifted.Quarantined) != 1 || sifted.Quarantined[0].Reason != c.reason || !strings.Contains(sifted.Quarantined[0].Detail, c.says) {
			t.Errorf("%s: got %+v, want %s that says %q", name, sifted, c.reason, c.says)
		}
	}
}

func TestBrokenLists(t *testing.T) {
	for name, c := range map[string]struct {
		path, body, says string
	}{
		"no plans":       {"/plans", `{"plans":[],"meta":{}}`, "nothing at all"},
		"nothing":        {"/plans-metal", `{}`, "nothing at all"},
		"null":           {"/regions", `null`, "nothing at all"},
		"no list":        {"/plans", `{"plans":{}}`, "form"},
		"odd costs":      {"/plans", `{"plans":[{"id":"a","location_cost":["sao"]}]}`, "form"},
		"the same again": {"/plans", `{"plans":[{"id":"a"}],"meta":{"links":{"next":"b"}}}`, "again and again"},
	} {
		rows, err := collect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == c.path {
				fmt.Fprint(w, c.body)
				return
			}
			list.ServeHTTP(w, r)
		}))
		if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.says) || len(rows) > 0 {
			t.Errorf("%s: got %d rows and %v, want invalid that says %q", name, len(rows), err, c.says)
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

// A price by the month never promises less than the month is billed.
func TestMonthsAreNotBilledShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		month := purser.USDPerHour(rapid.Int64Range(0, 1e15).Draw(t, "nano-USD a month"))
		r := priced(pricing.Row{}, purser.OnDemand, "", json.Number(month.Decimal()))
		if all := r.Offer.UnitPrice * billedHours; r.Reason != "" || all < month || all-month >= billedHours {
			t.Errorf("%s a month became %s an hour (%s)", month.Decimal(), r.Offer.UnitPrice.Decimal(), r.Detail)
		}
	})
}

func TestDevices(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA_A100": "A100-80GB", "NVIDIA_A100_SXM": "A100-80GB", "a100": "A100-80GB", "NVIDIA_H100": "H100", "NVIDIA_HGX_H100": "H100",
		"NVIDIA_L40S": "L40S", "NVIDIA_A40": "A40", "NVIDIA_GH200": "GH200", "AMD_MI300X": "MI300X", "AMD_MI325X": "MI325X", "NVIDIA_A16": "A16", "NVIDIA_X9": "", "": "",
	} {
		if a, ok := accelerator(name); a.Name != want || ok != (want != "") {
			t.Errorf("accelerator(%q) = %q, %t, want %q", name, a.Name, ok, want)
		}
	}
	for id, want := range map[string]string{
		"vbm-112c-2048gb-8-h100-gpu": "h100×8", "vbm-72c-480gb-gh200-gpu": "gh200×1", "vbm-48c-1024gb-4-a100-gpu": "a100×4",
		"vbm-4c-32gb": "×0", "vcg-a100-1c-6g-4vram": "×0", "": "×0",
	} {
		if name, n := metalDevices(id); name+"×"+n.String() != want {
			t.Errorf("metalDevices(%q) = %s×%s, want %s", id, name, n, want)
		}
	}
	for s, want := range map[string]purser.MilliDevices{"8": 8000, "1/8": 125, "1/24": 41, "0": 0, "": 0, "null": 0, "1/0": 0, "-1": 0, "0.5": 0, "1/": 0, "/2": 0} {
		if got := parseShare(s); got != want {
			t.Errorf("parseShare(%q) = %d, want %d", s, got, want)
		}
	}
}

func FuzzMetalDevices(f *testing.F) {
	f.Add("vbm-112c-2048gb-8-h100-gpu")
	f.Add("vbm-72c-480gb-gh200-gpu")
	f.Fuzz(func(t *testing.T, id string) {
		name, n := metalDevices(id)
		if n < 0 || n > 99_000 || !n.Whole() || (name == "" && n != 0) || !strings.Contains(id, name) {
			t.Errorf("metalDevices(%q) = %q, %s", id, name, n)
		}
	})
}

func FuzzParseShare(f *testing.F) {
	for _, s := range []string{"8", "1/8", "1/0", "2147483647/1", "-1/-8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := parseShare(s); n < 0 || (!strings.Contains(s, "/") && !n.Whole()) {
			t.Errorf("parseShare(%q) = %d", s, n)
		}
	})
}
