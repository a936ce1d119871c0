package fake_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
)

func open(t *testing.T, c fake.Config, file string) *fake.Cloud {
	t.Helper()
	cloud, err := fake.Open(c, file)
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// A cloud whose process is killed between any two calls goes on as if nothing had been:
// its history is that of one that lives through.
func TestARestartForgetsNothing(t *testing.T) {
	type outcome struct {
		says     []string
		machines []fake.Machine
	}
	play := func(restarts bool) outcome {
		now := newClock()
		file := filepath.Join(t.TempDir(), "state.json")
		config := fake.Config{
			Now: now.now, Seed: 5, BootTime: time.Minute, StopTime: time.Minute, Lag: 10 * time.Second, Capacity: map[string]int{"r1-a/big/spot": 6},
			Quotas: []purser.Quota{{Name: "q", Limit: 8, Unit: purser.QuotaMachines}},
			Spot: fake.Spot{Notice: 2 * time.Minute, Swing: 0.1, Trace: []fake.TraceRow{
				{At: 30 * time.Minute, Zone: "r1-a", InstanceType: "big", Available: 2}, {At: 2 * time.Hour, Zone: "r1-a", InstanceType: "big", Available: 4, Preempted: 1},
			}},
		}
		cloud := open(t, config, file)
		out := outcome{}
		for i := range 40 {
			if restarts {
				cloud = open(t, config, file)
			}
			p := cloud.Provider("ours")
			id := fmt.Sprint("l", i%12)
			var in providers.Instance
			var err error
			switch {
			case i == 5:
				err = cloud.Turn(fake.Knobs{Capacity: map[string]int{"r1/big/on_demand": 1}, Quotas: []purser.Quota{{Name: "q", Limit: 7, Unit: purser.QuotaMachines}}})
			case i == 1:
				cloud.HalfNext(1)
				in, err = p.Launch(t.Context(), of("half", spotOffer()))
			case i%7 == 6:
				err = p.Terminate(t.Context(), purser.Lease{ID: purser.LeaseID(id)})
			case i%5 == 4:
				in, err = p.Launch(t.Context(), of(id, offer()))
			default:
				in, err = p.Launch(t.Context(), of(id, spotOffer()))
			}
			out.says = append(out.says, fmt.Sprintf("%s %s %s %v %v", id, in.ID, in.State, err, cloud.Leavings("ours")))
			now.pass(4 * time.Minute)
		}
		for _, n := range heard(t, cloud) {
			out.says = append(out.says, fmt.Sprintf("%+v", n))
		}
		out.machines = cloud.Machines()
		for i := range out.machines { // a file knows no time zones by pointer
			m := &out.machines[i]
			m.StartedAt, m.NoticeAt, m.EndedAt, m.GoneAt = m.StartedAt.UTC(), m.NoticeAt.UTC(), m.EndedAt.UTC(), m.GoneAt.UTC()
		}
		return out
	}
	through, restarted := play(false), play(true)
	for i := range min(len(through.says), len(restarted.says)) {
		if through.says[i] != restarted.says[i] {
			t.Errorf("step %d: living through %q, restarted %q", i, through.says[i], restarted.says[i])
		}
	}
	if len(through.says) != len(restarted.says) {
		t.Errorf("living through it says %d things, restarted %d", len(through.says), len(restarted.says))
	}
	if !reflect.DeepEqual(through.machines, restarted.machines) {
		t.Errorf("living through:\n%+v\nrestarted:\n%+v", through.machines, restarted.machines)
	}
	if len(through.machines) < 5 || len(through.says) < 45 {
		t.Errorf("too little happened: %+v", through)
	}
}

// heard is what is in the queue of ours, without taking it off.
func heard(t *testing.T, cloud *fake.Cloud) []providers.Interruption {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	e := newEars()
	e.deaf = func(providers.Interruption) error { cancel(); return context.Canceled }
	if err := cloud.Provider("ours").Interruptions(ctx, e.hear); err != nil {
		t.Fatal(err)
	}
	cancel()
	return e.all()
}

func TestStateThatCannotBeUsed(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "x", "half": `{"version":1,"machines":[`, "another version": `{"version":99}`, "no machine": `{"version":1,"machines":[null]}`,
		"a hole": `{"version":1,"supply":null}`, "another thing": `[]`, "nothing": "",
	} {
		file := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := fake.Open(fake.Config{}, file); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
		if b, _ := os.ReadFile(file); string(b) != text {
			t.Errorf("%s: the file was touched: %s", name, b)
		}
	}
	if _, err := fake.Open(fake.Config{}, t.TempDir()); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a folder: %v", err)
	}
	if _, err := fake.Open(fake.Config{}, filepath.Join(t.TempDir(), "missing", "state.json")); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// What cannot be written down is not answered, and the repetition finds it.
func TestNothingIsAnsweredThatIsNotWrittenDown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cloud")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cloud := open(t, fake.Config{}, filepath.Join(dir, "state.json"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if k := kindOnly(cloud.Provider("ours"), request("a"), t); k != purser.KindUnavailable {
		t.Errorf("a launch that cannot be written down: %q", k)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if k := kindOnly(cloud.Provider("ours"), request("a"), t); k != "" || len(cloud.Machines()) != 1 {
		t.Errorf("its repetition: %q, %+v", k, cloud.Machines())
	}
}

func TestGoneMachinesAreForgottenInTheEnd(t *testing.T) {
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Remember: 24 * time.Hour})
	p := cloud.Provider("ours")
	for _, id := range []string{"a", "b"} {
		if k := kindOnly(p, request(id), t); k != "" {
			t.Fatal(k)
		}
	}
	_ = p.Terminate(t.Context(), purser.Lease{ID: "a"})
	now.pass(24 * time.Hour)
	_ = cloud.Tick()
	if in, err := p.Launch(t.Context(), request("a")); err != nil || in.State != providers.Gone {
		t.Errorf("after a day: %+v, %v", in, err)
	}
	now.pass(time.Second)
	_ = cloud.Tick()
	if all := cloud.Machines(); len(all) != 1 || all[0].Lease != "b" {
		t.Errorf("remembered: %+v", all)
	}
}

// rack is hardware whose agents are entries of a map.
type rack struct {
	boots   map[string]int
	agents  map[string]int // how often each has to be told to end
	tokens  []string
	refuses bool
}

func (r *rack) Boot(b fake.Boot) error {
	if r.refuses {
		return purser.Errorf(purser.KindNoCapacity, "rack", "it is full")
	}
	r.boots[b.Machine]++
	r.tokens = append(r.tokens, b.JoinToken+" "+b.ServerURL)
	r.agents[b.Machine] = 2
	return nil
}

func (r *rack) Lives(b fake.Boot) bool { return r.agents[b.Machine] > 0 }

func (r *rack) End(b fake.Boot) bool {
	r.agents[b.Machine] = max(0, r.agents[b.Machine]-1)
	return r.agents[b.Machine] > 0
}

// Agents are started once, after the boot time and over restarts, told of the end, and
// gone before their machine is.
func TestHardware(t *testing.T) {
	now, r := newClock(), &rack{boots: map[string]int{}, agents: map[string]int{}}
	file := filepath.Join(t.TempDir(), "state.json")
	config := fake.Config{Now: now.now, BootTime: time.Minute, StopTime: 10 * time.Second, Hardware: r}
	cloud := open(t, config, file)
	for _, id := range []string{"a", "b", "c", "d"} {
		if k := kindOnly(cloud.Provider("ours"), request(id), t); k != "" {
			t.Fatal(k)
		}
	}
	moved := request("a")
	moved.ServerURL = "http://elsewhere"
	if k := kindOnly(cloud.Provider("ours"), moved, t); k != "" {
		t.Fatal(k)
	}
	_ = cloud.Provider("ours").Terminate(t.Context(), purser.Lease{ID: "d"}) // before it has booted
	tick := func() {
		t.Helper()
		if err := cloud.Tick(); err != nil {
			t.Fatal(err)
		}
		cloud = open(t, config, file)
	}
	tick()
	if len(r.boots) != 0 {
		t.Fatalf("booted before its time: %v", r.boots)
	}
	now.pass(time.Minute)
	tick()
	tick()
	if fmt.Sprint(r.boots) != "map[i-000001:1 i-000002:1 i-000003:1]" || !strings.Contains(strings.Join(r.tokens, ","), "secret http://elsewhere") {
		t.Fatalf("booted: %v with %v", r.boots, r.tokens)
	}
	if b, _ := os.ReadFile(file); strings.Contains(string(b), "secret") {
		t.Error("the join token is still in the file")
	}
	_ = cloud.Provider("ours").Terminate(t.Context(), purser.Lease{ID: "a"})
	cloud.Preempt("b", time.Minute)
	r.agents["i-000003"] = 0 // it ended by itself
	tick()
	states := map[purser.LeaseID]string{}
	for _, m := range cloud.Machines() {
		states[m.Lease] = string(m.State) + " " + m.Reason
	}
	if !strings.HasPrefix(states["a"], "stopping") || !strings.HasPrefix(states["b"], "stopping") || !strings.Contains(states["c"], "gone its agent ended") || r.agents["i-000001"] != 1 || r.agents["i-000002"] != 2 {
		t.Errorf("machines %v, agents %v", states, r.agents)
	}
	for range 5 {
		now.pass(time.Minute)
		tick()
	}
	for _, m := range cloud.Machines() {
		if m.State != providers.Gone || r.agents[m.ID] != 0 {
			t.Errorf("%s is %s, its agent has %d to go", m.ID, m.State, r.agents[m.ID])
		}
	}
	r.refuses = true
	if k := kindOnly(cloud.Provider("ours"), request("e"), t); k != "" {
		t.Fatal(k)
	}
	now.pass(time.Minute)
	tick()
	if in, err := cloud.Provider("ours").Describe(t.Context(), purser.Lease{ID: "e"}); err != nil || in.State != providers.Gone || !strings.Contains(in.Reason, "it is full") {
		t.Errorf("hardware that refuses: %+v, %v", in, err)
	}
}
