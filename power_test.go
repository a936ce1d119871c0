package purser_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

const year = 8760 * time.Hour

func TestPowerPrice(t *testing.T) {
	for _, c := range []struct {
		watts, pue float64
		perKWh     string
		want       string
	}{
		{6500, 1.3, "0.14", "1.183"},
		{1000, 1, "0.15", "0.15"},
		{1, 1, "0.000000001", "0.000000001"}, // rounded up, never to nothing
		{700, 1.5, "0", "0"},
		{0.1, 1.1, "0.3", "0.000033"},
	} {
		perKWh, err := purser.ParseMoney(c.perKWh)
		if err != nil {
			t.Fatal(err)
		}
		got, err := purser.PowerPrice(c.watts, c.pue, perKWh)
		if err != nil || got.Decimal() != c.want {
			t.Errorf("%g W, PUE %g, $%s/kWh: $%s, %v; want $%s", c.watts, c.pue, c.perKWh, got.Decimal(), err, c.want)
		}
	}
	nan := math.NaN()
	for _, c := range []struct {
		watts, pue float64
		perKWh     purser.Money
	}{
		{0, 1, 1},
		{-1, 1, 1},
		{nan, 1, 1},
		{math.Inf(1), 1, 1},
		{2e9, 1, 1},
		{1, 0.9, 1},
		{1, nan, 1},
		{1, 11, 1},
		{1, math.Inf(1), 1},
		{1, 1, -1},
		{1e9, 10, math.MaxInt64},
	} {
		if got, err := purser.PowerPrice(c.watts, c.pue, c.perKWh); err == nil || purser.KindOf(err) != purser.KindInvalid || got != 0 {
			t.Errorf("%+v: %d, %v; want an invalid error", c, got, err)
		}
	}
}

func TestAmortizedPrice(t *testing.T) {
	for _, c := range []struct {
		usd         float64
		life        time.Duration
		utilization float64
		want        string
	}{
		{35040, 4 * year, 1, "1"},
		{35040, 4 * year, 0.5, "2"},
		{250000, 4 * year, 0.7, "10.192433138"}, // 10.1924331376…
		{0, year, 0.1, "0"},
		{1, time.Hour, 0.3, "3.333333334"},
	} {
		got, err := purser.AmortizedPrice(purser.MoneyOf(c.usd), c.life, c.utilization)
		if err != nil || got.Decimal() != c.want {
			t.Errorf("$%g over %s at %g: $%s, %v; want $%s", c.usd, c.life, c.utilization, got.Decimal(), err, c.want)
		}
	}
	for _, c := range []struct {
		cost        purser.Money
		life        time.Duration
		utilization float64
	}{
		{-1, year, 1},
		{1, 0, 1},
		{1, -year, 1},
		{1, year, 0},
		{1, year, -0.5},
		{1, year, 1.01},
		{1, year, math.NaN()},
		{1, year, math.Inf(1)},
		{math.MaxInt64, time.Minute, 1},
	} {
		if got, err := purser.AmortizedPrice(c.cost, c.life, c.utilization); err == nil || purser.KindOf(err) != purser.KindInvalid || got != 0 {
			t.Errorf("%+v: %d, %v; want an invalid error", c, got, err)
		}
	}
}

// An hour's price times the hours of use pays for the machine, and for at most a
// nano-USD an hour more.
func TestAmortizationPaysForTheMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := purser.Money(rapid.Int64Range(0, 1e15).Draw(t, "cost"))
		hours := rapid.Int64Range(1, 500_000).Draw(t, "hours")
		percent := rapid.Int64Range(1, 100).Draw(t, "percent")
		price, err := purser.AmortizedPrice(cost, time.Duration(hours)*time.Hour, float64(percent)/100)
		if err != nil {
			t.Fatal(err)
		}
		// In hundredths of an hour, to stay whole.
		earned, used := int64(price)*hours*percent, hours*percent
		if earned < 100*int64(cost) || earned >= 100*int64(cost)+used {
			t.Fatalf("%d nano-USD an hour for %d hours at %d %% earn %d/100, the machine cost %d", price, hours, percent, earned, cost)
		}
	})
}

// Power costs more the more of anything there is.
func TestPowerPriceGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watts := rapid.Float64Range(0.001, 1e5).Draw(t, "watts")
		pue := rapid.Float64Range(1, 5).Draw(t, "pue")
		kWh := purser.Money(rapid.Int64Range(0, 5e9).Draw(t, "per kWh"))
		a, err := purser.PowerPrice(watts, pue, kWh)
		if err != nil {
			t.Fatal(err)
		}
		b, err := purser.PowerPrice(watts*rapid.Float64Range(1, 3).Draw(t, "more"), pue*rapid.Float64Range(1, 2).Draw(t, "worse"), kWh+purser.Money(rapid.Int64Range(0, 1e9).Draw(t, "dearer")))
		if err != nil || b < a {
			t.Fatalf("%d, and of more %d, %v", a, b, err)
		}
		if exact := watts / 1000 * pue * float64(kWh); float64(a) < exact*(1-1e-12) || float64(a) > exact*(1+1e-12)+1 {
			t.Fatalf("%d nano-USD an hour, want %g rounded up", a, exact)
		}
	})
}

func TestMachineWatts(t *testing.T) {
	for name, c := range map[string]struct {
		shape purser.Shape
		want  float64
		known bool
	}{
		"DGX A100":     {purser.Shape{Accelerator: "A100-80GB", Devices: 8000, MilliCPU: 256_000, MemoryMiB: 2048 << 10}, 8*400 + 256*3.5 + 2048*0.392, true},
		"CPU alone":    {purser.Shape{MilliCPU: 16_000, MemoryMiB: 64 << 10}, 16*3.5 + 64*0.392, true},
		"half a board": {purser.Shape{Accelerator: "L4", Devices: 500}, 36, true},
		"unknown":      {purser.Shape{Accelerator: "warp-drive", Devices: 1000, MilliCPU: 1000}, 0, false},
	} {
		if got, ok := purser.MachineWatts(c.shape); math.Abs(got-c.want) > 1e-9 || ok != c.known {
			t.Errorf("%s draws %g W, %v; want %g W, %v", name, got, ok, c.want, c.known)
		}
	}
}
