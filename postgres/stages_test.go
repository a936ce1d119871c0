package postgres

import (
	"strings"
	"testing"
	"time"

	"purser"
)

// pipeline is prepare, two replicas with an output of 40 GB, then fit, then score, and aside beside them.
func pipeline(name string) purser.Job {
	j := training(name, 2, func(g *purser.TaskGroup) { g.Name, g.OutputGB = "prepare", 40 })
	for _, g := range []struct {
		name  string
		after []string
	}{{"fit", []string{"prepare"}}, {"score", []string{"fit"}}, {"aside", nil}} {
		next := training(name, 1).Groups[0]
		next.Name, next.After = g.name, g.after
		j.Groups = append(j.Groups, next)
	}
	return j
}

func (s *scene) tasksOf(job purser.JobID, group string) []purser.Task {
	var out []purser.Task
	for _, t := range s.tasks(job) {
		if t.Group == group {
			out = append(out, t)
		}
	}
	return out
}

// A stage that has succeeded is told to plans, with its output in parts where it ran.
func TestStageEnds(t *testing.T) {
	s := newScene(t)
	job := s.submit(pipeline("a"))
	first := s.tasksOf(job, "prepare")
	other := offer(purser.OnDemand)
	other.Region = "elsewhere"
	here, there := s.place(offer(purser.OnDemand), first[0]), s.place(other, first[1])
	s.run(here)
	s.run(there)
	s.clock.pass(time.Second)
	s.report(here, is(first[0].ID, purser.TaskSucceeded))
	if snap := must(s.Snapshot(t.Context()))(t); len(snap.Stages) != 0 {
		t.Errorf("half a stage has ended: %+v", snap.Stages)
	}
	s.report(there, is(first[1].ID, purser.TaskSucceeded))
	snap := must(s.Snapshot(t.Context()))(t)
	if len(snap.Stages) != 1 || snap.Stages[0].Group != "prepare" || len(snap.Stages[0].Places) != 2 {
		t.Fatalf("%+v", snap.Stages)
	}
	for _, p := range snap.Stages[0].Places {
		if p.SizeGB != 20 || p.Provider != other.Provider {
			t.Errorf("%+v", p)
		}
	}
	if s.job(job).State != purser.JobRunning {
		t.Errorf("the job is %s", s.job(job).State)
	}
}

// A stage that fails takes those after it with it, and says so.
func TestFailedStage(t *testing.T) {
	s := newScene(t)
	job := s.submit(pipeline("a"))
	first := s.tasksOf(job, "prepare")
	lease := s.place(offer(purser.OnDemand), first[0])
	s.run(lease)
	s.clock.pass(time.Second)
	s.report(lease, is(first[0].ID, purser.TaskFailed))
	if s.job(job).State != purser.JobFailed {
		t.Fatalf("the job is %s", s.job(job).State)
	}
	for group, want := range map[string]string{"fit": "the stage prepare, which it comes after", "score": "the stage prepare, which it comes after", "aside": "another task"} {
		if last := s.tasksOf(job, group)[0]; last.State != purser.TaskCancelled || !strings.Contains(last.Reason, want) {
			t.Errorf("%s is %s: %q", group, last.State, last.Reason)
		}
	}
}
