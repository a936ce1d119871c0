package csvfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"purser"
	"purser/pricing"
	"purser/pricing/csvfile"
)

// FuzzRead checks that whatever a file holds gives either rows, all of which Sift
// accounts for, or one invalid error with its place.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/lists/*.csv", "testdata/broken/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, true)
			f.Add(b, false)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, gcp bool) {
		provider := "aws"
		if gcp {
			provider = "gcp"
		}
		rows, err := csvfile.Read(t.Context(), bytes.NewReader(b), "prices.csv", csvfile.Options{Provider: provider, AsOf: asOf})
		if err != nil {
			var e *purser.Error
			if rows != nil || !errors.As(err, &e) || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.Line < 1 || e.Message == "" {
				t.Fatalf("%d rows and the error %#v", len(rows), err)
			}
			return
		}
		if len(rows) == 0 {
			t.Fatal("neither rows nor an error")
		}
		for _, r := range rows {
			o := r.Offer
			if o.Provider != provider || o.Region == "" || o.InstanceType == "" || (o.Option != purser.OnDemand && o.Option != purser.Spot) ||
				o.Source == "" || !o.ObservedAt.Equal(asOf) || r.Place == "" || o.Limit != purser.Unlimited {
				t.Fatalf("the row %+v does not say all", r)
			}
		}
		s := pricing.Sift(rows)
		if n := len(s.Offers) + len(s.Quarantined) + s.Merged; n != len(rows) {
			t.Fatalf("%d rows became %d", len(rows), n)
		}
		for _, o := range s.Offers {
			if err := o.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
