package optimizer

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func env(name string, def int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return def
}

func trySolve(t *testing.T, in Input) {
	rt := solver(t)
	start := cpu()
	p, err := NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %v", p.Size(), cpu()-start)
	start = cpu()
	if f := env("FIRST", 0); f > 0 {
		wholeDive.first = f
	}
	if f := env("ROUNDS", 0); f > 0 {
		wholeDive.rounds = f
	}
	if f := env("SHARE", 0); f > 0 {
		wholeDive.share = float64(f) / 100
	}
	wall := time.Now()
	plan, err := Solve(t.Context(), rt, p, Options{Work: Work{Dives: env("DIVES", 12)}, Progress: func(pr Progress) {
		if pr.Stage != "bound" {
			t.Logf("   %s %d %s bound %s gap %.4f%% machines %d %v", pr.Stage, pr.Round, pr.Objective, pr.Bound, 100*pr.Gap, pr.Machines, cpu()-start)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if env("WASTE", 0) > 0 {
		type w struct {
			name  string
			waste float64
			n     int
		}
		sum := map[string]*w{}
		for _, l := range plan.Leases {
			room := capacityOf(l.Offer.Shape)
			for _, pl := range l.Placements {
				room = room.plus(placedSize(pl), -1)
			}
			free := 0.0
			if l.Offer.Devices > 0 {
				free = float64(room[0]) / float64(l.Offer.Devices)
			} else {
				free = float64(room[1]) / float64(l.Offer.MilliCPU)
			}
			k := l.Offer.InstanceType
			if sum[k] == nil {
				sum[k] = &w{name: k}
			}
			sum[k].waste += free * l.Offer.UnitPrice.For(l.Duration).USD()
			sum[k].n++
		}
		for _, x := range sum {
			t.Logf("%s: %d machines, idle devices worth %.0f", x.name, x.n, x.waste)
		}
	}
	t.Logf("%s %s bound %s gap %.4f%% machines %d base %s unit %s unplaced %d cpu %v wall %v", plan.Status, plan.Objective, plan.Bound, 100*plan.Gap, len(plan.Leases), plan.BaselinePrice, plan.UnitPrice, len(plan.Unplaced), cpu()-start, time.Since(wall))
}

func TestTryEva(t *testing.T) {
	for _, cat := range []string{"ec2_config", "ec2_config_virt"} {
		trySolve(t, evaInput(t, cat))
	}
}

func TestTryOne(t *testing.T) {
	trySolve(t, ladder(env("JOBS", 10000), 300, 1))
}

func TestTryPlain(t *testing.T) {
	in := ladder(env("JOBS", 10000), 300, 1)
	for i := range in.Jobs {
		g := &in.Jobs[i].Groups[0]
		g.Gang = false
		if g.Kind == "inference" {
			g.Survive.Share, g.Survive.Level, g.Demand = 0, "", 0
			g.Replicas = 3
		}
	}
	trySolve(t, in)
}

func TestTryLadder(t *testing.T) {
	for _, n := range []int{10, 30, 100, 300, 1000, 3000, 10000} {
		trySolve(t, ladder(n, 300, 1))
	}
}

func TestTryE0(t *testing.T) {
	trySolve(t, e0Input(t, env("JOBS", 10000), env("OFFERS", 300), 1))
}
