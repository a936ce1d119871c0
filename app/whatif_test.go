package app

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/jobfile"
	"purser/providers/fake"
	"purser/server"
)

func TestWhatIf(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2), small("z2", purser.OnDemand, 3)}}, SpendLimit{})
	w.listOffers()
	w.submitSteady(2)
	ask := func(q server.WhatIfQuery) api.WhatIfAnswer {
		t.Helper()
		out, err := plansPart{w.App}.Ask(t.Context(), q)
		w.must(err)
		return out
	}
	lost := ask(server.WhatIfQuery{WhatIf: api.WhatIf{Lose: []string{"fake/us-east-1/z1"}}})
	if lost.Rate != purser.USDPerHourOf(2) || !lost.Sure || lost.PerDay <= 0 || !strings.HasPrefix(lost.Sentence, "it costs $") {
		t.Errorf("a lost zone: %+v", lost)
	}
	half := ask(server.WhatIfQuery{WhatIf: api.WhatIf{Prices: []api.PriceFactor{{Provider: "fake", Factor: 0.5}}}})
	if half.Rate != -purser.USDPerHourOf(2) || half.PerDay >= 0 || !strings.HasPrefix(half.Sentence, "it saves $") {
		t.Errorf("half the price: %+v", half)
	}
	jobs, err := jobfile.Parse("jobs.yaml", []byte(strings.Replace(strings.Replace(oneJob, "REPLICAS", "1", 1), "steady", "more", 1)), jobfile.Options{Now: w.now()})
	w.must(err)
	more := ask(server.WhatIfQuery{Jobs: jobs})
	if len(more.Then.Leases) != 3 || len(more.Now.Leases) != 2 || more.Then.Leases[0].Placements[0].Job == "" {
		t.Errorf("one more job: %+v", more)
	}
	if _, err := (plansPart{w.App}).Ask(t.Context(), server.WhatIfQuery{WhatIf: api.WhatIf{Lose: []string{"mars"}}}); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a place that is not there: %v", err)
	}
	if plans, err := w.db.Plans(t.Context(), 10); err != nil || len(plans) != 0 || len(w.leases()) != 0 {
		t.Errorf("a question left %d plans and %d leases, %v", len(plans), len(w.leases()), err)
	}
}

// The spend limit keeps a replica from its place, and that is what a little more is
// worth; a limit that is not reached is not spoken of.
func TestWorth(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2)}}, SpendLimit{PerHour: 5})
	w.listOffers()
	w.submitSteady(3)
	out, err := plansPart{w.App}.Worth(t.Context())
	w.must(err)
	if len(out.Steps) != 1 || out.Steps[0].Name != "spend limit" || out.Steps[0].Places != 1 || out.Steps[0].More != 200 || !strings.Contains(out.Steps[0].Sentence, "would place 1 more") {
		t.Fatalf("%+v", out)
	}
	w.config.SpendLimit.PerHour = 50
	if out, err = (plansPart{w.App}).Worth(t.Context()); err != nil || len(out.Steps) != 0 {
		t.Errorf("with room to spare: %+v, %v", out, err)
	}
}

// Two kinds of machine, of which the faster is dearer for the same work.
func TestFront(t *testing.T) {
	fast := small("z1", purser.OnDemand, 9)
	fast.InstanceType, fast.Accelerator = "fast", "H100"
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 1), fast}}, SpendLimit{})
	w.listOffers()
	if out, err := (plansPart{w.App}).Front(t.Context(), api.AgainstTime); err != nil || len(out.Points) != 0 || out.Reason == "" {
		t.Errorf("without training: %+v, %v", out, err)
	}
	w.submit(`
jobs:
  - name: fit
    train:
      command: "true"
      variants:
        - {name: slow, accelerators: T4:1, cpus: 1, memory: 1GiB, run_time: 12h}
        - {name: quick, accelerators: H100:1, cpus: 1, memory: 1GiB, run_time: 3h}
`)
	out, err := plansPart{w.App}.Front(t.Context(), api.AgainstTime)
	w.must(err)
	if len(out.Points) != 2 || out.Points[0].Hours < 12 || out.Points[1].Hours > 4 || out.Points[0].Extra != 0 || out.Points[1].Extra <= 0 || out.Points[1].Rate != purser.USDPerHourOf(9) {
		t.Fatalf("%+v", out)
	}
}

// The cheaper machine stands where electricity takes more carbon.
func TestCarbonFront(t *testing.T) {
	clean := small("z1", purser.OnDemand, 1.1)
	clean.InstanceType, clean.Region, clean.Country = "clean", "north", "NO"
	dirty := small("z1", purser.OnDemand, 1)
	dirty.Region, dirty.Country = "south", "ZA"
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{dirty, clean}}, SpendLimit{})
	w.listOffers()
	if out, err := (plansPart{w.App}).Front(t.Context(), api.AgainstCarbon); err != nil || len(out.Points) != 0 || out.Reason == "" {
		t.Errorf("with nothing to run: %+v, %v", out, err)
	}
	w.submit("name: fit\ntrain: {command: \"true\", accelerators: \"T4:1\", cpus: 1, memory: 1GiB, run_time: 12h}\n")
	out, err := plansPart{w.App}.Front(t.Context(), api.AgainstCarbon)
	w.must(err)
	if len(out.Points) != 2 || out.Points[0].Rate != purser.USDPerHourOf(1) || out.Points[1].Rate != purser.USDPerHourOf(1.1) ||
		!(out.Points[1].CarbonKg > 0 && out.Points[1].CarbonKg < out.Points[0].CarbonKg/10) || out.Points[1].Extra <= 0 {
		t.Fatalf("%+v", out)
	}
	// With a price of carbon the sweep plans the clean one.
	w.config.Carbon.PerTonne = 10_000
	snap, err := w.db.Snapshot(t.Context())
	w.must(err)
	in, err := w.inputNow(t.Context(), snap, nil, true)
	w.must(err)
	plan, err := w.solveInput(t.Context(), in, time.Second)
	w.must(err)
	if len(plan.Leases) != 1 || plan.Leases[0].Offer.InstanceType != "clean" || plan.CarbonCost <= 0 || plan.Objective <= plan.CarbonCost {
		t.Errorf("%+v", plan)
	}
}

func TestUndominated(t *testing.T) {
	p := func(hours, usd float64) api.FrontPoint {
		return api.FrontPoint{Hours: hours, Objective: purser.MoneyOf(usd)}
	}
	got := undominated([]api.FrontPoint{p(5, 9), p(10, 4), p(6, 10), p(10, 5), p(5, 9), p(2, 30)}, func(x api.FrontPoint) float64 { return x.Hours })
	if len(got) != 3 || got[0].Hours != 10 || got[1].Hours != 5 || got[2].Hours != 2 || got[2].Extra != purser.MoneyOf(26) {
		t.Errorf("%+v", got)
	}
}
