package azure

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0.526", "5.5E-05", "-1e3", "1E+20", "", ".", "1e", "null", "00.10", "9e-30", "NaN", "1e99"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := decimal(s).usd()
		var want json.Number
		if json.Unmarshal([]byte(s), &want) != nil || want == "" {
			return
		}
		number, ferr := want.Float64()
		if err == nil && ferr == nil && math.Abs(number) < 1e6 && math.Abs(got.USD()-number) > 1e-9+1e-15*math.Abs(number)*10 {
			t.Errorf("%s became %s", s, got.Decimal())
		}
	})
}

func FuzzParseBand(f *testing.F) {
	for _, s := range []string{"0-5", "5-10", "20+", "", "-", "+", "5-5", "90-100", "0-99", "50+", "1e1-20"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		low, high, ok := parseBand(s)
		if ok && !(low >= 0 && low < high && !math.IsInf(high, 0)) {
			t.Errorf("%q became %v to %v", s, low, high)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-11-01T00:00:00Z", "2026-11-01T00:00:00.5+02:00", "2026-11-01T00:00:00", "2026-11-01", "0001-01-01T00:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		if ok != !got.IsZero() || got.Location() != time.UTC {
			t.Errorf("%q became %s, %v", s, got, ok)
		}
	})
}

func FuzzGeneralSize(f *testing.F) {
	for _, s := range []string{"Standard_D4s_v5", "standard_e64_v3", "Standard_F72s_v2", "Standard_D04s_v5", "Standard_E64-16s_v5", "Standard_D999s_v9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if g, ok := generalSize(s); ok && (!strings.EqualFold(g.name, s) || g.vCPUs <= 0 || g.memoryGiB < 2*g.vCPUs) {
			t.Errorf("%q became %+v", s, g)
		}
	})
}

// Writing a price with an exponent does not change it.
func TestExponentsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := purser.USDPerHour(rapid.Int64Range(-1e15, 1e15).Draw(t, "nano-USD"))
		zeros := rapid.IntRange(0, maxExponent-9).Draw(t, "zeros")
		text := fmt.Sprintf("%d%sE-%d", want, strings.Repeat("0", zeros), 9+zeros)
		if got, err := decimal(text).usd(); err != nil || got != want {
			t.Fatalf("%s became %d and %v, want %d", text, got, err, want)
		}
	})
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"1.25e2": "125.", "1.25E-1": "0.125", "-2e-1": "-0.2", "12.5": "12.5", "1e1": "10."} {
		got, ok := decimal(in).plain()
		a, errA := purser.ParseUSDPerHour(got)
		b, errB := purser.ParseUSDPerHour(want)
		if !ok || errA != nil || errB != nil || a != b {
			t.Errorf("%s became %s", in, got)
		}
	}
	for _, in := range []string{"1e", "1e31", "e5", "1e-31", "1e1e1", "--1e1", "x"} {
		if got, err := decimal(in).usd(); err == nil {
			t.Errorf("%q became %s", in, got)
		}
	}
}

func TestGeneralSizes(t *testing.T) {
	for size, want := range map[string]sized{
		"Standard_D2_v3": {"", 2, 8}, "standard_d64s_v4": {"Standard_D64s_v4", 64, 256}, "Standard_D96ads_v5": {"", 96, 384}, "Standard_D64pds_v5": {"", 64, 208},
		"Standard_D32plds_v5": {"", 32, 64}, "Standard_D96ls_v5": {"", 96, 192}, "Standard_D192ds_v6": {"", 192, 768}, "Standard_E64s_v3": {"", 64, 432},
		"Standard_E64ds_v4": {"", 64, 504}, "Standard_E96as_v4": {"", 96, 672}, "Standard_E20_v5": {"", 20, 160}, "Standard_E96bds_v5": {"", 96, 672},
		"Standard_E32ps_v5": {"", 32, 208}, "Standard_E128s_v6": {"", 128, 1024}, "standard_f72s_v2": {"Standard_F72s_v2", 72, 144},
	} {
		if want.name == "" {
			want.name = size
		}
		if got, ok := generalSize(size); !ok || got != want {
			t.Errorf("%s: got %+v", size, got)
		}
	}
	for _, size := range []string{"Standard_D2", "Standard_D96_v3", "Standard_D20s_v5", "Standard_E104i_v5", "Standard_E64-16s_v5", "Standard_F128s_v2", "Standard_DC2s_v3", "Standard_E20bs_v5", "D2s_v5"} {
		if got, ok := generalSize(size); ok {
			t.Errorf("%s: got %+v", size, got)
		}
	}
}

func TestAcceleratedSizes(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range acceleratedSizes() {
		key := strings.ToLower(a.name)
		model, ok := purser.AcceleratorNamed(a.device)
		day, err := time.Parse(time.DateOnly, a.until)
		switch {
		case seen[key]:
			t.Errorf("%s stands twice", a.name)
		case !namedAccelerated(a.name):
			t.Errorf("%s is of no N family", a.name)
		case !ok || model.Name != a.device:
			t.Errorf("%s: %s is not Purser's name", a.name, a.device)
		case a.devices <= 0 || a.devices > purser.OneDevice && !a.devices.Whole() || a.vCPUs <= 0 || a.memoryGiB <= a.vCPUs:
			t.Errorf("%+v cannot be", a)
		case a.until != "" && (err != nil || day.Year() < 2023):
			t.Errorf("%s is retired on %q", a.name, a.until)
		}
		seen[key] = true
	}
}
