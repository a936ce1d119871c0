package kubernetes

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// dynamicDevices are the devices that drivers publish in ResourceSlices (resource.k8s.io/v1)
// and who has them.
type dynamicDevices struct {
	slices []*resourcev1.ResourceSlice
	claims []*resourcev1.ResourceClaim
}

// dynamicDevices reads them, of one node or of all; none in a cluster without that API.
func (p *Provider) dynamicDevices(ctx context.Context, op, node string) (d dynamicDevices, err error) {
	o := metav1.ListOptions{}
	if node != "" {
		o.FieldSelector = "spec.nodeName=" + node
	}
	d.slices, err = pointers(pages(ctx, op, o, func(ctx context.Context, o metav1.ListOptions) ([]resourcev1.ResourceSlice, string, error) {
		l, err := p.resource.ResourceSlices().List(ctx, o)
		if apierrors.IsNotFound(err) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
	if err != nil || len(d.slices) == 0 {
		return d, err
	}
	d.claims, err = pointers(pages(ctx, op, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) ([]resourcev1.ResourceClaim, string, error) {
		l, err := p.resource.ResourceClaims(metav1.NamespaceAll).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
	return d, err
}

// device names one device of a cluster.
type device struct{ driver, pool, name string }

// addDynamic gives a member its pools from ResourceSlices: whole devices that their driver
// lets be used and no pod of others has. ours says whether a ResourceClaim is a task's.
func (m *member) addDynamic(n *corev1.Node, d dynamicDevices, ours func(*resourcev1.ResourceClaim) bool, omit func(what, why string)) {
	taken := map[device]bool{}
	for _, c := range d.claims {
		if c.Status.Allocation == nil || ours(c) {
			continue
		}
		for _, r := range c.Status.Allocation.Devices.Results {
			if r.AdminAccess == nil || !*r.AdminAccess { // who only looks takes nothing
				taken[device{r.Driver, r.Pool, r.Device}] = true
			}
		}
	}
	newest := map[string]int64{} // generation of a driver's pool; slices of older ones do not count
	for _, s := range d.slices {
		key := s.Spec.Driver + "/" + s.Spec.Pool.Name
		newest[key] = max(newest[key], s.Spec.Pool.Generation)
	}
	pools := map[string]*pool{}
	for _, s := range d.slices {
		if s.Spec.NodeName == nil || *s.Spec.NodeName != n.Name || s.Spec.Pool.Generation != newest[s.Spec.Driver+"/"+s.Spec.Pool.Name] {
			continue
		}
		for _, v := range s.Spec.Devices {
			said := attribute(v, "productName")
			name := s.Spec.Driver + "/" + said
			switch kind := attribute(v, "type"); {
			case kind != "" && kind != "gpu" && kind != "tpu" && kind != "neuron":
				omit(name, "devices of type "+kind+" are parts of others, and which of them exclude one another is only known to the scheduler")
				continue
			case unusableDevice(v):
				omit(name, "its driver has tainted the device "+v.Name)
				continue
			}
			a, ok := dynamicProduct(v, said, n.Labels)
			if !ok {
				omit(name, "what these devices are is not known; label the node "+LabelAccelerator+"=NAME")
				continue
			}
			if pools[name] == nil {
				pools[name] = &pool{name: name, driver: s.Spec.Driver, product: said, accelerator: a, share: 1000}
			}
			if !taken[device{s.Spec.Driver, s.Spec.Pool.Name, v.Name}] {
				pools[name].units++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		m.pools = append(m.pools, *pools[name])
	}
}

func dynamicProduct(v resourcev1.Device, said string, labels map[string]string) (purser.Accelerator, bool) {
	if own := labels[LabelAccelerator]; own != "" {
		return purser.AcceleratorNamed(own)
	}
	memory := int64(0)
	if c, ok := v.Capacity["memory"]; ok {
		memory = c.Value.Value() >> 20
	}
	return product(said, memory)
}

// attribute is a device's attribute as text, under its short name or that of a domain.
func attribute(v resourcev1.Device, name string) string {
	for key, a := range v.Attributes {
		if short := string(key); (short == name || len(short) > len(name) && short[len(short)-len(name)-1:] == "/"+name) && a.StringValue != nil {
			return *a.StringValue
		}
	}
	return ""
}

func unusableDevice(v resourcev1.Device) bool {
	return slices.ContainsFunc(v.Taints, func(t resourcev1.DeviceTaint) bool { return t.Effect != resourcev1.DeviceTaintEffectNone })
}
