package optimizer

import (
	"encoding/json"
	"testing"
	"time"

	"purser"
)

// queueing is three replicas that can wait and one that cannot, for one machine of our own and a dear cloud.
func queueing() Input {
	in := simple(1)
	in.Offers = []purser.Offer{in.Offers[0], in.Offers[0]}
	in.Offers[0].Option, in.Offers[0].Limit, in.Offers[0].UnitPrice = purser.Private, 1, purser.USDPerHourOf(0.1)
	in.Offers[1].Option, in.Offers[1].Limit, in.Offers[1].UnitPrice = purser.OnDemand, purser.Unlimited, purser.USDPerHourOf(100)
	devices := in.Offers[0].Devices
	now := in.Jobs[0]
	now.ID, now.Name = "now", "now"
	now.Groups = []purser.TaskGroup{now.Groups[0]}
	in.Jobs = append(in.Jobs, now)
	for i := range in.Jobs {
		g := &in.Jobs[i].Groups[0]
		g.Variants = []purser.Variant{{Name: "v", Accelerator: in.Offers[0].Accelerator, Devices: devices, MilliCPU: 1000, MemoryMiB: 1024}}
		g.RunTime, g.Work, g.Replicas = time.Hour, 0, 1
	}
	g := &in.Jobs[0].Groups[0]
	g.CanWait, g.Replicas, g.Deadline = 6*time.Hour, 3, in.Now.Add(7*time.Hour)
	return in
}

// Check finds every kind of lie about what waits.
func TestCheckFindsLiesAboutWaiting(t *testing.T) {
	in := queueing()
	p, plan := mustSolve(t, t, in, Options{})
	if len(plan.Leases) != 1 || len(plan.Later) != 3 || len(plan.Waiting) != 3 || plan.Status != purser.PlanOptimal {
		t.Fatalf("not what is to be spoilt: %s", planJSON(t, plan))
	}
	for name, lie := range map[string]func(*purser.Plan){
		"earlier": func(pl *purser.Plan) { pl.Later[0].Start = in.Now.Add(30 * time.Minute) },
		"at once": func(pl *purser.Plan) { pl.Later[0].Start = in.Now },
		"at the same time": func(pl *purser.Plan) {
			pl.Later[1].Start = pl.Later[0].Start
		},
		"too late":    func(pl *purser.Plan) { pl.Later[2].Start = in.Now.Add(6*time.Hour + time.Minute) },
		"too long":    func(pl *purser.Plan) { pl.Later[2].Duration += time.Minute },
		"held":        func(pl *purser.Plan) { pl.Later[0].Held = "nobody" },
		"other price": func(pl *purser.Plan) { pl.Later[0].Offer.UnitPrice /= 2 },
		"empty":       func(pl *purser.Plan) { pl.Later[0].Placements = nil },
		"twice":       func(pl *purser.Plan) { pl.Later[0].Placements = pl.Later[1].Placements },
		"cannot wait": func(pl *purser.Plan) {
			pl.Leases[0].Placements, pl.Later[0].Placements = pl.Later[0].Placements, pl.Leases[0].Placements
		},
		"larger":         func(pl *purser.Plan) { pl.Later[0].Placements[0].MilliCPU = 1_000_000 },
		"saves more":     func(pl *purser.Plan) { pl.Waiting[0].Saves++ },
		"surer":          func(pl *purser.Plan) { pl.Waiting[0].Sure = 1 },
		"never said":     func(pl *purser.Plan) { pl.Waiting = pl.Waiting[1:] },
		"longer patient": func(pl *purser.Plan) { pl.Waiting[0].Latest = pl.Waiting[0].Latest.Add(time.Hour) },
	} {
		var broken purser.Plan
		if err := json.Unmarshal([]byte(planJSON(t, plan)), &broken); err != nil {
			t.Fatal(err)
		}
		if err := Check(p, broken); err != nil {
			t.Fatalf("the plan itself: %v", err)
		}
		lie(&broken)
		broken.Objective = p.Price(broken)
		if err := Check(p, broken); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Start times lie on the clock, near ones by the hour, later ones ever further apart, and as far as anything may wait.
func TestStartTimes(t *testing.T) {
	in := queueing()
	in.Now = time.Date(2026, 3, 1, 9, 40, 0, 0, time.UTC)
	in.Jobs[0].Groups[0].CanWait, in.Jobs[0].Groups[0].Deadline = 20*time.Hour, time.Time{}
	p, err := NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, at := range p.line.times {
		got = append(got, in.Now.Add(time.Duration(at)).Format("15:04"))
	}
	want := []string{"09:40", "10:00", "11:00", "12:00", "13:00", "15:00", "19:00", "03:00"}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// Many offers under a tight quota thin the start times out, and everything still holds.
func TestManyOffersThinStartTimes(t *testing.T) {
	in := queueing()
	cloud := in.Offers[1]
	for i := range 600 {
		o := cloud
		o.InstanceType, o.UnitPrice = cloud.InstanceType+string(rune('a'+i%26))+string(rune('a'+i/26)), cloud.UnitPrice+purser.USDPerHour(i)
		in.Offers = append(in.Offers, o)
	}
	in.Quotas = []purser.Quota{{Name: "q", Unit: purser.QuotaMachines, Limit: 2, Provider: cloud.Provider}}
	p, plan := mustSolve(t, t, in, Options{})
	if p.line == nil || len(p.line.times) >= 6 || len(p.line.times) < 2 {
		t.Errorf("start times %v", p.line)
	}
	if len(p.sites) > 2*mostSplit {
		t.Errorf("%d sites", len(p.sites))
	}
	if n := countUnplaced(plan); n > 0 || len(plan.Later) == 0 {
		t.Errorf("%d have no place, %d machines begin later", n, len(plan.Later))
	}
}
