package aws

import (
	"context"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
)

func price9(t *testing.T, usd string) purser.USDPerHour {
	t.Helper()
	p, err := purser.ParseUSDPerHour(usd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOnDemandGivesOffersByZone(t *testing.T) {
	t.Parallel()
	c := world(t)
	rows := rowsOf(t, made(t, NewOnDemand, serve(t, c)))
	for id, usd := range map[purser.OfferID]string{
		"aws/us-east-1/use1-az1/g5.xlarge/on_demand": "1.006", "aws/us-east-1/use1-az2/g5.xlarge/on_demand": "1.006",
		"aws/us-east-1/use1-az1/g4dn.metal/on_demand": "7.824", "aws/us-east-1/use1-az1/p4d.24xlarge/on_demand": "21.957642",
		"aws/us-east-1/use1-az2/p5.48xlarge/on_demand": "55.04", "aws/us-east-2/use2-az2/g6.4xlarge/on_demand": "1.3232",
	} {
		r, ok := rows[id]
		if !ok || r.Offer.UnitPrice != price9(t, usd) {
			t.Errorf("%s: got %s, want %s", id, r.Offer.UnitPrice.Decimal(), usd)
		}
	}
	g5 := rows["aws/us-east-1/use1-az1/g5.xlarge/on_demand"].Offer
	if g5.Shape != (purser.Shape{Accelerator: "A10G", Devices: 1000, MilliCPU: 4000, MemoryMiB: 16384, DiskMiB: 238418}) {
		t.Errorf("g5.xlarge is %+v", g5.Shape)
	}
	for _, a := range c.requests("pricing:GetProducts") {
		if a.region != "us-east-1" {
			t.Errorf("the price list was asked in %s", a.region)
		}
	}
}

func TestLocalZonesDoNotTakeTheRegionsPrice(t *testing.T) {
	t.Parallel()
	if _, ok := rowsOf(t, made(t, NewOnDemand, serve(t, world(t))))["aws/us-east-1/use1-atl2-az1/g5.xlarge/on_demand"]; ok {
		t.Error("a local zone has the region's on-demand price")
	}
	r, ok := rowsOf(t, made(t, NewSpot, serve(t, world(t))))["aws/us-east-1/use1-atl2-az1/g5.xlarge/spot"]
	if !ok || r.Offer.UnitPrice != price9(t, "0.7") {
		t.Errorf("a local zone's own spot price is missing: %+v", r)
	}
}

func TestTrap08_ZonesAreIDs(t *testing.T) {
	t.Parallel()
	c := world(t)
	nameless := quoted("g5.xlarge", "c", "", "0.500000", -time.Hour)
	vpc := quoted("g5.xlarge", "a", "use1-az1", "0.999900", -time.Minute)
	vpc.Description = "Linux/UNIX (Amazon VPC)"
	only := quoted("c6i.4xlarge", "b", "use1-az2", "0.316100", -time.Minute)
	only.Description = vpc.Description
	c.quotes["us-east-1"] = append([]wireQuote{nameless, vpc, only}, c.quotes["us-east-1"]...)
	rows := rowsOf(t, made(t, NewSpot, serve(t, c)))
	for id, r := range rows {
		if strings.Contains(string(id), "us-east-1a") || (r.Offer.Zone == "") != (r.Reason == pricing.QuarantineIncomplete) {
			t.Errorf("%s has a zone that is no id: %+v", id, r)
		}
	}
	if r := rows["aws/us-east-1/use1-az1/g5.xlarge/spot"]; r.Offer.UnitPrice != price9(t, "0.4123") || !r.Offer.ValidFrom.Equal(noon.Add(-3*time.Hour)) {
		t.Errorf("Linux/UNIX does not go first, or not since its time: %+v", r.Offer)
	}
	if r := rows["aws/us-east-1/use1-az2/c6i.4xlarge/spot"]; r.Offer.UnitPrice != price9(t, "0.3161") {
		t.Errorf("the VPC's price does not stand in: %+v", r.Offer)
	}
}

func TestTrap09_Devices(t *testing.T) {
	t.Parallel()
	c := world(t)
	rows := rowsOf(t, made(t, NewOnDemand, serve(t, c)))
	for id, r := range rowsOf(t, made(t, NewSpot, serve(t, c))) {
		rows[id] = r
	}
	for id, r := range rowsOf(t, made(t, NewBulk, serve(t, c))) {
		rows[id] = r
	}
	var all []pricing.Row
	for _, r := range rows {
		all = append(all, r)
	}
	offers := map[purser.OfferID]purser.Offer{}
	for _, o := range pricing.Sift(all).Offers {
		offers[o.ID()] = o
	}
	for part, want := range map[string]struct {
		name    string
		devices purser.MilliDevices
		gib     float64
	}{
		"use1-az1/g6f.large/on_demand":     {"L4", 125, 24},
		"-/g6f.large/on_demand":            {"L4", 125, 24},
		"use1-az1/p5e.48xlarge/spot":       {"H200", 8000, 141},
		"use1-az1/p4d.24xlarge/on_demand":  {"A100-40GB", 8000, 40},
		"use1-az1/p4de.24xlarge/on_demand": {"A100-80GB", 8000, 80},
		"-/p4de.24xlarge/on_demand":        {"A100-80GB", 8000, 80},
		"use1-az1/inf1.xlarge/on_demand":   {"INFERENTIA", 1000, 8},
		"-/inf1.xlarge/on_demand":          {"INFERENTIA", 1000, 8},
		"use1-az1/f2.6xlarge/on_demand":    {"VU47P", 1000, 0},
		"-/f2.6xlarge/on_demand":           {"VU47P", 1000, 0},
		"use1-az1/vt1.3xlarge/on_demand":   {"U30", 1000, 0},
		"-/vt1.3xlarge/on_demand":          {"U30", 1000, 0},
	} {
		o := offers[purser.OfferID("aws/us-east-1/"+part)]
		if o.Accelerator != want.name || o.Devices != want.devices || (want.gib != 0 && o.DeviceMemoryMiB != int64(want.gib*1024)) {
			t.Errorf("%s has %s × %s of %d MiB, want %s × %s of %g GiB", part, o.Devices, o.Accelerator, o.DeviceMemoryMiB, want.devices, want.name, want.gib)
		}
	}
}

func TestTrap09_Trainium2Memory(t *testing.T) {
	t.Parallel()
	c := world(t)
	c.quotes["us-east-1"] = append(c.quotes["us-east-1"], quoted("trn2.48xlarge", "a", "use1-az1", "4.500000", -time.Hour))
	rows := rowsOf(t, made(t, NewSpot, serve(t, c)))
	sifted := pricing.Sift([]pricing.Row{rows["aws/us-east-1/use1-az1/trn2.48xlarge/spot"]})
	if len(sifted.Offers) != 1 || sifted.Offers[0].DeviceMemoryMiB != 96*1024 || sifted.Offers[0].Devices != 16000 {
		t.Errorf("trn2.48xlarge: %+v", sifted)
	}
}

func TestTrap14_WhatIsNotSoldSoIsNoRow(t *testing.T) {
	t.Parallel()
	c := world(t)
	// A price alone does not make it be sold on demand.
	c.products["us-east-1"] = append(c.products["us-east-1"], wireProduct{"Z1", "trn2.48xlarge", "0.0000000000", "", ""})
	for _, construct := range []func(Options) (pricing.Collector, error){NewOnDemand, NewSpot} {
		for id := range rowsOf(t, made(t, construct, serve(t, c))) {
			for _, never := range []string{"/p5e.48xlarge/on_demand", "/trn2.48xlarge/on_demand", "/p5.4xlarge/spot"} {
				if strings.HasSuffix(string(id), never) {
					t.Errorf("%s is a row", id)
				}
			}
		}
	}
	for id := range rowsOf(t, made(t, NewBulk, serve(t, c))) {
		if strings.Contains(string(id), "p5e.") {
			t.Errorf("%s is a row", id)
		}
	}
}

func TestTrap15_PricesOutliveHardware(t *testing.T) {
	t.Parallel()
	for name, construct := range constructors {
		for id := range rowsOf(t, made(t, construct, serve(t, world(t)))) {
			if strings.Contains(string(id), "/p3.") {
				t.Errorf("%s: %s is a row", name, id)
			}
		}
	}
	for f := range gone {
		line := fileHeader() + fileLine("us-east-1", wireProduct{"A", f + ".16xlarge", "1.0000000000", "", ""}, map[string]string{"vCPU": "8", "Memory": "61 GiB"})
		rows, err := readOffers(strings.NewReader(line), "us-east-1", "f", noon)
		if err != nil || len(rows) != 0 {
			t.Errorf("%s: %d rows, %v", f, len(rows), err)
		}
	}
}

func TestZeroPricesAreRows(t *testing.T) {
	t.Parallel()
	for name, construct := range constructors {
		var zero []pricing.Row
		for _, r := range rowsOf(t, made(t, construct, serve(t, world(t)))) {
			if r.Offer.InstanceType == "t3.micro" {
				zero = append(zero, r)
			}
		}
		if q := pricing.Sift(zero).Quarantined; len(zero) != 1 || len(q) != 1 || q[0].Reason != purser.QuarantineNoPrice {
			t.Errorf("%s: %d rows, quarantined %+v", name, len(zero), q)
		}
	}
}

func TestPricesThatAreNone(t *testing.T) {
	t.Parallel()
	c := world(t)
	c.products["us-east-1"] = []wireProduct{{"A", "g5.xlarge", "ten", "", ""}, {"B", "g6f.large", "1.0000000000", "", "CNY"}}
	c.quotes["us-east-1"] = []wireQuote{quoted("g5.xlarge", "a", "use1-az1", "0,5", -time.Hour)}
	c.files["us-east-1"] = priceFile("us-east-1", c.products["us-east-1"])
	for name, want := range map[string]map[string]pricing.QuarantineReason{
		"on demand": {"g5.xlarge": purser.QuarantineNoPrice, "g6f.large": pricing.QuarantineIncomplete},
		"bulk":      {"g5.xlarge": purser.QuarantineNoPrice, "g6f.large": pricing.QuarantineIncomplete},
		"spot":      {"g5.xlarge": purser.QuarantineNoPrice},
	} {
		opt := serve(t, c)
		opt.Regions = []string{"us-east-1"}
		rows := rowsOf(t, made(t, constructors[name], opt))
		if len(rows) == 0 {
			t.Errorf("%s: no rows", name)
		}
		for id, r := range rows {
			if r.Reason != want[r.Offer.InstanceType] || r.Detail == "" {
				t.Errorf("%s: %s has reason %q: %s", name, id, r.Reason, r.Detail)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		since time.Time
		want  []string
		start time.Time
	}{
		"none wanted":    {time.Time{}, nil, time.Time{}},
		"not to come":    {noon.Add(time.Hour), nil, time.Time{}},
		"a day and more": {noon.Add(-35 * time.Hour), []string{"2026-11-21T20:00:00Z 0.39", "2026-11-23T02:00:00Z 0.4123"}, noon.Add(-35 * time.Hour)},
		"at most 90 days": {
			noon.Add(-1000 * 24 * time.Hour),
			[]string{"2026-08-15T12:00:00Z 0.35", "2026-11-21T20:00:00Z 0.39", "2026-11-23T02:00:00Z 0.4123"},
			noon.Add(-90 * 24 * time.Hour),
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t)
			opt := serve(t, c)
			opt.Regions = []string{"us-east-1"}
			opt.Since = func(_ context.Context, source, region string) (time.Time, error) {
				if source != SourceSpot || region != "us-east-1" {
					t.Errorf("asked since when for %s in %s", source, region)
				}
				return test.since, nil
			}
			batches, err := collect(made(t, NewSpot, opt))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range batches[0].Past {
				if p.Offer == "aws/us-east-1/use1-az1/g5.xlarge/spot" {
					got = append(got, p.From.Format(time.RFC3339)+" "+p.UnitPrice.Decimal())
				}
			}
			if strings.Join(got, "; ") != strings.Join(test.want, "; ") {
				t.Errorf("past prices are\n  %s, want\n  %s", got, test.want)
			}
			for _, a := range c.requests("ec2:DescribeSpotPriceHistory") {
				if a.form.Has("EndTime") && a.form.Get("StartTime") != test.start.Format(time.RFC3339) {
					t.Errorf("asked from %s, want %s", a.form.Get("StartTime"), test.start)
				}
			}
		})
	}
}
