package gcp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// finding is what the cloud knows of a lease's machine in one place.
type finding struct {
	known   bool // there is a machine, or there was, or one was asked for
	in      providers.Instance
	refused *purser.Error // the cloud took the request on and then did not carry it out
}

// unmade is a finding of what was asked for and never came. What failed for the moment
// (INTERNAL_ERROR) is gone too, and no refusal: its request id gets the same answer for
// ever, so that asking again cannot help the lease.
func (f finding) unmade(why *purser.Error) finding {
	f.known, f.refused = true, why
	f.in.State, f.in.Reason, f.in.Refused = providers.Gone, why.Message, why.Kind
	if why.Kind == purser.KindThrottled || why.Kind == purser.KindUnavailable {
		f.refused = nil
	}
	return f
}

// answer is the finding as a launch returns it.
func (f finding) answer() (providers.Instance, error) {
	if f.refused != nil {
		return providers.Instance{}, f.refused
	}
	return f.in, nil
}

// states are Compute Engine's, with ours
// (https://cloud.google.com/compute/docs/instances/instance-lifecycle). A stopped machine
// is never started again here, so that it is gone; Sweep deletes it, with its disk.
var states = map[string]providers.InstanceState{
	"PENDING": providers.Pending, "PROVISIONING": providers.Pending, "STAGING": providers.Pending,
	"RUNNING": providers.Running, "REPAIRING": providers.Running,
	"PENDING_STOP": providers.Stopping, "STOPPING": providers.Stopping, "SUSPENDING": providers.Stopping, "DEPROVISIONING": providers.Stopping,
	"STOPPED": providers.Gone, "SUSPENDED": providers.Gone, "TERMINATED": providers.Gone,
}

// machine is a virtual machine as its provider sees it. An unknown state counts as
// running: it costs money, and is ended where nobody wants it.
func (p *Provider) machine(at place, lease purser.LeaseID, m *computepb.Instance) providers.Instance {
	in := p.instance(at, lease)
	var ok bool
	if in.State, ok = states[m.GetStatus()]; !ok {
		in.State = providers.Running
	}
	if in.State == providers.Gone || in.State == providers.Stopping {
		in.Reason = orElse(m.GetStatusMessage() == "", "its state is "+m.GetStatus(), clip(m.GetStatusMessage()))
	}
	// A flex start may wait for hours before it starts.
	in.StartedAt = parseTime(orElse(m.GetLastStartTimestamp() == "", m.GetCreationTimestamp(), m.GetLastStartTimestamp()))
	card, cards := "", int64(0)
	for _, a := range m.GetGuestAccelerators() {
		card, cards = last(a.GetAcceleratorType()), int64(a.GetAcceleratorCount())
	}
	in.InstanceType = typeOf(last(m.GetMachineType()), card, cards)
	return in
}

// getVM gives the machine, or nil where there is none.
func (p *Provider) getVM(ctx context.Context, a ask, at place) (*computepb.Instance, error) {
	client, err := p.instances(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	m, err := client.Get(ctx, &computepb.GetInstanceRequest{Project: p.config.Project, Zone: at.zone, Instance: at.name})
	if status(err) == http.StatusNotFound {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	return m, nil
}

// findVM looks for the machine and, where there is none, for what the zone's operations
// remember of it.
func (p *Provider) findVM(ctx context.Context, a ask, at place, lease purser.LeaseID) (finding, error) {
	m, err := p.getVM(ctx, a, at)
	if err != nil {
		return finding{}, err
	}
	if m != nil {
		return finding{known: true, in: p.machine(at, lease, m)}, nil
	}
	history, err := p.history(ctx, a, at)
	if err != nil || len(history) == 0 {
		return finding{}, err
	}
	return p.remembered(ctx, a, at, lease, history)
}

// history gives the operations on a machine of that name, oldest first. They outlive it
// by 14 days or more, and so tell of machines that were.
func (p *Provider) history(ctx context.Context, a ask, at place) ([]*computepb.Operation, error) {
	client, err := p.zoneOperations(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	filter := `targetLink eq ".*/instances/` + at.name + `"`
	it := client.List(ctx, &computepb.ListZoneOperationsRequest{Project: p.config.Project, Zone: at.zone, Filter: &filter, MaxResults: new(uint32(pageSize))})
	var out []*computepb.Operation
	err = each(it, func(op *computepb.Operation) error {
		if last(op.GetTargetLink()) == at.name {
			out = append(out, op)
		}
		return nil
	})
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	slices.SortStableFunc(out, func(x, y *computepb.Operation) int {
		return parseTime(x.GetInsertTime()).Compare(parseTime(y.GetInsertTime()))
	})
	return out, nil
}

// remembered tells of a machine by its operations. A success that came between the two
// looks is looked at again.
func (p *Provider) remembered(ctx context.Context, a ask, at place, lease purser.LeaseID, history []*computepb.Operation) (finding, error) {
	f := finding{known: true, in: p.instance(at, lease)}
	f.in.State, f.in.Reason = providers.Gone, "it was deleted"
	made := false
	for _, op := range history {
		what, failed := operationError(op)
		switch {
		case op.GetOperationType() != opInsert:
			made = true // there was something to operate on
			f.in.Reason = orElse(ends[op.GetOperationType()] == "", f.in.Reason, ends[op.GetOperationType()])
		case failed:
			f.refused = a.refused(what)
		case op.GetStatus() != computepb.Operation_DONE:
			f.in.State, f.in.Reason, f.in.StartedAt, f.refused = providers.Pending, "", parseTime(op.GetInsertTime()), nil
			return f, nil
		default:
			made = true
			f.in.StartedAt = parseTime(op.GetInsertTime())
		}
	}
	if !made && f.refused != nil {
		return f.unmade(f.refused), nil //nolint:nilerr // the refusal is what was found
	}
	f.refused = nil
	m, err := p.getVM(ctx, a, at)
	if err == nil && m != nil {
		f.in = p.machine(at, lease, m)
	}
	return f, err
}

// startVM asks for a machine and watches its operation until deadline for a refusal,
// which it returns as an error.
func (p *Provider) startVM(ctx context.Context, a ask, at place, body *computepb.Instance, r providers.Request, deadline time.Time) (providers.Instance, error) {
	client, err := p.instances(ctx)
	if err != nil {
		return providers.Instance{}, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	id := requestID(r.Token, at.zone)
	answer, err := client.Insert(ctx, &computepb.InsertInstanceRequest{Project: p.config.Project, Zone: at.zone, RequestId: &id, InstanceResource: body})
	if status(err) == http.StatusConflict {
		return p.taken(ctx, a, at, r.Lease.ID, err)
	}
	if err != nil {
		return providers.Instance{}, a.explain(ctx, err)
	}
	op, err := p.watch(ctx, a, at.zone, answer.Proto(), deadline)
	if err != nil {
		return providers.Instance{}, err
	}
	if what, failed := operationError(op); failed {
		return finding{in: p.instance(at, r.Lease.ID)}.unmade(a.refused(what)).answer()
	}
	in := p.instance(at, r.Lease.ID)
	in.StartedAt = parseTime(op.GetInsertTime())
	if op.GetStatus() != computepb.Operation_DONE {
		in.State = providers.Pending
		return in, nil
	}
	m, err := p.getVM(ctx, a, at)
	switch {
	case err != nil:
		return providers.Instance{}, err
	case m == nil: // the zone answered a repeated request with what became of the first
		in.State, in.Reason = providers.Gone, "it was deleted"
		return in, nil
	default:
		return p.machine(at, r.Lease.ID, m), nil
	}
}

// taken tells of the machine that has the name already: another caller's of the same
// lease, at the same time.
func (p *Provider) taken(ctx context.Context, a ask, at place, lease purser.LeaseID, conflict error) (providers.Instance, error) {
	f, err := p.find(ctx, a, at, lease)
	if err != nil {
		return providers.Instance{}, err
	}
	if !f.known {
		e := a.explain(ctx, conflict)
		e.Kind, e.Hint = purser.KindUnavailable, "its name is held by a machine that cannot be seen yet"
		return providers.Instance{}, e
	}
	return f.answer()
}

// watch looks at an operation until it is done or deadline is there. Where it cannot be
// looked at, what is known of it will do: the request has been taken on, so that this is
// no refusal, and Describe tells the rest.
func (p *Provider) watch(ctx context.Context, a ask, zone string, op *computepb.Operation, deadline time.Time) (*computepb.Operation, error) {
	client, err := p.zoneOperations(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	for pause := watchPause; op.GetStatus() != computepb.Operation_DONE && p.config.Now().Before(deadline); pause = min(2*pause, 4*watchPause) {
		if err := p.config.Wait(ctx, min(pause, deadline.Sub(p.config.Now()))); err != nil {
			return nil, a.explain(ctx, err)
		}
		now, err := client.Get(ctx, &computepb.GetZoneOperationRequest{Project: p.config.Project, Zone: zone, Operation: op.GetName()})
		switch {
		case ctx.Err() != nil:
			return nil, a.explain(ctx, ctx.Err())
		case err != nil:
			return op, nil // see above
		}
		op = now
	}
	return op, nil
}

const watchPause = 100 * time.Millisecond

// endVM asks for a machine's end; false where there is none.
func (p *Provider) endVM(ctx context.Context, a ask, at place) (bool, error) {
	client, err := p.instances(ctx)
	if err != nil {
		return false, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	_, err = client.Delete(ctx, &computepb.DeleteInstanceRequest{Project: p.config.Project, Zone: at.zone, Instance: at.name})
	switch {
	case status(err) == http.StatusNotFound:
		return false, nil
	case err != nil:
		return false, a.explain(ctx, err)
	}
	return true, nil
}

// eachVM gives the project's machines that a filter lets through, in all zones. A zone
// that does not answer is an error.
func (p *Provider) eachVM(ctx context.Context, a ask, filter string, take func(at place, m *computepb.Instance) error) error {
	client, err := p.instances(ctx)
	if err != nil {
		return a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	it := client.AggregatedList(ctx, &computepb.AggregatedListInstancesRequest{Project: p.config.Project, Filter: &filter, MaxResults: new(uint32(pageSize))})
	err = each(it, func(scope compute.InstancesScopedListPair) error {
		whole, _ := it.Response.(*computepb.InstanceAggregatedList)
		if err := a.complete(scope.Key, whole.GetUnreachables(), whole.GetWarning(), scope.Value.GetWarning()); err != nil {
			return err
		}
		for _, m := range scope.Value.GetInstances() {
			if err := take(place{strings.TrimPrefix(scope.Key, "zones/"), collectionVM, m.GetName()}, m); err != nil {
				return err
			}
		}
		return nil
	})
	if whole, ok := it.Response.(*computepb.InstanceAggregatedList); ok && err == nil { // a page may have no scopes at all
		err = a.complete("all zones", whole.GetUnreachables(), whole.GetWarning())
	}
	return a.maybe(ctx, err)
}

// complete says whether a list has all that it should: places that did not answer are
// told beside the rest.
func (a ask) complete(scope string, unreachable []string, warnings ...*computepb.Warning) error {
	for _, w := range warnings {
		if code := w.GetCode(); code != "" && code != "NO_RESULTS_ON_PAGE" {
			return purser.Errorf(purser.KindUnavailable, a.op, "%s is not whole: %s (%s)", a.what, code, clip(scope))
		}
	}
	if len(unreachable) > 0 {
		return purser.Errorf(purser.KindUnavailable, a.op, "%s is not whole: %s does not answer", a.what, clip(last(unreachable[0])))
	}
	return nil
}
