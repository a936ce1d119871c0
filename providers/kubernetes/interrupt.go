package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"purser"
	"purser/providers"
)

// The pauses after a notice that could not be delivered or a watch that could not begin;
// they double from the first to the last. lookEvery is how often notices are made anew
// without a change, for those that come by time alone.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
	lookEvery  = 15 * time.Second
)

// Interruptions watches the cluster until ctx ends; while it runs, the other calls read
// from what it knows. Notices come from its present state and not from single events, so
// none is lost with a watch; each is delivered until deliver takes it, and once more by
// each process.
//
//	preempted  the place is being removed by its cloud or an autoscaler, or a task's pod is
//	           evicted or has to make way (DisruptionTarget)
//	retired    the place is cordoned or being drained
//	rebalance  the place is not Ready
//	ended      the place is gone, or has not been Ready for 5 min
func (p *Provider) Interruptions(ctx context.Context, deliver func(context.Context, providers.Interruption) error) error {
	pause, worked := firstPause, false
	for ctx.Err() == nil {
		began, err := p.follow(ctx, deliver)
		if began {
			pause, worked = firstPause, true
		}
		if hopeless(err) && !worked && ctx.Err() == nil {
			return err // what has worked is only refused for a while, as when credentials are changed
		}
		sleep(ctx, pause)
		pause = min(2*pause, lastPause)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// follow delivers notices for as long as the watches live. began says that they did.
func (p *Provider) follow(ctx context.Context, deliver func(context.Context, providers.Interruption) error) (began bool, err error) {
	const op = "kubernetes.Interruptions"
	changes := make(chan struct{}, 1)
	w, live, wait, err := p.watch(ctx, op, func() {
		select {
		case changes <- struct{}{}:
		default: // a look is due already
		}
	})
	if err != nil {
		return false, err
	}
	p.watched.Store(w)
	defer func() {
		p.watched.CompareAndSwap(w, nil) // or what another one stores would be lost
		wait()
	}()
	told := map[notice]bool{}
	pause := firstPause
	for live.Err() == nil {
		if err := p.tell(live, op, w, told, deliver); err != nil {
			sleep(live, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		look := time.NewTimer(lookEvery)
		select {
		case <-live.Done():
		case <-changes:
		case <-look.C:
		}
		look.Stop()
		if has, err := p.hasJobSets(live, op); err == nil && has != (w.gangs != nil) {
			return true, nil // JobSet has come to the cluster or left it: what is watched changes
		}
	}
	return true, context.Cause(live)
}

// notice is what makes an interruption another one than those that were told.
type notice struct {
	lease  purser.LeaseID
	kind   providers.InterruptionKind
	reason string
}

// tell delivers what has not been told. What is no longer so is forgotten, so that it is
// told again should it come again.
func (p *Provider) tell(ctx context.Context, op string, w *caches, told map[notice]bool, deliver func(context.Context, providers.Interruption) error) error {
	found, err := p.notices(ctx, op, w)
	if err != nil {
		return err
	}
	now := map[notice]bool{}
	for _, i := range found {
		n := notice{i.Lease, i.Kind, i.Reason}
		now[n] = true
		if told[n] {
			continue
		}
		if err := deliver(ctx, i); err != nil {
			return purser.Wrap(purser.KindUnavailable, op, err)
		}
		told[n] = true
	}
	for n := range told {
		if !now[n] {
			delete(told, n)
		}
	}
	return nil
}

// notices are all interruptions as of now, in the order of leases.
func (p *Provider) notices(ctx context.Context, op string, w *caches) ([]providers.Interruption, error) {
	nodes := map[string]*corev1.Node{}
	for _, n := range all[*corev1.Node](w.nodes) {
		nodes[n.Name] = n
	}
	claims, err := p.claims(ctx, op, true, true)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.Lease, b.Lease) })
	var out []providers.Interruption
	for _, c := range claims {
		if c.State != claimHeld {
			continue
		}
		n := nodes[c.Part.Node]
		if n == nil {
			// The cache may be behind the claim's.
			if n, err = p.node(ctx, op, c.Part.Node); err != nil {
				return nil, err
			}
		}
		if kind, reason := p.notice(n, c.Part.Node); kind != "" {
			out = append(out, providers.Interruption{Lease: c.Lease, Instance: c.name, Kind: kind, Reason: reason})
		}
		for _, pod := range of[*corev1.Pod](w.pods, c.Lease) {
			if reason := disrupted(pod); reason != "" && pod.Namespace == p.Namespace && pod.Labels[LabelInstallation] == p.Installation {
				out = append(out, providers.Interruption{Lease: c.Lease, Instance: c.name, Kind: providers.Preempted, Reason: reason})
			}
		}
	}
	return out, nil
}

// notice is what the state of a place means for machines on it; no kind: nothing.
func (p *Provider) notice(n *corev1.Node, name string) (providers.InterruptionKind, string) {
	reason, dead := p.dead(n, name)
	if dead {
		return providers.Ended, reason
	}
	if _, not := notReady(n); not {
		return providers.Rebalance, reason
	}
	for _, t := range n.Spec.Taints {
		if why := leavingTaints[t.Key]; why != "" {
			return providers.Preempted, name + ": " + why
		}
	}
	switch {
	case !n.DeletionTimestamp.IsZero():
		return providers.Preempted, name + " is being deleted"
	case n.Spec.Unschedulable:
		return providers.Retired, name + " is cordoned"
	default:
		return "", ""
	}
}

// disrupted says why a pod is being taken away by the cluster, or nothing.
func disrupted(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return fmt.Sprintf("the pod of task %s is taken away: %s %s", pod.Labels[LabelTask], c.Reason, c.Message)
		}
	}
	return ""
}
