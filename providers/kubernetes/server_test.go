package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// This file is an API server of Kubernetes as far as tests need one: it speaks the REST
// protocol (paths, selectors, paging, versions and conflicts, preconditions, finalizers of
// deletion, watches with bookmarks and initial events, Status answers) and keeps objects
// as the JSON that came. One listener serves many clusters, by the first part of the path.

// front is the one listener.
type front struct {
	server   *httptest.Server
	mu       sync.Mutex
	clusters map[string]*cluster
	made     int
}

var shared = &front{clusters: map[string]*cluster{}}

func TestMain(m *testing.M) {
	shared.server = httptest.NewServer(shared)
	code := m.Run()
	shared.server.CloseClientConnections()
	shared.server.Close()
	os.Exit(code)
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	f.mu.Lock()
	c := f.clusters[name]
	f.mu.Unlock()
	if c == nil {
		answer(w, status(404, metav1.StatusReasonNotFound, "no such cluster"))
		return
	}
	c.serve(w, r, rest)
}

// cluster is one world.
type cluster struct {
	name string

	mu      sync.Mutex
	now     time.Time
	version uint64
	objects map[string]map[string]*object // by resource, then namespace/name
	history []event
	oldest  uint64 // versions before it are forgotten
	changed chan struct{}
	cuts    chan struct{} // closed to end all watches

	calls        map[string]int // verb, group and resource
	allowed      map[string]bool
	missing      map[string]bool // API groups that the cluster lacks
	deaf         bool            // watches hear nothing more, and stay open
	stuck        string          // a task whose pods do not end, since their kubelet does not answer
	noController bool            // JobSet's API is there, and nobody acts on it
	noInitial    bool            // watches cannot begin with a list, as before Kubernetes 1.32
	latency      time.Duration
	refuse       func(verb, resource, name string) *metav1.Status
	quota        map[string]int // most objects of a resource in a namespace
	logs         map[string]string
}

// object is what is stored.
type object struct {
	metav1.ObjectMeta
	content map[string]any
	text    []byte
}

type event struct {
	version  uint64
	kind     string
	resource string
	o        *object
}

// kinds are the resources that are served: group/version/resource to kind.
var kinds = map[string]string{
	"/v1/nodes": "Node", "/v1/pods": "Pod", "/v1/configmaps": "ConfigMap",
	"batch/v1/jobs": "Job", "apps/v1/deployments": "Deployment",
	"resource.k8s.io/v1/resourceslices": "ResourceSlice", "resource.k8s.io/v1/resourceclaims": "ResourceClaim",
	"resource.k8s.io/v1/resourceclaimtemplates": "ResourceClaimTemplate", "kueue.x-k8s.io/v1beta1/localqueues": "LocalQueue",
	"jobset.x-k8s.io/v1alpha2/jobsets": "JobSet",
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.made++
	c := &cluster{
		name: "c" + strconv.Itoa(shared.made), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), version: 100, objects: map[string]map[string]*object{},
		changed: make(chan struct{}), cuts: make(chan struct{}), calls: map[string]int{}, allowed: map[string]bool{},
		missing: map[string]bool{"kueue.x-k8s.io": true, jobsets.Group: true}, quota: map[string]int{}, logs: map[string]string{},
	}
	for _, p := range Permissions() {
		for _, v := range p.Verbs {
			c.allowed[callName(v, p.Group, p.Resource)] = true
		}
	}
	shared.clusters[c.name] = c
	t.Cleanup(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		delete(shared.clusters, c.name)
	})
	return c
}

func (c *cluster) rest(rt http.RoundTripper) *rest.Config {
	return &rest.Config{Host: shared.server.URL + "/" + c.name, Transport: rt, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

func (c *cluster) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func callName(verb, group, resource string) string { return verb + " " + group + "/" + resource }

func status(code int32, reason metav1.StatusReason, format string, a ...any) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: fmt.Sprintf(format, a...),
	}
}

func answer(w http.ResponseWriter, s *metav1.Status) {
	w.Header().Set("Content-Type", "application/json")
	if s.Details != nil && s.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(s.Details.RetryAfterSeconds)))
	}
	w.WriteHeader(int(s.Code))
	_ = json.NewEncoder(w).Encode(s) // a client that is gone is its own business
}

// call is a request, taken apart.
type call struct {
	group, version, namespace, resource, name, sub, kind, verb string
}

func (c call) api() string {
	if c.group == "" {
		return c.version
	}
	return c.group + "/" + c.version
}

func (c call) key() string { return c.namespace + "/" + c.name }

func parse(r *http.Request, path string) (call, bool) {
	parts := strings.Split(path, "/")
	out := call{}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		out.version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		out.group, out.version, parts = parts[1], parts[2], parts[3:]
	default:
		return out, false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		out.namespace, parts = parts[1], parts[2:]
	}
	out.resource = parts[0]
	if len(parts) > 1 {
		out.name = parts[1]
	}
	if len(parts) > 2 {
		out.sub = parts[2]
	}
	out.kind = kinds[out.group+"/"+out.version+"/"+out.resource]
	switch r.Method {
	case http.MethodGet:
		out.verb = "get"
		if out.name == "" {
			out.verb = "list"
			if r.URL.Query().Get("watch") != "" && r.URL.Query().Get("watch") != "false" {
				out.verb = "watch"
			}
		}
	default:
		out.verb = map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[r.Method]
	}
	return out, out.kind != "" && out.verb != ""
}

// lacks says whether the cluster does not have an API group.
func (c *cluster) lacks(group string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing[group]
}

// discover tells what a version of an API group has. Everybody who is signed in may ask.
func (c *cluster) discover(w http.ResponseWriter, version string) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version}
	for key, kind := range kinds {
		if resource, ok := strings.CutPrefix(key, version+"/"); ok {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: resource, Kind: kind, Namespaced: true})
		}
	}
	group, _, _ := strings.Cut(version, "/")
	if len(list.APIResources) == 0 || c.lacks(group) {
		answer(w, status(404, metav1.StatusReasonNotFound, "the server could not find the requested resource"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // a client that is gone is its own business
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request, path string) {
	if group, found := strings.CutPrefix(path, "apis/"); found && strings.Count(group, "/") == 1 && r.Method == http.MethodGet {
		c.discover(w, group)
		return
	}
	in, ok := parse(r, path)
	if c.latency > 0 {
		select {
		case <-r.Context().Done():
		case <-time.After(c.latency):
		}
	}
	if !ok || c.lacks(in.group) {
		answer(w, status(404, metav1.StatusReasonNotFound, "the server could not find the requested resource"))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	resource := in.resource
	if in.sub != "" {
		resource += "/" + in.sub
	}
	c.mu.Lock()
	name := callName(in.verb, in.group, resource)
	c.calls[name]++
	refused := (*metav1.Status)(nil)
	switch {
	case !c.allowed[name]:
		refused = status(403, metav1.StatusReasonForbidden, `%s.%s is forbidden: User "purser" cannot %s resource %q in API group %q in the namespace %q`, resource, in.group, in.verb, resource, in.group, in.namespace)
	case c.refuse != nil:
		refused = c.refuse(in.verb, resource, in.name)
	}
	if refused != nil || in.verb != "watch" {
		defer c.mu.Unlock()
	}
	switch {
	case refused != nil:
		answer(w, refused)
	case in.verb == "watch":
		c.mu.Unlock()
		c.watch(w, r, in)
	case in.sub == "log":
		c.log(w, in)
	default:
		c.do(w, r, in, body)
	}
}
