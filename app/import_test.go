package app

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/postgres"
	"purser/pricing/bundled"
	"purser/server"
)

// An old price list that a user brings takes no offer away from the bundled list,
// says how much of it is too old to plan with, and makes waiting work be looked at.
func TestImport(t *testing.T) {
	w := newWorld(t)
	w.sources = []source{feedOf("bundled", bundled.New())}
	w.must(w.collect(t.Context(), w.sources[0]))
	before, err := w.db.Offers(t.Context(), postgres.OfferFilter{Source: "bundled"})
	w.must(err)
	var same []string
	var asOf time.Time
	for _, o := range before {
		if o.Provider == "lambda" {
			asOf = o.ObservedAt
			same = append(same, strings.Join([]string{o.InstanceType, o.Accelerator, "8", "124", "1800", o.Region, o.UnitPrice.Decimal()}, ","))
		}
	}
	if len(same) == 0 {
		t.Fatal("the bundled list has nothing of lambda")
	}
	text := "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Region,Price,SpotPrice\n" + strings.Join(same, ",\n") + ",\nnew,H100,1,26,200,us-west-1,2.49,\n"
	file := server.PriceFile{Name: "lambda.csv", AsOf: asOf, Content: []byte(text)}
	key := w.imports.Load()
	r, err := pricesPart{w.App}.Import(t.Context(), "tester", file)
	w.must(err)
	if r.New != 1 || r.Older != len(same) || r.Stale != len(same)+1 || w.imports.Load() == key {
		t.Errorf("%+v with %d offers of the same day", r, len(same))
	}
	after, err := w.db.Offers(t.Context(), postgres.OfferFilter{Source: "bundled"})
	w.must(err)
	if len(after) != len(before) {
		t.Errorf("the bundled list had %d offers and has %d", len(before), len(after))
	}
	file.AsOf = w.now().Add(48 * time.Hour)
	if _, err := (pricesPart{w.App}).Import(t.Context(), "tester", file); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("prices of the day after tomorrow: %v", err)
	}
}
