package jobfile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/jobfile"
)

// TestForms holds each way to write a quantity against what it means.
func TestForms(t *testing.T) {
	training := func(field, text string) string {
		fields := map[string]string{"cpus": "1", "run_time": "5m", "command": "x"}
		if field == "throughput" {
			delete(fields, "run_time")
			fields["work"] = "1000"
		}
		fields[field] = text
		return mapping("train", fields)
	}
	inference := func(field, text string) string {
		fields := map[string]string{"cpus": "1", "demand": "1", "throughput": "1", "command": "x"}
		fields[field] = text
		return mapping("serve", fields)
	}
	for _, c := range []struct {
		field, text string
		file        func(field, text string) string
		got         func(purser.TaskGroup) any
		want        any
	}{
		{"cpus", "4", training, func(g purser.TaskGroup) any { return g.Variants[0].MilliCPU }, int64(4000)},
		{"cpus", "0.5", training, func(g purser.TaskGroup) any { return g.Variants[0].MilliCPU }, int64(500)},
		{"cpus", "1.1", training, func(g purser.TaskGroup) any { return g.Variants[0].MilliCPU }, int64(1100)},
		{"cpus", "250m", training, func(g purser.TaskGroup) any { return g.Variants[0].MilliCPU }, int64(250)},
		{"cpus", "\"16\"", training, func(g purser.TaskGroup) any { return g.Variants[0].MilliCPU }, int64(16000)},
		{"memory", "96GiB", training, func(g purser.TaskGroup) any { return g.Variants[0].MemoryMiB }, int64(96 << 10)},
		{"memory", "512Mi", training, func(g purser.TaskGroup) any { return g.Variants[0].MemoryMiB }, int64(512)},
		{"memory", "1.5 TiB", training, func(g purser.TaskGroup) any { return g.Variants[0].MemoryMiB }, int64(1536 << 10)},
		{"memory", "8", training, func(g purser.TaskGroup) any { return g.Variants[0].MemoryMiB }, int64(8 << 10)},
		{"memory", "80GB", training, func(g purser.TaskGroup) any { return g.Variants[0].MemoryMiB }, int64(76294)},
		{"run_time", "90s", training, func(g purser.TaskGroup) any { return g.RunTime }, 90 * time.Second},
		{"run_time", "1w2d", training, func(g purser.TaskGroup) any { return g.RunTime }, 9 * 24 * time.Hour},
		{"throughput", "12", training, func(g purser.TaskGroup) any { return g.Variants[0].Throughput }, 12.0},
		{"throughput", "12/s", training, func(g purser.TaskGroup) any { return g.Variants[0].Throughput }, 43200.0},
		{"throughput", "2/m", training, func(g purser.TaskGroup) any { return g.Variants[0].Throughput }, 120.0},
		{"throughput", "12", inference, func(g purser.TaskGroup) any { return g.Variants[0].Throughput }, 12.0},
		{"throughput", "7200 / hour", inference, func(g purser.TaskGroup) any { return g.Variants[0].Throughput }, 2.0},
		{"demand", "90/min", inference, func(g purser.TaskGroup) any { return g.Demand }, 1.5},
		{"headroom", "0.2", inference, func(g purser.TaskGroup) any { return g.Headroom }, 0.2},
		{"headroom", "150%", inference, func(g purser.TaskGroup) any { return g.Headroom }, 1.5},
		{"survive", "zone", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainZone, Share: 1}},
		{"survive", "{level: provider}", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainProvider, Share: 1}},
		{"survive", "{level: region, share: 25%}", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainRegion, Share: 0.25}},
		{"survive", "{level: site, failures: 2}", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainSite, Share: 1, Failures: 2}},
		{"survive", "spot_pool", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainSpotPool, Share: 1}},
		{"survive", "machine", inference, func(g purser.TaskGroup) any { return g.Survive }, purser.Survive{Level: purser.DomainMachine, Share: 1}},
		{"spread", "{level: zone, share: 50%}", training, func(g purser.TaskGroup) any { return g.Spread }, purser.Spread{Level: purser.DomainZone, Share: 0.5}},
		{"spread", "{level: machine, max: 2}", training, func(g purser.TaskGroup) any { return g.Spread }, purser.Spread{Level: purser.DomainMachine, Max: 2}},
		{"max_price", "4.5", training, func(g purser.TaskGroup) any { return g.Where.MaxPerHour }, purser.USDPerHour(4_500_000_000)},
		{"max_price", "$0.123456789/h", training, func(g purser.TaskGroup) any { return g.Where.MaxPerHour }, purser.USDPerHour(123_456_789)},
		{"max_price", "3 USD/hour", training, func(g purser.TaskGroup) any { return g.Where.MaxPerHour }, purser.USDPerHour(3_000_000_000)},
		{"spot", "true", training, func(g purser.TaskGroup) any { return len(g.Where.Options) }, 0},
		{"spot", "only", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Where.Options) }, "[spot]"},
		{"spot", "false", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Where.Options) }, "[on_demand reserved capacity_block flex_start private]"},
		{"purchase_options", "serverless", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Where.Options) }, "[serverless]"},
		{"residency", "[eu, Ch]", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Where.Countries) }, "[EU CH]"},
		{"residency", "NO", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Where.Countries) }, "[NO]"},
		{"data", "{provider: AWS, size: 500}", training, func(g purser.TaskGroup) any { return g.Data }, purser.Data{Provider: "aws", SizeGB: 500}},
		{"data", "{provider: aws, size: 2 TB}", training, func(g purser.TaskGroup) any { return g.Data.SizeGB }, 2000.0},
		{"data", "{provider: aws, size: 1GiB}", training, func(g purser.TaskGroup) any { return g.Data.SizeGB }, 1.073741824},
		{"deadline", "2027-01-31T18:00:00-05:00", training, func(g purser.TaskGroup) any { return g.Deadline.Format(time.RFC3339) }, "2027-01-31T23:00:00Z"},
		{"can_wait", "1d12h", training, func(g purser.TaskGroup) any { return g.CanWait }, 36 * time.Hour},
		{"deadline", "2020-01-01T00:00:00Z", training, func(g purser.TaskGroup) any { return g.Deadline.Year() }, 2020}, // the past is the server's business
		{"env", "{A: 1, B: 1.50, C: yes, D: true, E: \"\"}", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Run.Env) }, "map[A:1 B:1.50 C:yes D:true E:]"},
		{"env", "[\"A=b=c\"]", training, func(g purser.TaskGroup) any { return fmt.Sprint(g.Run.Env) }, "map[A:b=c]"},
		{"replicas", "0", inference, func(g purser.TaskGroup) any { return g.Replicas }, 0},
		{"checkpoint", "{every: 1m}", training, func(g purser.TaskGroup) any { return g.Checkpoint }, purser.Checkpoint{Path: "checkpoints", Every: time.Minute}},
	} {
		jobs, err := jobfile.Parse("f.yaml", []byte(c.file(c.field, c.text)), jobfile.Options{Now: now})
		if err != nil {
			t.Errorf("%s: %s: %v", c.field, c.text, err)
			continue
		}
		if got := c.got(jobs[0].Groups[0]); got != c.want {
			t.Errorf("%s: %s gives %v, want %v", c.field, c.text, got, c.want)
		}
	}
}

func mapping(group string, fields map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: a\n%s:\n", group)
	for name, text := range fields {
		fmt.Fprintf(&b, "  %s: %s\n", name, text)
	}
	return b.String()
}

// TestHints holds that slips of the pen and words of other systems lead to ours.
func TestHints(t *testing.T) {
	for field, want := range map[string]string{
		"comand": "did you mean command?", "replcias": "did you mean replicas?", "Memory": "did you mean memory?", "run-time": "did you mean run_time?",
		"num_nodes": "write replicas", "envs": "write env", "use_spot": "write spot", "gpus": "write accelerators", "max_duration": "write run_time",
		"port": "port belongs to inference groups (serve)", "kind": "train and serve say the kind already",
		"xyz": "its fields are name, accelerators",
	} {
		_, err := jobfile.Parse("f.yaml", []byte("name: a\ntrain:\n  "+field+": 1\n"), jobfile.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f.yaml:3:3: train."+field) {
			t.Errorf("%s: %v, want %q", field, err, want)
		}
	}
}
