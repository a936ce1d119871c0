package kubernetes

import (
	"context"
	"sync"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"purser"
)

// byLease is the index of caches by label.
const byLease = "lease"

// caches are what is known of the cluster by watching it. A watch that ends goes on where
// it was, and lists anew when the server has forgotten that (the SDK's informers do both).
type caches struct {
	nodes, pods, claims, jobs, deployments cache.SharedIndexInformer
	gangs                                  cache.SharedIndexInformer // nil in a cluster without JobSet
}

// watcher is a kind of object that can be listed and watched.
type watcher[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func informer[L runtime.Object](w watcher[L], example runtime.Object, selector string) cache.SharedIndexInformer {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return w.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return w.Watch(ctx, o)
		},
	}
	return cache.NewSharedIndexInformer(lw, example, 0, cache.Indexers{byLease: func(o any) ([]string, error) {
		if m, ok := o.(metav1.Object); ok && m.GetLabels()[LabelLease] != "" {
			return []string{m.GetLabels()[LabelLease]}, nil
		}
		return nil, nil
	}})
}

// watch fills caches until ctx ends. It returns when they are filled for the first time.
// live then ends with the watching, by itself when nothing can be watched any more, with
// that answer as its cause; wait returns when all of it has ended. changed is called after
// every change.
func (p *Provider) watch(ctx context.Context, op string, changed func()) (w *caches, live context.Context, wait func(), err error) {
	w = &caches{
		nodes:       informer(p.core.Nodes(), &corev1.Node{}, ""),
		pods:        informer(p.core.Pods(metav1.NamespaceAll), &corev1.Pod{}, ""),
		claims:      informer(p.core.ConfigMaps(p.Namespace), &corev1.ConfigMap{}, LabelPart+"="+partClaim),
		jobs:        informer(p.batch.Jobs(p.Namespace), &batchv1.Job{}, p.ofInstallation(partTask)),
		deployments: informer(p.apps.Deployments(p.Namespace), &appsv1.Deployment{}, p.ofInstallation(partTask)),
	}
	has, err := p.hasJobSets(ctx, op)
	if err != nil {
		return nil, nil, nil, err
	}
	if has {
		example := &unstructured.Unstructured{}
		example.SetGroupVersionKind(jobsets.GroupVersion().WithKind("JobSet"))
		w.gangs = informer(p.sets(), example, p.ofInstallation(partGang))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	wait = func() {
		cancel(nil)
		running.Wait()
	}
	synced := make([]cache.InformerSynced, 0, 6)
	for _, i := range w.informers() {
		// Neither fails before the informer runs.
		_ = i.SetTransform(slim)
		_ = i.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			if hopeless(failed(op, err)) {
				cancel(failed(op, err))
			}
		})
		handle, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
		})
		if err != nil {
			wait()
			return nil, nil, nil, purser.Wrap(purser.KindInternal, op, err)
		}
		synced = append(synced, handle.HasSynced)
		running.Go(func() { i.RunWithContext(ctx) })
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		wait()
		return nil, nil, nil, context.Cause(ctx)
	}
	return w, ctx, wait, nil
}

func (w *caches) informers() []cache.SharedIndexInformer {
	all := []cache.SharedIndexInformer{w.nodes, w.pods, w.claims, w.jobs, w.deployments}
	if w.gangs != nil {
		all = append(all, w.gangs)
	}
	return all
}

// hopeless says whether watching can never work.
func hopeless(err error) bool {
	switch purser.KindOf(err) {
	case purser.KindForbidden, purser.KindUnauthorized, purser.KindInvalid:
		return err != nil
	default:
		return false
	}
}

// slim leaves out what nobody here reads and what makes most of an object's size.
func slim(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Spec.Volumes = nil
		for i := range pod.Spec.Containers {
			c := &pod.Spec.Containers[i]
			pod.Spec.Containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources}
		}
		for i := range pod.Spec.InitContainers {
			c := &pod.Spec.InitContainers[i]
			pod.Spec.InitContainers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
		}
	}
	return o, nil
}

// all are the objects of a cache.
func all[T any](i cache.SharedIndexInformer) []T { return typed[T](i.GetStore().List()) }

// of are the objects of a lease.
func of[T any](i cache.SharedIndexInformer, lease purser.LeaseID) []T {
	found, err := i.GetIndexer().ByIndex(byLease, labelValue(string(lease)))
	if err != nil {
		return nil // there is no such index; there is one
	}
	return typed[T](found)
}

func typed[T any](list []any) []T {
	out := make([]T, 0, len(list))
	for _, o := range list {
		if v, ok := o.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// writes keeps the newest version that we wrote of each kind, so that caches are not
// asked while they do not have it.
type writes struct{ jobs, deployments, gangs version }

type version struct{ atomic.Uint64 }

func (v *version) note(text string) {
	for n := number(text); ; {
		old := v.Load()
		if n <= old || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// in says whether a cache has all that we wrote.
func (v *version) in(i cache.SharedIndexInformer) bool {
	return number(i.LastSyncResourceVersion()) >= v.Load()
}

// seen reads what a claim's tasks are made of, from caches that have what we wrote and
// everything that the claim says was started: another server may have started it, and a
// watch of ours may be broken without our knowing.
func (p *Provider) seen(ctx context.Context, op string, c claim) (t things, cached bool, err error) {
	w := p.watched.Load()
	if w == nil || !p.wrote.jobs.in(w.jobs) || !p.wrote.deployments.in(w.deployments) {
		t, err = p.things(ctx, op, c)
		return t, false, err
	}
	t = things{jobs: of[*batchv1.Job](w.jobs, c.Lease), deployments: of[*appsv1.Deployment](w.deployments, c.Lease), gangs: map[string]*gang{}}
	for _, pod := range of[*corev1.Pod](w.pods, c.Lease) {
		if pod.Namespace == p.Namespace && pod.Labels[LabelInstallation] == p.Installation && pod.Labels[LabelPart] == partTask {
			t.pods = append(t.pods, pod)
		}
	}
	if w.gangs != nil && p.wrote.gangs.in(w.gangs) {
		for _, u := range all[*unstructured.Unstructured](w.gangs) {
			if g, err := readGang(u); err == nil {
				t.gangs[g.name] = g
			}
		}
	}
	for task := range c.Started {
		if !c.over(task) && !t.has(c, task) {
			t, err = p.things(ctx, op, c)
			return t, false, err
		}
	}
	return t, true, nil
}
