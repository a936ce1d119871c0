package fleet_test

import (
	"slices"
	"testing"

	"purser"
	"purser/fleet"
)

// sized adds a job with a gang of 2 or 4 replicas, of which some wait.
func (s *scene) sized(job purser.JobID, waiting, world int) *scene {
	s.in.Jobs = append(s.in.Jobs, purser.Job{ID: job, Groups: []purser.TaskGroup{{
		Name: "g", Kind: purser.Training, Gang: true, Replicas: 2, Sizes: []int{2, 4}, Work: 1, Variants: []purser.Variant{{Name: "v", Throughput: 1}},
	}}})
	for r := range waiting {
		s.task(purser.TaskID([]string{"t0", "t1", "t2", "t3"}[r]), job, r, purser.TaskQueued, "")
		s.in.Tasks[len(s.in.Tasks)-1].World = world
	}
	return s
}

func TestAdmitGangSizes(t *testing.T) {
	four := []purser.Placement{at("a", 0, "v"), at("a", 1, "v"), at("a", 2, "v"), at("a", 3, "v")}
	for _, c := range []struct {
		name  string
		s     *scene
		size  int
		made  int
		wants []string
	}{
		{
			"it grows before it runs", newScene().sized("a", 2, 0).plan("", 4, four...), 4, 2,
			[]string{"launch lease-new-3 gpu-4", "place t0 on lease-new-3", "place t1 on lease-new-3", "place task-new-1 on lease-new-3", "place task-new-2 on lease-new-3"},
		},
		{
			"all of it waits again and it shrinks", newScene().sized("a", 4, 4).plan("", 4, four[:2]...), 2, 0,
			[]string{"launch lease-new-1 gpu-4", "place t0 on lease-new-1", "place t1 on lease-new-1"},
		},
		{
			"the rest of it has ended: its size stays", newScene().sized("a", 2, 4).plan("", 4, four[:2]...), 0, 0,
			[]string{"launch lease-new-1 gpu-4", "place t0 on lease-new-1", "place t1 on lease-new-1"},
		},
		{"there is no room for all", newScene().sized("a", 2, 0).held("h", purser.LeaseRunning, 3).plan("h", 3, four...), 0, 0, []string{}},
		{"it cannot run with three", newScene().sized("a", 2, 0).plan("", 4, four[:3]...), 0, 0, []string{}},
		{"it has ended", newScene().sized("a", 0, 0).plan("", 4, four...), 0, 0, []string{}},
	} {
		a := fleet.Admit(c.s.in)
		if got := said(a); !slices.Equal(got, c.wants) {
			t.Errorf("%s: %q, want %q", c.name, got, c.wants)
		}
		switch {
		case c.size == 0 && len(a.Sizes) > 0, c.size > 0 && len(a.Sizes) != 1:
			t.Errorf("%s: %+v", c.name, a.Sizes)
		case c.size > 0 && (a.Sizes[0].Replicas != c.size || len(a.Sizes[0].New) != c.made):
			t.Errorf("%s: %+v", c.name, a.Sizes[0])
		}
	}
}
