package gcp

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	tpuapi "google.golang.org/api/tpu/v2"

	"purser"
	"purser/providers"
)

func (p *Provider) parent(zone string) string {
	return "projects/" + p.config.Project + "/locations/" + zone
}

// sliceStates are those of queued resources, with ours
// (https://cloud.google.com/tpu/docs/queued-resources).
var sliceStates = map[string]providers.InstanceState{
	"CREATING": providers.Pending, "ACCEPTED": providers.Pending, "WAITING_FOR_RESOURCES": providers.Pending, "PROVISIONING": providers.Pending,
	"ACTIVE":     providers.Running,
	"SUSPENDING": providers.Stopping, "DELETING": providers.Stopping,
	"SUSPENDED": providers.Gone, "FAILED": providers.Gone,
}

// tpuStates are those of a TPU machine whose request is active; others leave it running.
var tpuStates = map[string]providers.InstanceState{
	"CREATING": providers.Pending, "STARTING": providers.Pending, "STOPPING": providers.Stopping, "DELETING": providers.Stopping,
	"STOPPED": providers.Gone, "TERMINATED": providers.Gone, "PREEMPTED": providers.Gone, "HIDDEN": providers.Gone,
}

// slice is a TPU as its request and its machine tell of it; machine is nil where none was
// seen. An active request without one counts as running: the list of machines may lag, and
// if the machine was deleted, the cloud suspends the request.
func (p *Provider) slice(at place, lease purser.LeaseID, q *tpuapi.QueuedResource, machine *tpuapi.Node) providers.Instance {
	in := p.instance(at, lease)
	in.StartedAt = parseTime(q.CreateTime)
	if q.Tpu != nil && len(q.Tpu.NodeSpec) > 0 && q.Tpu.NodeSpec[0].Node != nil {
		in.InstanceType = q.Tpu.NodeSpec[0].Node.AcceleratorType
	}
	state := stateOf(q)
	var ok bool
	if in.State, ok = sliceStates[state]; !ok {
		in.State = providers.Running
	}
	switch {
	case in.State == providers.Gone || in.State == providers.Stopping:
		in.Reason = "its request is " + state
		if failure := failureOf(q); failure != nil {
			in.Reason += ": " + clip(failure.Message)
		}
	case state == "ACTIVE" && machine != nil && tpuStates[machine.State] != "":
		in.State, in.Reason = tpuStates[machine.State], "its state is "+machine.State
	}
	return in
}

func stateOf(q *tpuapi.QueuedResource) string {
	if q.State == nil {
		return "CREATING"
	}
	return q.State.State
}

func failureOf(q *tpuapi.QueuedResource) *tpuapi.Status {
	if q.State == nil || q.State.FailedData == nil {
		return nil
	}
	return q.State.FailedData.Error
}

// findTPU looks for the request of a TPU and, where it is active, for its machine. What
// was deleted leaves no trace.
func (p *Provider) findTPU(ctx context.Context, a ask, at place, lease purser.LeaseID) (finding, error) {
	api, err := p.tpus(ctx)
	if err != nil {
		return finding{}, a.explain(ctx, err)
	}
	q, err := api.Projects.Locations.QueuedResources.Get(p.parent(at.zone) + "/queuedResources/" + at.name).Context(ctx).Do()
	if status(err) == http.StatusNotFound {
		return finding{}, nil
	}
	if err != nil {
		return finding{}, a.explain(ctx, err)
	}
	var machine *tpuapi.Node
	if stateOf(q) == "ACTIVE" {
		machine, err = api.Projects.Locations.Nodes.Get(p.parent(at.zone) + "/nodes/" + at.name).Context(ctx).Do()
		if err != nil && status(err) != http.StatusNotFound {
			return finding{}, a.explain(ctx, err)
		}
	}
	f := finding{known: true, in: p.slice(at, lease, q, machine)}
	if stateOf(q) == "FAILED" {
		why := f.in.Reason
		f = f.unmade(a.refused(tpuError(orElse(failureOf(q) == nil, &tpuapi.Status{Code: 8, Message: "the request failed without a reason"}, failureOf(q)))))
		f.in.Reason = why
	}
	return f, nil
}

// startTPU asks for a TPU and watches until deadline for a refusal.
func (p *Provider) startTPU(ctx context.Context, a ask, at place, body *tpuapi.QueuedResource, r providers.Request, deadline time.Time) (providers.Instance, error) {
	api, err := p.tpus(ctx)
	if err != nil {
		return providers.Instance{}, a.explain(ctx, err)
	}
	op, err := api.Projects.Locations.QueuedResources.Create(p.parent(at.zone), body).
		QueuedResourceId(at.name).RequestId(requestID(r.Token, at.zone)).Context(ctx).Do()
	if status(err) == http.StatusConflict {
		return p.taken(ctx, a, at, r.Lease.ID, err)
	}
	if err != nil {
		return providers.Instance{}, a.explain(ctx, err)
	}
	for pause := watchPause; !op.Done && p.config.Now().Before(deadline); pause = min(2*pause, 4*watchPause) {
		if err := p.config.Wait(ctx, min(pause, deadline.Sub(p.config.Now()))); err != nil {
			return providers.Instance{}, a.explain(ctx, err)
		}
		now, err := api.Projects.Locations.Operations.Get(op.Name).Context(ctx).Do()
		if err != nil {
			break // it has been taken on: this is no refusal, and Describe tells the rest
		}
		op = now
	}
	if op.Error != nil {
		return finding{in: p.instance(at, r.Lease.ID)}.unmade(a.refused(tpuError(op.Error))).answer()
	}
	f, err := p.findTPU(ctx, a, at, r.Lease.ID)
	switch {
	case err != nil:
		return providers.Instance{}, err
	case f.known:
		return f.answer()
	}
	in := p.instance(at, r.Lease.ID)
	var about tpuapi.OperationMetadata
	_ = json.Unmarshal(op.Metadata, &about) // without it the time is not known
	in.State, in.StartedAt = providers.Pending, parseTime(about.CreateTime)
	if op.Done { // the zone answered a repeated request with what became of the first
		in.State, in.Reason = providers.Gone, "it was deleted"
	}
	return in, nil
}

// endTPU asks for the end of a TPU with its request; false where there is none. One that
// is being deleted refuses to be deleted again.
func (p *Provider) endTPU(ctx context.Context, a ask, at place) (bool, error) {
	api, err := p.tpus(ctx)
	if err != nil {
		return false, a.explain(ctx, err)
	}
	name := p.parent(at.zone) + "/queuedResources/" + at.name
	_, failed := api.Projects.Locations.QueuedResources.Delete(name).Force(true).Context(ctx).Do()
	switch {
	case failed == nil:
		return true, nil
	case status(failed) == http.StatusNotFound:
		return false, nil
	case status(failed) != http.StatusConflict && status(failed) != http.StatusBadRequest:
		return false, a.explain(ctx, failed)
	}
	q, err := api.Projects.Locations.QueuedResources.Get(name).Context(ctx).Do()
	if err == nil && stateOf(q) == "DELETING" || status(err) == http.StatusNotFound {
		return true, nil
	}
	e := a.explain(ctx, failed)
	e.Kind = purser.KindUnavailable // what it is doing now ends, and then it can be deleted
	return false, e
}

// tpuZones are the zones to look at for TPUs, sorted.
func (p *Provider) tpuZones(ctx context.Context, a ask) ([]string, error) {
	if p.config.WithoutTPU {
		return nil, nil
	}
	if len(p.config.TPUZones) > 0 {
		return p.config.TPUZones, nil
	}
	api, err := p.tpus(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	var out []string
	err = api.Projects.Locations.List("projects/"+p.config.Project).PageSize(pageSize).Pages(ctx, func(page *tpuapi.ListLocationsResponse) error {
		for _, l := range page.Locations {
			if zoneForm.MatchString(l.LocationId) {
				out = append(out, l.LocationId)
			}
		}
		return nil
	})
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	slices.Sort(out)
	return out, nil
}

// request is a queued resource of this installation, with its machine.
type request struct {
	at      place
	lease   purser.LeaseID
	queued  *tpuapi.QueuedResource
	machine *tpuapi.Node // nil: none
}

// requests lists this installation's queued resources in all zones.
func (p *Provider) requests(ctx context.Context, a ask) ([]request, error) {
	zones, err := p.tpuZones(ctx, a)
	if err != nil || len(zones) == 0 {
		return nil, err
	}
	api, err := p.tpus(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	found := make([][]request, len(zones))
	err = parallel(len(zones), func(i int) (err error) {
		found[i], err = p.requestsIn(ctx, a, api, zones[i])
		return err
	})
	return slices.Concat(found...), err
}

func (p *Provider) requestsIn(ctx context.Context, a ask, api *tpuapi.Service, zone string) ([]request, error) {
	var out []request
	active := false
	err := api.Projects.Locations.QueuedResources.List(p.parent(zone)).PageSize(pageSize).Pages(ctx, func(page *tpuapi.ListQueuedResourcesResponse) error {
		for _, q := range page.QueuedResources {
			if lease, ok := leaseOf(p.config.Installation, last(q.Name)); ok {
				out = append(out, request{place{zone, collectionTPU, last(q.Name)}, lease, q, nil})
				active = active || stateOf(q) == "ACTIVE"
			}
		}
		return a.complete(zone, page.Unreachable)
	})
	if err != nil || !active {
		return out, a.maybe(ctx, err)
	}
	machines := map[string]*tpuapi.Node{}
	err = api.Projects.Locations.Nodes.List(p.parent(zone)).PageSize(pageSize).Pages(ctx, func(page *tpuapi.ListNodesResponse) error {
		for _, m := range page.Nodes {
			machines[last(m.Name)] = m
		}
		return a.complete(zone, page.Unreachable)
	})
	for i := range out {
		out[i].machine = machines[out[i].at.name]
	}
	return out, a.maybe(ctx, err)
}
