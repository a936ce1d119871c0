package optimizer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// byHand is what a job's stages mean: the groups that can begin as jobs of their own, with the deadline that the slowest way through what
// follows leaves them, and the output of what has ended as their data.
func byHand(in optimizer.Input) optimizer.Input {
	out := in
	out.Jobs, out.Stages = nil, nil
	for _, j := range in.Jobs {
		done := map[string]*purser.Data{}
		for _, s := range in.Stages {
			if s.Job == j.ID {
				done[s.Group] = &s.Outputs[0]
			}
		}
		var latest func(name string, own time.Time) time.Time
		latest = func(name string, own time.Time) time.Time {
			for _, g := range j.Groups {
				if !slices.Contains(g.After, name) {
					continue
				}
				least := g.RunTime
				if end := latest(g.Name, g.Deadline); !end.IsZero() {
					if begin := end.Add(-least - 3*time.Minute); own.IsZero() || begin.Before(own) {
						own = begin
					}
				}
			}
			return own
		}
		for _, g := range j.Groups {
			if done[g.Name] != nil || slices.ContainsFunc(g.After, func(n string) bool { return done[n] == nil }) {
				continue
			}
			if g.Deadline = latest(g.Name, g.Deadline); len(g.After) > 0 {
				g.Data = *done[g.After[0]]
			}
			g.After, g.Name = nil, "g"
			name := fmt.Sprintf("%s-%d", j.ID, len(out.Jobs))
			out.Jobs = append(out.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{g}})
		}
	}
	return out
}

// A plan of stages is the plan of what can begin now.
func TestStagesArePlannedInTurn(t *testing.T) {
	rt := newSolver(t)
	waited := 0
	checkFew(t, 40, func(t *rapid.T) {
		in := optimizer.Input{Now: noon, Offers: append(drawOffers(t), plenty()...)}
		for i := range rapid.IntRange(1, 2).Draw(t, "jobs") {
			j := purser.Job{ID: purser.JobID(fmt.Sprintf("j%d", i)), Project: "p", Name: fmt.Sprintf("j%d", i)}
			ended := []string{}
			for k := range rapid.IntRange(1, 4).Draw(t, "stages") {
				g := purser.TaskGroup{
					Name: fmt.Sprintf("g%d", k), Kind: purser.Training, Run: purser.Run{Command: "x"}, Variants: drawVariants(t), Where: drawWhere(t),
					Replicas: rapid.IntRange(1, 3).Draw(t, "replicas"), RunTime: time.Duration(rapid.IntRange(1, 36).Draw(t, "times 10 minutes")) * 10 * time.Minute,
				}
				if rapid.IntRange(0, 1).Draw(t, "deadline") == 0 {
					g.Deadline = noon.Add(time.Duration(rapid.IntRange(4, 24).Draw(t, "hours")) * time.Hour)
				}
				if k > 0 && rapid.IntRange(0, 3).Draw(t, "waits") > 0 {
					g.After = []string{fmt.Sprintf("g%d", rapid.IntRange(0, k-1).Draw(t, "after"))}
				}
				can := len(g.After) == 0 || slices.Contains(ended, g.After[0])
				if can && rapid.IntRange(0, 2).Draw(t, "ended") == 0 {
					ended = append(ended, g.Name)
					in.Stages = append(in.Stages, optimizer.Stage{Job: j.ID, Group: g.Name, Outputs: []purser.Data{{Provider: "aws", Region: "r1", SizeGB: 20}}})
					in.Needs = append(in.Needs, optimizer.Need{Job: j.ID, Group: g.Name})
				}
				if !can {
					waited++
				}
				j.Groups = append(j.Groups, g)
			}
			in.Jobs = append(in.Jobs, j)
		}
		_, plan := planOf(t, rt, in, littleWork())
		hand := byHand(in)
		hand.Needs = nil
		_, want := planOf(t, rt, hand, littleWork())
		if plan.Objective != want.Objective || plan.Bound != want.Bound || missing(plan) != missing(want) {
			t.Fatalf("%s, bound %s, %d unplaced; by hand %s, %s, %d\n%s", plan.Objective.Decimal(), plan.Bound.Decimal(), missing(plan),
				want.Objective.Decimal(), want.Bound.Decimal(), missing(want), text(in))
		}
	})
	if waited == 0 {
		t.Error("no stage ever waited")
	}
}

// A site of federated training runs where its rounds cost least, and what rules offers out is counted site by site.
func TestFederatedSites(t *testing.T) {
	rt := newSolver(t)
	offer := func(provider, region, country string, cents int64) purser.Offer {
		return purser.Offer{
			Provider: provider, Region: region, Zone: "a", InstanceType: "t", Option: purser.OnDemand, Country: country, Limit: purser.Unlimited,
			Shape: shapeOf("L4", 1, 4), UnitPrice: purser.USDPerHour(cents * 10_000_000),
		}
	}
	in := optimizer.Input{Now: noon, Offers: []purser.Offer{offer("aws", "eu", "DE", 90), offer("gcp", "eu", "DE", 60), offer("aws", "us", "US", 50)}}
	job := purser.Job{ID: "j", Project: "p", Name: "j"}
	for _, site := range []struct{ name, country string }{{"munich", "DE"}, {"paris", "FR"}} {
		job.Groups = append(job.Groups, purser.TaskGroup{
			Name: site.name, Kind: purser.Training, Replicas: 1, RunTime: 2 * time.Hour, Run: purser.Run{Command: "x"}, Where: purser.Where{Countries: []string{site.country}},
			Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000}},
			Exchange: purser.Exchange{Provider: "aws", Region: "eu", UpdateGB: 1, Rounds: 10},
		})
	}
	in.Jobs = []purser.Job{job}
	_, plan := planOf(t, rt, in, littleWork())
	if len(plan.Leases) != 1 || plan.Leases[0].Offer.Provider != "aws" || plan.Leases[0].Offer.Region != "eu" {
		t.Errorf("it pays 1.80 $ a run for rounds to save 0.60 $: %s", text(plan))
	}
	if len(plan.Unplaced) != 1 || plan.Unplaced[0].Group != "paris" || len(plan.Refusals) != 2 {
		t.Fatalf("%+v %+v", plan.Unplaced, plan.Refusals)
	}
	for _, r := range plan.Refusals {
		if want := map[string]int{"munich": 1, "paris": 3}[r.Group]; r.Reasons[purser.ReasonResidency] != want {
			t.Errorf("%s: %+v, want %d refused for where data may be", r.Group, r.Reasons, want)
		}
	}
	in.Jobs[0].Groups[0].Exchange.Rounds = 1
	if _, plan = planOf(t, rt, in, littleWork()); plan.Leases[0].Offer.Provider != "gcp" {
		t.Errorf("one round costs 0.18 $ and the machine saves 0.60 $: %s", text(plan))
	}
}
