package serverless

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

func TestConformance(t *testing.T) { pricingtest.Run(t, New) }

// header is the bundled list's, good a line of it.
var (
	header = strings.Join(columns, ",") + "\n"
	good   = "modal,global,serverless-l4,L4,1,4,24,second,0.000222,0.00000655,0.00000222,1s,2s,24h,10,60s,0.0000002,modal.com/pricing,2026-05-08\n"
)

func writeList(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mine.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileConformance(t *testing.T) {
	path := writeList(t, header+good+strings.NewReplacer("-l4", "-t4", "L4", "T4", "modal.com", "elsewhere.net").Replace(good)+strings.Replace(good, "-l4", "-l4-b", 1))
	pricingtest.Run(t, func() pricing.Collector { return NewFile(path) })
	if got := NewFile(path).Source(); got != "serverless-file:mine.csv" {
		t.Errorf("its source is %q", got)
	}
}

func TestEveryRowIsBelieved(t *testing.T) {
	rows, err := pricing.Collect(t.Context(), New())
	if err != nil {
		t.Fatal(err)
	}
	s := pricing.Sift(rows)
	for _, q := range s.Quarantined {
		t.Errorf("%s: %s: %s (%s)", q.Place, q.Reason, q.Detail, q.Offer.ID())
	}
	if s.Merged > 0 || len(s.Offers) < 20 {
		t.Errorf("%d offers, %d merged", len(s.Offers), s.Merged)
	}
	providers := map[string]bool{}
	for _, o := range s.Offers {
		providers[o.Provider] = true
		if o.Option != purser.Serverless || o.Terms.BillingStep <= 0 || !strings.HasPrefix(o.InstanceType, "serverless-") || !strings.HasPrefix(o.Source, "serverless:") {
			t.Errorf("%s: %+v", o.ID(), o)
		}
		if o.ObservedAt.Before(time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)) || o.ObservedAt.After(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s was observed at %s", o.ID(), o.ObservedAt)
		}
	}
	if len(providers) < 8 {
		t.Errorf("only %d services", len(providers))
	}
}

// The figures of this table are copied from the pages by hand, apart from the list.
func TestKeyFigures(t *testing.T) {
	rows, err := pricing.Collect(t.Context(), New())
	if err != nil {
		t.Fatal(err)
	}
	byID := map[purser.OfferID]purser.Offer{}
	for _, o := range pricing.Sift(rows).Offers {
		byID[o.ID()] = o
	}
	for id, want := range map[purser.OfferID]struct {
		usd, source string
		vCPUs, gib  int64
		terms       purser.Terms
		limit       int
	}{
		// 0.000225 · 3600
		"replicate/global/-/serverless-t4/serverless": {"0.81", "serverless:replicate.com/pricing", 4, 16, purser.Terms{BillingStep: time.Second, ColdStart: 2 * time.Minute, MaxRequest: 30 * time.Minute}, -1},
		// (0.0001867 + 4 · 0.000018 + 16 · 0.000002) · 3600
		"gcp/us-central1/-/serverless-l4/serverless": {
			"1.04652", "serverless:cloud.google.com/run/pricing", 4, 16,
			purser.Terms{BillingStep: 100 * time.Millisecond, ColdStart: 5 * time.Second, MaxRequest: time.Hour, IdleBilled: 15 * time.Minute},
			-1,
		},
		// (0.001097 + 4 · 0.00000655 + 80 · 0.00000222) · 3600
		"modal/global/-/serverless-h100/serverless": {
			"4.68288", "serverless:modal.com/pricing", 4, 80,
			purser.Terms{BillingStep: time.Second, ColdStart: time.Second, MaxRequest: 24 * time.Hour, MaxConcurrent: 10, IdleBilled: time.Minute},
			10,
		},
		"koyeb/global/-/serverless-h100/serverless":       {"2.5", "serverless:koyeb.com/pricing", 15, 180, purser.Terms{BillingStep: time.Second, IdleBilled: 5 * time.Minute}, -1},
		"runpod/global/-/serverless-a100-80gb/serverless": {"2.736", "serverless:docs.runpod.io/serverless/pricing", 16, 80, purser.Terms{BillingStep: time.Second, MaxRequest: 24 * time.Hour, IdleBilled: 5 * time.Second}, -1},
	} {
		o, ok := byID[id]
		if !ok || o.UnitPrice.Decimal() != want.usd || o.Source != want.source || o.MilliCPU != want.vCPUs*1000 || o.MemoryMiB != want.gib*1024 || o.Terms != want.terms || o.Limit != want.limit {
			t.Errorf("%s is %+v, want %+v", id, o, want)
		}
	}
	if got := byID["gcp/us-central1/-/serverless-l4/serverless"].Country; got != "US" {
		t.Errorf("us-central1 is in %q", got)
	}
}

func TestListIsSorted(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")[1:]
	for i, l := range lines {
		if i > 0 && lines[i-1] >= l {
			t.Errorf("line %d belongs before line %d (provider, region, type)", i+2, i+1)
		}
	}
}

func read(t *testing.T, text string) (purser.Offer, error) {
	t.Helper()
	rows, err := Read(strings.NewReader(text), "mine.csv")
	if err != nil || len(rows) == 0 {
		return purser.Offer{}, err
	}
	return rows[0].Offer, nil
}

func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		usd      string
	}{
		"as it is":        {"", "", "1.085328"}, // (222000 + 4·6550 + 24·2220 nano) · 3600
		"per minute":      {",second,", ",minute,", "0.0180888"},
		"per hour":        {",second,", ",hour,", "0.00030148"},
		"all in one":      {"0.00000655,0.00000222", ",", "0.7992"},
		"half a vCPU":     {",1,4,24,", ",1,0.5,24,", "1.002798"},
		"a CPU alone":     {"L4,1,", ",,", "1.085328"},
		"rounded up":      {"4,24,second,0.000222,0.00000655,0.00000222", "0.001,0.001,hour,0,0.000000001,0.000000001", "0.000000001"},
		"free":            {"0.000222,0.00000655,0.00000222", "0,0,0", "0"},
		"an alias":        {",L4,", ",NVIDIA L4,", "1.085328"},
		"spaces":          {",second,", ", second ,", "1.085328"},
		"quotes":          {",second,", `,"second",`, "1.085328"},
		"Windows' ending": {"\n", "\r\n", "1.085328"},
		"nine decimals":   {"0.000222,0.00000655,0.00000222", "0.000000001,,", "0.0000036"},
	} {
		o, err := read(t, header+strings.Replace(good, c.old, c.new, 1))
		if err != nil || o.UnitPrice.Decimal() != c.usd {
			t.Errorf("%s: $%s, %v; want $%s", name, o.UnitPrice.Decimal(), err, c.usd)
		}
	}
	o, err := read(t, header+good)
	want := purser.Terms{BillingStep: time.Second, ColdStart: 2 * time.Second, MaxRequest: 24 * time.Hour, MaxConcurrent: 10, IdleBilled: time.Minute, PerRequest: 200}
	if err != nil || o.Terms != want || o.Limit != 10 || o.Accelerator != "L4" || o.Devices != 1000 || o.DeviceMemoryMiB != 24<<10 {
		t.Errorf("%+v, %v", o, err)
	}
	turned := "as_of," + strings.Replace(header, ",as_of", "", 1) + "2026-05-08," + strings.Replace(good, ",2026-05-08", "", 1)
	if again, err := read(t, "\ufeff"+turned); err != nil || again != o {
		t.Errorf("with its columns in another order: %+v, %v", again, err)
	}
}

func TestUnbelievableRowsAreLeftToSift(t *testing.T) {
	rows, err := Read(strings.NewReader(header+good+strings.Replace(good, ",L4,", ",WARP-9,", 1)+strings.Replace(good, "0.000222,0.00000655,0.00000222", "0,0,0", 1)), "mine.csv")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows[1:] {
		rows[i+1].Offer.InstanceType += string(rune('a' + i))
	}
	s := pricing.Sift(rows)
	if r := s.Reasons(); len(s.Offers) != 1 || r[purser.QuarantineAccelerator] != 1 || r[purser.QuarantineNoPrice] != 1 {
		t.Errorf("%d offers, quarantined %v", len(s.Offers), r)
	}
}

func TestBrokenListsFailWithTheirLine(t *testing.T) {
	swap := func(what, with string) string { return header + good + strings.Replace(good, what, with, 1) }
	for name, c := range map[string]struct{ list, want string }{
		"empty":                {"", "mine.csv:1: the list is empty"},
		"blank":                {"\n\n", "mine.csv:1: the list is empty"},
		"no header":            {good, `mine.csv:1: "modal" is no column`},
		"header alone":         {header, "mine.csv:1: the list has a header and no prices"},
		"unknown column":       {strings.Replace(header, "as_of", "asof", 1) + good, `mine.csv:1: "asof" is no column`},
		"one column too many":  {strings.Replace(header, "as_of", "as_of,note", 1) + good, `mine.csv:1: "note" is no column`},
		"doubled column":       {strings.Replace(header, "per,", "per,per,", 1) + good, "mine.csv:1: per: the header names this column twice"},
		"missing columns":      {strings.Replace(header, ",usd_per_vcpu,usd_per_gib", "", 1) + good, "mine.csv:1: the header lacks usd_per_vcpu, usd_per_gib"},
		"few fields":           {header + "modal,global\n", "mine.csv:2: the line has 2 fields and the header 19"},
		"many fields":          {swap("modal.com", "modal.com,"), "mine.csv:3: the line has 20 fields"},
		"after blank lines":    {header + "\n\n" + good + "\n" + strings.Replace(good, "second", "week", 1), `mine.csv:6: per: "week" is not the unit of a price`},
		"no provider":          {swap("modal,", ","), "mine.csv:3: provider: this must be given"},
		"no region":            {swap("global", " "), "mine.csv:3: region: this must be given"},
		"no type":              {swap("serverless-l4", ""), "mine.csv:3: instance_type: this must be given"},
		"no source":            {swap("modal.com/pricing", ""), "mine.csv:3: source: this must be given"},
		"no price":             {swap("0.000222", ""), `mine.csv:3: usd: "" is not a number`},
		"price in words":       {swap("0.000222", "cheap"), `mine.csv:3: usd: "cheap" is not a number`},
		"price with sign":      {swap("0.000222", "$0.000222"), "mine.csv:3: usd: "},
		"price below 0":        {swap("0.000222", "-0.000222"), "mine.csv:3: usd: "},
		"price with exponent":  {swap("0.000222", "2.22e-4"), "mine.csv:3: usd: "},
		"price not a number":   {swap("0.000222", "NaN"), "mine.csv:3: usd: "},
		"price too fine":       {swap("0.000222", "0.0001388889"), "mine.csv:3: usd: "},
		"price too large":      {swap("0.000222", "9999999999"), "mine.csv:3: usd: "},
		"large by the hour":    {swap("0.000222", "9000000000"), `mine.csv:3: usd: "9000000000" is not a price that can be counted`},
		"vCPU price in words":  {swap("0.00000655", "x"), "mine.csv:3: usd_per_vcpu: "},
		"GiB price in words":   {swap("0.00000222", "x"), "mine.csv:3: usd_per_gib: "},
		"request price":        {swap("0.0000002", "1/5000000"), "mine.csv:3: usd_per_request: "},
		"count in words":       {swap("L4,1,", "L4,one,"), "mine.csv:3: count: "},
		"no vCPUs":             {swap(",1,4,24,", ",1,,24,"), "mine.csv:3: vcpus: "},
		"vCPUs below 0":        {swap(",1,4,24,", ",1,-4,24,"), "mine.csv:3: vcpus: "},
		"no memory":            {swap(",1,4,24,", ",1,4,,"), "mine.csv:3: memory_gib: "},
		"memory with unit":     {swap(",1,4,24,", ",1,4,24GB,"), "mine.csv:3: memory_gib: "},
		"memory huge":          {swap(",1,4,24,", ",1,4,9000000000,"), "mine.csv:3: memory_gib: "},
		"step without unit":    {swap("1s,2s", "1,2s"), `mine.csv:3: billing_step: "1" is not a length of time`},
		"step below 0":         {swap("1s,2s", "-1s,2s"), "mine.csv:3: billing_step: "},
		"cold start in words":  {swap("1s,2s", "1s,fast"), "mine.csv:3: cold_start: "},
		"request for ever":     {swap("24h", "3000h"), "mine.csv:3: max_request: "},
		"idle in words":        {swap("60s", "a bit"), "mine.csv:3: idle_billed: "},
		"half a machine":       {swap("24h,10,", "24h,0.5,"), "mine.csv:3: max_concurrent: "},
		"no machine":           {swap("24h,10,", "24h,0,"), "mine.csv:3: max_concurrent: "},
		"no day":               {swap("2026-05-08", ""), `mine.csv:3: as_of: "" is not a day`},
		"day of another form":  {swap("2026-05-08", "08.05.2026"), "mine.csv:3: as_of: "},
		"year of a slip":       {swap("2026-05-08", "0026-05-08"), "mine.csv:3: as_of: "},
		"open quote":           {header + good + `"modal,`, "mine.csv:3: this is not a line of CSV"},
		"quote within":         {swap("global", `glo"bal`), "mine.csv:3: this is not a line of CSV"},
		"line within a field":  {swap("global", "\"glo\nbal\""), "mine.csv:3: a field has one line"},
		"long field":           {swap("global", strings.Repeat("g", 201)), "mine.csv:3: a field has one line of at most 200 bytes"},
		"not UTF-8":            {swap("global", "\xff"), "mine.csv:1: this is not text"},
		"NUL":                  {swap("global", "\x00"), "mine.csv:1: this is not text"},
		"more than 1 MiB":      {header + strings.Repeat(good, maxBytes/len(good)+1), "mine.csv:1: the list is larger than 1 MiB"},
		"more than 10000 rows": {header + strings.Repeat("\n", maxLines) + good, "mine.csv:10002: a price list has at most 10000 lines"},
	} {
		rows, err := Read(strings.NewReader(c.list), "mine.csv")
		if rows != nil || purser.KindOf(err) != purser.KindInvalid || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %d rows and %v, want an invalid error %q", name, len(rows), err, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	collect := func(path string) error {
		return NewFile(path).Collect(t.Context(), func(pricing.Batch) error {
			t.Error("a batch came")
			return nil
		})
	}
	folder := t.TempDir()
	if err := collect(filepath.Join(folder, "none.csv")); purser.KindOf(err) != purser.KindNotFound || err == nil {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := collect(folder); purser.KindOf(err) != purser.KindInvalid || err == nil {
		t.Errorf("a folder: %v", err)
	}
	broken := writeList(t, header+good+"modal\n")
	if err := collect(broken); purser.KindOf(err) != purser.KindInvalid || err == nil || !strings.HasPrefix(err.Error(), broken+":3: ") {
		t.Errorf("a broken list: %v", err)
	}
	if _, err := Read(failing{}, "mine.csv"); purser.KindOf(err) != purser.KindUnavailable || err == nil {
		t.Errorf("a disk that fails: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// A file is read anew each time.
func TestFileChanges(t *testing.T) {
	path := writeList(t, header+good)
	c := NewFile(path)
	for _, price := range []string{"0.000222", "0.000333"} {
		if err := os.WriteFile(path, []byte(header+strings.Replace(good, "0.000222", price, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := pricing.Collect(t.Context(), c)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		part, _ := purser.ParseMoney(price)
		if want := purser.USDPerHour((int64(part) + 4*6550 + 24*2220) * 3600); rows[0].Offer.UnitPrice != want {
			t.Errorf("%s now, want %s", rows[0].Offer.UnitPrice.Decimal(), want.Decimal())
		}
	}
}

func TestCollectStopsBetweenBatches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	batches := 0
	err := New().Collect(ctx, func(pricing.Batch) error {
		batches++
		cancel()
		return nil
	})
	if batches != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d batches and %v", batches, err)
	}
}

// FuzzRead checks that whatever a list holds gives either rows, all of which Sift
// accounts for, or one invalid error with its line.
func FuzzRead(f *testing.F) {
	f.Add(string(list))
	f.Add(header + good)
	f.Add(header + strings.Replace(good, "global", "\"glo\nbal\"", 1))
	f.Add(header + strings.Replace(good, "1s", "1w2d", 1))
	f.Add("\ufeffper,per\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := Read(strings.NewReader(text), "mine.csv")
		if err != nil {
			e, ok := errors.AsType[*purser.Error](err)
			if rows != nil || !ok || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.Line < 1 || e.Message == "" {
				t.Fatalf("%d rows and the error %#v", len(rows), err)
			}
			return
		}
		if len(rows) == 0 {
			t.Fatal("neither rows nor an error")
		}
		for _, r := range rows {
			o := r.Offer
			if o.Provider == "" || o.Region == "" || o.InstanceType == "" || o.Option != purser.Serverless || o.Source == "" || o.UnitPrice < 0 || o.ObservedAt.IsZero() || o.Limit == 0 || r.Place == "" {
				t.Fatalf("the row %+v does not say all", r)
			}
			if c := Cost(o, time.Hour, 3); c < 0 {
				t.Fatalf("three hours of %+v cost %d", o, c)
			}
		}
		s := pricing.Sift(rows)
		if n := len(s.Offers) + len(s.Quarantined) + s.Merged; n != len(rows) {
			t.Fatalf("%d rows became %d", len(rows), n)
		}
	})
}
