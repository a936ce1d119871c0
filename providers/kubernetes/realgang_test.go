//go:build kubereal

package kubernetes

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"purser"
	"purser/providers"
)

// jobsetCRD is JobSet's definition as far as Purser uses it: the fields of v1alpha2 by its
// published types, with their defaults, bounds and rules of what must not change. A Job's
// template is free in it, and checked when its Job is made.
const jobsetCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: jobsets.jobset.x-k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, a test's copy"}
spec:
  group: jobset.x-k8s.io
  names: {kind: JobSet, listKind: JobSetList, plural: jobsets, singular: jobset}
  scope: Namespaced
  versions:
    - name: v1alpha2
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              properties:
                suspend: {type: boolean}
                ttlSecondsAfterFinished: {type: integer, format: int32, minimum: 0}
                network:
                  type: object
                  x-kubernetes-validations: [{rule: self == oldSelf, message: Value is immutable}]
                  properties:
                    enableDNSHostnames: {type: boolean}
                    publishNotReadyAddresses: {type: boolean}
                    subdomain: {type: string}
                successPolicy:
                  type: object
                  required: [operator]
                  x-kubernetes-validations: [{rule: self == oldSelf, message: Value is immutable}]
                  properties:
                    operator: {type: string, enum: [All, Any]}
                    targetReplicatedJobs: {type: array, items: {type: string}, x-kubernetes-list-type: atomic}
                failurePolicy:
                  type: object
                  x-kubernetes-validations: [{rule: self == oldSelf, message: Value is immutable}]
                  properties:
                    maxRestarts: {type: integer, format: int32}
                    restartStrategy: {type: string, default: Recreate, enum: [Recreate, BlockingRecreate, InPlaceRestart]}
                replicatedJobs:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items:
                    type: object
                    required: [name, template]
                    properties:
                      name: {type: string}
                      groupName: {type: string, default: default}
                      replicas: {type: integer, format: int32, default: 1}
                      template: {type: object, x-kubernetes-preserve-unknown-fields: true}
            status:
              type: object
              x-kubernetes-preserve-unknown-fields: true
              properties:
                conditions:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [type]
                  items:
                    type: object
                    required: [lastTransitionTime, message, reason, status, type]
                    properties:
                      type: {type: string}
                      status: {type: string, enum: ["True", "False", Unknown]}
                      reason: {type: string, minLength: 1}
                      message: {type: string}
                      lastTransitionTime: {type: string, format: date-time}
                      observedGeneration: {type: integer, format: int64}
`

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// jobSet installs the definition and plays JobSet's controller until the test ends.
func (r *realWorld) jobSet(t *testing.T) dynamic.Interface {
	t.Helper()
	config, err := loadREST(os.Getenv("KUBE_REAL_CONFIG"), "admin")
	if err != nil {
		t.Fatal(err)
	}
	d := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(config))
	crd := &unstructured.Unstructured{}
	must[int](t)(0, yaml.Unmarshal([]byte(jobsetCRD), &crd.Object))
	must[*unstructured.Unstructured](t)(d.Resource(crds).Create(t.Context(), crd, metav1.CreateOptions{}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r.workJobSets(ctx, t, d)
			sleep(ctx, 100*time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		_ = d.Resource(crds).Delete(context.Background(), crd.GetName(), metav1.DeleteOptions{}) // a test may have done it
		r.clear(t)
		cancel()
		<-done
	})
	r.eventually(t, "JobSet is served", func() bool {
		_, err := d.Resource(jobsets).Namespace("purser").List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	return d
}

// workJobSets is one turn of that controller, see turnOf.
func (r *realWorld) workJobSets(ctx context.Context, t *testing.T, d dynamic.Interface) {
	sets := d.Resource(jobsets).Namespace("purser")
	list, err := sets.List(ctx, metav1.ListOptions{})
	if err != nil {
		return // it is not there yet, or no more
	}
	report := func(err error) {
		if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
			t.Errorf("JobSet's controller: %v", err)
		}
	}
	client := r.admin.BatchV1().Jobs("purser")
	for _, u := range list.Items {
		l, err := client.List(ctx, metav1.ListOptions{LabelSelector: jobsetNameLabel + "=" + u.GetName()})
		if err != nil {
			report(err)
			continue
		}
		var jobs []*batchv1.Job
		for i := range l.Items {
			jobs = append(jobs, &l.Items[i])
		}
		turn := turnOf(&u, jobs)
		for _, j := range turn.create {
			_, err := client.Create(ctx, j, metav1.CreateOptions{})
			report(err)
		}
		for _, j := range turn.change {
			_, err := client.Update(ctx, j, metav1.UpdateOptions{})
			report(err)
		}
		for _, j := range turn.remove {
			report(client.Delete(ctx, j.Name, foreground()))
		}
		if turn.condition != "" {
			_, err := sets.UpdateStatus(ctx, withCondition(&u, turn, time.Now()), metav1.UpdateOptions{})
			report(err)
		}
	}
}

// TestRealGang runs a gang as a JobSet that the real API server checks, of Jobs that the real
// controllers run: its members start and end together, a machine's end ends them all, and
// what is gone is not missed.
func TestRealGang(t *testing.T) {
	r := realCluster(t)
	d := r.jobSet(t)
	r.nodes(t, h100("real-0"), h100("real-1"))
	p := r.provider(t, nil)
	offer := offersOf(t, p)[0]
	var on []lives
	for _, id := range []string{"lease-a", "lease-b"} {
		req := request(id, offer)
		if in, err := p.Launch(t.Context(), req); err != nil || in.State != providers.Running {
			t.Fatalf("Launch: %+v, %v", in, err)
		}
		on = append(on, lives{realWorld: r, t: t, p: p, lease: req.Lease})
	}
	attempt := func(n int, ids ...string) (name string) {
		t.Helper()
		var members []providers.Member
		for i, id := range ids {
			w := replica(id, i, 2, n)
			w.Group.Run.Files = []purser.File{{Path: "train.py", Content: []byte("pass")}}
			members = append(members, providers.Member{Lease: on[i].lease, Work: w})
		}
		for range 2 { // it is found the second time
			if err := p.RunGang(t.Context(), members); err != nil {
				t.Fatal(err)
			}
		}
		for i, id := range ids {
			on[i].becomes(purser.TaskID(id), purser.TaskRunning)
		}
		return gangName(testInstallation, members)
	}
	if ok, err := p.TakesGang(t.Context(), 2); err != nil || !ok {
		t.Fatalf("TakesGang: %t, %v", ok, err)
	}
	first := attempt(1, "a1", "b1")
	made := must[*unstructured.Unstructured](t)(d.Resource(jobsets).Namespace("purser").Get(t.Context(), first, metav1.GetOptions{}))
	r.keeps(t, p, made)
	pods := must[*corev1.PodList](t)(r.admin.CoreV1().Pods("purser").List(t.Context(), metav1.ListOptions{LabelSelector: LabelGang + "=" + first}))
	places := map[string]bool{}
	for _, pod := range pods.Items {
		places[pod.Spec.NodeName] = true
		if want := host(first, 0); pod.Labels[LabelTask] == "a1" && pod.Spec.Hostname+"."+pod.Spec.Subdomain != want {
			t.Errorf("the pod listens at %s.%s, want %s", pod.Spec.Hostname, pod.Spec.Subdomain, want)
		}
	}
	if len(places) != 2 {
		t.Errorf("places: %v", places)
	}
	on[1].ends("b1", 3)
	if w := on[1].becomes("b1", purser.TaskFailed); w.ExitCode == nil || *w.ExitCode != 3 {
		t.Errorf("%+v", w)
	}
	if w := on[0].becomes("a1", purser.TaskLost); !strings.HasPrefix(w.Reason, failedFellow) {
		t.Errorf("%+v", w)
	}
	for i, id := range []purser.TaskID{"a1", "b1"} {
		if err := p.Forget(t.Context(), on[i].lease, id); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(name string) {
		t.Helper()
		r.eventually(t, "the JobSet is gone", func() bool {
			_, err := d.Resource(jobsets).Namespace("purser").Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
	gone(first)
	second := attempt(2, "a2", "b2")
	if err := p.Stop(t.Context(), on[0].lease, "a2"); err != nil {
		t.Fatal(err)
	}
	on[0].becomes("a2", purser.TaskLost)
	on[1].becomes("b2", purser.TaskLost)
	gone(second)
	third := attempt(3, "a3", "b3")
	if err := p.Terminate(t.Context(), on[1].lease); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "the machine is gone", func() bool {
		in, err := p.Describe(t.Context(), on[1].lease)
		return err == nil && in.State == providers.Gone
	})
	on[0].becomes("a3", purser.TaskLost)
	gone(third)
	if err := d.Resource(crds).Delete(t.Context(), "jobsets.jobset.x-k8s.io", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "gangs are not taken any more", func() bool {
		ok, err := r.provider(t, nil).TakesGang(t.Context(), 2)
		return err == nil && !ok
	})
	if all, err := p.Works(t.Context(), on[0].lease); err != nil || len(all) != 2 {
		t.Errorf("Works: %+v, %v", all, err)
	}
}

// keeps looks that the API server has dropped nothing of what was sent.
func (r *realWorld) keeps(t *testing.T, p *Provider, made *unstructured.Unstructured) {
	t.Helper()
	g, err := readGang(made)
	if err != nil || !g.released || g.suspended || len(g.seats) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	for _, field := range [][]string{{"network", "enableDNSHostnames"}, {"network", "publishNotReadyAddresses"}, {"successPolicy", "operator"}, {"failurePolicy", "maxRestarts"}, {"ttlSecondsAfterFinished"}} {
		if _, ok, err := unstructured.NestedFieldNoCopy(made.Object, append([]string{"spec"}, field...)...); err != nil || !ok {
			t.Errorf("the JobSet lacks %v: %v", field, err)
		}
	}
	for _, one := range replicatedOf(made) {
		j := must[*batchv1.Job](t)(r.admin.BatchV1().Jobs("purser").Get(t.Context(), made.GetName()+"-"+one.Name+"-0", metav1.GetOptions{}))
		sent, _ := json.Marshal(one.Template.Spec.PodFailurePolicy) // both were read from JSON
		kept, _ := json.Marshal(j.Spec.PodFailurePolicy)
		if !reflect.DeepEqual(sent, kept) || *j.Spec.BackoffLimit != 0 || *j.Spec.PodReplacementPolicy != batchv1.Failed {
			t.Errorf("the Job %s has another policy: %s, sent %s", j.Name, kept, sent)
		}
	}
}
