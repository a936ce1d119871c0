package serverless

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"purser"
	"purser/pricing"
)

// Limits on a list, far above any real one.
const (
	maxBytes = 1 << 20
	maxLines = 10_000
	maxField = 200
)

var columns = []string{
	"provider", "region", "instance_type", "accelerator", "count", "vcpus", "memory_gib", "per", "usd", "usd_per_vcpu", "usd_per_gib",
	"billing_step", "cold_start", "max_request", "max_concurrent", "idle_billed", "usd_per_request", "source", "as_of",
}

// Read parses a list into rows, in the order of the lines. Name is the file's, for
// places. The rows' Source is the page alone.
func Read(r io.Reader, name string) ([]pricing.Row, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, &purser.Error{Kind: purser.KindUnavailable, Op: "serverless.Read", Message: "the list cannot be read", Place: &purser.Place{File: name}, Cause: err}
	}
	l := &line{name: name, number: 1}
	switch {
	case len(text) > maxBytes:
		return nil, l.fail("", "the list is larger than 1 MiB", "is this a price list?")
	case !utf8.Valid(text) || bytes.ContainsFunc(text, isControl):
		return nil, l.fail("", "this is not text", "a price list is CSV in UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	c := csv.NewReader(bytes.NewReader(text))
	c.FieldsPerRecord = -1
	if err := l.next(c); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, l.fail("", "the list is empty", "it begins with a header: "+strings.Join(columns, ","))
		}
		return nil, err
	}
	if err := l.header(); err != nil {
		return nil, err
	}
	var rows []pricing.Row
	for {
		err := l.next(c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		row, err := l.row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, l.fail("", "the list has a header and no prices", "")
	}
	return rows, nil
}

func isControl(r rune) bool { return (r < ' ' && r != '\t' && r != '\n' && r != '\r') || r == 0x7f }

// line is the line of the list that is being read.
type line struct {
	name   string
	number int
	at     map[string]int // where each column is
	fields []string
}

// next reads the next line that is not empty.
func (l *line) next(c *csv.Reader) error {
	fields, err := c.Read()
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		l.number = broken.StartLine
		return l.fail("", "this is not a line of CSV: "+broken.Err.Error(), "")
	}
	if err != nil {
		return err
	}
	l.number, _ = c.FieldPos(0)
	if l.number > maxLines {
		return l.fail("", fmt.Sprintf("a price list has at most %d lines", maxLines), "")
	}
	for i, f := range fields {
		if len(f) > maxField || strings.ContainsAny(f, "\r\n") {
			return l.fail("", fmt.Sprintf("a field has one line of at most %d bytes", maxField), "")
		}
		fields[i] = strings.TrimSpace(f)
	}
	l.fields = fields
	return nil
}

// header finds the columns.
func (l *line) header() error {
	l.at = map[string]int{}
	for i, name := range l.fields {
		if !slices.Contains(columns, name) {
			return l.fail("", fmt.Sprintf("%q is no column of a list of serverless prices", short(name)), "its columns are "+strings.Join(columns, ", "))
		}
		if _, ok := l.at[name]; ok {
			return l.fail(name, "the header names this column twice", "")
		}
		l.at[name] = i
	}
	var missing []string
	for _, name := range columns {
		if _, ok := l.at[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return l.fail("", "the header lacks "+strings.Join(missing, ", "), "columns are found by name, in any order")
	}
	return nil
}

// fail makes an invalid error at the present line.
func (l *line) fail(column, message, hint string) error {
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "serverless.Read", Message: message, Hint: hint,
		Place: &purser.Place{File: l.name, Line: l.number, Path: column},
	}
}

// row makes the row of the present line.
func (l *line) row() (pricing.Row, error) {
	if len(l.fields) != len(columns) {
		return pricing.Row{}, l.fail("", fmt.Sprintf("the line has %d fields and the header %d", len(l.fields), len(columns)), "")
	}
	v := values{line: l}
	o := purser.Offer{
		Provider: v.text("provider"), Region: v.text("region"), InstanceType: v.text("instance_type"), Option: purser.Serverless,
		Shape: purser.Shape{
			Devices:   purser.MilliDevices(v.thousandths("count")),
			MilliCPU:  v.thousandths("vcpus"),
			MemoryMiB: v.mebibytes("memory_gib"),
		},
		Limit: purser.Unlimited, Source: v.text("source"), ObservedAt: v.day("as_of"),
		Terms: purser.Terms{
			BillingStep: v.time("billing_step"), ColdStart: v.time("cold_start"), MaxRequest: v.time("max_request"),
			MaxConcurrent: v.count("max_concurrent"), IdleBilled: v.time("idle_billed"), PerRequest: purser.Money(v.nano("usd_per_request", false)),
		},
	}
	o.UnitPrice, o.ValidFrom = v.perHour(o.Shape), o.ObservedAt
	o.Country = pricing.Country(o.Provider, o.Region)
	if o.Terms.MaxConcurrent > 0 {
		o.Limit = o.Terms.MaxConcurrent
	}
	row := pricing.Row{Place: fmt.Sprintf("%s:%d", l.name, l.number), AcceleratorName: l.cell("accelerator")}
	if a, ok := purser.AcceleratorNamed(row.AcceleratorName); ok {
		o.Accelerator, o.DeviceMemoryMiB = a.Name, int64(a.MemoryGiB*1024)
	}
	row.Offer = o
	return row, v.err
}

func (l *line) cell(column string) string { return l.fields[l.at[column]] }

// values reads the cells of a line and keeps the first error.
type values struct {
	*line
	err error
}

func (v *values) bad(column, what, hint string) {
	if v.err == nil {
		v.err = v.fail(column, fmt.Sprintf("%q is not %s", short(v.cell(column)), what), hint)
	}
}

// text reads a cell that must not be empty.
func (v *values) text(column string) string {
	s := v.cell(column)
	if s == "" && v.err == nil {
		v.err = v.fail(column, "this must be given", "")
	}
	return s
}

// nano reads a number in billionths, digits with at most one point and nine decimals;
// an empty cell is 0 where it may be empty.
func (v *values) nano(column string, needed bool) int64 {
	s := v.cell(column)
	if s == "" && !needed {
		return 0
	}
	whole, decimals, _ := strings.Cut(s, ".")
	n, err := purser.ParseMoney(s)
	if err != nil || len(decimals) > 9 || strings.Trim(whole+decimals, "0123456789") != "" {
		v.bad(column, "a number that can be used here", "write digits with at most one point and nine decimals, such as 0.000164")
		return 0
	}
	return int64(n)
}

// thousandths rounds down: a sixth of a device is 166.
func (v *values) thousandths(column string) int64 {
	return v.nano(column, column != "count") / 1_000_000
}

func (v *values) mebibytes(column string) int64 {
	v.nano(column, true)
	mib, err := purser.ParseMiB(v.cell(column))
	if err != nil {
		v.bad(column, "a size of memory", "write GiB, without the unit")
	}
	return mib
}

// count reads a whole number above 0; an empty cell is 0.
func (v *values) count(column string) int {
	s := v.cell(column)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		v.bad(column, "a count", "write digits alone, or leave it empty where there is no limit")
	}
	return int(n)
}

// time reads a length of time; an empty cell is 0.
func (v *values) time(column string) time.Duration {
	s := v.cell(column)
	if s == "" {
		return 0
	}
	d, err := purser.ParseDuration(s)
	if err != nil || strings.ContainsAny(s, "+-") || d > maxTime {
		v.bad(column, "a length of time", "write it like 100ms, 30m or 24h, or leave it empty where it is not known")
		return 0
	}
	return d
}

// maxTime is above any service's times.
const maxTime = 100 * 24 * time.Hour

func (v *values) day(column string) time.Time {
	t, err := time.Parse(time.DateOnly, v.cell(column))
	if err != nil || t.Year() < 2000 {
		v.bad(column, "a day", "write it like 2026-10-07")
	}
	return t
}

var unitsPerHour = map[string]int64{"second": 3600, "minute": 60, "hour": 1}

// perHour is the price of the whole machine for an hour, exact, or rounded up to a
// nano-USD where a share of a vCPU or of a GiB makes less than one.
func (v *values) perHour(s purser.Shape) purser.USDPerHour {
	units, ok := unitsPerHour[v.cell("per")]
	if !ok {
		v.bad("per", "the unit of a price", "write second, minute or hour")
	}
	// Of thousandths of a vCPU and of MiB, 1/1024 of a GiB: their common denominator is 128,000.
	const denominator = 128_000
	sum := new(big.Int)
	for _, part := range []struct{ price, amount int64 }{
		{v.nano("usd", true), denominator},
		{v.nano("usd_per_vcpu", false), s.MilliCPU * (denominator / 1000)},
		{v.nano("usd_per_gib", false), s.MemoryMiB * (denominator / 1024)},
	} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(part.price), big.NewInt(part.amount)))
	}
	sum.Mul(sum, big.NewInt(units))
	sum.Add(sum, big.NewInt(denominator-1)).Quo(sum, big.NewInt(denominator))
	if !sum.IsInt64() {
		v.bad("usd", "a price that can be counted", "")
		return 0
	}
	return purser.USDPerHour(sum.Int64())
}

func short(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
