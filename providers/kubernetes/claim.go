package kubernetes

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"purser"
	"purser/providers"
)

// claimState is how far a claim is. It only ever moves downwards in this list.
type claimState string

const (
	claimPending claimState = "pending" // its place is not certain yet
	claimHeld    claimState = "held"
	claimEnding  claimState = "ending" // or ended: nothing is left of its tasks then
)

// part is what a claim takes of a member of the cluster.
type part struct {
	Node         string `json:"node"`
	Host         string `json:"host,omitempty"` // the node's kubernetes.io/hostname; empty: it has none
	Region       string `json:"region"`
	Zone         string `json:"zone,omitempty"`
	InstanceType string `json:"instance_type"`

	Pool      string `json:"pool,omitempty"`   // resource, or DRA driver and device; empty: no devices
	Driver    string `json:"driver,omitempty"` // of a pool from ResourceSlices
	Product   string `json:"product,omitempty"`
	Units     int64  `json:"units,omitempty"` // of the pool
	Share     int64  `json:"share,omitempty"` // of a device that a unit is, in thousandths
	MilliCPU  int64  `json:"milli_cpu"`
	MemoryMiB int64  `json:"memory_mib"`
}

// claim is a lease's machine as the cluster keeps it.
type claim struct {
	Lease     purser.LeaseID                        `json:"lease"`
	State     claimState                            `json:"state"`
	Part      part                                  `json:"part,omitzero"`
	Order     uint64                                `json:"order,omitempty"` // version that it was given its place with; 0: the object's own
	Reason    string                                `json:"reason,omitempty"`
	EndedAt   time.Time                             `json:"ended_at,omitzero"`   // the end was asked for
	Tasks     map[purser.TaskID]providers.WorkState `json:"tasks,omitempty"`     // that ended and whose objects are gone
	Forgotten []purser.TaskID                       `json:"forgotten,omitempty"` // that are told no more, and not run again
	Started   map[purser.TaskID]string              `json:"started,omitempty"`   // Job, Deployment or JobSet that runs a task, written before it is made
	Endings   map[purser.TaskID]ending              `json:"endings,omitempty"`   // of members of gangs that Purser ends

	// Of the object, not of its text.
	name         string
	uid          types.UID
	version      string
	installation string
	createdAt    time.Time
}

// claimKey is the one entry of a claim's ConfigMap.
const claimKey = "claim"

func readClaim(m *corev1.ConfigMap) (claim, error) {
	c := claim{}
	if err := json.Unmarshal([]byte(m.Data[claimKey]), &c); err != nil {
		return claim{}, purser.Errorf(purser.KindUnavailable, "kubernetes.claim", "the ConfigMap %s is no claim: %w", m.Name, err)
	}
	c.name, c.uid, c.version = m.Name, m.UID, m.ResourceVersion
	c.installation, c.createdAt = m.Labels[LabelInstallation], m.CreationTimestamp.UTC()
	return c, nil
}

// over says whether a task has ended and its objects are gone.
func (c claim) over(task purser.TaskID) bool {
	_, ended := c.Tasks[task]
	return ended || slices.Contains(c.Forgotten, task)
}

// done says whether a task is not to be started any more.
func (c claim) done(task purser.TaskID) bool {
	_, ending := c.Endings[task]
	return ending || c.over(task)
}

// gang is the name of the JobSet that a task is a member of; ok is false where there is none.
func (c claim) gang(task purser.TaskID) (name string, ok bool) {
	name, ok = c.Started[task]
	return name, ok && name != objectName(string(task))
}

// settled takes a task off what is under way.
func (c claim) settled(task purser.TaskID) {
	delete(c.Started, task)
	delete(c.Endings, task)
}

// order is where the claim stands among all that want the same place.
func (c claim) order() uint64 {
	if c.Order != 0 {
		return c.Order
	}
	return number(c.version)
}

// number reads a resourceVersion, which Kubernetes promises to be a growing number
// (comparable resource versions, 1.35).
func number(version string) uint64 {
	n, _ := strconv.ParseUint(version, 10, 64) // 0 for what is none: the first of all, so everybody yields to it
	return n
}

func (p *Provider) object(c claim) (*corev1.ConfigMap, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "kubernetes.claim", err)
	}
	m := &corev1.ConfigMap{ObjectMeta: p.meta(objectName(string(c.Lease)), partClaim, c.Lease), Data: map[string]string{claimKey: string(text)}}
	m.ResourceVersion, m.UID = c.version, c.uid
	return m, nil
}

// claim reads a lease's claim from the API server itself. ok is false when there is none,
// and foreign says that it belongs to another installation.
func (p *Provider) claim(ctx context.Context, op string, lease purser.LeaseID) (c claim, ok, foreign bool, err error) {
	m, err := p.core.ConfigMaps(p.Namespace).Get(ctx, objectName(string(lease)), metav1.GetOptions{})
	if apierrors.IsNotFound(err) && !missingNamespace(err) {
		return claim{}, false, false, nil
	}
	if err != nil {
		return claim{}, false, false, failed(op, err)
	}
	if m.Labels[LabelInstallation] != p.Installation || m.Labels[LabelPart] != partClaim {
		return claim{}, false, true, nil
	}
	c, err = readClaim(m)
	return c, err == nil, false, err
}

// create writes a new claim. raced says that there is one by now.
func (p *Provider) create(ctx context.Context, op string, c claim) (out claim, raced bool, err error) {
	m, err := p.object(c)
	if err != nil {
		return claim{}, false, err
	}
	m.UID, m.ResourceVersion = "", ""
	m, err = p.core.ConfigMaps(p.Namespace).Create(ctx, m, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return claim{}, true, nil
	}
	if err != nil {
		return claim{}, false, failed(op, err)
	}
	out, err = readClaim(m)
	return out, false, err
}

// update writes a claim if it is still as it was read. raced says that it is not.
func (p *Provider) update(ctx context.Context, op string, c claim) (out claim, raced bool, err error) {
	m, err := p.object(c)
	if err != nil {
		return claim{}, false, err
	}
	m, err = p.core.ConfigMaps(p.Namespace).Update(ctx, m, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return claim{}, true, nil
	}
	if err != nil {
		return claim{}, false, failed(op, err)
	}
	out, err = readClaim(m)
	return out, false, err
}

// drop deletes a claim if it is still as it was read. raced says that it is not.
func (p *Provider) drop(ctx context.Context, op string, c claim) (raced bool, err error) {
	err = p.core.ConfigMaps(p.Namespace).Delete(ctx, c.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &c.uid, ResourceVersion: &c.version}})
	if apierrors.IsConflict(err) {
		return true, nil
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return false, failed(op, err)
}

// tries bounds how often a write that was overtaken is made anew within one call.
const tries = 20

// overtaken is the error of a call that lost every race.
func overtaken(op string, lease purser.LeaseID) error {
	return &purser.Error{
		Kind: purser.KindUnavailable, Op: op, RetryAfter: time.Second,
		Message: "the claim of lease " + string(lease) + " is being written by others all the time; it is tried again",
	}
}

// belongsToOthers is the error of a lease whose name another installation uses here.
func belongsToOthers(op string, lease purser.LeaseID) error {
	return &purser.Error{
		Kind: purser.KindConflict, Op: op, Message: "lease " + string(lease) + " has a claim of another installation in this namespace",
		Hint: "give each installation a namespace of its own",
	}
}
