package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"purser"
	"purser/api"
)

// offersShown are an offer of each sort.
func offersShown(now time.Time) map[string]api.Offer {
	base := purser.Offer{
		Provider: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge", Option: purser.Spot, UnitPrice: purser.USDPerHourOf(9.83), Limit: purser.Unlimited,
		Shape:  purser.Shape{Accelerator: "A100-40GB", Devices: 8000, DeviceMemoryMiB: 40 << 10, MilliCPU: 96_000, MemoryMiB: 1152 << 10},
		Source: "aws-spot", ObservedAt: now.Add(-50 * time.Hour),
	}
	with := func(change func(*purser.Offer)) api.Offer {
		o := base
		change(&o)
		return api.OfferOf(o)
	}
	stale := api.OfferOf(base)
	stale.Stale = true
	return map[string]api.Offer{
		"stale": stale,
		"fresh": with(func(o *purser.Offer) {
			o.Zone, o.Option, o.UnitPrice, o.ObservedAt = "us-east-1b", purser.OnDemand, purser.USDPerHourOf(21.96), now.Add(-90*time.Minute)
		}),
		"cpu": with(func(o *purser.Offer) {
			*o = purser.Offer{
				Provider: "gcp", Region: "europe-west4", InstanceType: "n2-standard-8", Option: purser.OnDemand, UnitPrice: purser.USDPerHourOf(0.3885), Limit: purser.Unlimited,
				Shape: purser.Shape{MilliCPU: 8000, MemoryMiB: 32 << 10}, Source: "bundled", ObservedAt: now.Add(-90 * time.Minute),
			}
		}),
		"private": with(func(o *purser.Offer) {
			o.Provider, o.Region, o.Zone, o.InstanceType, o.Option = "private", "local", "", "rack", purser.Private
			o.UnitPrice, o.Source, o.ObservedAt = purser.USDPerHourOf(0.9), "private@box:amortization+power", now.Add(-90*time.Second)
		}),
		"serverless": with(func(o *purser.Offer) {
			o.Provider, o.Region, o.Zone, o.InstanceType, o.Option = "modal", "global", "", "serverless-h100", purser.Serverless
			o.Accelerator, o.Devices, o.DeviceMemoryMiB, o.UnitPrice = "H100", 1000, 80<<10, purser.USDPerHourOf(3.9492)
			o.Source, o.ObservedAt = "serverless", now.Add(-90*time.Minute)
			o.Terms = purser.Terms{
				BillingStep: 100 * time.Millisecond, ColdStart: 2500 * time.Millisecond, MaxRequest: 24 * time.Hour, MaxConcurrent: 10, IdleBilled: time.Minute, PerRequest: purser.MoneyOf(0.0000002),
			}
		}),
	}
}

// pricesWorld is what the verbs of prices are shown.
func pricesWorld() map[string]any {
	now := time.Now().UTC()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	day := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	usd := purser.USDPerHourOf
	o := offersShown(now)
	spot := o["stale"].ID
	rule := purser.PriceRule{Offer: spot, Reason: purser.QuarantineOutlier, Low: usd(4.9), High: usd(19.7), Until: day.AddDate(0, 1, 0), Actor: "ann", Note: "it is a sale", MadeAt: day}
	block := purser.PriceRule{Offer: o["cpu"].ID, Reason: purser.QuarantineByHand, High: purser.USDPerHour(1 << 62), Until: day.AddDate(0, 1, 0), Actor: "bob", MadeAt: day}
	waiting := api.Source{Name: "aws-spot", Says: "AWS spot by zone", Enabled: true, Schedule: "0 */10 * * * *", NextAt: at(4*time.Minute + 30*time.Second)}
	return map[string]any{
		"GET /v1/prices": api.Offers{Offers: []api.Offer{o["private"], o["stale"], o["fresh"], o["serverless"], o["cpu"]}},
		"GET /v1/prices/history": api.PriceHistory{Offer: spot, Points: []purser.PricePoint{
			{From: day, UnitPrice: usd(9.83), Source: "aws-spot"},
			{From: day.Add(30 * time.Hour), UnitPrice: usd(10.5), Source: "aws-spot"},
			{From: day.Add(40 * time.Hour), Gone: true, Source: "aws-spot"},
			{From: day.Add(60 * time.Hour), UnitPrice: usd(9.1), Source: "csvfile:history.csv\x1b[2J"},
		}},
		"GET /v1/prices/cheapest": api.Cheapest{Per: "device", Steps: []api.CheapestStep{
			{From: day, Offer: spot, UnitPrice: 1.22875}, {From: day.Add(30 * time.Hour)}, {From: day.Add(50 * time.Hour), Offer: o["fresh"].ID, UnitPrice: 2.745},
		}},
		"GET /v1/hazards": api.Hazards{Hazards: []api.Hazard{
			{Provider: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge", Mean: 0.02, Low: 0.0012, High: 0.055, Events: 1.25, Hours: 310.4, Basis: "aws-spot: 5-10% a month", Signals: []purser.Signal{}},
			{Provider: "gcp", Region: "us-central1", InstanceType: "a2-highgpu-8g", Mean: 1.5, Low: 0.5, High: 12.3, Basis: "no band known", Signals: []purser.Signal{}},
			{Provider: "azure", Region: "eastus", InstanceType: "Standard_ND96asr_v4", Mean: 0.0002, High: 0.0006, Basis: "azure: 0-5%", Signals: []purser.Signal{}},
		}},
		"GET /v1/sources": api.Sources{Sources: []api.Source{
			{Name: "bundled", Says: "the list that comes along", Enabled: true, Schedule: "0 7 3 * * *", NextAt: at(14*time.Hour + time.Minute), LastAt: ago(90 * time.Minute), EndedAt: at(-90 * time.Minute), Offers: 150},
			{
				Name: "aws-spot", Says: "AWS spot by zone", Enabled: true, Schedule: "0 */10 * * * *", NextAt: at(4*time.Minute + 30*time.Second), LastAt: ago(10*time.Minute + time.Second), EndedAt: at(-10 * time.Minute), BeganAt: at(-90 * time.Second),
				Progress: "3 regions, 1203 offers, 44 new or changed", Regions: 17, Offers: 5120, Quarantined: 3, Alarm: "us-east-1: 40 of 60 offers are missing from the feed; none was taken off",
			},
			{
				Name: "gcp", Says: "Google Cloud", Enabled: true, Schedule: "0 17 5 * * *", NextAt: at(16*time.Hour + time.Minute), LastAt: ago(50 * time.Hour), EndedAt: at(-3*time.Hour - time.Minute), Regions: 9, Offers: 800, Failures: 3, ErrorKind: "unauthorized",
				LastError: "the API of prices refuses the key that it was given for the project of this server, and says that it has expired (make a new one in the console and set sources.gcp.key)\x1b[31m",
			},
			{Name: "azure", Says: "Azure on demand and spot", Enabled: true, Schedule: "0 29 */6 * * *", NextAt: at(50*time.Minute + time.Second)},
			{Name: "vast", Says: "Vast.ai marketplace", LastAt: ago(3*time.Hour + time.Minute), EndedAt: at(-3*time.Hour - time.Minute), Offers: 61},
			{Name: "vultr", Says: "Vultr on demand"},
			{Name: "csvfile:aws.csv", LastAt: ago(100 * time.Hour), Offers: 12, Alarm: "every price rose"},
		}},
		"POST /v1/sources/aws-spot/collect": waiting,
		"GET /v1/quarantine": api.Quarantine{Quarantined: []api.QuarantinedPrice{
			{Offer: o["cpu"], Source: "bundled", Reason: purser.QuarantineShape, Detail: "no vCPUs", Place: "aws.csv:7", LastSeenAt: ago(90 * time.Minute)},
			{
				Offer: o["stale"], Source: "aws-spot", Reason: purser.QuarantineOutlier, LastSeenAt: ago(50 * time.Hour), KeptAt: at(-30*time.Hour - time.Minute),
				Detail: "$9.83/h is over three times the median of p4d.24xlarge spot over 17 regions, which is $3.10/h; of the same type on demand the median is $21.96/h",
			},
		}},
		"POST /v1/quarantine/release": rule,
		"POST /v1/quarantine/keep":    nil,
		"POST /v1/prices/block":       block,
		"GET /v1/prices/rules":        api.PriceRules{Rules: []purser.PriceRule{rule, block}},
		"DELETE /v1/prices/rules":     nil,
		"POST /v1/prices/import":      api.PriceReport{Source: "csvfile:aws.csv", Seen: 10, New: 4, Changed: 3, Unchanged: 2, Older: 1, Quarantined: 5},
	}
}

const (
	historyFile = "observed_at,instance_type,availability_zone_id,spot_usd_per_hour,on_demand_usd_per_hour\n"
	listFile    = "InstanceType,vCPUs,MemoryGiB\n"
)

// writeFile makes a file of a test.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
		t.Fatal("it is not packed")
	}
	return b.String()
}

// Every verb of prices: what it prints, what it prints as JSON, and what it asks for.
func TestPriceVerbs(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	const spot, between = "aws/us-east-1/us-east-1a/p4d.24xlarge/spot", "from=2026-03-02T00%3A00%3A00Z"
	list := writeFile(t, "aws.csv", listFile)
	for name, c := range map[string]verbCase{
		"prices": {[]string{"prices", "--accelerator", "A100", "--option", "spot"}, "GET /v1/prices?accelerator=A100&limit=40&option=spot&per=device", "GET /v1/prices"},
		"prices-filtered": {
			[]string{
				"prices", "--provider", "aws", "--region", "us-east-1", "--option", "on-demand", "--source", "aws", "--id", "a/b/c/d/e", "--min-memory", "79.5", "--min-devices", "0.125", "--accelerated",
				"--per", "machine", "--as-of", "2026-03-02", "--limit", "5",
			},
			"GET /v1/prices?accelerated=true&as_of=2026-03-02T00%3A00%3A00Z&id=a%2Fb%2Fc%2Fd%2Fe&limit=5&min_devices=0.125&min_memory_gib=79.5&option=on_demand&per=machine&provider=aws&region=us-east-1&source=aws", "GET /v1/prices",
		},
		"prices-history": {
			[]string{"prices", "history", spot, "--from", "2026-03-02", "--to", "2026-03-06T00:00:00+01:00"},
			"GET /v1/prices/history?by=change&" + between + "&offer=aws%2Fus-east-1%2Fus-east-1a%2Fp4d.24xlarge%2Fspot&to=2026-03-05T23%3A00%3A00Z", "GET /v1/prices/history",
		},
		"prices-cheapest": {
			[]string{"prices", "cheapest", "--accelerator", "A100", "--from", "2026-03-02", "--to", "2026-03-06"},
			"GET /v1/prices/cheapest?accelerator=A100&" + between + "&per=device&to=2026-03-06T00%3A00%3A00Z", "GET /v1/prices/cheapest",
		},
		"prices-cheapest-no-plot": {[]string{"prices", "cheapest", "--id", spot, "--per", "gib", "--no-plot"}, "GET /v1/prices/cheapest?id=aws%2Fus-east-1%2Fus-east-1a%2Fp4d.24xlarge%2Fspot&per=gib", ""},
		"prices-hazards":          {[]string{"prices", "hazards", "--provider", "aws", "--type", "p4d.24xlarge"}, "GET /v1/hazards?instance_type=p4d.24xlarge&provider=aws", "GET /v1/hazards"},
		"prices-sources":          {[]string{"prices", "sources"}, "GET /v1/sources", "GET /v1/sources"},
		"prices-collect-no-wait":  {[]string{"prices", "collect", "--source", "aws-spot", "--no-wait"}, "GET /v1/sources", ""},
		"prices-quarantine":       {[]string{"prices", "quarantine", "--source", "feed", "--reason", "outlier", "--offer", "x", "--kept"}, "GET /v1/quarantine?kept=true&limit=100&offer=x&reason=outlier&source=feed", "GET /v1/quarantine"},
		"prices-release":          {[]string{"prices", "quarantine", "release", spot, "--source", "aws-spot", "--reason", "outlier", "--days", "7", "--note", "a sale"}, "POST /v1/quarantine/release", "POST /v1/quarantine/release"},
		"prices-keep":             {[]string{"prices", "quarantine", "keep", spot, "--note", "a slip"}, "POST /v1/quarantine/keep", ""},
		"prices-block":            {[]string{"prices", "block", "gcp/europe-west4/-/n2-standard-8/on_demand"}, "POST /v1/prices/block", "POST /v1/prices/block"},
		"prices-rules":            {[]string{"prices", "rules"}, "GET /v1/prices/rules", "GET /v1/prices/rules"},
		"prices-rules-drop":       {[]string{"prices", "rules", "drop", spot, "outlier"}, "DELETE /v1/prices/rules?offer=aws%2Fus-east-1%2Fus-east-1a%2Fp4d.24xlarge%2Fspot&reason=outlier", ""},
		"prices-import":           {[]string{"prices", "import", list, "--as-of", "2024-02-21"}, "POST /v1/prices/import?as_of=2024-02-21T00%3A00%3A00Z&name=aws.csv", ""},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, name, pricesWorld()) })
	}
}

// What the tables of other answers look like.
func TestPriceTables(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	now := time.Now().UTC()
	o := offersShown(now)
	asOf := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	usd := purser.USDPerHourOf
	days := []api.PriceDay{
		{Day: "2026-03-01", Low: usd(9.1), High: usd(12), Mean: usd(10.25), Last: usd(9.5), Hours: 24},
		{Day: "2026-03-03", Low: usd(9.5), High: usd(9.5), Mean: usd(9.5), Hours: 5.5},
		{Day: "2026-03-04"},
		{Day: "2026-03-05", Low: usd(8), High: usd(8), Mean: usd(8), Last: usd(8), Hours: 12},
	}
	for name, c := range map[string]struct {
		ask  string
		says any
		args []string
	}{
		"prices-devices":    {"GET /v1/prices", api.Offers{Offers: []api.Offer{o["private"], o["fresh"]}, AsOf: &asOf}, []string{"prices", "--per", "tflop", "--limit", "2"}},
		"prices-none":       {"GET /v1/prices", api.Offers{Offers: []api.Offer{}}, []string{"prices"}},
		"history-days":      {"GET /v1/prices/history", api.PriceHistory{Offer: "x", Days: days}, []string{"prices", "history", "x", "--by", "day", "--from", "2026-02-28", "--to", "2026-03-07"}},
		"history-none":      {"GET /v1/prices/history", api.PriceHistory{Offer: "a/b/-/c/spot"}, []string{"prices", "history", "a/b/-/c/spot"}},
		"cheapest-none":     {"GET /v1/prices/cheapest", api.Cheapest{Per: "device"}, []string{"prices", "cheapest", "--accelerator", "A100"}},
		"hazards-none":      {"GET /v1/hazards", api.Hazards{}, []string{"prices", "hazards"}},
		"quarantine-none":   {"GET /v1/quarantine", api.Quarantine{}, []string{"prices", "quarantine"}},
		"prices-rules-none": {"GET /v1/prices/rules", api.PriceRules{}, []string{"prices", "rules"}},
		"import-history": {
			"POST /v1/prices/import",
			api.PriceReport{Source: "csvfile:history.csv.gz", Seen: 10, New: 10, Past: 3000, Stale: 4, Alarm: "every price rose"},
			[]string{"prices", "import", writeFile(t, "history.csv.gz", gzipped(t, historyFile))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := serving(t, map[string]any{c.ask: c.says})
			out, errs, code := ran(t, c.args...)
			if code != 0 || strings.Contains(a.asked[0], "as_of") {
				t.Errorf("code %d, said %q, asked %q", code, errs, a.asked)
			}
			golden(t, name, out)
		})
	}
}

// What decisions send.
func TestPriceReviewsSay(t *testing.T) {
	a := serving(t, pricesWorld())
	for _, args := range [][]string{
		{"prices", "quarantine", "release", "x/y", "--source", "s", "--reason", "outlier", "--days", "1.5", "--note", "n"},
		{"prices", "quarantine", "keep", "x/y", "--source", "s", "--reason", "outlier", "--note", "n"},
		{"prices", "block", "x/y", "--days", "2"},
	} {
		if _, errs, code := ran(t, args...); code != 0 {
			t.Errorf("%q: code %d, said %q", args, code, errs)
		}
	}
	for path, want := range map[string]api.Review{
		"POST /v1/quarantine/release": {Source: "s", Offer: "x/y", Reason: "outlier", Days: 1.5, Note: "n"},
		"POST /v1/quarantine/keep":    {Source: "s", Offer: "x/y", Reason: "outlier", Note: "n"},
		"POST /v1/prices/block":       {Offer: "x/y", Days: 2},
	} {
		var got api.Review
		if err := json.Unmarshal([]byte(a.body[path]), &got); err != nil || got != want {
			t.Errorf("%s was sent %s, %v", path, a.body[path], err)
		}
	}
}

// A long history shows its newest rows.
func TestPriceHistoryIsBounded(t *testing.T) {
	h := api.PriceHistory{Offer: "o"}
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 100 {
		h.Points = append(h.Points, purser.PricePoint{From: begin.Add(time.Duration(i) * time.Hour), UnitPrice: purser.USDPerHourOf(float64(1 + i))})
	}
	serving(t, map[string]any{"GET /v1/prices/history": h})
	out, _, code := ran(t, "prices", "history", "o", "--no-plot")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != maxRows+2 || !strings.Contains(lines[0], "60 earlier") || !strings.Contains(lines[len(lines)-1], "$100.00/h") {
		t.Errorf("code %d: %s", code, out)
	}
}

// Wrong command lines of the verbs of prices: code 2 and one sentence; the server is not
// asked.
func TestPriceVerbsBroken(t *testing.T) {
	list, history := writeFile(t, "aws.csv", listFile), writeFile(t, "history.csv", historyFile)
	a := serving(t, pricesWorld())
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"per":             {[]string{"prices", "--per", "pound"}, "gib"},
		"as-of":           {[]string{"prices", "--as-of", "yesterday"}, "--as-of"},
		"from":            {[]string{"prices", "history", "x", "--from", "2026"}, "--from"},
		"to":              {[]string{"prices", "cheapest", "--accelerator", "A100", "--to", "now"}, "--to"},
		"by":              {[]string{"prices", "history", "x", "--by", "hour"}, "day"},
		"no offer":        {[]string{"prices", "history"}, "history"},
		"no accelerator":  {[]string{"prices", "cheapest"}, "--accelerator"},
		"no reason":       {[]string{"prices", "rules", "drop", "x"}, "2 arg"},
		"stray word":      {[]string{"prices", "of", "x"}, "of"},
		"list, no as-of":  {[]string{"prices", "import", list}, "--as-of"},
		"one list of two": {[]string{"prices", "import", history, list}, "--as-of"},
	} {
		if out, errs, code := ran(t, c.args...); code != exitInvalid || out != "" || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: code %d, printed %q, said %q", name, code, out, errs)
		}
	}
	if len(a.asked) != 0 {
		t.Errorf("asked %q", a.asked)
	}
}

func TestImportedPricesAsJSON(t *testing.T) {
	serving(t, pricesWorld())
	out, errs, code := ran(t, "prices", "import", writeFile(t, "aws.csv", listFile), "--as-of", "2024-02-21", "-o", "json")
	var got struct{ Reports []api.PriceReport }
	want := []api.PriceReport{pricesWorld()["POST /v1/prices/import"].(api.PriceReport)}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || !reflect.DeepEqual(got.Reports, want) {
		t.Errorf("code %d, said %q, %v: %s", code, errs, err, out)
	}
}

func TestPriceHistoryFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"history":           {historyFile + "x", true},
		"another order":     {"\ufeffinstance_type,observed_at\r\n", true},
		"packed":            {gzipped(t, historyFile), true},
		"list":              {listFile + "observed_at", false},
		"packed list":       {gzipped(t, listFile), false},
		"broken pack":       {"\x1f\x8bobserved_at", false},
		"empty":             {"", false},
		"an endless header": {strings.Repeat("x", 1<<20) + "observed_at", false},
	} {
		if got := isHistory(writeFile(t, "f.csv", c.text)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isHistory(filepath.Join(t.TempDir(), "none")) {
		t.Error("a file that is not there is a history")
	}
}

func TestPriceFigures(t *testing.T) {
	for usd, want := range map[float64]string{0: "$0.00", 98.321: "$98.32", 0.1: "$0.10", 0.0999: "$0.0999", 0.00202: "$0.00202", 0.0003047: "$0.000305", 1e-12: "$0.000000000"} {
		if got := dollars(usd); got != want {
			t.Errorf("%v is %s, want %s", usd, got, want)
		}
	}
	for s, want := range map[float64]string{0.001: "1 ms", 2.5: "2.5 s", 90: "1.5 min", 86400: "24 h"} {
		if got := seconds(s); got != want {
			t.Errorf("%v s is %s, want %s", s, got, want)
		}
	}
	for mean, want := range map[float64]string{3600: "3600 an hour", 1: "1.0 an hour", 0.02: "0.48 a day", 0.001: "0.73 a month", 1e-7: "<0.001 a month"} {
		if got, _ := rate(mean, 0, mean); got != want {
			t.Errorf("%v is %s, want %s", mean, got, want)
		}
	}
	for source, want := range map[string]string{"private@box": "price that was given", "private@box:power-estimate": "from an estimate of its power", "private@box:amortization+power": "from amortization and power"} {
		if got := ownPrice(api.Offer{Option: purser.Private, Source: source}); !strings.Contains(got, want) {
			t.Errorf("%s: %q", source, got)
		}
	}
}

// Wrapping keeps every word in its order, and no line of several words is too wide.
func TestPriceNotesAreWrapped(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.StringMatching(`[a-zé]{1,150}`)).Draw(rt, "words"), " ")
		got := wrapped(text, "> ", "    ")
		if strings.Join(strings.Fields(got), " ") != strings.TrimSpace("> "+text) {
			rt.Fatalf("%q became %q", text, got)
		}
		for i, line := range strings.Split(got, "\n") {
			if words := len(strings.Fields(strings.TrimPrefix(line, "> "))); words > 1 && utf8.RuneCountInString(line) > outputWidth {
				rt.Fatalf("line %d has %d columns: %q", i, utf8.RuneCountInString(line), line)
			}
		}
	})
}
