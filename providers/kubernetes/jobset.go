package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"purser"
	"purser/providers"
)

// jobsets is the API of JobSet (sigs.k8s.io/jobset), which a cluster may have or not.
var jobsets = schema.GroupVersionResource{Group: "jobset.x-k8s.io", Version: "v1alpha2", Resource: "jobsets"}

// The annotations of a JobSet.
const (
	annotationMembers   = "purser-members"    // its tasks and their leases, see seat
	annotationReleased  = "purser-released"   // when all its leases were found to hold and it might begin
	annotationForgotten = "purser-forgotten-" // with the number of a replica: nobody asks for that task any more
)

// queuedGang is the largest gang that goes through a queue as one: Kueue takes a set of
// pods for each of them, and 8 sets in the least of its versions (Workload.spec.podSets).
const queuedGang = 8

// seat is a member of a gang as its JobSet has it.
type seat struct {
	Task    purser.TaskID  `json:"task"`
	Lease   purser.LeaseID `json:"lease"`
	Replica int            `json:"replica"`
	Saves   string         `json:"saves"` // folder of its checkpoints
}

// gang is a JobSet as far as Purser reads it.
type gang struct {
	name      string
	uid       types.UID
	createdAt time.Time
	deleting  bool
	released  bool
	suspended bool
	since     time.Time // of its latest change of state, or its release
	failed    string    // why it has failed; empty: it has not
	completed bool
	seats     []seat
	forgotten map[purser.TaskID]bool
}

func readGang(u *unstructured.Unstructured) (*gang, error) {
	g := &gang{name: u.GetName(), uid: u.GetUID(), createdAt: u.GetCreationTimestamp().Time, deleting: u.GetDeletionTimestamp() != nil, forgotten: map[purser.TaskID]bool{}}
	notes := u.GetAnnotations()
	if err := json.Unmarshal([]byte(notes[annotationMembers]), &g.seats); err != nil {
		return nil, purser.Errorf(purser.KindUnavailable, "kubernetes.gang", "the JobSet %s does not say whose it is: %w", g.name, err)
	}
	for _, s := range g.seats {
		_, g.forgotten[s.Task] = notes[annotationForgotten+strconv.Itoa(s.Replica)]
	}
	g.suspended, _, _ = unstructured.NestedBool(u.Object, "spec", "suspend")
	at, err := time.Parse(time.RFC3339, notes[annotationReleased])
	g.since, g.released = at, err == nil
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, one := range conditions {
		fields, _ := one.(map[string]any)
		text := func(name string) string { s, _ := fields[name].(string); return s }
		if at, err := time.Parse(time.RFC3339, text("lastTransitionTime")); err == nil && at.After(g.since) {
			g.since = at
		}
		if text("status") != string(metav1.ConditionTrue) {
			continue
		}
		switch text("type") {
		case "Failed":
			g.failed = strings.TrimSpace(text("reason") + " " + text("message"))
		case "Completed":
			g.completed = true
		}
	}
	return g, nil
}

// same says whether a JobSet is of exactly these members.
func (g *gang) same(seats []seat) bool { return slices.Equal(g.seats, seats) }

// has says whether a task runs in the JobSet on a lease: a claim may note one that was made
// for other leases.
func (g *gang) has(lease purser.LeaseID, task purser.TaskID) bool {
	return slices.ContainsFunc(g.seats, func(s seat) bool { return s.Lease == lease && s.Task == task })
}

// gangName is the name of a gang's JobSet: always the same for the same attempts of the same
// replicas. It leaves room for what JobSet appends to it, with 63 characters for a pod's name.
func gangName(installation string, members []providers.Member) string {
	h := sha256.New()
	for _, m := range members {
		t := m.Work.Task
		_, _ = fmt.Fprintf(h, "%s|%s|%s|%d|%d\n", installation, t.Job, t.Group, t.Replica, t.Attempt) // a hash never fails to be written to
	}
	return "purser-" + hex.EncodeToString(h.Sum(nil)[:10])
}

// host is where a member listens, for every pod of the namespace: the name that JobSet's
// headless Service gives the one pod of the one Job of its own.
func host(name string, replica int) string {
	return name + "-" + seatName(replica) + "-0-0." + name
}

func seatName(replica int) string { return "r" + strconv.Itoa(replica) }

// jobset makes the JobSet of a gang, suspended. Every member has a replicated job of its
// own, since each is pinned to another place. The first that fails fails it, and JobSet
// then ends the rest; attempts are Purser's.
func (p *Provider) jobset(name string, members []providers.Member, claims []claim) (*unstructured.Unstructured, []seat, error) {
	const op = "kubernetes.RunGang"
	seats := make([]seat, len(members))
	hosts := make([]string, len(members))
	owners := make([]any, 0, len(members))
	for i, m := range members {
		seats[i] = seat{m.Work.Task.ID, m.Lease.ID, m.Work.Task.Replica, saves(m.Work)}
		hosts[i] = host(name, m.Work.Task.Replica)
		if !slices.ContainsFunc(claims[:i], func(c claim) bool { return c.uid == claims[i].uid }) {
			owners = append(owners, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": claims[i].name, "uid": string(claims[i].uid)})
		}
	}
	jobs := make([]any, len(members))
	for i, m := range members {
		template, err := p.template(claims[i], m.Work)
		if err != nil {
			return nil, nil, err
		}
		template.Labels[LabelGang] = name
		c := &template.Spec.Containers[0]
		c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "PURSER_HOSTS" })
		c.Env = append(c.Env, corev1.EnvVar{Name: "PURSER_HOSTS", Value: strings.Join(hosts, ",")})
		meta := p.taskMeta(claims[i], m.Work)
		delete(meta.Labels, queueLabel) // the whole goes through the queue
		meta.Labels[LabelGang] = name
		job := batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels, Annotations: meta.Annotations}, Spec: taskJob(template)}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&job)
		if err != nil {
			return nil, nil, purser.Wrap(purser.KindInternal, op, err)
		}
		jobs[i] = map[string]any{"name": seatName(m.Work.Task.Replica), "replicas": int64(1), "template": content}
	}
	text, err := json.Marshal(seats)
	if err != nil {
		return nil, nil, purser.Wrap(purser.KindInternal, op, err)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": jobsets.GroupVersion().String(), "kind": "JobSet",
		"metadata": map[string]any{
			"name": name, "namespace": p.Namespace, "ownerReferences": owners,
			"labels":      map[string]any{LabelPart: partGang, LabelInstallation: p.Installation},
			"annotations": map[string]any{annotationMembers: string(text)},
		},
		"spec": map[string]any{
			"suspend":                 true,
			"replicatedJobs":          jobs,
			"network":                 map[string]any{"enableDNSHostnames": true, "publishNotReadyAddresses": true},
			"successPolicy":           map[string]any{"operator": "All"},
			"failurePolicy":           map[string]any{"maxRestarts": int64(0)},
			"ttlSecondsAfterFinished": int64(keepFinished / time.Second),
		},
	}}, seats, nil
}

// sets are the JobSets of the namespace.
func (p *Provider) sets() dynamic.ResourceInterface {
	return p.dynamic.Resource(jobsets).Namespace(p.Namespace)
}

// gangCalled reads a JobSet from the API server itself; nil when there is none, or no such API.
func (p *Provider) gangCalled(ctx context.Context, op, name string) (*gang, error) {
	u, err := p.sets().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // a JobSet that is gone is an answer, and all callers ask for it
	}
	if err != nil {
		return nil, failed(op, err)
	}
	return readGang(u)
}

// gangs lists the JobSets of this installation; none where there is no such API.
func (p *Provider) gangs(ctx context.Context, op string) ([]*gang, error) {
	list, err := pages(ctx, op, metav1.ListOptions{LabelSelector: p.ofInstallation(partGang)}, func(ctx context.Context, o metav1.ListOptions) ([]unstructured.Unstructured, string, error) {
		l, err := p.sets().List(ctx, o)
		if apierrors.IsNotFound(err) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.GetContinue(), nil
	})
	if err != nil {
		return nil, err
	}
	var out []*gang
	for _, u := range slices.Concat(list...) {
		g, unread := readGang(&u)
		if unread != nil { // somebody changed it; the others are looked after all the same
			err = errors.Join(err, unread)
			continue
		}
		out = append(out, g)
	}
	return out, err
}

// deleteGang deletes a JobSet after its pods, unless another one has its name by now.
func (p *Provider) deleteGang(ctx context.Context, op string, g *gang) error {
	o := foreground()
	o.Preconditions = &metav1.Preconditions{UID: &g.uid}
	if err := p.sets().Delete(ctx, g.name, o); !apierrors.IsConflict(err) {
		return gone(op, err)
	}
	return nil
}

// patchGang changes a JobSet's metadata and spec, if it is still the one that was read.
// It is nil when it is not.
func (p *Provider) patchGang(ctx context.Context, op string, g *gang, meta, spec map[string]any) (*gang, error) {
	meta["uid"] = string(g.uid)
	change := map[string]any{"metadata": meta}
	if spec != nil {
		change["spec"] = spec
	}
	text, err := json.Marshal(change)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, op, err)
	}
	u, err := p.sets().Patch(ctx, g.name, types.MergePatchType, text, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, failed(op, err)
	}
	p.wrote.gangs.note(u.GetResourceVersion())
	return readGang(u)
}

// known is whether the cluster has JobSet's API, for a while.
type known struct {
	mu  sync.Mutex
	at  time.Time
	has bool
}

// discoverEvery is how long an answer about the cluster's API holds.
const discoverEvery = 10 * time.Second

// hasJobSets asks the cluster's discovery for JobSet's API, and whether Purser's account may
// use it: an account without the permission runs gangs as in a cluster without JobSet.
func (p *Provider) hasJobSets(ctx context.Context, op string) (bool, error) {
	p.known.mu.Lock()
	defer p.known.mu.Unlock()
	now := p.Now()
	if age := now.Sub(p.known.at); !p.known.at.IsZero() && age >= 0 && age < discoverEvery {
		return p.known.has, nil
	}
	var list metav1.APIResourceList
	err := p.core.RESTClient().Get().AbsPath("/apis", jobsets.Group, jobsets.Version).Do(ctx).Into(&list)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return false, failed(op, err)
	}
	has := err == nil && slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == jobsets.Resource })
	if has {
		_, err := p.sets().List(ctx, metav1.ListOptions{Limit: 1, LabelSelector: p.ofInstallation(partGang)})
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
			return false, failed(op, err)
		}
		has = err == nil
	}
	p.known.at, p.known.has = now, has
	return has, nil
}
