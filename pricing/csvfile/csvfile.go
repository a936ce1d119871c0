// Package csvfile collects prices from files in the form of SkyPilot's catalogue:
// one CSV per provider, plain or gzipped, told apart by their first bytes.
//
// # Form
//
// The columns are found by the names in the header, in any order: InstanceType,
// vCPUs, MemoryGiB, AcceleratorName, AcceleratorCount, Region, Price, SpotPrice,
// and AvailabilityZone where the provider has zones. Others are ignored. Price and
// SpotPrice are USD per hour of the whole row. An empty one is not offered and
// makes no row; a machine with neither is quarantined as no_price. CPU-only
// machines are offers too.
//
// # GCP
//
// GCP's machines carry the price of vCPU and memory alone; GPUs and TPUs are rows
// of their own without InstanceType. An offer is the sum of a machine and a GPU
// row of the same zone and option: A2, A3, A4, G2 and G4 machines take the GPUs
// that their type says, N1 machines those of a small table (see attachable), under
// a name such as n1-standard-8+T4x1. A machine whose GPU has no price in its zone,
// and a GPU that no machine there takes, are quarantined as incomplete. A TPU row
// is an offer by itself, named like the accelerator type (v3-8); its vCPUs and
// memory are those of its hosts (see tpuGenerations). The local SSD that some types
// bring along is not in the file, so a2-ultragpu and a3 come out about 1 % low.
//
// # Corrections
//
// Where catalogues are known to be wrong about devices (fractions of an A10 listed
// as one, FPGAs as none), the tables in overrides.go know better.
//
// # Failures
//
// A file is read whole before anything is emitted. A broken form fails with kind
// invalid and the place as file:line, and emits nothing: a column that is missing or
// doubled, a wrong number of fields, text where a number belongs (NaN, Inf, units
// and exponents are no numbers), text that is not UTF-8, a quote that does not end
// on its line, a damaged gzip stream, a line above 1 MiB, more than 200 MiB or
// 250,000 lines; or when it cannot be opened as a plain file. A file that is not
// there is not_found; a fault while reading is unavailable. A row that is well formed and cannot be believed, such as one at
// 0 $, is a row: it is for pricing.Sift to refuse.
package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

// Options says which file to read and what it cannot say about itself.
type Options struct {
	Path     string    // the file
	Provider string    // whose prices they are. Defaults to the file's name: aws.csv.gz is aws
	AsOf     time.Time // when the prices were in force. It has no default: the file's time says when it was copied
	Source   string    // what offers name as their source. Defaults to csvfile:NAME
}

// Collector reads one file each time that it collects.
type Collector struct{ opt Options }

var _ pricing.Collector = (*Collector)(nil)

// New checks the options; the file is opened when it collects.
func New(opt Options) (pricing.Collector, error) {
	if opt.Path == "" {
		return nil, &purser.Error{Kind: purser.KindInvalid, Op: "csvfile.New", Message: "a price file needs a path"}
	}
	opt, err := opt.complete(filepath.Base(opt.Path))
	if err != nil {
		return nil, err
	}
	return &Collector{opt}, nil
}

var providerForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)

// complete fills the defaults for a file of a name.
func (o Options) complete(name string) (Options, error) {
	bad := func(message, hint string) (Options, error) {
		return o, &purser.Error{Kind: purser.KindInvalid, Op: "csvfile.New", Message: message, Hint: hint, Place: &purser.Place{File: name}}
	}
	if o.Provider == "" {
		guess := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), ".gz"), ".csv")
		if !pricing.KnownProvider(guess) {
			return bad("the file's name does not say whose prices these are", "name the file like aws.csv.gz, or give the provider")
		}
		o.Provider = guess
	}
	if !providerForm.MatchString(o.Provider) {
		return bad(fmt.Sprintf("%q cannot name a provider", o.Provider), "write it like aws, with a-z, 0-9, '-' and '_'")
	}
	if o.AsOf.IsZero() {
		return bad("it is not known when these prices were in force", "give the date with --as-of, such as --as-of 2026-11-20")
	}
	o.AsOf = o.AsOf.UTC()
	if o.Source == "" {
		o.Source = "csvfile:" + name
	}
	return o, nil
}

// Source is what the offers name as their source.
func (c *Collector) Source() string { return c.opt.Source }

// Collect reads the file and emits it as one batch.
func (c *Collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, "csvfile.Collect", err)
	}
	f, err := open(c.opt.Path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from: there is nothing that closing could lose
	rows, err := Read(ctx, f, c.opt.Path, c.opt)
	if err != nil {
		return err
	}
	return emit(pricing.Batch{Source: c.opt.Source, ObservedAt: c.opt.AsOf, Rows: rows})
}

// open refuses what is not a plain file, since a pipe can block for ever.
func open(path string) (*os.File, error) {
	fail := func(kind purser.Kind, message string, cause error) (*os.File, error) {
		return nil, &purser.Error{Kind: kind, Op: "csvfile.Collect", Message: message, Place: &purser.Place{File: path}, Cause: cause}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(purser.KindNotFound, "there is no such file", nil)
	case err != nil:
		return fail(purser.KindInvalid, "the file cannot be opened", err)
	case !info.Mode().IsRegular():
		return fail(purser.KindInvalid, "this is not a plain file", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(purser.KindInvalid, "the file cannot be opened", err)
	}
	return f, nil
}

// Read parses a price list from r into rows, in the order of the lines. Name is
// the file's, for places in errors and in the quarantine, and for the provider
// where the options name none; Options.Path is not used.
func Read(ctx context.Context, r io.Reader, name string, opt Options) ([]pricing.Row, error) {
	opt, err := opt.complete(filepath.Base(name))
	if err != nil {
		return nil, err
	}
	records, err := readRecords(ctx, r, name, opt.Provider == gcp)
	if err != nil {
		return nil, err
	}
	b := builder{name: name, opt: opt, known: map[string]correction{}, named: map[string]purser.Accelerator{}}
	if opt.Provider == gcp {
		return b.gcpRows(records), nil
	}
	for _, rec := range records {
		b.add(b.offer(rec), rec.prices, rec.accelerator, b.place(rec.line))
	}
	return b.rows, nil
}
