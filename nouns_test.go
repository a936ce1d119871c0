package purser_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func TestParseMoneyIsExact(t *testing.T) {
	for in, want := range map[string]string{
		"3.06": "3.06", "0.000000001": "0.000000001", "21.957642": "21.957642", "-1.5": "-1.5",
		".5": "0.5", "7.": "7", "1.0060000000": "1.006", "0.0000000005": "0.000000001", "9000000000": "9000000000",
	} {
		got, err := purser.ParseMoney(in)
		if err != nil || got.Decimal() != want {
			t.Errorf("ParseMoney(%q) = %s, %v; want %s", in, got.Decimal(), err, want)
		}
	}
	for _, in := range []string{"", ".", "-", "NaN", "1e3", "$3", "1,5", "1.2.3", "9223372037", "Inf", "0x10"} {
		if got, err := purser.ParseMoney(in); purser.KindOf(err) != purser.KindInvalid || err == nil {
			t.Errorf("ParseMoney(%q) = %v, %v; want an invalid error", in, got, err)
		}
	}
}

func TestMoneySurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := purser.Money(rapid.Int64Range(-9e18, 9e18).Draw(t, "nano"))
		b, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back purser.Money
		if err := back.UnmarshalJSON(b); err != nil || back != m {
			t.Fatalf("%d became %s and then %d, %v", m, b, back, err)
		}
	})
}

func TestPriceForTimeAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := purser.USDPerHour(rapid.Int64Range(0, 1e12).Draw(t, "price"))
		a := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "a"))
		b := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "b"))
		if diff := p.For(a+b) - p.For(a) - p.For(b); diff < -1 || diff > 1 {
			t.Fatalf("split time costs %d nano-USD more", diff)
		}
	})
	if got := purser.USDPerHour(3_060_000_000).For(20 * time.Minute); got.Decimal() != "1.02" {
		t.Errorf("20 minutes at 3.06 cost %s, want 1.02", got.Decimal())
	}
}

func TestParseSizesAndTimes(t *testing.T) {
	for in, want := range map[string]int64{"96GiB": 96 << 10, "512Mi": 512, "80GB": 76294, "16": 16 << 10, "1.5TiB": 1536 << 10} {
		if got, err := purser.ParseMiB(in); err != nil || got != want {
			t.Errorf("ParseMiB(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "GiB", "-1GiB", "12 parsecs", "NaN", "9e99", "99999999TiB"} {
		if _, err := purser.ParseMiB(in); err == nil {
			t.Errorf("ParseMiB(%q) was taken", in)
		}
	}
	for in, want := range map[string]time.Duration{"30m": 30 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1w": 168 * time.Hour, "1d12h": 36 * time.Hour} {
		if got, err := purser.ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1h", "5", "soon", "d", "1e99d", "NaNd"} {
		if got, err := purser.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v was taken", in, got)
		}
	}
}

func TestAcceleratorNames(t *testing.T) {
	seen := map[string]string{}
	for _, a := range purser.Accelerators() {
		if a.MemoryGiB <= 0 || a.Family == "" || a.Kind == "" || a.Vendor == "" {
			t.Errorf("%s lacks a fact", a.Name)
		}
		for _, n := range append([]string{a.Name}, a.Aliases...) {
			got, ok := purser.AcceleratorNamed(n)
			if !ok || got.Name != a.Name {
				t.Errorf("%s is an alias of %s and finds %s", n, a.Name, got.Name)
			}
		}
		if other, ok := seen[a.Name]; ok {
			t.Errorf("%s is listed twice (%s)", a.Name, other)
		}
		seen[a.Name] = a.Family
	}
	for word, want := range map[string]int{"A100": 2, "a100-80gb": 1, "A100-80GB-SXM": 1, "V100": 2, "H100": 3, "tpu-v5e": 1, "Gaudi HL-205": 1, "Virtex UltraScale (VU9P)": 1, "Qualcomm AI100": 1, "Radeon Pro V520": 1, "warp-drive": 0} {
		if got := purser.AcceleratorsMatching(word); len(got) != want {
			t.Errorf("%s means %d models, want %d", word, len(got), want)
		}
	}
	if got := purser.SuggestAccelerator("H10"); got != "H100" {
		t.Errorf("H10 suggests %q", got)
	}
}

// Every walk that Can allows ends in a final state, and no final state has a way out.
func TestStatesEnd(t *testing.T) {
	leases := []purser.LeaseState{purser.LeasePlanned, purser.LeaseLaunching, purser.LeaseRunning, purser.LeaseDraining, purser.LeaseReleased, purser.LeaseFailed, purser.LeaseWithdrawn}
	for _, from := range leases {
		out := 0
		for _, to := range leases {
			if from.Can(to) {
				out++
			}
		}
		if from.Ended() != (out == 0) {
			t.Errorf("lease state %s: ended %v with %d ways out", from, from.Ended(), out)
		}
	}
	tasks := []purser.TaskState{purser.TaskQueued, purser.TaskPlaced, purser.TaskRunning, purser.TaskSucceeded, purser.TaskFailed, purser.TaskLost, purser.TaskCancelled}
	for _, from := range tasks {
		out := 0
		for _, to := range tasks {
			if from.Can(to) {
				out++
			}
		}
		if from.Ended() != (out == 0) {
			t.Errorf("task state %s: ended %v with %d ways out", from, from.Ended(), out)
		}
	}
}

func TestLeaseApply(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	l := purser.Lease{ID: "l1", State: purser.LeasePlanned}
	l, err := l.Apply(purser.Transition{To: purser.LeaseLaunching, Attempt: 1, At: at})
	if err != nil || l.LaunchedAt != at || l.Attempt != 1 || l.Fence != 1 {
		t.Fatalf("launching: %+v, %v", l, err)
	}
	l, err = l.Apply(purser.Transition{To: purser.LeaseLaunching, Attempt: 2, At: at.Add(time.Minute)})
	if err != nil || l.LaunchedAt != at || l.Attempt != 2 || l.Fence != 2 {
		t.Fatalf("a second attempt moved the time of the first: %+v, %v", l, err)
	}
	if _, err := l.Apply(purser.Transition{To: purser.LeaseReleased, At: at}); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("launching to released: %v", err)
	}
	l, _ = l.Apply(purser.Transition{To: purser.LeaseFailed, At: at, Reason: "no capacity"})
	if _, err := l.Apply(purser.Transition{To: purser.LeaseFailed, At: at}); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("a failed lease took a step: %v", err)
	}
}

func TestStateOf(t *testing.T) {
	task := func(s purser.TaskState, attempt int) purser.Task { return purser.Task{State: s, Attempt: attempt} }
	for name, c := range map[string]struct {
		tasks     []purser.Task
		cancelled bool
		want      purser.JobState
	}{
		"nothing yet":            {nil, false, purser.JobQueued},
		"in the queue":           {[]purser.Task{task(purser.TaskQueued, 1)}, false, purser.JobQueued},
		"back in the queue":      {[]purser.Task{task(purser.TaskQueued, 2)}, false, purser.JobRunning},
		"half done":              {[]purser.Task{task(purser.TaskSucceeded, 1), task(purser.TaskRunning, 1)}, false, purser.JobRunning},
		"done":                   {[]purser.Task{task(purser.TaskSucceeded, 1), task(purser.TaskSucceeded, 3)}, false, purser.JobSucceeded},
		"one failed":             {[]purser.Task{task(purser.TaskSucceeded, 1), task(purser.TaskFailed, 1)}, false, purser.JobFailed},
		"cancelled, still alive": {[]purser.Task{task(purser.TaskRunning, 1)}, true, purser.JobRunning},
		"cancelled":              {[]purser.Task{task(purser.TaskCancelled, 1)}, true, purser.JobCancelled},
	} {
		if got := purser.StateOf(purser.Job{}, c.tasks, c.cancelled); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestErrorsKeepKindAndCause(t *testing.T) {
	cause := errors.New("socket closed")
	err := purser.Wrap(purser.KindUnavailable, "a", purser.Errorf(purser.KindQuota, "b", "no room: %w", cause))
	if purser.KindOf(err) != purser.KindQuota || !errors.Is(err, cause) {
		t.Errorf("%v has kind %s", err, purser.KindOf(err))
	}
	if got := err.Error(); got != "no room: socket closed" {
		t.Errorf("the error reads %q", got)
	}
	if purser.KindOf(cause) != purser.KindInternal {
		t.Error("a foreign error is internal")
	}
}

func TestWhereAllows(t *testing.T) {
	o := purser.Offer{Provider: "aws", Region: "eu-north-1", Zone: "eun1-az1", Option: purser.Spot, Country: "SE", UnitPrice: 2e9}
	for name, c := range map[string]struct {
		w    purser.Where
		want purser.RefusalReason
	}{
		"anything":       {purser.Where{}, ""},
		"prefix":         {purser.Where{Regions: []string{"eu-*"}}, ""},
		"other region":   {purser.Where{Regions: []string{"us-*"}}, purser.ReasonRegion},
		"not this":       {purser.Where{NoRegions: []string{"eu-north-1"}}, purser.ReasonRegion},
		"EU":             {purser.Where{Countries: []string{"EU"}}, ""},
		"Germany":        {purser.Where{Countries: []string{"DE"}}, purser.ReasonResidency},
		"no spot":        {purser.Where{Options: []purser.PurchaseOption{purser.OnDemand}}, purser.ReasonOption},
		"ceiling":        {purser.Where{MaxPerHour: 1e9}, purser.ReasonPriceCeiling},
		"other provider": {purser.Where{NoProviders: []string{"aws"}}, purser.ReasonProvider},
	} {
		if got := c.w.Allows(o); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A quota may count several families, and what is bought in cents an hour; a weight is
// never too small.
func TestQuotaWeights(t *testing.T) {
	o := purser.Offer{
		Provider: "aws", Region: "r", InstanceType: "vt1.3xlarge", Option: purser.OnDemand, UnitPrice: 10_001,
		Shape: purser.Shape{Accelerator: "U30", Devices: 1500, MilliCPU: 12_000},
	}
	for name, c := range map[string]struct {
		q    purser.Quota
		want int64
	}{
		"devices":        {purser.Quota{Unit: purser.QuotaDevices}, 1500},
		"one of several": {purser.Quota{Unit: purser.QuotaVCPUs, TypePrefix: "g,vt"}, 12_000},
		"none of them":   {purser.Quota{Unit: purser.QuotaVCPUs, TypePrefix: "g,p"}, 0},
		"cents, rounded": {purser.Quota{Unit: purser.QuotaCents}, 2},
		"a strange unit": {purser.Quota{Unit: "cores"}, 0},
	} {
		if got := c.q.Weight(o); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	o.Option = purser.Private
	if got := (purser.Quota{Unit: purser.QuotaCents}).Weight(o); got != 0 {
		t.Errorf("a machine of one's own weighs %d", got)
	}
}

func TestGuard(t *testing.T) {
	if err := purser.Guard("x", func() error { return nil }); err != nil {
		t.Error(err)
	}
	cause := errors.New("cause")
	if err := purser.Guard("x", func() error { return cause }); !errors.Is(err, cause) {
		t.Error(err)
	}
	var none map[string]int
	if err := purser.Guard("x", func() error { none["a"] = 1; return nil }); purser.KindOf(err) != purser.KindInternal || !strings.Contains(err.Error(), "nil map") {
		t.Error(err)
	}
}
