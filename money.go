package purser

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Money is an amount in nano-USD (10⁻⁹ $). The largest is about 9.2 billion $.
// In JSON it is a number of USD with at most nine decimals, exact.
type Money int64

// USDPerHour is a price in nano-USD per hour. In JSON it is a number of USD.
type USDPerHour int64

const nanoPerUSD = 1_000_000_000

// HoursPerMonth is the month that a price per month is shown with. Charges never
// use it.
const HoursPerMonth = 730

// ParseMoney reads a plain decimal number of USD such as 3.06, exactly. A tenth
// decimal or later rounds half away from zero. Exponents, NaN and signs of
// currency are invalid, and so is an amount that nano-USD cannot hold.
func ParseMoney(s string) (Money, error) {
	n, err := parseNano(s)
	return Money(n), err
}

// ParseUSDPerHour reads a price like ParseMoney.
func ParseUSDPerHour(s string) (USDPerHour, error) {
	n, err := parseNano(s)
	return USDPerHour(n), err
}

func parseNano(s string) (int64, error) {
	bad := func() (int64, error) {
		return 0, Errorf(KindInvalid, "purser.ParseMoney", "%q is not an amount of USD (write digits with at most one point, such as 3.06)", clip(s))
	}
	t := strings.TrimSpace(s)
	neg := strings.HasPrefix(t, "-")
	t = strings.TrimPrefix(t, "-")
	whole, frac, _ := strings.Cut(t, ".")
	if whole == "" && frac == "" {
		return bad()
	}
	var n uint64
	for _, c := range whole {
		if c < '0' || c > '9' {
			return bad()
		}
		n = n*10 + uint64(c-'0')
		if n > math.MaxInt64/nanoPerUSD {
			return 0, Errorf(KindInvalid, "purser.ParseMoney", "%q USD is more than can be counted", clip(s))
		}
	}
	n *= nanoPerUSD
	unit := uint64(nanoPerUSD / 10)
	for i, c := range frac {
		if c < '0' || c > '9' {
			return bad()
		}
		switch {
		case i < 9:
			n += uint64(c-'0') * unit
			unit /= 10
		case i == 9 && c >= '5':
			n++
		}
	}
	if n > math.MaxInt64 {
		return 0, Errorf(KindInvalid, "purser.ParseMoney", "%q USD is more than can be counted", clip(s))
	}
	if neg {
		return -int64(n), nil
	}
	return int64(n), nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// USDPerHourOf rounds a float of USD per hour to nano-USD. For figures that are
// estimates already; prices are read with ParseUSDPerHour.
func USDPerHourOf(usd float64) USDPerHour { return USDPerHour(math.Round(usd * nanoPerUSD)) }

// MoneyOf rounds a float of USD to nano-USD, for estimates.
func MoneyOf(usd float64) Money { return Money(math.Round(usd * nanoPerUSD)) }

// USD is the amount as a float, for display and for the solver.
func (m Money) USD() float64 { return float64(m) / nanoPerUSD }

// USD is the price as a float, for display and for the solver.
func (p USDPerHour) USD() float64 { return float64(p) / nanoPerUSD }

// For is what a time at this price costs, rounded half up to a nano-USD. A
// negative time costs 0. It is the one multiplication of price and time: plan,
// ledger and forecast all use it.
func (p USDPerHour) For(d time.Duration) Money {
	if d <= 0 || p == 0 {
		return 0
	}
	neg := p < 0
	q := uint64(p)
	if neg {
		q = uint64(-p)
	}
	hi, lo := bits.Mul64(q, uint64(d))
	lo, carry := bits.Add64(lo, uint64(time.Hour)/2, 0)
	hi += carry
	if hi >= uint64(time.Hour) {
		return Money(math.MaxInt64)
	}
	n, _ := bits.Div64(hi, lo, uint64(time.Hour))
	if n > math.MaxInt64 {
		n = math.MaxInt64
	}
	if neg {
		return -Money(n)
	}
	return Money(n)
}

// String shows dollars with two decimals, or with four where less than ten cents.
func (m Money) String() string { return dollars(int64(m)) }

// String shows the price as $3.06/h.
func (p USDPerHour) String() string { return dollars(int64(p)) + "/h" }

func dollars(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	digits := 2
	if n != 0 && n < nanoPerUSD/10 {
		digits = 4
	}
	return fmt.Sprintf("%s$%s", sign, strconv.FormatFloat(float64(n)/nanoPerUSD, 'f', digits, 64))
}

// Decimal writes the amount as an exact decimal number of USD, e.g. 3.06.
func (m Money) Decimal() string { return decimal(int64(m)) }

// Decimal writes the price as an exact decimal number of USD per hour.
func (p USDPerHour) Decimal() string { return decimal(int64(p)) }

func decimal(n int64) string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", uint64(-n)
	}
	s := fmt.Sprintf("%s%d.%09d", sign, u/nanoPerUSD, u%nanoPerUSD)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON writes a number of USD.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(m.Decimal()), nil }

// UnmarshalJSON reads a number of USD.
func (m *Money) UnmarshalJSON(b []byte) error {
	n, err := parseJSON(b)
	*m = Money(n)
	return err
}

// MarshalJSON writes a number of USD per hour.
func (p USDPerHour) MarshalJSON() ([]byte, error) { return []byte(p.Decimal()), nil }

// UnmarshalJSON reads a number of USD per hour.
func (p *USDPerHour) UnmarshalJSON(b []byte) error {
	n, err := parseJSON(b)
	*p = USDPerHour(n)
	return err
}

// parseJSON also takes the exponents that JSON encoders write for small numbers.
func parseJSON(b []byte) (int64, error) {
	s := string(b)
	if s == "null" {
		return 0, nil
	}
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(f) > math.MaxInt64/nanoPerUSD {
			return 0, Errorf(KindInvalid, "purser.ParseMoney", "%q is not an amount of USD", clip(s))
		}
		return int64(math.Round(f * nanoPerUSD)), nil
	}
	return parseNano(s)
}
