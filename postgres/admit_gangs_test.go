package postgres

import (
	"slices"
	"strings"
	"testing"

	"purser"
)

// sized is a gang of 2 or 4 replicas.
func sized(name string) purser.Job {
	return training(name, 2, func(g *purser.TaskGroup) {
		g.Gang, g.Sizes, g.Work, g.RunTime = true, []int{2, 4}, 1, 0
		for i := range g.Variants {
			g.Variants[i].Throughput = 1
		}
	})
}

// A gang that waits gets the size of the plan; one that runs keeps its own; one that waits again may get another.
func TestAdmitGangSizes(t *testing.T) {
	s := newScene(t)
	job := s.submit(sized("g"))
	if n := len(s.tasks(job)); n != 2 {
		t.Fatalf("%d tasks wait, want the least size", n)
	}
	o := offer(purser.OnDemand)
	o.Devices = 8000
	l := s.newLease(o)
	grow := purser.GangSize{Job: job, Group: s.tasks(job)[0].Group, Replicas: 4, New: map[int]purser.TaskID{2: "task-two", 3: "task-three"}}
	places := []purser.TaskPlacement{put(s.tasks(job)[0], l.ID), put(s.tasks(job)[1], l.ID)}
	for r, id := range grow.New {
		places = append(places, put(purser.Task{ID: id, Job: job, Group: grow.Group, Replica: r}, l.ID))
	}
	if r := s.admit(purser.Admission{Launch: []purser.Lease{l}, Sizes: []purser.GangSize{grow}, Place: places}); r.Placed != 4 || len(r.Skipped) != 0 {
		t.Fatalf("%+v", r)
	}
	for i, task := range s.tasks(job) {
		if task.World != 4 || task.Replica != i || task.State != purser.TaskPlaced {
			t.Errorf("%+v", task)
		}
	}
	shrink := purser.GangSize{Job: job, Group: grow.Group, Replicas: 2}
	if r := s.admit(purser.Admission{Sizes: []purser.GangSize{shrink}}); !strings.Contains(skippedFor(r, string(job)+"/"+grow.Group), "does not wait") {
		t.Errorf("a gang that runs changes its size: %+v", r)
	}
	s.advance(l.ID, purser.Transition{To: purser.LeaseWithdrawn, Reason: "no use", Next: -1})
	if got := states(s.tasks(job)); !slices.Equal(got, []purser.TaskState{"queued", "queued", "queued", "queued"}) {
		t.Fatalf("%v", got)
	}
	if r := s.admit(purser.Admission{Sizes: []purser.GangSize{shrink}}); len(r.Skipped) != 0 {
		t.Errorf("%+v", r)
	}
	if got := states(s.tasks(job)); !slices.Equal(got, []purser.TaskState{"queued", "queued", "cancelled", "cancelled"}) {
		t.Errorf("%v", got)
	}
	if purser.WorldOf(s.tasks(job)[:2]) != 0 || s.tasks(job)[0].World != 2 {
		t.Errorf("its size is not open: %+v", s.tasks(job)[0])
	}
	grow.New = nil
	if r := s.admit(purser.Admission{Sizes: []purser.GangSize{grow}}); len(r.Skipped) != 0 {
		t.Errorf("%+v", r)
	}
	again := must(s.Tasks(t.Context(), TaskFilter{Job: job, NewestOnly: true}))(t)
	if len(again) != 4 || again[2].Attempt != 2 || again[2].State != purser.TaskQueued || again[0].World != 4 {
		t.Errorf("%+v", again)
	}
}
