package csvfile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/csvfile"
)

const historyHead = "observed_at,instance_type,availability_zone_id,spot_usd_per_hour,on_demand_usd_per_hour\n"

func knownShape(_, instanceType string) (purser.Shape, bool) {
	return purser.Shape{Accelerator: "A10G", Devices: 1000, DeviceMemoryMiB: 24 << 10, MilliCPU: 4000, MemoryMiB: 16 << 10}, instanceType == "g5.xlarge"
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHistory(t *testing.T) {
	text := historyHead +
		"2023-01-01T00:00:00Z,g5.xlarge,use1-az1,0.4,1.006\n" +
		"2023-01-01T00:00:00Z,g5.xlarge,use1-az2,,1.006\n" +
		"2023-01-03T00:00:00Z,g5.xlarge,use1-az1,0.5,1.006\n" +
		"2023-01-02T00:00:00Z,g5.xlarge,use1-az1,0.4,1.006\n" + // out of order, and no change
		"2023-01-04T00:00:00Z,g5.xlarge,use1-az2,0.3,\n" +
		"2023-01-05T00:00:00Z,g5.xlarge,use1-az1,,1.1\n" +
		"2023-01-05T00:00:00Z,p9.huge,use1-atl2-az1,7,\n"
	b, err := csvfile.ReadBatch(t.Context(), zipped(t, text), "spot_prices.csv.gz", knownShape, csvfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2023, 1, n, 0, 0, 0, 0, time.UTC) }
	if b.Source != "csvfile:spot_prices.csv.gz" || b.Region != "" || !b.ObservedAt.Equal(day(5)) {
		t.Errorf("batch %q %q %s", b.Source, b.Region, b.ObservedAt)
	}
	var rows []string
	for _, r := range b.Rows {
		rows = append(rows, fmt.Sprintf("%s %s from %s, %s:%s", r.Offer.ID(), r.Offer.UnitPrice.Decimal(), r.Offer.ValidFrom.Format(time.DateOnly), r.Reason, strings.TrimPrefix(r.Place, "spot_prices.csv.gz:")))
	}
	if got, want := strings.Join(rows, "\n"), "aws/us-east-1/-/g5.xlarge/on_demand 1.1 from 2023-01-05, :7\n"+
		"aws/us-east-1/use1-atl2-az1/p9.huge/spot 7 from 2023-01-05, incomplete:8\n"+
		"aws/us-east-1/use1-az2/g5.xlarge/spot 0.3 from 2023-01-04, :6"; got != want {
		t.Errorf("rows\n%s\nwant\n%s", got, want)
	}
	var past []string
	for _, p := range b.Past {
		past = append(past, fmt.Sprintf("%s %s %s %t", p.Offer, p.From.Format("01-02"), p.UnitPrice.Decimal(), p.Gone))
	}
	if got, want := strings.Join(past, "\n"), "aws/us-east-1/-/g5.xlarge/on_demand 01-01 1.006 false\n"+
		"aws/us-east-1/use1-az1/g5.xlarge/spot 01-01 0.4 false\n"+
		"aws/us-east-1/use1-az1/g5.xlarge/spot 01-03 0.5 false\n"+
		"aws/us-east-1/use1-az1/g5.xlarge/spot 01-05 0 true\n"+
		"aws/us-east-1/use1-az2/g5.xlarge/spot 01-01 0 true"; got != want {
		t.Errorf("past\n%s\nwant\n%s", got, want)
	}
	if s := pricing.Sift(b.Rows); len(s.Offers) != 2 || len(s.Quarantined) != 1 {
		t.Errorf("%d offers, %d quarantined", len(s.Offers), len(s.Quarantined))
	}
}

func TestHistoriesThatAreBroken(t *testing.T) {
	good := "2023-01-01T00:00:00Z,g5.xlarge,use1-az1,0.4,1.006\n"
	for name, c := range map[string]struct{ text, says string }{
		"no column":      {strings.Replace(historyHead, "spot_usd_per_hour,", "", 1) + "2023-01-01T00:00:00Z,g5.xlarge,use1-az1,1\n", "h.csv:1: the header lacks spot_usd_per_hour"},
		"no rows":        {historyHead, "h.csv:1: the history has a header and no prices"},
		"short line":     {historyHead + good + "2023-01-01T00:00:00Z,g5.xlarge\n", "h.csv:3: the line has 2 fields, the header 5"},
		"no time":        {historyHead + strings.Replace(good, "2023-01-01T00:00:00Z", "yesterday", 1), `h.csv:2: observed_at: "yesterday" is no time`},
		"time of no one": {historyHead + strings.Replace(good, "2023", "9023", 1), `h.csv:2: observed_at: "9023-01-01T00:00:00Z" is no time`},
		"zone's name":    {historyHead + strings.Replace(good, "use1-az1", "us-east-1a", 1), `h.csv:2: availability_zone_id: "us-east-1a" is not the id of a zone`},
		"no type":        {historyHead + strings.Replace(good, "g5.xlarge", "", 1), "h.csv:2: instance_type: an instance type must be given"},
		"zero":           {historyHead + strings.Replace(good, "0.4", "0", 1), `h.csv:2: spot_usd_per_hour: "0" is no price above 0`},
		"word":           {historyHead + strings.Replace(good, "1.006", "free", 1), `h.csv:2: on_demand_usd_per_hour: "free" is no price above 0`},
	} {
		_, err := csvfile.ReadBatch(t.Context(), []byte(c.text), "h.csv", knownShape, csvfile.Options{})
		if purser.KindOf(err) != purser.KindInvalid || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := csvfile.ReadBatch(ctx, []byte(historyHead+good), "h.csv", knownShape, csvfile.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A price list goes the way that it went before.
func TestReadBatchReadsLists(t *testing.T) {
	content, err := os.ReadFile("testdata/lists/aws.csv")
	if err != nil {
		t.Fatal(err)
	}
	asOf := time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC)
	b, err := csvfile.ReadBatch(t.Context(), content, "aws.csv", knownShape, csvfile.Options{AsOf: asOf})
	if err != nil || b.Source != "csvfile:aws.csv" || !b.ObservedAt.Equal(asOf) || len(b.Rows) == 0 || len(b.Past) != 0 {
		t.Errorf("%q %s, %d rows, %d past, %v", b.Source, b.ObservedAt, len(b.Rows), len(b.Past), err)
	}
}

func FuzzReadHistory(f *testing.F) {
	f.Add([]byte(historyHead + "2023-01-01T00:00:00Z,g5.xlarge,use1-az1,0.4,1.006\n"))
	f.Add([]byte(historyHead + "2023-01-01T00:00:00Z,g5.xlarge,use1-az1,,\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := csvfile.ReadBatch(t.Context(), content, "h.csv", knownShape, csvfile.Options{AsOf: time.Unix(1e9, 0), Provider: "aws"})
		if err != nil {
			if k := purser.KindOf(err); k != purser.KindInvalid {
				t.Fatalf("kind %s: %v", k, err)
			}
			return
		}
		for _, p := range b.Past {
			if p.Offer == "" || p.From.IsZero() || p.UnitPrice < 0 || p.Gone != (p.UnitPrice == 0) {
				t.Fatalf("%+v", p)
			}
		}
		for _, r := range b.Rows {
			if r.Offer.Source != b.Source || r.Place == "" {
				t.Fatalf("%+v of %q", r, b.Source)
			}
		}
	})
}

// The real history, where it is: every line is taken, and the end is what its last
// lines say.
func TestRealHistory(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" {
		t.Skip("PURSER_DATA is not set")
	}
	content, err := os.ReadFile(filepath.Join(dir, "aws-spot-history-2023", "spot_prices.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := csvfile.ReadBatch(t.Context(), content, "spot_prices.csv.gz", func(_, kind string) (purser.Shape, bool) { return knownShape("", "g5.xlarge") }, csvfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Rows) < 1500 || len(b.Past) < 500_000 || b.ObservedAt.Format("2006-01") != "2023-09" {
		t.Errorf("%d rows, %d past, observed at %s", len(b.Rows), len(b.Past), b.ObservedAt)
	}
}
