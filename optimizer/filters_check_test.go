package optimizer

import (
	"strings"
	"testing"
	"time"

	"purser"
)

// Check refuses a plan that puts a replica where its group may not go, filter by filter: the plan is made without the filter, and checked
// against the same problem with it.
func TestCheckKnowsTheFilters(t *testing.T) {
	for name, c := range map[string]struct {
		stricter func(*Input, *purser.TaskGroup)
		says     string
	}{
		"none":           {func(*Input, *purser.TaskGroup) {}, ""},
		"accuracy floor": {func(_ *Input, g *purser.TaskGroup) { g.MinQuality, g.Variants[0].Quality = 0.9, 0.8 }, "quality"},
		"confidential":   {func(_ *Input, g *purser.TaskGroup) { g.Where.Confidential = true }, "confidential"},
		"a safe type": {func(in *Input, g *purser.TaskGroup) {
			g.Where.Confidential = true
			in.Atlas = purser.Atlas{{Provider: "aws", Confidential: true}}
		}, ""},
		"compliance": {func(_ *Input, g *purser.TaskGroup) { g.Where.Compliance = []string{"c5"} }, "compliance"},
		"disk": {func(_ *Input, g *purser.TaskGroup) {
			g.Data = purser.Data{Provider: "aws", Region: "r", SizeGB: 1, Storage: purser.StorageNVMe}
		}, "disks"},
		"load time": {func(_ *Input, g *purser.TaskGroup) {
			g.Data = purser.Data{Provider: "aws", Region: "r", SizeGB: 340, Storage: purser.StorageStandard}
		}, "is needed for"},
		"checkpoints": {func(_ *Input, g *purser.TaskGroup) {
			g.Checkpoint = purser.Checkpoint{Path: "c", Every: time.Hour, SizeGB: 1, Storage: purser.StorageStandard}
		}, "costs"},
		"latency": {func(_ *Input, g *purser.TaskGroup) {
			g.Kind, g.RunTime = purser.Inference, 0
			g.Users, g.MaxLatency = []purser.Users{{Country: "DE"}}, purser.MaxLatency{Time: time.Second}
		}, "latency"},
	} {
		in := simple(1)
		_, plan := mustSolve(t, t, in, Options{})
		c.stricter(&in, &in.Jobs[0].Groups[0])
		p, err := NewProblem(in)
		if err != nil {
			t.Fatal(err)
		}
		switch err := Check(p, plan); {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}
