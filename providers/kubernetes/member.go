package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"purser"
)

// member is a Node as far as Purser cares: what it has, less what pods of others ask for.
type member struct {
	name, host, region, zone, machine string
	spot                              bool
	problem                           string // why nothing new is to begin here; empty: nothing
	milliCPU, memoryMiB, diskMiB      int64  // allocatable − pods of others
	pools                             []pool // in the order of their names; one without devices where there are none
}

// pool is devices of one kind on a member.
type pool struct {
	name        string // of the resource, or of driver and product; empty: no devices
	driver      string // of a pool from ResourceSlices
	product     string // of a pool from ResourceSlices
	accelerator purser.Accelerator
	kind        string // of slice; empty: whole devices
	share       int64  // of a device that a unit is, in thousandths
	units       int64  // allocatable − pods of others
}

// spotLabels mark places that their cloud may take back.
var spotLabels = map[string]string{
	"cloud.google.com/gke-spot": "true", "cloud.google.com/gke-preemptible": "true", "karpenter.sh/capacity-type": "spot",
	"eks.amazonaws.com/capacityType": "SPOT", "kubernetes.azure.com/scalesetpriority": "spot",
}

// spotTaints are what such places are tainted with.
var spotTaints = []string{"cloud.google.com/gke-spot", "cloud.google.com/gke-preemptible", "kubernetes.azure.com/scalesetpriority"}

// leavingTaints say that a place is about to be taken away, by whom puts them there.
var leavingTaints = map[string]string{
	"ToBeDeletedByClusterAutoscaler":                         "the cluster's autoscaler removes it",
	"karpenter.sh/disrupted":                                 "Karpenter removes it",
	"karpenter.sh/disruption":                                "Karpenter removes it",
	"cloud.google.com/impending-node-termination":            "its cloud takes it back",
	"aws-node-termination-handler/spot-itn":                  "its cloud takes it back",
	"aws-node-termination-handler/scheduled-maintenance":     "its cloud maintains it",
	"aws-node-termination-handler/asg-lifecycle-termination": "its cloud takes it back",
	corev1.TaintNodeOutOfService:                             "it is out of service",
}

// readMember makes a member of a Node. Devices and what others ask for are not in it yet.
func (p *Provider) readMember(n *corev1.Node) *member {
	m := &member{
		name: n.Name, host: n.Labels[corev1.LabelHostname],
		region:   first(n.Labels, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaRegion),
		zone:     first(n.Labels, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone),
		machine:  first(n.Labels, corev1.LabelInstanceTypeStable, corev1.LabelInstanceType),
		milliCPU: n.Status.Allocatable.Cpu().MilliValue(), memoryMiB: n.Status.Allocatable.Memory().Value() >> 20,
		diskMiB: n.Status.Allocatable.StorageEphemeral().Value() >> 20,
	}
	if m.region == "" {
		m.region = p.Region
	}
	if m.machine == "" {
		m.machine = "machine"
	}
	for key, value := range spotLabels {
		m.spot = m.spot || strings.EqualFold(n.Labels[key], value)
	}
	m.problem = p.unusable(n)
	if m.problem == "" && m.spot && p.NoSpot {
		m.problem = "it is a spot place, and these are left out by configuration"
	}
	return m
}

func first(labels map[string]string, keys ...string) string {
	for _, k := range keys {
		if labels[k] != "" {
			return labels[k]
		}
	}
	return ""
}

// unusable says why nothing new is to begin on a Node, or nothing.
func (p *Provider) unusable(n *corev1.Node) string {
	if why := leaving(n); why != "" {
		return why
	}
	if since, ok := notReady(n); ok {
		return "it is not Ready since " + since.UTC().Format(time.RFC3339)
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !p.tolerates(t) {
			return fmt.Sprintf("it has the taint %s=%s:%s", t.Key, t.Value, t.Effect)
		}
	}
	return ""
}

// leaving says why a Node is about to go, or nothing.
func leaving(n *corev1.Node) string {
	if !n.DeletionTimestamp.IsZero() {
		return "it is being deleted"
	}
	for _, t := range n.Spec.Taints {
		if why := leavingTaints[t.Key]; why != "" {
			return why
		}
	}
	if n.Spec.Unschedulable {
		return "it is cordoned"
	}
	return ""
}

// notReady says since when a Node is not Ready. A Node without the condition never was.
func notReady(n *corev1.Node) (since time.Time, ok bool) {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastTransitionTime.Time, c.Status != corev1.ConditionTrue
		}
	}
	return n.CreationTimestamp.Time, true
}

// deviceTaints are by what places keep their devices to pods that ask for some.
var deviceTaints = []string{"nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "aws.amazon.com/neuron", "habana.ai/gaudi"}

// tolerations are what pods of tasks are given: the configured ones, those of spot places
// and of places with devices.
func (p *Provider) tolerations() []corev1.Toleration {
	out := slices.Clone(p.Tolerations)
	for _, key := range slices.Concat(spotTaints, deviceTaints) {
		out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
	}
	return out
}

// tolerates says whether pods of tasks may go where the taint is.
func (p *Provider) tolerates(t corev1.Taint) bool {
	for _, o := range p.tolerations() {
		switch {
		case o.Key != "" && o.Key != t.Key, o.Effect != "" && o.Effect != t.Effect:
		case o.Operator == corev1.TolerationOpExists, o.Value == t.Value:
			return true
		}
	}
	return false
}

// addPlugins gives a member its pools from device plugins, and tells of what it leaves out.
func (m *member) addPlugins(n *corev1.Node, omit func(what, why string)) {
	for _, name := range slices.Sorted(maps.Keys(n.Status.Allocatable)) {
		resource := string(name)
		if _, _, ok := plugin(resource); !ok {
			continue
		}
		quantity := n.Status.Allocatable[name]
		units := quantity.Value()
		if units <= 0 {
			continue
		}
		a, said, ok := acceleratorOf(resource, n.Labels)
		if !ok {
			omit(resource, fmt.Sprintf("what these devices are is not known (its labels say %q); label it %s=NAME", said, LabelAccelerator))
			continue
		}
		share, kind, ok := sliceOf(resource, n.Labels, a)
		if !ok {
			omit(resource, "its slices are not an eighth, a quarter or a half of a device")
			continue
		}
		m.pools = append(m.pools, pool{name: resource, accelerator: a, kind: kind, share: share, units: units})
	}
}

// class is what all alike parts share in the name of their instance type.
func (m *member) class(l pool) string {
	words := []string{m.machine}
	if l.name != "" {
		words = append(words, l.accelerator.Name)
	}
	if l.driver != "" {
		words = append(words, "dra")
	}
	if l.kind != "" {
		words = append(words, l.kind)
	}
	if m.spot {
		words = append(words, "spot")
	}
	return strings.ToLower(strings.Join(words, "-"))
}

// milli is the pool in thousandths of a device.
func (l pool) milli() int64 { return l.units * l.share }

// whole says whether all that is free of the pool makes one machine.
func (l pool) whole() bool { return l.share == 1000 }
