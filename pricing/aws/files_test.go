package aws

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"purser"
	"purser/pricing"
)

func TestBulkGivesOffersByRegion(t *testing.T) {
	t.Parallel()
	c := world(t)
	rows := rowsOf(t, made(t, NewBulk, serve(t, c)))
	for id, want := range map[purser.OfferID]struct {
		usd      string
		milliCPU int64
		mib      int64
	}{
		"aws/us-east-1/-/g5.xlarge/on_demand": {"1.006", 4000, 16384}, "aws/us-east-1/-/p4d.24xlarge/on_demand": {"21.957642", 96000, 1179648},
		"aws/us-east-1/-/g4dn.metal/on_demand": {"7.824", 96000, 393216}, "aws/us-east-2/-/g6.xlarge/on_demand": {"0.8048", 4000, 16384},
	} {
		if o := rows[id].Offer; o.UnitPrice != price9(t, want.usd) || o.MilliCPU != want.milliCPU || o.MemoryMiB != want.mib {
			t.Errorf("%s is %+v", id, o)
		}
	}
	if n := len(rows); n != 15 {
		t.Errorf("%d rows, want 15: what is Windows, reserved and so on is none", n)
	}
	if r := rows["aws/us-east-1/-/g5.xlarge/on_demand"]; !strings.HasSuffix(r.Place, "/us-east-1/index.csv:7") {
		t.Errorf("its place is %s", r.Place)
	}
}

func TestBulkRegionsAreThoseOfTheIndex(t *testing.T) {
	t.Parallel()
	c := world(t)
	opt := serve(t, c)
	opt.Regions = []string{"us-east-2", "eu-west-1"}
	batches, err := collect(made(t, NewBulk, opt))
	if len(batches) != 1 || purser.KindOf(err) != purser.KindNotFound || !strings.Contains(err.Error(), "1 of 2 regions could not be read; eu-west-1: ") {
		t.Errorf("%d batches, %v", len(batches), err)
	}
}

func TestIndexMustStayOnItsHost(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "https://example.com/offers/x.json", "//example.com/x.json", "/offers/x.exe"} {
		c := world(t)
		c.fault = always(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"offers":{"AmazonEC2":{"currentRegionIndexUrl":%q}}}`, path)
		}, "/offers/v1.0/aws/index.json")
		if _, err := collect(made(t, NewBulk, serve(t, c))); purser.KindOf(err) != purser.KindInvalid || len(c.asked) != 1 {
			t.Errorf("%q: %v after %d requests", path, err, len(c.asked))
		}
	}
}

func TestBrokenPriceFiles(t *testing.T) {
	t.Parallel()
	good := priceFile("us-east-1", world(t).products["us-east-1"])
	for name, file := range map[string]string{
		"empty":           "",
		"no header":       disclaimers,
		"a column less":   strings.Replace(good, `"MarketOption"`, `"Market"`, 1),
		"a short line":    fileHeader() + "\"A\",\"B\"\n",
		"a bare quote":    fileHeader() + "\"A\"B\",\n",
		"an open quote":   fileHeader() + "\"A" + strings.Repeat("x", 3<<20),
		"a line cut off":  good[:len(good)-len(`","OnDemand","us-east-1"`)-1],
		"something else":  "<html>\n" + strings.Repeat("<p>\n", 50),
		"a quote to come": disclaimers + "\"SKU" + strings.Repeat("\n", 2<<20),
	} {
		if rows, err := readOffers(strings.NewReader(file), "us-east-1", "f.csv", noon); purser.KindOf(err) != purser.KindInvalid || len(rows) != 0 || !strings.HasPrefix(err.Error(), "f.csv: ") {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
	fault := purser.Errorf(purser.KindUnavailable, "x", "it broke off")
	if _, err := readOffers(io.MultiReader(strings.NewReader(good[:len(good)/2]), iotest.ErrReader(fault)), "us-east-1", "f.csv", noon); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a fault of the transport became %v", err)
	}
}

func TestUnclearShapesAreQuarantined(t *testing.T) {
	t.Parallel()
	for column, value := range map[string]string{"vCPU": "four", "Memory": "lots", "GPU": "some"} {
		file := fileHeader() + fileLine("us-east-1", wireProduct{"A", "g5.xlarge", "1.0060000000", "", ""}, map[string]string{column: value})
		rows, err := readOffers(strings.NewReader(file), "us-east-1", "f.csv", noon)
		if err != nil || len(rows) != 1 || rows[0].Reason != pricing.QuarantineIncomplete || !strings.Contains(rows[0].Detail, value) {
			t.Errorf("%s: %+v, %v", column, rows, err)
		}
	}
	file := fileHeader() + fileLine("us-east-1", wireProduct{"A", "q9.xlarge", "1.0060000000", "", ""}, map[string]string{"vCPU": "4", "Memory": "16 GiB", "GPU": "2"})
	rows, err := readOffers(strings.NewReader(file), "us-east-1", "f.csv", noon)
	if q := pricing.Sift(rows).Quarantined; err != nil || len(q) != 1 || q[0].Reason != purser.QuarantineAccelerator {
		t.Errorf("a GPU of a family that is not known: %+v, %v", q, err)
	}
}

// endless is a price file of many lines, made while it is read. Now and then it
// looks at how much memory is held.
type endless struct {
	lines      int
	rest, line string
	most       uint64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		if e.lines == 0 {
			return 0, io.EOF
		}
		if e.lines--; e.lines%10_000 == 0 {
			e.most = max(e.most, held())
		}
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func held() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	line := fileLine("us-east-1", wireProduct{"A", "g5.xlarge", "1.0060000000", "", ""}, map[string]string{"Operating System": "Windows"})
	before := held()
	e := &endless{lines: 100_000, rest: fileHeader(), line: line}
	rows, err := readOffers(e, "us-east-1", "f.csv", noon)
	if err != nil || len(rows) != 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if e.most > before+1<<20 {
		t.Errorf("within %d MiB of file, up to %d bytes more are held", 100_000*len(line)>>20, e.most-before)
	}
}

func FuzzReadOffers(f *testing.F) {
	f.Add(priceFile("us-east-1", world(f).products["us-east-1"]))
	f.Add(disclaimers)
	f.Add(fileHeader() + "\"A")
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := readOffers(strings.NewReader(file), "us-east-1", "f.csv", noon)
		if err != nil && (purser.KindOf(err) != purser.KindInvalid || rows != nil) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		checkRows(t, rows)
	})
}

func checkRows(t *testing.T, rows []pricing.Row) {
	t.Helper()
	sifted := pricing.Sift(rows)
	if n := len(sifted.Offers) + len(sifted.Quarantined) + sifted.Merged; n != len(rows) {
		t.Errorf("%d rows became %d", len(rows), n)
	}
	for _, r := range rows {
		if r.Place == "" || r.Offer.InstanceType == "" || (r.Reason == "") != (r.Detail == "") {
			t.Errorf("row %+v", r)
		}
	}
}

func FuzzParseProduct(f *testing.F) {
	for _, p := range world(f).products["us-east-1"] {
		f.Add(p.json("us-east-1"))
	}
	f.Add(`{"terms":{"OnDemand":{"":{"priceDimensions":{"":{"unit":"Hrs","pricePerUnit":null}}}}},"product":{"attributes":{"regionCode":"us-east-1"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		prices, err := parseProduct(text, "us-east-1")
		again, _ := parseProduct(text, "us-east-1")
		if !reflect.DeepEqual(prices, again) || (err != nil && (prices != nil || purser.KindOf(err) != purser.KindInvalid)) {
			t.Errorf("%v, then %v, %v", prices, again, err)
		}
	})
}

func FuzzAdvisor(f *testing.F) {
	f.Add(world(f).advisor)
	f.Add(`{"spot_advisor":{"us-east-1":{"Linux":{"a.b":{"r":-1}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var file advisorFile
		if json.Unmarshal([]byte(text), &file) != nil {
			return
		}
		all, err := file.bands()
		if err != nil && purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%v", err)
		}
		for _, region := range all {
			for _, b := range region {
				if low, high := hazard(b.low), hazard(b.high); !(low >= 0 && low < high) || math.IsInf(high, 0) || b.label == "" {
					t.Errorf("band %+v", b)
				}
			}
		}
	})
}

// The history of a pool says the same price at every second as all its quotes do.
func TestHistoryKeepsWhatWasInForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		var x track
		at := map[int64]purser.USDPerHour{}
		for range n {
			second := rapid.Int64Range(0, 40).Draw(t, "at")
			cents := rapid.Int64Range(1, 4).Draw(t, "cents")
			x.add(quote{at: noonAt(second), usd: "0"}) // makes no sense
			x.add(quote{at: noonAt(second), usd: fmt.Sprintf("0.0%d", cents)})
			at[noonAt(second).Unix()] = max(at[noonAt(second).Unix()], purser.USDPerHour(cents*10_000_000))
		}
		changes := x.changes()
		inForce := func(s int64) (p purser.USDPerHour) {
			for _, c := range changes {
				if c.at <= s {
					p = c.price
				}
			}
			return p
		}
		for s, p := range at {
			if inForce(s) != p {
				t.Fatalf("at %d the price is %s, want %s", s, inForce(s), p)
			}
		}
		if !slices.IsSortedFunc(changes, func(a, b point) int { return int(a.at - b.at) }) {
			t.Fatal("the changes are not in order")
		}
		for i := 1; i < len(changes); i++ {
			if changes[i].price == changes[i-1].price {
				t.Fatal("a price is repeated")
			}
		}
	})
}
