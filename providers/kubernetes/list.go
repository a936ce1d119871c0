package kubernetes

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// perPage is how many objects are asked for at once.
const perPage = 500

// pages reads a list to its end. A continuation that the server has forgotten is an error,
// so there are no lists of two moments.
func pages[L any](ctx context.Context, op string, o metav1.ListOptions, list func(context.Context, metav1.ListOptions) (L, string, error)) ([]L, error) {
	var out []L
	o.Limit = perPage
	for {
		page, next, err := list(ctx, o)
		if err != nil {
			return nil, failed(op, err)
		}
		out = append(out, page)
		if next == "" {
			return out, nil
		}
		o.Continue = next
	}
}

// pointers gives the items of pages by reference.
func pointers[T any](pages [][]T, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	var out []*T
	for _, page := range pages {
		out = slices.Grow(out, len(page))
		for i := range page {
			out = append(out, &page[i])
		}
	}
	return out, nil
}

// nodes lists the cluster's members from the caches if they may be used and are there.
func (p *Provider) nodes(ctx context.Context, op string, cached bool) ([]*corev1.Node, error) {
	if w := p.watched.Load(); cached && w != nil {
		return all[*corev1.Node](w.nodes), nil
	}
	return pointers(pages(ctx, op, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) ([]corev1.Node, string, error) {
		l, err := p.core.Nodes().List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
}

// unended selects pods that have not let go of what they asked for.
const unended = "status.phase!=Succeeded,status.phase!=Failed"

// pods lists the pods of the whole cluster that have not ended; with node those on it alone.
func (p *Provider) pods(ctx context.Context, op string, cached bool, node string) ([]*corev1.Pod, error) {
	if w := p.watched.Load(); cached && w != nil {
		return slices.DeleteFunc(all[*corev1.Pod](w.pods), ended), nil
	}
	o := metav1.ListOptions{FieldSelector: unended}
	if node != "" {
		o.FieldSelector = "spec.nodeName=" + node + "," + unended
	}
	return p.listPods(ctx, op, metav1.NamespaceAll, o)
}

func (p *Provider) listPods(ctx context.Context, op, namespace string, o metav1.ListOptions) ([]*corev1.Pod, error) {
	return pointers(pages(ctx, op, o, func(ctx context.Context, o metav1.ListOptions) ([]corev1.Pod, string, error) {
		l, err := p.core.Pods(namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
}

// claims lists claims of every installation in the namespace; ours alone with mine.
func (p *Provider) claims(ctx context.Context, op string, cached, mine bool) ([]claim, error) {
	selector := LabelPart + "=" + partClaim
	if mine {
		selector = p.ofInstallation(partClaim)
	}
	var maps []*corev1.ConfigMap
	var err error
	if w := p.watched.Load(); cached && w != nil {
		maps = all[*corev1.ConfigMap](w.claims)
	} else if maps, err = p.configMaps(ctx, op, selector); err != nil {
		return nil, err
	}
	var out []claim
	for _, m := range maps {
		if mine && m.Labels[LabelInstallation] != p.Installation {
			continue
		}
		c, err := readClaim(m)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (p *Provider) configMaps(ctx context.Context, op, selector string) ([]*corev1.ConfigMap, error) {
	return pointers(pages(ctx, op, metav1.ListOptions{LabelSelector: selector}, func(ctx context.Context, o metav1.ListOptions) ([]corev1.ConfigMap, string, error) {
		l, err := p.core.ConfigMaps(p.Namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
}

func (p *Provider) jobs(ctx context.Context, op, selector string) ([]*batchv1.Job, error) {
	return pointers(pages(ctx, op, metav1.ListOptions{LabelSelector: selector}, func(ctx context.Context, o metav1.ListOptions) ([]batchv1.Job, string, error) {
		l, err := p.batch.Jobs(p.Namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
}

func (p *Provider) deployments(ctx context.Context, op, selector string) ([]*appsv1.Deployment, error) {
	return pointers(pages(ctx, op, metav1.ListOptions{LabelSelector: selector}, func(ctx context.Context, o metav1.ListOptions) ([]appsv1.Deployment, string, error) {
		l, err := p.apps.Deployments(p.Namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.Continue, nil
	}))
}
