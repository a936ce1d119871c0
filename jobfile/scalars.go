package jobfile

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"purser"
)

// maxWord bounds a text that names something, maxScript one that a shell is
// given: kernels refuse a longer single argument.
const (
	maxWord   = 1024
	maxScript = 64 << 10
)

// text reads a text of at most most bytes.
func (v value) text(most int) (string, error) {
	if v.tag() != "!!str" {
		hint := ""
		if t := v.tag(); t != "!!map" && t != "!!seq" && t != "!!null" {
			hint = "put it in quotes"
		}
		return "", v.wrong("text", hint)
	}
	return v.clean(most)
}

// plain reads a text, or a number or truth value as it was written.
func (v value) plain(most int) (string, error) {
	if v.isMapping() || v.isList() || v.tag() == "!!null" {
		return "", v.wrong("text", "")
	}
	return v.clean(most)
}

func (v value) clean(most int) (string, error) {
	switch s := v.node.Value; {
	case len(s) > most:
		return "", v.fail("bring it as a file", "the text is longer than %d bytes", most)
	case strings.ContainsRune(s, 0):
		return "", v.fail("", "the text holds a NUL character")
	default:
		return s, nil
	}
}

// word reads a text that is not empty and has no white space or control
// characters in it.
func (v value) word() (string, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	if s == "" {
		return "", v.fail("", "the text is empty")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7F }) {
		return "", v.fail("", "%q must not hold spaces", clip(s))
	}
	return s, nil
}

// script reads a text for a shell.
func (v value) script() (string, error) {
	if v.isList() {
		return "", v.wrong("text", "write one text; with | it may have several lines")
	}
	s, err := v.text(maxScript)
	if err == nil && strings.TrimSpace(s) == "" {
		err = v.fail("", "the text is empty")
	}
	return s, err
}

func (v value) boolean() (bool, error) {
	if v.tag() != "!!bool" || (v.node.Value != "true" && v.node.Value != "false") {
		return false, v.wrong("true or false", "")
	}
	return v.node.Value == "true", nil
}

// integer reads a whole number in decimal digits.
func (v value) integer(least, most int) (int, error) {
	if v.tag() != "!!int" && !v.beyond() {
		hint := ""
		if v.tag() == "!!str" {
			if _, err := strconv.Atoi(v.node.Value); err == nil {
				hint = "leave the quotes out"
			}
		}
		return 0, v.wrong("a whole number", hint)
	}
	n, err := strconv.Atoi(v.node.Value)
	if err != nil && !decimal.MatchString(v.node.Value) {
		return 0, v.wrong("a whole number in decimal digits", "")
	}
	if err != nil || n < least || n > most {
		return 0, v.fail("", "%s does not lie between %d and %d", clip(v.node.Value), least, most)
	}
	return n, nil
}

// beyond says whether the value is a plain number too large for the type that
// YAML would give it: whole numbers above 64 bits count as floats there, and
// floats beyond all bounds as text.
func (v value) beyond() bool {
	if v.tag() == "!!float" {
		return !strings.ContainsAny(v.node.Value, ".eE") && decimal.MatchString(v.node.Value)
	}
	return v.tag() == "!!str" && v.node.Style == 0 && decimal.MatchString(v.node.Value)
}

var decimal = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// number reads a decimal number, which may be whole.
func (v value) number(least, most float64) (float64, error) {
	if t := v.tag(); t != "!!int" && t != "!!float" && !v.beyond() {
		return 0, v.wrong("a number", "")
	}
	return v.numeral(v.node.Value, least, most)
}

// numeral reads a number out of s, which is the value or a part of it.
func (v value) numeral(s string, least, most float64) (float64, error) {
	if !decimal.MatchString(s) {
		return 0, v.fail("write it in decimal digits", "%q is not a number that can be used here", clip(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || f < least || f > most {
		return 0, v.fail("", "%s does not lie between %s and %s", clip(s), short(least), short(most))
	}
	return f, nil
}

func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// quantity gives the text of a number or of a number with its unit. example is
// how to write one.
func (v value) quantity(what, example string) (string, error) {
	switch v.tag() {
	case "!!str", "!!int", "!!float":
		return strings.TrimSpace(v.node.Value), nil
	}
	return "", v.wrong(what, "write it like "+example)
}

// duration reads a length of time that is not negative.
func (v value) duration() (time.Duration, error) {
	const example = "30m, 1h30m or 2d"
	s, err := v.quantity("a length of time", example)
	if err != nil {
		return 0, err
	}
	d, err := purser.ParseDuration(s)
	if err != nil || strings.ContainsAny(s, "+-") || (v.tag() != "!!str" && s != "0") {
		return 0, v.fail("write it like "+example, "%q is not a length of time", clip(s))
	}
	return d, nil
}

// memory reads a size of memory in MiB.
func (v value) memory() (int64, error) {
	const example = "96GiB or 512MiB"
	s, err := v.quantity("a size of memory", example)
	if err != nil {
		return 0, err
	}
	if strings.HasSuffix(s, "+") {
		return 0, v.fail("leave the + out: sizes are the least that will do", "%q is not a size of memory", clip(s))
	}
	n, err := purser.ParseMiB(s)
	if err != nil {
		return 0, v.fail("write it like "+example+", at most 1 PiB", "%q is not a size of memory", clip(s))
	}
	return n, nil
}

// cpus reads vCPUs in thousandths: 4, 0.5, 500m.
func (v value) cpus() (int64, error) {
	const example = "4, 0.5 or 500m"
	s, err := v.quantity("a number of vCPUs", example)
	if err != nil {
		return 0, err
	}
	if strings.HasSuffix(s, "+") {
		return 0, v.fail("leave the + out: sizes are the least that will do", "%q is not a number of vCPUs", clip(s))
	}
	digits, milli := strings.CutSuffix(s, "m")
	if !decimal.MatchString(digits) {
		return 0, v.fail("write it like "+example, "%q is not a number of vCPUs", clip(s))
	}
	most, scale := 1e6, 1000.0
	if milli {
		most, scale = 1e9, 1
	}
	f, err := v.numeral(digits, 0, most)
	return int64(math.Ceil(f*scale - 1e-6)), err
}

// price reads USD per hour, above 0: 4.5, $4.50/h, 4.50 USD/h.
func (v value) price() (purser.USDPerHour, error) {
	const example = "4.50 or $4.50/h"
	s, err := v.quantity("a price in USD per hour", example)
	if err != nil {
		return 0, err
	}
	t := strings.TrimPrefix(s, "$")
	for _, unit := range []string{"/hour", "/hr", "/h"} {
		if cut, ok := strings.CutSuffix(t, unit); ok {
			t = cut
			break
		}
	}
	t = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(t), "USD"))
	p, err := purser.ParseUSDPerHour(t)
	if err != nil {
		return 0, v.fail("write it like "+example, "%q is not a price in USD per hour", clip(s))
	}
	if p < 0 {
		return 0, v.fail("", "a price must not be negative")
	}
	return p, nil
}

// share reads 0.2 or 20%.
func (v value) share(most float64) (float64, error) {
	s, err := v.quantity("a share", "0.2 or 20%")
	if err != nil {
		return 0, err
	}
	digits, percent := strings.CutSuffix(s, "%")
	if !percent {
		return v.numeral(s, 0, most)
	}
	f, err := v.numeral(strings.TrimSpace(digits), 0, most*100)
	return f / 100, err
}

// part is a share above 0 and at most 1: a field where 0 would mean that nothing is said.
func (v value) part() (float64, error) {
	f, err := v.share(1)
	if err == nil && f == 0 {
		err = v.fail("", "the share must be above 0")
	}
	return f, err
}

// rate is an amount of work in a time; per 0 is the unit of the group's kind.
type rate struct {
	amount float64
	per    time.Duration
}

// in gives the amount in another time: unit is an hour for training, a second
// for inference.
func (r rate) in(unit time.Duration) float64 {
	if r.per == 0 || r.per == unit {
		return r.amount
	}
	return r.amount * float64(unit) / float64(r.per)
}

// maxAmount is the largest amount that purser.Job.Check lets pass.
const maxAmount = 1e12

// rate reads 12, 12/s, 720/m or 43200/h.
func (v value) rate() (rate, error) {
	s, err := v.quantity("a rate", "12/s or 500/h")
	if err != nil {
		return rate{}, err
	}
	digits, unit, given := strings.Cut(s, "/")
	var out rate
	if given {
		switch strings.TrimSpace(unit) {
		case "s", "sec", "second":
			out.per = time.Second
		case "m", "min", "minute":
			out.per = time.Minute
		case "h", "hr", "hour":
			out.per = time.Hour
		default:
			return rate{}, v.fail("rates are per s, m or h, such as 12/s", "%q is not a rate", clip(s))
		}
	}
	out.amount, err = v.numeral(strings.TrimSpace(digits), 0, maxAmount)
	return out, err
}

var dataForm = regexp.MustCompile(`^([0-9.eE+]+)\s*([A-Za-z]*)$`)

// dataSize reads an amount of data in GB (10⁹ bytes).
func (v value) dataSize() (float64, error) {
	const example = "500GB or 1.5TB"
	s, err := v.quantity("an amount of data", example)
	if err != nil {
		return 0, err
	}
	scale := map[string]float64{"": 1, "mb": 1e-3, "gb": 1, "tb": 1e3, "pb": 1e6, "mib": 0x1p20 / 1e9, "gib": 0x1p30 / 1e9, "tib": 0x1p40 / 1e9, "pib": 0x1p50 / 1e9}
	m := dataForm.FindStringSubmatch(s)
	if m == nil || scale[strings.ToLower(m[2])] == 0 {
		return 0, v.fail("write it like "+example, "%q is not an amount of data", clip(s))
	}
	f, err := v.numeral(m[1], 0, 1e9)
	return f * scale[strings.ToLower(m[2])], err
}

// instant reads an ISO 8601 time with its zone, or "in 12h" from now on.
func (v value) instant(now time.Time) (time.Time, error) {
	const example = "write it like 2027-01-31T18:00:00Z or in 12h"
	if t := v.tag(); t != "!!str" && t != "!!timestamp" {
		return time.Time{}, v.wrong("a time", example)
	}
	s := strings.TrimSpace(v.node.Value)
	if after, ok := strings.CutPrefix(s, "in "); ok {
		d, err := purser.ParseDuration(after)
		switch {
		case err != nil || strings.ContainsAny(after, "+-"):
			return time.Time{}, v.fail(example, "%q is not a length of time", clip(after))
		case now.IsZero():
			return time.Time{}, v.fail("write it like 2027-01-31T18:00:00Z", "a time from now on cannot be used here")
		}
		return now.UTC().Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, v.fail(example+"; the zone must be given", "%q is not a time", clip(s))
	}
	if t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}, v.fail("", "the year %d is a slip of the pen", t.Year())
	}
	return t.UTC(), nil
}
