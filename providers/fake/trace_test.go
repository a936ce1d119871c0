package fake_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
)

func TestReadTrace(t *testing.T) {
	rows, err := fake.ReadTrace(strings.NewReader(strings.Join([]string{
		"\ufeffzone, seconds,preempted,instance_type,available",
		"# a remark",
		"us-east-1a,0,,p3.2xlarge,4",
		",90.5,2,,",
		"us-east-1a,90.5,0,*,0",
	}, "\n")), "t.csv")
	want := []fake.TraceRow{
		{At: 0, Zone: "us-east-1a", InstanceType: "p3.2xlarge", Available: 4},
		{At: 90500 * time.Millisecond, Zone: "*", InstanceType: "*", Available: fake.Unchanged, Preempted: 2},
		{At: 90500 * time.Millisecond, Zone: "us-east-1a", InstanceType: "*", Available: 0},
	}
	if err != nil || fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestReadTraceSaysWhereItIsWrong(t *testing.T) {
	const head = "seconds,zone,instance_type,available,preempted\n"
	for name, c := range map[string]struct{ text, place, says string }{
		"empty":            {"", "t.csv:1:1", "empty"},
		"no rows":          {head, "t.csv:1:1", "no rows"},
		"no header":        {"0,a,b,1,0\n", "t.csv:1:1", `no column "0"`},
		"unknown column":   {"seconds,zone,price\n1,a,2\n", "t.csv:1:14", `no column "price"`},
		"twice":            {"seconds,zone,zone,available\n", "t.csv:1:14", "twice"},
		"no counts":        {"seconds,zone\n0,a\n", "t.csv:1:1", "lacks"},
		"no time":          {head + ",a,b,1,0\n", "t.csv:2:1", "not a number of seconds"},
		"a negative time":  {head + "-1,a,b,1,0\n", "t.csv:2:1", "not a number of seconds"},
		"an infinite time": {head + "Inf,a,b,1,0\n", "t.csv:2:1", "not a number of seconds"},
		"an exponent":      {head + "1e3,a,b,1,0\n", "t.csv:2:1", "not a number of seconds"},
		"a time too late":  {head + "99999999999,a,b,1,0\n", "t.csv:2:1", "not a number of seconds"},
		"backwards":        {head + "2,a,b,1,0\n1,a,b,1,0\n", "t.csv:3:1", "before that of the row above"},
		"a zone":           {head + "0,a b,b,1,0\n", "t.csv:2:3", "not a name"},
		"a slash":          {head + "0,a,b/c,1,0\n", "t.csv:2:5", "not a name"},
		"a long name":      {head + "0," + strings.Repeat("a", 101) + ",b,1,0\n", "t.csv:2:3", "not a name"},
		"a fraction":       {head + "0,a,b,1.5,0\n", "t.csv:2:7", "not a count"},
		"a huge count":     {head + "0,a,b,1,1000001\n", "t.csv:2:9", "not a count"},
		"says nothing":     {head + "0,a,b,,\n", "t.csv:2:7", "neither"},
		"a short row":      {head + "0,a\n", "t.csv:2", "as many fields"},
		"a stray quote":    {head + "0,a,\"b,1,0\n", "t.csv", "not CSV"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fake.ReadTrace(strings.NewReader(c.text), "t.csv")
			if purser.KindOf(err) != purser.KindInvalid || !strings.HasPrefix(err.Error(), c.place) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %s … %s", err, c.place, c.says)
			}
		})
	}
	if _, err := fake.ReadTrace(iotest.ErrReader(errors.New("disk")), "t.csv"); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a disk that fails: %v", err)
	}
	if _, err := fake.ReadTrace(io.MultiReader(strings.NewReader(head+"0,a,b,1,0\n"), iotest.ErrReader(errors.New("disk"))), "t.csv"); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a disk that fails later: %v", err)
	}
}

func FuzzReadTrace(f *testing.F) {
	for _, s := range []string{"", "seconds,available\n0,1\n", "seconds,zone,instance_type,available,preempted\n0,a,b,1,0\n1.5,*,*,,2\n", "zone,seconds\n", "\ufeffseconds,preempted\n\"1\",3", "# x\nseconds,preempted\n1,1\n0,1\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := fake.ReadTrace(bytes.NewReader(b), "f.csv")
		if err != nil {
			if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.File != "f.csv" || rows != nil {
				t.Fatalf("%#v with %d rows", err, len(rows))
			}
			return
		}
		if len(rows) == 0 {
			t.Fatal("neither rows nor an error")
		}
		for i, r := range rows {
			if r.At < 0 || (i > 0 && r.At < rows[i-1].At) || r.Zone == "" || r.InstanceType == "" || r.Available < fake.Unchanged || r.Preempted < 0 {
				t.Fatalf("row %d: %+v", i, r)
			}
		}
		// What was read can be followed.
		now := newClock()
		cloud := fake.New(fake.Config{Now: now.now, Spot: fake.Spot{Trace: rows}})
		_, _ = cloud.Provider("ours").Launch(t.Context(), request("a"))
		now.pass(rows[len(rows)-1].At)
		if err := cloud.Tick(); err != nil {
			t.Fatal(err)
		}
	})
}

// A trace takes machines back and gives capacity, at its times.
func TestTraceIsFollowed(t *testing.T) {
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Spot: fake.Spot{Notice: 2 * time.Minute, Trace: []fake.TraceRow{
		{At: 0, Zone: "r1-a", InstanceType: "big", Available: 3},
		{At: time.Hour, Zone: "r1-a", InstanceType: "big", Available: 1},
		{At: 2 * time.Hour, Zone: "*", InstanceType: "*", Available: fake.Unchanged, Preempted: 1},
		{At: 3 * time.Hour, Zone: "r1-a", InstanceType: "big", Available: 2},
	}}})
	p := cloud.Provider("ours")
	states := func() (out string) {
		for _, id := range []purser.LeaseID{"a", "b", "c", "d"} {
			in, err := p.Describe(t.Context(), purser.Lease{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			out += string(in.State) + " "
		}
		return out
	}
	for i, want := range []purser.Kind{"", "", "", purser.KindNoCapacity} {
		if k := kindOf(p, of(string("abcx"[i]), spotOffer()), t); k != want {
			t.Fatalf("launch %d: %q, want %q", i, k, want)
		}
	}
	if k := kindOf(p, of("d", offer()), t); k != "" {
		t.Fatalf("on demand is no matter of the trace: %q", k)
	}
	now.pass(time.Hour)
	if s := states(); strings.Count(s, "stopping") != 2 || !strings.HasSuffix(s, "running ") {
		t.Errorf("one of three is left: %s", s)
	}
	now.pass(time.Hour)
	if s := states(); strings.Count(s, "gone") != 2 || strings.Count(s, "stopping") != 1 || !strings.HasSuffix(s, "running ") {
		t.Errorf("one was taken back: %s", s)
	}
	now.pass(time.Hour)
	for i, want := range []purser.Kind{"", "", purser.KindNoCapacity} {
		if k := kindOf(p, of(fmt.Sprint("later", i), spotOffer()), t); k != want {
			t.Errorf("launch %d after the trace gave capacity again: %q, want %q", i, k, want)
		}
	}
}

// recorded reads pairs of seconds and machines that were there.
func recorded(t *testing.T, file string) string {
	t.Helper()
	data := os.Getenv("PURSER_DATA")
	if data == "" {
		t.Skip("PURSER_DATA is not set, so the recorded traces are not at hand")
	}
	f, err := os.Open(filepath.Join(data, file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	out := "seconds,available\n"
	for s := bufio.NewScanner(f); s.Scan(); {
		out += s.Text() + "\n"
	}
	return out
}

// A fleet that always asks for 16 machines of a type holds, over a recorded day, exactly
// as many as were recorded, and hears of each that is taken back.
func TestRecordedTrace(t *testing.T) {
	rows, err := fake.ReadTrace(strings.NewReader(recorded(t, "bamboo-spot-traces/aws-spot-instances-g4dn-xlarge-us-east-1c-2020-11-20-1930-to-2020-11-21-2200.csv")), "recorded")
	if err != nil {
		t.Fatal(err)
	}
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Seed: 1, Spot: fake.Spot{Trace: rows}})
	p := cloud.Provider("ours")
	since, launched, most := now.now(), 0, 0
	for i, r := range rows {
		now.pass(since.Add(r.At).Sub(now.now()))
		if i+1 < len(rows) && rows[i+1].At == r.At {
			continue // the steps of the record have a row before and after each
		}
		for {
			k := kindOnly(p, of(fmt.Sprintf("l%d", launched), spotOffer()), t)
			if k == purser.KindNoCapacity {
				break
			}
			if k != "" {
				t.Fatal(k)
			}
			launched++
		}
		all, err := p.List(t.Context())
		if err != nil || len(all) != r.Available {
			t.Fatalf("at %s there are %d machines (%v), recorded were %d", r.At, len(all), err, r.Available)
		}
		most = max(most, len(all))
	}
	gone := 0
	for _, m := range cloud.Machines() {
		if m.State == providers.Gone {
			gone++
			if m.NoticeAt.IsZero() {
				t.Errorf("%s went without notice", m.ID)
			}
		}
	}
	if most < 10 || gone < 20 {
		t.Errorf("too little happened: %d machines at most, %d taken back", most, gone)
	}
	t.Logf("%d rows, %d launches, %d taken back", len(rows), launched, gone)
}
