package fake

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
)

// TraceRow is one line of a recorded market for spot machines: what there is from a
// moment on, and what was taken back at it.
type TraceRow struct {
	At           time.Duration // since the beginning of the trace
	Zone         string        // or the region of offers without one; * for all
	InstanceType string        // * for all
	Available    int           // spot machines that there are, ours among them; Unchanged
	Preempted    int           // of ours that are taken back now
}

// Unchanged is the Available of a row that does not say.
const Unchanged = -1

// key is that of Config.Capacity which the row is about.
func (r TraceRow) key() string { return r.Zone + "/" + r.InstanceType + "/" + string(purser.Spot) }

// traceColumns are found by their names in the header, in any order.
var traceColumns = []string{"seconds", "zone", "instance_type", "available", "preempted"}

// What no trace has more of: seconds (a hundred years), machines, rows, bytes of a name,
// bytes.
const (
	maxSeconds = 100 * 365 * 24 * 3600
	maxCount   = 1_000_000
	maxRows    = 1_000_000
	maxName    = 100
	maxBytes   = 64 << 20
)

var traceName = regexp.MustCompile(`^(\*|[A-Za-z0-9][A-Za-z0-9._+-]*)$`)

// ReadTrace reads a trace: CSV with a header that names the columns seconds (since the
// beginning, whole or with a point, never falling), zone, instance_type, available and
// preempted. An empty zone or type is *, an empty available leaves what there is, an
// empty preempted is 0. Lines that begin with # are comments. Errors are invalid, with
// file, line, column and the column's name; a fault while reading is unavailable.
func ReadTrace(r io.Reader, name string) ([]TraceRow, error) {
	limited := &io.LimitedReader{R: r, N: maxBytes + 1}
	t := traceReader{name: name, line: 1, csv: csv.NewReader(limited)}
	t.csv.Comment, t.csv.ReuseRecord = '#', true
	if err := t.header(); err != nil {
		return nil, err
	}
	var out []TraceRow
	for {
		record, err := t.csv.Read()
		if limited.N <= 0 {
			return nil, t.whole(fmt.Sprintf("the trace is larger than %d MiB", maxBytes>>20), "")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, t.broken(err)
		}
		t.line, _ = t.csv.FieldPos(0)
		row, err := t.row(record)
		if err != nil {
			return nil, err
		}
		if len(out) > 0 && row.At < out[len(out)-1].At {
			return nil, t.fail(0, "the time is before that of the row above", "sort the rows by their seconds")
		}
		if out = append(out, row); len(out) > maxRows {
			return nil, t.fail(0, fmt.Sprintf("a trace has at most %d rows", maxRows), "")
		}
	}
	if len(out) == 0 {
		return nil, t.whole("the trace has a header and no rows", "")
	}
	return out, nil
}

type traceReader struct {
	name string
	line int // read last
	csv  *csv.Reader
	at   [5]int // field of each column; -1: none
}

func (t *traceReader) header() error {
	record, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return t.whole("the trace is empty", "it begins with the header "+strings.Join(traceColumns, ","))
	}
	if err != nil {
		return t.broken(err)
	}
	for i := range t.at {
		t.at[i] = -1
	}
	for field, title := range record {
		title = strings.TrimSpace(strings.TrimPrefix(title, "\ufeff"))
		i := slices.Index(traceColumns, title)
		switch {
		case i < 0:
			return t.failAt(field, "", fmt.Sprintf("there is no column %q", short(title)), "the columns are "+strings.Join(traceColumns, ", "))
		case t.at[i] >= 0:
			return t.failAt(field, title, "the header names this column twice", "")
		}
		t.at[i] = field
	}
	if t.at[0] < 0 || (t.at[3] < 0 && t.at[4] < 0) {
		return t.failAt(0, "", "the header lacks seconds, or both available and preempted", "the columns are "+strings.Join(traceColumns, ", "))
	}
	return nil
}

func (t *traceReader) row(record []string) (row TraceRow, err error) {
	cell := func(column int) string {
		if t.at[column] < 0 {
			return ""
		}
		return strings.TrimSpace(record[t.at[column]])
	}
	seconds, err := strconv.ParseFloat(cell(0), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxSeconds) || strings.Trim(cell(0), "0123456789.") != "" {
		return row, t.fail(0, fmt.Sprintf("%q is not a number of seconds", short(cell(0))), "write digits with at most one point, such as 90 or 90.5")
	}
	row.At = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	if row.Zone, err = t.text(1, cell(1)); err != nil {
		return row, err
	}
	if row.InstanceType, err = t.text(2, cell(2)); err != nil {
		return row, err
	}
	if row.Available, err = t.count(3, cell(3), Unchanged); err != nil {
		return row, err
	}
	if row.Preempted, err = t.count(4, cell(4), 0); err != nil {
		return row, err
	}
	if row.Available == Unchanged && row.Preempted == 0 {
		column := 3
		if t.at[3] < 0 {
			column = 4
		}
		return row, t.fail(column, "the row says neither what is available nor what is preempted", "")
	}
	return row, nil
}

func (t *traceReader) text(column int, s string) (string, error) {
	if s == "" {
		return "*", nil
	}
	if len(s) > maxName || !traceName.MatchString(s) {
		return "", t.fail(column, fmt.Sprintf("%q is not a name", short(s)), "names have letters, digits and . _ + -, and * stands for all")
	}
	return strings.Clone(s), nil
}

func (t *traceReader) count(column int, s string, empty int) (int, error) {
	if s == "" {
		return empty, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxCount {
		return 0, t.fail(column, fmt.Sprintf("%q is not a count", short(s)), fmt.Sprintf("write digits alone, at most %d", maxCount))
	}
	return int(n), nil
}

// fail is about a column of the record that was read last.
func (t *traceReader) fail(column int, message, hint string) error {
	return t.failAt(max(t.at[column], 0), traceColumns[column], message, hint)
}

func (t *traceReader) failAt(field int, title, message, hint string) error {
	line, column := t.csv.FieldPos(field)
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "fake.ReadTrace", Message: message, Hint: hint,
		Place: &purser.Place{File: t.name, Line: line, Column: column, Path: title},
	}
}

// broken tells bad CSV from a file that cannot be read.
func (t *traceReader) broken(err error) error {
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return &purser.Error{
			Kind: purser.KindInvalid, Op: "fake.ReadTrace", Message: "this is not CSV with as many fields as the header: " + bad.Err.Error(),
			Place: &purser.Place{File: t.name, Line: bad.Line, Column: bad.Column},
		}
	}
	return &purser.Error{Kind: purser.KindUnavailable, Op: "fake.ReadTrace", Message: "the trace cannot be read", Place: &purser.Place{File: t.name, Line: t.line}, Cause: err}
}

// whole is about the trace as such, at the line that was read last.
func (t *traceReader) whole(message, hint string) error {
	return &purser.Error{Kind: purser.KindInvalid, Op: "fake.ReadTrace", Message: message, Hint: hint, Place: &purser.Place{File: t.name, Line: t.line, Column: 1}}
}

func short(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
