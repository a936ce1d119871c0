package gcp

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// opInsert is the type of the operation that makes a machine.
const opInsert = "insert"

// ends are the operations by which a machine ends without our asking
// (https://cloud.google.com/compute/docs/instances/viewing-compute-operations).
var ends = map[string]string{
	"compute.instances.preempted":                  "it was preempted",
	"compute.instances.hostError":                  "its host failed",
	"compute.instances.guestTerminate":             "it powered itself off",
	"compute.instances.terminateOnHostMaintenance": "its host is being maintained",
}

var endKinds = map[string]providers.InterruptionKind{
	"compute.instances.preempted":                  providers.Preempted,
	"compute.instances.hostError":                  providers.Ended,
	"compute.instances.guestTerminate":             providers.Ended,
	"compute.instances.terminateOnHostMaintenance": providers.Retired,
}

const (
	// preemptionNotice is from the start of a preemption to the end of the machine
	// (https://cloud.google.com/compute/docs/instances/preemptible).
	preemptionNotice = 30 * time.Second
	// lookBack is how old an operation may be when watching begins: a server that was away
	// for longer hears of the end from List.
	lookBack = time.Hour
	// maintenanceEvery is at which round machines are looked at for planned maintenance,
	// which is announced days before.
	maintenanceEvery = 20
	maxWatchPause    = 5 * time.Minute
)

// Interruptions looks every WatchEvery at what ended machines, for the cloud has no queue:
// at the project's operations, at TPUs, and now and then at planned maintenance. The
// lease is in the name of the machine, so that nothing need be left of it. Notices are
// kept apart by the operation that they come from; what was delivered is known until it
// is no longer listed, and to this call alone.
func (p *Provider) Interruptions(ctx context.Context, deliver func(context.Context, providers.Interruption) error) error {
	since, seen := p.config.Now().Add(-lookBack), map[string]bool{}
	pause := p.config.WatchEvery
	for round := 0; ; round++ {
		maintenance := round%maintenanceEvery == 0
		found, err := p.notices(ctx, since, maintenance)
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if !seen[key] && deliver(ctx, found[key]) == nil {
				seen[key] = true
			}
		}
		switch kind := purser.KindOf(err); {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end was asked for
		case err == nil:
			pause = p.config.WatchEvery
			maps.DeleteFunc(seen, func(key string, _ bool) bool {
				_, still := found[key]
				return !still && (maintenance || !strings.HasPrefix(key, "maintenance "))
			})
		case kind == purser.KindForbidden || kind == purser.KindUnauthorized || kind == purser.KindInvalid:
			return err
		default:
			pause = min(2*pause, max(maxWatchPause, p.config.WatchEvery))
		}
		if p.config.Wait(ctx, pause) != nil {
			return nil //nolint:nilerr // the end was asked for
		}
	}
}

// notices are all that there are now, by a key of their own. With an error, some.
func (p *Provider) notices(ctx context.Context, since time.Time, maintenance bool) (map[string]providers.Interruption, error) {
	a := ask{op: "gcp.Interruptions", what: "the look for interruptions"}
	out := map[string]providers.Interruption{}
	if err := p.endings(ctx, a, since, out); err != nil {
		return out, err
	}
	if maintenance {
		err := p.eachVM(ctx, a, p.oursFilter(), func(at place, m *computepb.Instance) error {
			planned := m.GetResourceStatus().GetUpcomingMaintenance()
			if lease, ok := leaseOf(p.config.Installation, at.name); ok && planned.GetWindowStartTime() != "" {
				out["maintenance "+at.id()+planned.GetWindowStartTime()] = providers.Interruption{
					Lease: lease, Instance: at.id(), Kind: providers.Retired, At: parseTime(planned.GetWindowStartTime()), Reason: "maintenance of its host is planned",
				}
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	requests, err := p.requests(ctx, a)
	for _, r := range requests {
		in := p.slice(r.at, r.lease, r.queued, r.machine)
		state := stateOf(r.queued)
		if state == "FAILED" || state == "DELETING" || (in.State != providers.Gone && in.State != providers.Stopping) {
			continue // it never came, or the end was asked for
		}
		kind := orElse(in.State == providers.Gone, providers.Ended, providers.Preempted)
		out["tpu "+r.at.id()+string(kind)] = providers.Interruption{Lease: r.lease, Instance: r.at.id(), Kind: kind, Reason: in.Reason}
	}
	return out, err
}

var targetForm = regexp.MustCompile(`/zones/([a-z0-9-]+)/instances/([a-z0-9-]+)$`)

// endings reads the operations that end machines, of all zones.
func (p *Provider) endings(ctx context.Context, a ask, since time.Time, out map[string]providers.Interruption) error {
	client, err := p.globalOperations(ctx)
	if err != nil {
		return a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	var types []string
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		types = append(types, `(operationType = "`+name+`")`)
	}
	filter := strings.Join(types, " OR ")
	it := client.AggregatedList(ctx, &computepb.AggregatedListGlobalOperationsRequest{Project: p.config.Project, Filter: &filter, MaxResults: new(uint32(pageSize))})
	err = each(it, func(scope compute.OperationsScopedListPair) error {
		whole, _ := it.Response.(*computepb.OperationAggregatedList)
		if err := a.complete(scope.Key, whole.GetUnreachables(), whole.GetWarning(), scope.Value.GetWarning()); err != nil {
			return err
		}
		for _, op := range scope.Value.GetOperations() {
			m := targetForm.FindStringSubmatch(op.GetTargetLink())
			at := parseTime(op.GetInsertTime())
			if m == nil || at.Before(since) {
				continue
			}
			lease, ours := leaseOf(p.config.Installation, m[2])
			kind, known := endKinds[op.GetOperationType()]
			if !ours || !known {
				continue
			}
			if kind == providers.Preempted {
				at = at.Add(preemptionNotice)
			}
			out["operation "+op.GetName()] = providers.Interruption{
				Lease: lease, Instance: place{m[1], collectionVM, m[2]}.id(), Kind: kind, At: at, Reason: ends[op.GetOperationType()],
			}
		}
		return nil
	})
	return a.maybe(ctx, err)
}
