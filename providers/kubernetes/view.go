package kubernetes

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// Omission is capacity that is not offered, and why.
type Omission struct {
	Node string // its name in the cluster
	What string // resource or driver; empty: the whole of it
	Why  string
}

// view is the cluster at one moment.
type view struct {
	members []*member          // in the order of their names
	claims  map[string][]claim // that take room, by Node, in the order of their making
	omitted []Omission
}

// raw is what a view is made of.
type raw struct {
	nodes  []*corev1.Node
	pods   []*corev1.Pod // that have not ended
	claims []claim       // of every installation in the namespace
	dynamicDevices
}

// look reads the whole cluster, from the caches where there are any.
func (p *Provider) look(ctx context.Context, op string) (view, error) {
	var r raw
	var err error
	if r.nodes, err = p.nodes(ctx, op, true); err != nil {
		return view{}, err
	}
	if r.dynamicDevices, err = p.dynamicDevices(ctx, op, ""); err != nil {
		return view{}, err
	}
	if r.pods, err = p.pods(ctx, op, true, ""); err != nil {
		return view{}, err
	}
	if r.claims, err = p.claims(ctx, op, true, false); err != nil {
		return view{}, err
	}
	return p.view(r), nil
}

// lookAt reads one member from the API server itself. There is none in the view when its
// Node is gone. The claims are read first: what is read after them can only be newer.
func (p *Provider) lookAt(ctx context.Context, op string, at part) (view, error) {
	var r raw
	var err error
	if r.claims, err = p.claims(ctx, op, false, false); err != nil {
		return view{}, err
	}
	node, err := p.node(ctx, op, at.Node)
	if err != nil || node == nil {
		return view{}, err
	}
	r.nodes = []*corev1.Node{node}
	if at.Driver != "" {
		if r.dynamicDevices, err = p.dynamicDevices(ctx, op, at.Node); err != nil {
			return view{}, err
		}
	}
	if r.pods, err = p.pods(ctx, op, false, at.Node); err != nil {
		return view{}, err
	}
	return p.view(r), nil
}

func (p *Provider) view(r raw) view {
	v := view{claims: map[string][]claim{}}
	left := map[string]bool{} // leases with pods, by label
	for _, pod := range r.pods {
		if pod.Namespace == p.Namespace && pod.Labels[LabelPart] == partTask {
			left[pod.Labels[LabelLease]] = true
		}
	}
	claimed := map[string]string{} // Node by lease, as labels have it
	slices.SortFunc(r.claims, func(a, b claim) int { return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(a.name, b.name)) })
	for _, c := range r.claims {
		if label := labelValue(string(c.Lease)); c.Part.Node != "" && (c.State != claimEnding || left[label]) {
			v.claims[c.Part.Node] = append(v.claims[c.Part.Node], c)
			claimed[label] = c.Part.Node
		}
	}
	others := map[string]corev1.ResourceList{}
	for _, pod := range r.pods {
		node := pod.Spec.NodeName
		ours := pod.Namespace == p.Namespace && pod.Labels[LabelPart] == partTask && claimed[pod.Labels[LabelLease]] == node
		if node == "" || ours {
			continue // not placed yet, or part of a claim, which counts in whole
		}
		if others[node] == nil {
			others[node] = corev1.ResourceList{}
		}
		add(others[node], asks(pod))
	}
	ours := func(c *resourcev1.ResourceClaim) bool {
		return c.Namespace == p.Namespace && c.Labels[LabelPart] == partTask && claimed[c.Labels[LabelLease]] != ""
	}
	for _, n := range r.nodes {
		v.add(p.member(n, r.dynamicDevices, ours, others[n.Name], func(what, why string) {
			v.omitted = append(v.omitted, Omission{n.Name, what, why})
		}))
	}
	slices.SortFunc(v.members, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
	return v
}

func (v *view) add(m *member) { v.members = append(v.members, m) }

// member makes a whole member: what a Node has, less what pods of others ask for.
func (p *Provider) member(n *corev1.Node, d dynamicDevices, ours func(*resourcev1.ResourceClaim) bool, others corev1.ResourceList, omit func(what, why string)) *member {
	m := p.readMember(n)
	m.addPlugins(n, omit)
	if len(m.pools) == 0 {
		m.addDynamic(n, d, ours, omit)
	}
	m.milliCPU -= others.Cpu().MilliValue()
	m.memoryMiB -= (others.Memory().Value() + 1<<20 - 1) >> 20
	m.diskMiB -= others.StorageEphemeral().Value() >> 20
	for i := range m.pools {
		if l := &m.pools[i]; l.driver == "" {
			taken := others[corev1.ResourceName(l.name)]
			l.units -= taken.Value()
		}
	}
	if len(m.pools) == 0 {
		m.pools = []pool{{share: 1000}}
	}
	return m
}

// find is the one member of a view of one.
func (v view) find(name string) *member {
	for _, m := range v.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// node reads a Node from the API server itself; nil when there is none.
func (p *Provider) node(ctx context.Context, op, name string) (*corev1.Node, error) {
	n, err := p.core.Nodes().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return n, nil
	}
	if err = failed(op, err); purser.KindOf(err) == purser.KindNotFound {
		return nil, nil //nolint:nilnil // a Node that is gone is an answer, and all callers ask for it
	}
	return nil, err
}

// Offers lists the cluster's free parts. Parts that are alike are one offer. Reads only.
func (p *Provider) Offers(ctx context.Context) ([]purser.Offer, error) {
	v, err := p.look(ctx, "kubernetes.Offers")
	if err != nil {
		return nil, err
	}
	offers, _ := p.offers(v)
	return offers, nil
}

// Omitted tells what of the cluster Offers leaves out, and why. Reads only.
func (p *Provider) Omitted(ctx context.Context) ([]Omission, error) {
	v, err := p.look(ctx, "kubernetes.Omitted")
	if err != nil {
		return nil, err
	}
	_, omitted := p.offers(v)
	return omitted, nil
}

func (p *Provider) offers(v view) ([]purser.Offer, []Omission) {
	found := map[purser.OfferID]*purser.Offer{}
	omitted := v.omitted
	now := p.Now().UTC()
	for _, m := range v.members {
		if m.problem != "" {
			omitted = append(omitted, Omission{m.name, "", m.problem})
			continue
		}
		r := m.room(v.claims[m.name])
		for _, l := range m.pools {
			if !p.priced(l) {
				omitted = append(omitted, Omission{m.name, cmp.Or(l.name, priceCPU), "it has no price"})
				continue
			}
			o, count := p.offer(m, l, r)
			if count == 0 {
				omitted = append(omitted, Omission{m.name, cmp.Or(l.name, priceCPU), "nothing of it is free"})
				continue
			}
			o.ObservedAt = now
			if same := found[o.ID()]; same != nil {
				same.Limit += o.Limit
				same.DiskMiB = min(same.DiskMiB, o.DiskMiB)
				continue
			}
			found[o.ID()] = &o
		}
	}
	out := make([]purser.Offer, 0, len(found))
	for _, o := range found {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b purser.Offer) int { return cmp.Compare(a.ID(), b.ID()) })
	return out, omitted
}

func (p *Provider) priced(l pool) bool {
	_, ok := p.price(l, purser.Shape{})
	return ok
}
