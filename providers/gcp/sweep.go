package gcp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// Sweep removes what costs money and is no machine: machines that have stopped (they
// powered themselves off, and their disks are still paid for), disks that belong to none,
// and requests for TPUs that came to nothing or whose machine was taken back. It goes on
// past failures and returns them joined.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (removed int, err error) {
	a := ask{op: "gcp.Sweep", what: "the sweep"}
	before := p.config.Now().Add(-grace)
	var stale []place
	vms := p.stopped(ctx, a, before, &stale)
	tpus := p.unused(ctx, a, before, &stale)
	errs := []error{vms, tpus}
	for _, at := range stale {
		ended, err := p.end(ctx, a, at)
		if ended {
			removed++
		}
		errs = append(errs, err)
	}
	n, disks := p.sweepDisks(ctx, a, before)
	return removed + n, errors.Join(append(errs, disks)...)
}

// old says whether something was done with before a moment. What has no time is young.
func old(before time.Time, times ...string) bool {
	for _, s := range times {
		if t := parseTime(s); !t.IsZero() {
			return t.Before(before)
		}
	}
	return false
}

// stopped collects machines that have stopped.
func (p *Provider) stopped(ctx context.Context, a ask, before time.Time, into *[]place) error {
	return p.eachVM(ctx, a, p.oursFilter(), func(at place, m *computepb.Instance) error {
		_, ours := leaseOf(p.config.Installation, at.name)
		if ours && states[m.GetStatus()] == providers.Gone && old(before, m.GetLastStopTimestamp(), m.GetLastSuspendedTimestamp(), m.GetCreationTimestamp()) {
			*into = append(*into, at)
		}
		return nil
	})
}

// unused collects requests for TPUs without a machine that could work.
func (p *Provider) unused(ctx context.Context, a ask, before time.Time, into *[]place) error {
	all, err := p.requests(ctx, a)
	for _, r := range all {
		if p.slice(r.at, r.lease, r.queued, r.machine).State == providers.Gone && old(before, r.queued.CreateTime) {
			*into = append(*into, r.at)
		}
	}
	return err
}

// sweepDisks deletes disks of ours that no machine uses. A disk goes with its machine, so
// that there are only those of machines that half came to be.
func (p *Provider) sweepDisks(ctx context.Context, a ask, before time.Time) (removed int, err error) {
	client, err := p.disks(ctx)
	if err != nil {
		return 0, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	filter := p.oursFilter()
	var stale []place
	it := client.AggregatedList(ctx, &computepb.AggregatedListDisksRequest{Project: p.config.Project, Filter: &filter, MaxResults: new(uint32(pageSize))})
	err = each(it, func(scope compute.DisksScopedListPair) error {
		whole, _ := it.Response.(*computepb.DiskAggregatedList)
		if err := a.complete(scope.Key, whole.GetUnreachables(), whole.GetWarning(), scope.Value.GetWarning()); err != nil {
			return err
		}
		for _, d := range scope.Value.GetDisks() {
			_, ours := leaseOf(p.config.Installation, d.GetName())
			if ours && len(d.GetUsers()) == 0 && old(before, d.GetLastDetachTimestamp(), d.GetCreationTimestamp()) {
				stale = append(stale, place{strings.TrimPrefix(scope.Key, "zones/"), "disks", d.GetName()})
			}
		}
		return nil
	})
	errs := []error{a.maybe(ctx, err)}
	for _, d := range stale {
		_, err := client.Delete(ctx, &computepb.DeleteDiskRequest{Project: p.config.Project, Zone: d.zone, Disk: d.name})
		switch {
		case err == nil:
			removed++
		case status(err) == http.StatusNotFound:
		default:
			e := a.explain(ctx, err)
			if e.Kind == purser.KindUnavailable && ctx.Err() == nil {
				continue // a machine took it meanwhile, or it is being deleted; the next sweep sees
			}
			errs = append(errs, e)
		}
	}
	return removed, errors.Join(errs...)
}
