package optimizer_test

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"purser/bench"
	"purser/optimizer"
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

func TestTryRung(t *testing.T) {
	l, err := bench.ReadLadder(t.Context(), os.Getenv("PURSER_DATA"))
	if err != nil {
		t.Fatal(err)
	}
	rt := solver(t)
	in := l.Rung(env("JOBS", 10000), 300, uint64(env("SEED", 1)))
	if env("PART", 0)&1 > 0 { // no quotas
		in.Quotas = nil
	}
	if env("PART", 0)&2 > 0 { // no gangs
		for i := range in.Jobs {
			for g := range in.Jobs[i].Groups {
				in.Jobs[i].Groups[g].Gang = false
			}
		}
	}
	if env("PART", 0)&4 > 0 { // no services
		n := in.Jobs[:0]
		for _, j := range in.Jobs {
			if j.Groups[0].Kind != "inference" {
				n = append(n, j)
			}
		}
		in.Jobs = n
	}
	start := cpu()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %v", p.Size(), cpu()-start)
	start = cpu()
	wall := time.Now()
	plan, err := optimizer.Solve(t.Context(), rt, p, optimizer.Options{Work: optimizer.Work{Dives: env("DIVES", 12)}, Progress: func(pr optimizer.Progress) {
		if pr.Stage != "bound" {
			t.Logf("   %s %d %s bound %s gap %.4f%% machines %d %v", pr.Stage, pr.Round, pr.Objective, pr.Bound, 100*pr.Gap, pr.Machines, cpu()-start)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s bound %s gap %.4f%% machines %d base %s unit %s unplaced %d cpu %v wall %v", plan.Status, plan.Objective, plan.Bound, 100*plan.Gap, len(plan.Leases), plan.BaselinePrice, plan.UnitPrice, len(plan.Unplaced), cpu()-start, time.Since(wall))
}
