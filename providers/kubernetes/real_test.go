//go:build kubereal

package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	kube "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"purser"
	"purser/providers"
	"purser/providers/providertest"
)

// These tests run against a real control plane that scripts/kube-real.sh starts, with
// machines that kwok plays. The provider has the permissions of the golden file and no more.

// realWorld is that cluster.
type realWorld struct {
	admin  kube.Interface
	config *rest.Config // of Purser's account
}

const patience = 60 * time.Second

func realCluster(t *testing.T) *realWorld {
	t.Helper()
	path := os.Getenv("KUBE_REAL_CONFIG")
	if path == "" {
		t.Fatal("KUBE_REAL_CONFIG names no cluster; run scripts/kube-real.sh")
	}
	all, err := loadREST(path, "admin")
	if err != nil {
		t.Fatal(err)
	}
	all.QPS, all.Burst = 500, 1000
	r := &realWorld{}
	if r.config, err = loadREST(path, "purser"); err != nil {
		t.Fatal(err)
	}
	r.config.QPS = -1
	if r.admin, err = kube.NewForConfig(all); err != nil {
		t.Fatal(err)
	}
	r.roles(t)
	r.clear(t)
	return r
}

// must fails the test for an error other than that something exists already.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		return v
	}
}

// roles makes the namespace and what the golden file has.
func (r *realWorld) roles(t *testing.T) {
	ctx := t.Context()
	must[*corev1.Namespace](t)(r.admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "purser"}}, metav1.CreateOptions{}))
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	decode := func(part []byte, into any) { t.Helper(); must[int](t)(0, yaml.UnmarshalStrict(part, into)) }
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		must[int](t)(0, yaml.Unmarshal(part, &kind))
		switch kind.Kind {
		case "ServiceAccount":
			var o corev1.ServiceAccount
			decode(part, &o)
			must[*corev1.ServiceAccount](t)(r.admin.CoreV1().ServiceAccounts(o.Namespace).Create(ctx, &o, metav1.CreateOptions{}))
		case "ClusterRole":
			var o rbacv1.ClusterRole
			decode(part, &o)
			must[*rbacv1.ClusterRole](t)(r.admin.RbacV1().ClusterRoles().Create(ctx, &o, metav1.CreateOptions{}))
		case "ClusterRoleBinding":
			var o rbacv1.ClusterRoleBinding
			decode(part, &o)
			must[*rbacv1.ClusterRoleBinding](t)(r.admin.RbacV1().ClusterRoleBindings().Create(ctx, &o, metav1.CreateOptions{}))
		case "Role":
			var o rbacv1.Role
			decode(part, &o)
			must[*rbacv1.Role](t)(r.admin.RbacV1().Roles(o.Namespace).Create(ctx, &o, metav1.CreateOptions{}))
		case "RoleBinding":
			var o rbacv1.RoleBinding
			decode(part, &o)
			must[*rbacv1.RoleBinding](t)(r.admin.RbacV1().RoleBindings(o.Namespace).Create(ctx, &o, metav1.CreateOptions{}))
		default:
			t.Fatalf("the golden file has a %q", kind.Kind)
		}
	}
}

// clear removes what other tests left, and waits until it is gone.
func (r *realWorld) clear(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	background := metav1.DeletePropagationBackground
	o := metav1.DeleteOptions{PropagationPolicy: &background}
	ours := metav1.ListOptions{LabelSelector: LabelPart}
	for _, err := range []error{
		r.admin.BatchV1().Jobs("purser").DeleteCollection(ctx, o, ours), r.admin.AppsV1().Deployments("purser").DeleteCollection(ctx, o, ours),
		r.admin.CoreV1().ConfigMaps("purser").DeleteCollection(ctx, o, ours), r.admin.ResourceV1().ResourceClaimTemplates("purser").DeleteCollection(ctx, o, ours),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.eventually(t, "no pods", func() bool {
		l, err := r.admin.CoreV1().Pods("purser").List(ctx, ours)
		return err == nil && len(l.Items) == 0
	})
}

func (r *realWorld) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

// nodes makes Nodes and waits until kwok has made them Ready.
func (r *realWorld) nodes(t *testing.T, nodes ...*corev1.Node) {
	t.Helper()
	for _, n := range nodes {
		n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("100")
		n.Status.Capacity, n.Status.Conditions = n.Status.Allocatable, nil
		t.Cleanup(func() { _ = r.admin.CoreV1().Nodes().Delete(context.Background(), n.Name, metav1.DeleteOptions{}) })
		must[*corev1.Node](t)(r.admin.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}))
	}
	r.eventually(t, "nodes are Ready and without taints", func() bool {
		for _, n := range nodes {
			got, err := r.admin.CoreV1().Nodes().Get(t.Context(), n.Name, metav1.GetOptions{})
			if err != nil || len(got.Spec.Taints) > 0 {
				return false
			}
			if _, not := notReady(got); not {
				return false
			}
		}
		return true
	})
}

func (r *realWorld) provider(t *testing.T, rt func(http.RoundTripper) http.RoundTripper, more ...func(*Config)) *Provider {
	t.Helper()
	config := rest.CopyConfig(r.config)
	if rt != nil {
		config.Wrap(rt)
	}
	dollar := purser.USDPerHour(1_000_000_000)
	c := Config{REST: config, Installation: testInstallation, DefaultPrice: &dollar}
	for _, m := range more {
		m(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRealConformance(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"), h100("real-1"), h100("real-2"))
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		r.clear(t)
		p := r.provider(t, nil)
		return providertest.Subject{
			Provider: p, Installation: testInstallation, Offer: offersOf(t, p)[0],
			Again: func() providers.Provider { return r.provider(t, nil) },
			Other: func(name string) providers.Provider {
				return r.provider(t, nil, func(c *Config) { c.Installation = name })
			},
		}
	})
}

func TestRealStorm(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"), h100("real-1"), h100("real-2"))
	begun := time.Now()
	providertest.Storm(t, func(t *testing.T) providertest.World {
		r.clear(t)
		claims := func(held bool, each func(claim)) {
			l, err := r.admin.CoreV1().ConfigMaps("purser").List(context.Background(), metav1.ListOptions{LabelSelector: LabelPart + "=" + partClaim})
			if err != nil {
				t.Fatal(err)
			}
			for i := range l.Items {
				if c, err := readClaim(&l.Items[i]); err == nil && c.State != claimEnding && (!held || c.State == claimHeld) {
					each(c)
				}
			}
		}
		return providertest.World{
			Provider: func(f *providertest.Faults) providers.Provider { return r.provider(t, f.RoundTripper) },
			Live: func() map[purser.LeaseID]int {
				out := map[purser.LeaseID]int{}
				claims(false, func(c claim) { out[c.Lease]++ })
				return out
			},
			Leavings: func() (out []string) {
				units := map[string]int64{}
				claims(true, func(c claim) {
					if units[c.Part.Node] += c.Part.Units; units[c.Part.Node] > 8 {
						out = append(out, c.Part.Node+" is taken twice")
					}
				})
				return out
			},
			Installation: testInstallation, Offers: offersOf(t, r.provider(t, nil)),
		}
	}, providertest.StormOptions{Schedules: 50})
	t.Logf("storm took %s", time.Since(begun).Round(time.Millisecond))
}

func TestRealRace(t *testing.T) {
	const places, leases = 3, 8
	r := realCluster(t)
	r.nodes(t, h100("real-0"), h100("real-1"), h100("real-2"))
	for round := range 5 {
		r.clear(t)
		p := r.provider(t, nil)
		offer := offersOf(t, p)[0]
		var mu sync.Mutex
		var wg sync.WaitGroup
		won, used := map[purser.LeaseID]bool{}, map[string]int{}
		for i := range leases {
			wg.Go(func() {
				req := request(fmt.Sprintf("lease-%d-%d", round, i), offer)
				if _, err := r.provider(t, nil).Launch(t.Context(), req); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won[req.Lease.ID] = true
				} else if purser.KindOf(err) != purser.KindNoCapacity {
					t.Errorf("Launch(%s): %v", req.Lease.ID, err)
				}
			})
		}
		wg.Wait()
		all, err := p.claims(t.Context(), "test", false, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			used[c.Part.Node]++
		}
		if len(won) != places || len(used) != places || len(all) != places {
			t.Fatalf("round %d: %d leases have places, claims by place %v", round, len(won), used)
		}
	}
}
