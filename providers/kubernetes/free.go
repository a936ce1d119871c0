package kubernetes

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"purser"
)

// room is what is left of a member beside pods of others and claims.
type room struct {
	milliCPU, memoryMiB int64
	units               map[string]int64 // by pool
}

// room takes claims off a member. It may be below zero, when pods of others came later.
func (m *member) room(claims []claim) room {
	r := room{milliCPU: m.milliCPU, memoryMiB: m.memoryMiB, units: map[string]int64{}}
	for _, l := range m.pools {
		r.units[l.name] = l.units
	}
	for _, c := range claims {
		r.milliCPU -= c.Part.MilliCPU
		r.memoryMiB -= c.Part.MemoryMiB
		r.units[c.Part.Pool] -= c.Part.Units
	}
	return r
}

// fits says whether a part fits into the room.
func (r room) fits(p part) bool {
	return p.MilliCPU <= r.milliCPU && p.MemoryMiB <= r.memoryMiB && (p.Pool == "" || p.Units <= r.units[p.Pool])
}

// offer is what a pool of a member has to give, and how many alike machines that makes;
// none when nothing is free. CPU and memory are shared out by devices.
func (p *Provider) offer(m *member, l pool, r room) (o purser.Offer, count int64) {
	shape := purser.Shape{MilliCPU: m.milliCPU, MemoryMiB: m.memoryMiB}
	count = 1
	if l.name != "" {
		free := r.units[l.name]
		if free <= 0 {
			return o, 0
		}
		milli := free * l.share
		if !l.whole() {
			milli, count = l.share, free
		}
		var all int64 // of the member, in thousandths
		for _, other := range m.pools {
			all += max(other.milli(), 0)
		}
		shape.Accelerator, shape.Devices = l.accelerator.Name, purser.MilliDevices(milli)
		shape.DeviceMemoryMiB = int64(l.accelerator.MemoryGiB * 1024)
		shape.MilliCPU, shape.MemoryMiB = m.milliCPU*milli/all, m.memoryMiB*milli/all
		shape.DiskMiB = m.diskMiB * milli / all
	} else {
		shape.DiskMiB = m.diskMiB
	}
	// Whole vCPUs and GiB, so that a small pod of the cluster's own does not make another type.
	shape.MilliCPU = min(shape.MilliCPU, r.milliCPU) / 1000 * 1000
	shape.MemoryMiB = min(shape.MemoryMiB, r.memoryMiB) / 1024 * 1024
	shape.DiskMiB = shape.DiskMiB / 1024 * 1024
	if shape.MilliCPU <= 0 || shape.MemoryMiB <= 0 {
		return o, 0
	}
	for count > 1 && (count*shape.MilliCPU > r.milliCPU || count*shape.MemoryMiB > r.memoryMiB) {
		count--
	}
	price, ok := p.price(l, shape)
	if !ok {
		return o, 0
	}
	return purser.Offer{
		Provider: p.Name(), Region: m.region, Zone: m.zone, InstanceType: instanceType(m.class(l), shape), Option: purser.Private,
		Shape: shape, UnitPrice: price, Limit: int(count), ValidFrom: p.since, Source: p.source(m), Country: p.Country,
	}, count
}

func instanceType(class string, s purser.Shape) string {
	return fmt.Sprintf("%s-%sd-%dc-%dg", class, s.Devices, s.MilliCPU/1000, s.MemoryMiB/1024)
}

func (p *Provider) source(m *member) string {
	if m.spot {
		return p.Name() + "-spot"
	}
	return p.Name()
}

// price is what the administrator says that a part costs; ok is false where nothing was said.
func (p *Provider) price(l pool, s purser.Shape) (purser.USDPerHour, bool) {
	if l.name == "" {
		each, ok := p.Prices[priceCPU]
		return each * purser.USDPerHour(s.MilliCPU) / 1000, ok
	}
	each, ok := p.Prices[l.accelerator.Name]
	if !ok && p.DefaultPrice != nil {
		each, ok = *p.DefaultPrice, true
	}
	return each * purser.USDPerHour(s.Devices) / 1000, ok
}

// partOf is what an offer asks of a pool; ok is false when the pool cannot be meant.
func (m *member) partOf(l pool, o purser.Offer) (part, bool) {
	if o.Region != m.region || o.Zone != m.zone || o.InstanceType != instanceType(m.class(l), o.Shape) {
		return part{}, false
	}
	out := part{
		Node: m.name, Host: m.host, Region: m.region, Zone: m.zone, InstanceType: o.InstanceType,
		Pool: l.name, Driver: l.driver, Product: l.product, MilliCPU: o.MilliCPU, MemoryMiB: o.MemoryMiB,
	}
	if l.name == "" {
		return out, o.Devices == 0
	}
	if o.Accelerator != l.accelerator.Name || o.Devices <= 0 || int64(o.Devices)%l.share != 0 {
		return part{}, false
	}
	out.Units, out.Share = int64(o.Devices)/l.share, l.share
	return out, true
}

// asks is what a pod asks of its place: the most of its containers together and of any one
// of its init containers, with those that stay counted among the containers, and overhead.
func asks(pod *corev1.Pod) corev1.ResourceList {
	total, most := corev1.ResourceList{}, corev1.ResourceList{}
	for _, c := range pod.Spec.Containers {
		add(total, c.Resources.Requests)
	}
	stay := corev1.ResourceList{}
	for _, c := range pod.Spec.InitContainers {
		now := stay.DeepCopy()
		add(now, c.Resources.Requests)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			stay = now
			add(total, c.Resources.Requests)
		}
		atLeast(most, now)
	}
	atLeast(total, most)
	if pod.Spec.Resources != nil {
		for name, q := range pod.Spec.Resources.Requests { // of the whole pod: they count instead
			total[name] = q.DeepCopy()
		}
	}
	add(total, pod.Spec.Overhead)
	return total
}

func add(to, what corev1.ResourceList) {
	for name, q := range what {
		sum := to[name]
		sum.Add(q)
		to[name] = sum
	}
}

func atLeast(to, what corev1.ResourceList) {
	for name, q := range what {
		if have := to[name]; q.Cmp(have) > 0 {
			to[name] = q.DeepCopy()
		}
	}
}

// ended says whether a pod has let go of all that it asked for.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// notReadyGrace is how long a place may be not Ready until its machines count as gone:
// as long as the cluster itself waits before it evicts pods.
const notReadyGrace = 5 * time.Minute
