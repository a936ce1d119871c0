package aws

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

// offerFile reads a region's price file row by row. Only what is kept is copied, so
// that memory does not grow with the file.
type offerFile struct {
	csv     *csv.Reader
	limit   *lineLimit
	columns map[string]int
	fields  []string
	region  string
	name    string
	now     time.Time
}

// columns are those that are read, by their names in the header.
var columns = []string{
	"SKU", "TermType", "PricePerUnit", "Currency", "Unit", "Product Family", "Instance Type", "Region Code", "Tenancy",
	"Operating System", "Pre Installed S/W", "CapacityStatus", "MarketOption", "vCPU", "Memory", "GPU",
}

// headLines are the lines before which the header must come: five of disclaimers
// stand before it, and some more would do no harm.
const headLines = 20

// readOffers gives the rows of a region's price file.
func readOffers(r io.Reader, region, name string, now time.Time) ([]pricing.Row, error) {
	f := &offerFile{limit: &lineLimit{r: r}, columns: map[string]int{}, region: region, name: name, now: now}
	f.csv = csv.NewReader(f.limit)
	f.csv.ReuseRecord, f.csv.FieldsPerRecord = true, -1
	if err := f.header(); err != nil {
		return nil, err
	}
	var rows []pricing.Row
	for {
		err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if f.wanted() {
			rows = append(rows, f.row())
		}
	}
	slices.SortStableFunc(rows, func(a, b pricing.Row) int { return cmp.Compare(a.Offer.InstanceType, b.Offer.InstanceType) })
	return rows, nil
}

// next reads a line. What was broken in the transport keeps its kind; the rest is
// a broken form.
func (f *offerFile) next() (err error) {
	f.fields, err = f.csv.Read()
	f.limit.since = 0
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, ok := errors.AsType[*purser.Error](err); ok {
		return err
	}
	return f.broken("%w", err)
}

func (f *offerFile) broken(format string, args ...any) error {
	return purser.Errorf(purser.KindInvalid, opBulk, "%s: %w", f.name, fmt.Errorf(format, args...))
}

// header finds the line of column names.
func (f *offerFile) header() error {
	for range headLines {
		err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if f.fields[0] != columns[0] {
			continue
		}
		for i, name := range f.fields {
			f.columns[strings.Clone(name)] = i
		}
		for _, name := range columns {
			if _, ok := f.columns[name]; !ok {
				return f.broken("there is no column %q", name)
			}
		}
		f.csv.FieldsPerRecord = len(f.fields)
		return nil
	}
	return f.broken("there is no header that begins with %s", columns[0])
}

func (f *offerFile) get(column string) string { return f.fields[f.columns[column]] }

// wanted says whether the line is the price per hour of a machine with Linux, on
// demand, shared or bare metal, whose hardware is still run.
func (f *offerFile) wanted() bool {
	software := f.get("Pre Installed S/W")
	machine := f.get("Tenancy") == "Shared" && f.get("Product Family") == "Compute Instance" ||
		f.get("Tenancy") == "Dedicated" && f.get("Product Family") == "Compute Instance (bare metal)"
	return machine && f.get("TermType") == "OnDemand" && f.get("Unit") == perHour && f.get("Region Code") == f.region &&
		f.get("Operating System") == "Linux" && (software == "" || software == "NA") && f.get("CapacityStatus") == "Used" &&
		f.get("MarketOption") == "OnDemand" && f.get("Instance Type") != "" && !gone[family(f.get("Instance Type"))]
}

func (f *offerFile) row() pricing.Row {
	t := strings.Clone(f.get("Instance Type"))
	line, _ := f.csv.FieldPos(0)
	m, unclear := f.machine(t)
	r := m.row(purser.Offer{Region: f.region, InstanceType: t, Option: purser.OnDemand, Source: SourceBulk, ObservedAt: f.now}, fmt.Sprintf("%s:%d", f.name, line))
	if unclear != "" {
		r.Reason, r.Detail = pricing.QuarantineIncomplete, unclear
		return r
	}
	return price{usd: f.get("PricePerUnit"), inUSD: f.get("Currency") == "USD"}.fill(r)
}

// machine reads the shape, and says what of it is unclear.
func (f *offerFile) machine(instanceType string) (machine, string) {
	var m machine
	cpu, err := strconv.ParseInt(f.get("vCPU"), 10, 32)
	if err != nil {
		return m, fmt.Sprintf("its vCPUs are %q", clip(f.get("vCPU")))
	}
	m.shape.MilliCPU = cpu * 1000
	// Above 1 TiB it is written 1,952 GiB.
	if m.shape.MemoryMiB, err = purser.ParseMiB(strings.ReplaceAll(f.get("Memory"), ",", "")); err != nil {
		return m, fmt.Sprintf("its memory is %q", clip(f.get("Memory")))
	}
	d := devices{name: families[family(instanceType)], count: sizes[instanceType]}
	if gpus := f.get("GPU"); d.count == 0 && gpus != "" && gpus != "NA" {
		n, err := strconv.ParseInt(gpus, 10, 32)
		if err != nil {
			return m, fmt.Sprintf("its GPUs are %q", clip(gpus))
		}
		d.count = purser.MilliDevices(n) * purser.OneDevice
	}
	if d.count > 0 && d.name == "" {
		d.name = "the GPU of " + family(instanceType)
	}
	return m.with(d), ""
}

// maxLine is the longest line, in bytes. A quote that does not end would make the
// rest of the file one.
const maxLine = 1 << 20

// lineLimit fails when too much is read for one line.
type lineLimit struct {
	r     io.Reader
	since int // bytes read since the last line was begun
}

// Read passes on what it reads.
func (l *lineLimit) Read(p []byte) (int, error) {
	if l.since > maxLine {
		return 0, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
	}
	n, err := l.r.Read(p)
	l.since += n
	return n, err
}
