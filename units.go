package purser

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// MilliDevices counts accelerators in thousandths: 125 is an eighth of one.
type MilliDevices int64

// OneDevice is one whole accelerator.
const OneDevice MilliDevices = 1000

// Devices is the count as a float, for display.
func (m MilliDevices) Devices() float64 { return float64(m) / 1000 }

// String shows 8, 0.5 or 0.125.
func (m MilliDevices) String() string { return strconv.FormatFloat(m.Devices(), 'f', -1, 64) }

// Whole says whether the count is of whole devices.
func (m MilliDevices) Whole() bool { return m%OneDevice == 0 }

// ValidShare says whether m can be asked for: whole devices, or 1/8, 1/4 or 1/2
// of one. These sizes divide one another, so packing them largest first is exact.
func (m MilliDevices) ValidShare() bool {
	return m == 0 || m == 125 || m == 250 || m == 500 || (m > 0 && m.Whole())
}

// ParseMiB reads a size of memory: 96GiB, 512Mi, 80GB (10⁹ bytes), 1.5TiB. A
// number without a unit is taken as GiB, as the price lists do. The result is in
// MiB, rounded up.
func ParseMiB(s string) (int64, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	unit := ""
	if i >= 0 {
		t, unit = t[:i], strings.TrimSpace(t[i:])
	}
	v, err := strconv.ParseFloat(t, 64)
	scale, ok := memoryUnits[strings.ToLower(unit)]
	if err != nil || !ok || math.IsInf(v, 0) {
		return 0, Errorf(KindInvalid, "purser.ParseMiB", "%q is not a size of memory (write it like 96GiB or 512MiB)", clip(s))
	}
	mib := math.Ceil(v*scale/(1<<20) - 1e-9)
	if mib > maxMiB {
		return 0, Errorf(KindInvalid, "purser.ParseMiB", "%q is more memory than any machine has (at most 1 PiB)", clip(s))
	}
	return int64(mib), nil
}

// maxMiB is 1 PiB: above it a size is a slip of the pen.
const maxMiB = 1 << 30

var memoryUnits = map[string]float64{
	"": 1 << 30, "mib": 1 << 20, "mi": 1 << 20, "gib": 1 << 30, "gi": 1 << 30, "tib": 1 << 40, "ti": 1 << 40,
	"mb": 1e6, "gb": 1e9, "tb": 1e12, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
}

// ParseDuration reads 30m, 1h30m, 90s, and also 2d and 1w, which time.ParseDuration
// lacks. Negative times are invalid.
func ParseDuration(s string) (time.Duration, error) {
	t := strings.TrimSpace(s)
	var days float64
	for _, u := range []struct {
		suffix string
		days   float64
	}{{"w", 7}, {"d", 1}} {
		if n, rest, ok := strings.Cut(t, u.suffix); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil {
				days = math.NaN()
				break
			}
			days += v * u.days
			t = rest
		}
	}
	var d time.Duration
	var err error
	if t != "" || days == 0 {
		d, err = time.ParseDuration(t)
	}
	d += time.Duration(days * 24 * float64(time.Hour))
	if err != nil || d < 0 || !(days >= 0 && days < 36500) {
		return 0, Errorf(KindInvalid, "purser.ParseDuration", "%q is not a length of time (write it like 30m, 1h30m or 2d)", clip(s))
	}
	return d, nil
}

// GiB shows MiB as GiB, for display.
func GiB(mib int64) string {
	return strconv.FormatFloat(math.Round(float64(mib)/1024*10)/10, 'f', -1, 64) + " GiB"
}
