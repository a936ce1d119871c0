// Package serverless collects what services charge that run requests on GPUs without
// a machine that is rented: a list that Purser brings along, and files of an
// operator's own in the same form.
//
// # What it costs
//
//	C = P · T_exec + r
//
// for one request: P the price of the machine, T_exec the time that the request runs,
// rounded up to the billing step, r what a request costs beside. Cost computes it. The
// offer's price is P for an hour, so that it compares with rented machines; its other
// conditions are purser.Terms.
//
// # What the columns mean
//
// A list is CSV in UTF-8 with a header. It has each of these columns once, in any order:
//
//	provider         the service: modal, runpod, gcp …
//	region           as the service names it; global where it does not say
//	instance_type    a name of the list's own, such as serverless-l4
//	accelerator      its device; empty for none
//	count            how many of it, or a share of one; empty for none
//	vcpus, memory_gib   of the whole machine
//	per              second, minute or hour: what the three prices are for
//	usd              the price of the devices, or of the whole machine
//	usd_per_vcpu, usd_per_gib   of each vCPU and GiB beside it; empty: within usd
//	billing_step     smallest time that is billed
//	cold_start       until the first request is served after idling
//	max_request      longest run of one request
//	max_concurrent   machines at once; also the offer's Limit
//	idle_billed      time after a request that is billed too
//	usd_per_request  charged beside the time
//	source           the page that says the price
//	as_of            the day on which it said so, as 2026-10-07
//
// Prices are digits with at most nine decimals, exact: price per hour = (usd +
// vcpus · usd_per_vcpu + memory_gib · usd_per_gib) · 1, 60 or 3600. Times are written
// 100ms, 30m, 24h; an empty time or count is not known or not bounded. The source
// follows the collector's own in the offers' Source, with a colon between.
//
// # What was decided for the list brought along
//
//   - Figures are of a day, from the service's own price page or a dated copy of it.
//     RunPod's page has no day of its own: its rows bear an early one, so that no price
//     looks newer than it is. Cloud Run's are as Google's billing API gave them.
//   - Where vCPUs and memory are chosen freely and paid for beside the GPU (Modal,
//     Cerebrium, Beam), a machine has 4 vCPUs and as much memory as its device, which is
//     Cerebrium's advice; on Cloud Run it has the least that an L4 can be had with. Modal
//     counts physical cores, which are two vCPUs.
//   - RunPod does not say what CPU and memory its workers have; they stand as those of
//     its pods with the same GPU. Groups of unlike GPUs at one price are left out.
//   - Times, limits and shapes are from the services' documentation: Modal's guides to
//     cold starts and timeouts, RunPod's endpoint settings, Replicate's life of a
//     prediction, Cloud Run's GPUs and request timeout, Cerebrium's CPU and memory,
//     Koyeb's instances and scale to zero, fal's machine types.
//   - Limits are those of the plan that is free of charge. Idle times are the defaults,
//     of Cloud Run the longest. Cold starts are those of an empty container, but
//     Replicate's, where the figure is the longest that is told of images with a model
//     in them.
//   - What a service's pages do not say is left empty, and a service without a public
//     price per time is left out.
//
// # Failures
//
// A file is read whole before anything is emitted. A broken form fails with kind
// invalid and the place as file:line: a column that is missing, doubled or not known, a
// wrong number of fields, text where a number belongs, a sign or an exponent, text that
// is not UTF-8, a field above 200 bytes, more than 1 MiB or 10,000 lines, or what is no
// plain file. A file that is not there is not_found. A row that is well formed and
// cannot be believed is a row: it is for pricing.Sift to refuse. The list brought along
// cannot fail; a test reads it.
package serverless

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"purser"
	"purser/pricing"
)

// Source is what offers of the list brought along name as their source, with the page
// of the price after a colon.
const Source = "serverless"

const listName = "serverless/offers.csv"

//go:embed offers.csv
var list []byte

// New gives the collector of the list that Purser brings along.
func New() pricing.Collector {
	return collector{source: Source, read: func() ([]byte, string, error) { return list, listName, nil }}
}

// NewFile gives a collector of an operator's own list, which is read each time that it
// collects. Its Source is serverless-file and, after a colon, the file's name.
func NewFile(path string) pricing.Collector {
	return collector{source: "serverless-file:" + filepath.Base(path), read: func() ([]byte, string, error) {
		b, err := readFile(path)
		return b, path, err
	}}
}

type collector struct {
	source string
	read   func() (list []byte, name string, err error)
}

// Source names the list.
func (c collector) Source() string { return c.source }

// Collect emits a batch for each page that prices are from, in the order of the list.
func (c collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, "serverless.Collect", err)
	}
	b, name, err := c.read()
	if err != nil {
		return err
	}
	rows, err := Read(bytes.NewReader(b), name)
	if err != nil {
		return err
	}
	for _, batch := range c.batches(rows) {
		if err := ctx.Err(); err != nil {
			return purser.Wrap(purser.KindUnavailable, "serverless.Collect", err)
		}
		if err := emit(batch); err != nil {
			return err
		}
	}
	return nil
}

// batches puts rows of one page together; a batch is as new as its newest row.
func (c collector) batches(rows []pricing.Row) []pricing.Batch {
	var out []pricing.Batch
	at := map[string]int{}
	for _, r := range rows {
		r.Offer.Source = c.source + ":" + r.Offer.Source
		i, ok := at[r.Offer.Source]
		if !ok {
			i = len(out)
			at[r.Offer.Source] = i
			out = append(out, pricing.Batch{Source: r.Offer.Source})
		}
		out[i].Rows = append(out[i].Rows, r)
		if r.Offer.ObservedAt.After(out[i].ObservedAt) {
			out[i].ObservedAt = r.Offer.ObservedAt
		}
	}
	return out
}

// readFile refuses what is not a plain file, since a pipe can block for ever, and
// reads no more than a list can have.
func readFile(path string) ([]byte, error) {
	fail := func(kind purser.Kind, message string, cause error) ([]byte, error) {
		return nil, &purser.Error{Kind: kind, Op: "serverless.Collect", Message: message, Place: &purser.Place{File: path}, Cause: cause}
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
	defer f.Close() // only read from: there is nothing that closing could lose
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return fail(purser.KindUnavailable, "the file cannot be read", err)
	}
	return b, nil
}
