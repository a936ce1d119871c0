package csvfile

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"purser"
)

// prices of a record; a false ok is a cell that is empty: not offered.
type prices struct {
	onDemand, spot       purser.USDPerHour
	hasOnDemand, hasSpot bool
}

// record is one line of the file, parsed.
type record struct {
	line                      int
	instanceType, accelerator string
	region, zone              string
	devices                   purser.MilliDevices
	milliCPU, memoryMiB       int64
	prices                    prices
}

// The columns. The last may be missing: not every provider has zones.
const (
	colType = iota
	colCPUs
	colMemory
	colAccelerator
	colCount
	colRegion
	colPrice
	colSpot
	colZone
	columnCount
)

var columnNames = [columnCount]string{"InstanceType", "vCPUs", "MemoryGiB", "AcceleratorName", "AcceleratorCount", "Region", "Price", "SpotPrice", "AvailabilityZone"}

// reader parses lines into records.
type reader struct {
	*lineReader
	width   int              // fields in a line
	at      [columnCount]int // where each column is; -1: nowhere
	parts   bool             // accelerators may stand without a machine
	strings map[string]string
	fields  []string
}

func readRecords(ctx context.Context, r io.Reader, name string, parts bool) ([]record, error) {
	lines, err := newLineReader(r, name)
	if err != nil {
		return nil, err
	}
	p := &reader{lineReader: lines, parts: parts, strings: map[string]string{}}
	if err := p.header(); err != nil {
		return nil, err
	}
	var out []record
	for {
		if p.number%1024 == 1 {
			if err := ctx.Err(); err != nil {
				return nil, purser.Wrap(purser.KindUnavailable, "csvfile.Read", err)
			}
		}
		line, ok, err := p.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if line == "" {
			continue
		}
		rec, err := p.record(line)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	if len(out) == 0 {
		return nil, p.fail("", "the list has a header and no prices", "")
	}
	return out, nil
}

// header finds the columns in the first line.
func (p *reader) header() error {
	line, ok, err := p.next()
	if err != nil {
		return err
	}
	const hint = "a list begins with a header such as InstanceType,vCPUs,MemoryGiB,…"
	if !ok {
		p.number = 1
		return p.fail("", "the list is empty", hint)
	}
	if strings.TrimSpace(line) == "" {
		return p.fail("", "the first line is blank", hint)
	}
	fields, err := p.split(line)
	if err != nil {
		return err
	}
	p.width = len(fields)
	var missing []string
	for c, name := range columnNames {
		p.at[c] = slices.Index(fields, name)
		if p.at[c] < 0 && c != colZone {
			missing = append(missing, name)
		}
		if p.at[c] >= 0 && slices.Contains(fields[p.at[c]+1:], name) {
			return p.fail(name, "the header names this column twice", "")
		}
	}
	if len(missing) > 0 {
		return p.fail("", "the header lacks "+strings.Join(missing, ", "), "columns are found by name, in any order")
	}
	return nil
}

// split cuts a line at its commas. A field in double quotes may hold commas, and
// doubled quotes for quotes, but not the end of a line. The result is overwritten
// by the next call.
func (p *reader) split(line string) ([]string, error) {
	p.fields = p.fields[:0]
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, ",")
			if strings.Contains(field, `"`) {
				return nil, p.fail("", "there is a quote in the middle of a field", `write it doubled, in a quoted field`)
			}
			p.fields = append(p.fields, strings.TrimSpace(field))
			if !more {
				return p.fields, nil
			}
			line = rest
			continue
		}
		field, rest, ok := cutQuoted(line[1:])
		if !ok {
			return nil, p.fail("", "a quoted field does not end on its line", "")
		}
		p.fields = append(p.fields, strings.TrimSpace(field))
		if rest == "" {
			return p.fields, nil
		}
		if rest[0] != ',' {
			return nil, p.fail("", "there is text after a quoted field", "")
		}
		line = rest[1:]
	}
}

// cutQuoted takes a quoted field whose first quote is gone, and gives what follows
// its last one.
func cutQuoted(s string) (field, rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			i++
			continue
		}
		return strings.ReplaceAll(s[:i], `""`, `"`), s[i+1:], true
	}
	return "", "", false
}

func (p *reader) cell(fields []string, column int) string {
	if p.at[column] < 0 {
		return ""
	}
	return fields[p.at[column]]
}

// keep makes a text outlive its line, once for all lines that repeat it.
func (p *reader) keep(s string) string {
	if kept, ok := p.strings[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	p.strings[s] = s
	return s
}

func (p *reader) record(line string) (record, error) {
	rec := record{line: p.number}
	fields, err := p.split(line)
	if err != nil {
		return rec, err
	}
	if len(fields) != p.width {
		return rec, p.fail("", fmt.Sprintf("the line has %d fields and the header %d", len(fields), p.width), "")
	}
	for _, t := range []struct {
		column int
		to     *string
	}{{colType, &rec.instanceType}, {colAccelerator, &rec.accelerator}, {colRegion, &rec.region}, {colZone, &rec.zone}} {
		s := p.cell(fields, t.column)
		if len(s) > maxName {
			return rec, p.fail(columnNames[t.column], fmt.Sprintf("a name has at most %d bytes", maxName), "")
		}
		*t.to = p.keep(s)
	}
	if rec.region == "" {
		return rec, p.fail(columnNames[colRegion], "the region must be given", "")
	}
	if rec.instanceType == "" && (rec.accelerator == "" || !p.parts) {
		return rec, p.fail(columnNames[colType], "the instance type must be given", "")
	}
	return rec, p.numbers(fields, &rec)
}

const maxName = 200

func (p *reader) numbers(fields []string, rec *record) error {
	var err error
	if rec.milliCPU, _, err = p.milli(fields, colCPUs); err != nil {
		return err
	}
	devices, _, err := p.milli(fields, colCount)
	if err != nil {
		return err
	}
	rec.devices = purser.MilliDevices(devices)
	if rec.memoryMiB, err = p.mebibytes(fields); err != nil {
		return err
	}
	if rec.prices.onDemand, rec.prices.hasOnDemand, err = p.price(fields, colPrice); err != nil {
		return err
	}
	rec.prices.spot, rec.prices.hasSpot, err = p.price(fields, colSpot)
	return err
}

func (p *reader) price(fields []string, column int) (usd purser.USDPerHour, ok bool, err error) {
	s := p.cell(fields, column)
	if s == "" {
		return 0, false, nil
	}
	usd, err = purser.ParseUSDPerHour(s)
	if err != nil {
		return 0, false, p.fail(columnNames[column], fmt.Sprintf("%q is not a price", short(s)), "write USD per hour with digits and at most one point, such as 3.06; leave it empty where there is none")
	}
	return usd, true, nil
}

// milli reads a count in thousandths; an empty cell is 0.
func (p *reader) milli(fields []string, column int) (n int64, ok bool, err error) {
	s := p.cell(fields, column)
	if s == "" {
		return 0, false, nil
	}
	nano, err := purser.ParseMoney(s) // the same form: digits with at most one point
	if err != nil {
		return 0, false, p.fail(columnNames[column], fmt.Sprintf("%q is not a count", short(s)), "write digits with at most one point, such as 8 or 0.5")
	}
	return int64(nano) / 1_000_000, true, nil
}

// mebibytes reads a number of GiB; an empty cell is 0. The column names its unit, so
// a unit in the cell is one too many.
func (p *reader) mebibytes(fields []string) (int64, error) {
	s := p.cell(fields, colMemory)
	if s == "" {
		return 0, nil
	}
	digits, negative := strings.CutPrefix(s, "-")
	mib, err := purser.ParseMiB(digits)
	if err != nil || strings.Trim(digits, "0123456789.") != "" {
		return 0, p.fail(columnNames[colMemory], fmt.Sprintf("%q is not a size of memory", short(s)), "write GiB with digits and at most one point, without the unit; no machine has more than 1 PiB")
	}
	if negative {
		mib = -mib
	}
	return mib, nil
}

func short(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
