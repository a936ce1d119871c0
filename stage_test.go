package purser_test

import (
	"strings"
	"testing"
	"time"

	"purser"
)

func stage(name string, hours int, after ...string) purser.TaskGroup {
	return purser.TaskGroup{
		Name: name, Kind: purser.Training, Replicas: 1, RunTime: time.Duration(hours) * time.Hour, After: after, Run: purser.Run{Command: "x"},
		Variants: []purser.Variant{{Name: "v", MilliCPU: 1}},
	}
}

func TestStagesAreAGraph(t *testing.T) {
	serve := purser.TaskGroup{Name: "serve", Kind: purser.Inference, Replicas: 1, After: []string{"a"}, Run: purser.Run{Command: "x"}, Variants: []purser.Variant{{Name: "v", MilliCPU: 1}}}
	for _, c := range []struct {
		groups      []purser.TaskGroup
		place, want string
	}{
		{[]purser.TaskGroup{stage("a", 1), stage("b", 1, "a"), stage("c", 1, "a"), stage("d", 1, "b", "c"), serve}, "", ""},
		{[]purser.TaskGroup{stage("a", 1, "b")}, "groups[0].after", `no group "b"`},
		{[]purser.TaskGroup{stage("a", 1, "a")}, "groups[0].after", "wait for itself"},
		{[]purser.TaskGroup{stage("z", 1), stage("a", 1, "c"), stage("b", 1, "a"), stage("c", 1, "b")}, "groups[1].after", "wait for itself"},
		{[]purser.TaskGroup{stage("a", 1), stage("b", 1, "a", "a")}, "groups[1].after", "waited for twice"},
		{[]purser.TaskGroup{stage("a", 1), serve, stage("b", 1, "serve")}, "groups[2].after", "nothing can come after it"},
	} {
		err := purser.Job{Name: "j", Project: "p", Groups: c.groups}.Check()
		if (err == nil) != (c.want == "") {
			t.Errorf("want %q: %v", c.want, err)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.place)) {
			t.Errorf("want %q at %s: %v", c.want, c.place, err)
		}
	}
}

func TestLatestEnds(t *testing.T) {
	end := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	j := purser.Job{Groups: []purser.TaskGroup{stage("a", 1), stage("b", 2, "a"), stage("c", 5, "a"), stage("d", 3, "b", "c"), stage("e", 1, "a")}}
	j.Groups[3].Deadline = end
	j.Groups[1].Deadline = end.Add(-24 * time.Hour)
	got := j.LatestEnds()
	start := 3 * time.Minute
	for i, want := range []time.Time{
		end.Add(-24*time.Hour - 2*time.Hour - start), // b's own deadline is the nearer one
		end.Add(-24 * time.Hour), end.Add(-3*time.Hour - start), end, {},
	} {
		if !got[i].Equal(want) {
			t.Errorf("%s must end by %s, want %s", j.Groups[i].Name, got[i], want)
		}
	}
}
