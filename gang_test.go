package purser_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"purser"
)

func TestScaling(t *testing.T) {
	points := purser.Scaling{Points: []purser.ScalingPoint{{Replicas: 2, Efficiency: 0.9}, {Replicas: 8, Efficiency: 0.6}}}
	for _, c := range []struct {
		s    purser.Scaling
		n    int
		want float64
	}{
		{purser.Scaling{}, 7, 1},
		{purser.Scaling{Communication: 0.1}, 1, 1},
		{purser.Scaling{Communication: 0.1}, 11, 0.5},
		{points, 1, 1},
		{points, 2, 0.9},
		{points, 8, 0.6},
		{points, 5, 0.72}, // 1/η lies in the middle between 1/0.9 and 1/0.6
		{points, 16, 0.3}, // 16·η is what 8·0.6 is
		{purser.Scaling{Points: []purser.ScalingPoint{{Replicas: 1, Efficiency: 0.8}}}, 1, 0.8},
	} {
		if got := c.s.Efficiency(c.n); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v with %d: %v, want %v", c.s, c.n, got, c.want)
		}
	}
}

// elastic is a gang of 2 or 4 copies, on a whole model or one of three stages.
func elastic() purser.TaskGroup {
	return purser.TaskGroup{
		Name: "g", Kind: purser.Training, Gang: true, Replicas: 2, Sizes: []int{2, 4}, Work: 120, Run: purser.Run{Command: "x"},
		Scaling: purser.Scaling{Communication: 0.1},
		Variants: []purser.Variant{
			{Name: "whole", Accelerator: "L4", Devices: 1000, Throughput: 10}, {Name: "split", Accelerator: "T4", Devices: 1000, Throughput: 5, Stages: 3},
		},
	}
}

func TestWays(t *testing.T) {
	g := elastic()
	if !g.Varies() || g.LeastReplicas() != 2 || g.MostReplicas() != 12 || len(g.Ways()) != 4 {
		t.Errorf("%v, %d to %d: %v", g.Varies(), g.LeastReplicas(), g.MostReplicas(), g.Ways())
	}
	if w := g.Ways()[3]; w != (purser.Way{Variant: 1, Copies: 4, Replicas: 12}) {
		t.Errorf("%+v", w)
	}
	// 120 / (4 · 5 · 1/1.3)
	if got, want := g.AsRun(purser.Task{Variant: "split", World: 12}).RunTimeOn(g.Variants[1]), time.Duration(7.8*float64(time.Hour)); (got - want).Abs() > 1 {
		t.Errorf("it runs for %s, want %s", got, want)
	}
	if s := g.Sized(4); s.LeastReplicas() != 4 || len(s.Ways()) != 2 {
		t.Errorf("%+v", s.Ways())
	}
	g.Sizes, g.Variants = nil, g.Variants[:1]
	if g.Varies() || g.LeastReplicas() != 2 || g.MostReplicas() != 2 {
		t.Error("a group of one size is said to vary")
	}
}

func TestCheckGangs(t *testing.T) {
	for want, spoil := range map[string]func(*purser.TaskGroup){
		"":                          func(*purser.TaskGroup) {},
		"are a gang":                func(g *purser.TaskGroup) { g.Gang = false },
		"least of the sizes":        func(g *purser.TaskGroup) { g.Replicas = 3 },
		"from few replicas to many": func(g *purser.TaskGroup) { g.Sizes = []int{2, 2} },
		"between 1 and":             func(g *purser.TaskGroup) { g.Sizes = []int{0, 2} },
		"at most 32 sizes":          func(g *purser.TaskGroup) { g.Sizes = make([]int, 33) },
		"needs work":                func(g *purser.TaskGroup) { g.Work, g.RunTime, g.Scaling = 0, time.Hour, purser.Scaling{} },
		"scaling needs work":        func(g *purser.TaskGroup) { g.Work, g.RunTime = 0, time.Hour },
		"share of communication":    func(g *purser.TaskGroup) { g.Scaling.Communication = 1.5 },
		"not by both":               func(g *purser.TaskGroup) { g.Scaling.Points = []purser.ScalingPoint{{Replicas: 2, Efficiency: 1}} },
		"at most at 1": func(g *purser.TaskGroup) {
			g.Scaling = purser.Scaling{Points: []purser.ScalingPoint{{Replicas: 2, Efficiency: 2}}}
		},
		"stages lie between": func(g *purser.TaskGroup) { g.Variants[1].Stages = -1 },
		"needs a throughput": func(g *purser.TaskGroup) { g.RunTime, g.Variants[0].Throughput = time.Hour, 0 },
		"split over devices, not over": func(g *purser.TaskGroup) {
			*g = purser.TaskGroup{Name: "g", Kind: purser.Inference, Demand: 1, Variants: g.Variants, Run: g.Run}
		},
		"scaling belongs to training": func(g *purser.TaskGroup) {
			*g = purser.TaskGroup{Name: "g", Kind: purser.Inference, Demand: 1, Variants: g.Variants[:1], Run: g.Run, Scaling: g.Scaling}
		},
	} {
		g := elastic()
		spoil(&g)
		err := purser.Job{Name: "a", Project: "p", Groups: []purser.TaskGroup{g}}.Check()
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestWorldOf(t *testing.T) {
	waits := func(n, world int) []purser.Task {
		out := make([]purser.Task, n)
		for i := range out {
			out[i] = purser.Task{State: purser.TaskQueued, World: world}
		}
		return out
	}
	runs := append(waits(2, 4), purser.Task{State: purser.TaskRunning, World: 4})
	for _, c := range []struct {
		name string
		live []purser.Task
		want int
	}{
		{"it has never run", waits(2, 0), 0},
		{"all of it waits again", waits(4, 4), 0},
		{"two of four have succeeded", waits(2, 4), 4},
		{"a part runs", runs, 4},
		{"nothing", nil, 0},
	} {
		if got := purser.WorldOf(c.live); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
