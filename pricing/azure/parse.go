package azure

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"purser"
)

// decimal is a number as the API writes it, in quotes or not, or empty. It is not read
// before it is needed, so that one that is none spoils its row and not the page.
type decimal string

// UnmarshalJSON keeps the text.
func (d *decimal) UnmarshalJSON(b []byte) error {
	b = bytes.Trim(b, `"`)
	if string(b) == "null" {
		b = nil
	}
	*d = decimal(b)
	return nil
}

// usd is the number as a price, exactly.
func (d decimal) usd() (purser.USDPerHour, error) {
	plain, ok := d.plain()
	if !ok {
		return 0, purser.Errorf(purser.KindInvalid, "azure.Prices", "%q is not a price", clip(string(d)))
	}
	return purser.ParseUSDPerHour(plain)
}

func (d decimal) zero() bool { return strings.Trim(string(d), "0.") == "" }

// maxExponent bounds how far a point moves: beyond it there is no price, nor half a
// nano-dollar.
const maxExponent = 30

// plain writes out an exponent, as in 5.5E-05, by moving the point.
func (d decimal) plain() (string, bool) {
	digits, exponent, has := strings.Cut(strings.ToLower(string(d)), "e")
	if !has {
		return digits, true
	}
	n, err := strconv.Atoi(exponent)
	if err != nil || n > maxExponent || n < -maxExponent || !strings.ContainsAny(digits, "0123456789") {
		return "", false
	}
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, frac, _ := strings.Cut(digits, ".")
	if n < 0 {
		whole = strings.Repeat("0", -n) + whole
		at := len(whole) + n
		return sign + whole[:at] + "." + whole[at:] + frac, true
	}
	frac += strings.Repeat("0", n)
	return sign + whole + frac[:n] + "." + frac[n:], true
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// parseTime reads the times of both APIs, which are UTC where they do not say.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 2000 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// mostEvicted is the share of machines evicted in an hour at which a band without an
// upper end ends.
const mostEvicted = 50

// parseBand reads a band of per cent evicted in an hour, "5-10" or "20+", as hazards
// per hour.
func parseBand(s string) (low, high float64, ok bool) {
	from, to, between := strings.Cut(s, "-")
	open := false
	if !between {
		from, open = strings.CutSuffix(s, "+")
		to = strconv.Itoa(mostEvicted)
	}
	a, errA := strconv.ParseUint(from, 10, 8)
	b, errB := strconv.ParseUint(to, 10, 8)
	if errA != nil || errB != nil || !between && !open || a >= b || b >= 100 {
		return 0, 0, false
	}
	return hazard(a), hazard(b), true
}

// hazard is the rate per hour at which a share of per cent is lost in an hour.
func hazard(perCent uint64) float64 { return -math.Log1p(-float64(perCent) / 100) }
