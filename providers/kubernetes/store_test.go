package kubernetes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// This file is the test API server's store: versions, conflicts, preconditions, deletion.

func (c *cluster) do(w http.ResponseWriter, r *http.Request, in call, body []byte) {
	o := c.objects[in.resource][in.key()]
	if in.name != "" && o == nil {
		answer(w, notFound(in))
		return
	}
	var fault *metav1.Status
	switch in.verb {
	case "list":
		c.list(w, r, in)
		return
	case "create":
		o, fault = c.create(in, body)
	case "update":
		o, fault = c.update(in, o, body)
	case "patch":
		if r.Header.Get("Content-Type") != "application/merge-patch+json" {
			fault = status(415, metav1.StatusReasonUnsupportedMediaType, "only merge patches")
			break
		}
		content := clone(o.content)
		change := map[string]any{}
		_ = json.Unmarshal(body, &change) // an empty change changes nothing
		if uid, ok := section(change, "metadata")["uid"]; ok && uid != string(o.UID) {
			fault = status(409, metav1.StatusReasonConflict, "Operation cannot be fulfilled on %s %q: Precondition failed: UID in precondition: %v, UID in object meta: %s", in.resource, in.name, uid, o.UID)
			break
		}
		merge(content, change)
		o, fault = c.put(in, o, content)
	case "delete":
		o, fault = c.remove(in, o, body)
	}
	if fault != nil {
		answer(w, fault)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if in.verb == "create" {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = w.Write(o.text) // a client that is gone is its own business
}

func notFound(in call) *metav1.Status {
	s := status(404, metav1.StatusReasonNotFound, "%s %q not found", in.resource, in.name)
	s.Details = &metav1.StatusDetails{Name: in.name, Group: in.group, Kind: in.resource}
	return s
}

func (c *cluster) create(in call, body []byte) (*object, *metav1.Status) {
	content := map[string]any{}
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
	}
	o, err := read(content)
	if err != nil {
		return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
	}
	in.name = o.Name
	switch {
	case in.namespace != "" && in.namespace != "purser" && in.namespace != "default":
		s := status(404, metav1.StatusReasonNotFound, `namespaces %q not found`, in.namespace)
		s.Details = &metav1.StatusDetails{Name: in.namespace, Kind: "namespaces"}
		return nil, s
	case o.Namespace != "" && o.Namespace != in.namespace:
		return nil, status(400, metav1.StatusReasonBadRequest, "the namespace of the provided object does not match the namespace sent on the request")
	case o.ResourceVersion != "":
		return nil, status(500, metav1.StatusReasonInternalError, "resourceVersion should not be set on objects to be created")
	case c.objects[in.resource][in.key()] != nil:
		s := status(409, metav1.StatusReasonAlreadyExists, "%s %q already exists", in.resource, in.name)
		s.Details = &metav1.StatusDetails{Name: in.name, Kind: in.resource}
		return nil, s
	}
	if most, ok := c.quota[in.resource]; ok && len(c.objects[in.resource]) >= most {
		return nil, status(403, metav1.StatusReasonForbidden, `%s %q is forbidden: exceeded quota: team, requested: count/%s=1, used: count/%s=%d, limited: count/%s=%d`, in.resource, in.name, in.resource, in.resource, most, in.resource, most)
	}
	if problem := invalid(in, o); problem != "" {
		return nil, status(422, metav1.StatusReasonInvalid, "%s %q is invalid: %s", in.kind, in.name, problem)
	}
	meta := section(content, "metadata")
	meta["uid"] = fmt.Sprintf("uid-%s-%d", c.name, c.version+1)
	meta["creationTimestamp"] = c.now.UTC().Format(time.RFC3339)
	if in.namespace != "" {
		meta["namespace"] = in.namespace
	}
	return c.put(in, nil, content)
}

// invalid is what a real server refuses of what Purser sends.
func invalid(in call, o *object) string {
	if len(validation.IsDNS1123Subdomain(in.name)) > 0 {
		return fmt.Sprintf("metadata.name: Invalid value: %q", in.name)
	}
	for key, value := range o.Labels {
		if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
			return fmt.Sprintf("metadata.labels: Invalid value: %q", value)
		}
	}
	for key := range o.Annotations {
		if len(validation.IsQualifiedName(key)) > 0 {
			return fmt.Sprintf("metadata.annotations: Invalid value: %q", key)
		}
	}
	for _, owner := range o.OwnerReferences {
		if owner.UID == "" || owner.Name == "" {
			return "metadata.ownerReferences: uid and name must not be empty"
		}
	}
	if in.kind == "JobSet" {
		return invalidJobSet(in, o)
	}
	if in.kind == "Job" || in.kind == "Deployment" {
		return invalidTask(in, o)
	}
	return ""
}

func (c *cluster) update(in call, old *object, body []byte) (*object, *metav1.Status) {
	content := map[string]any{}
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
	}
	o, err := read(content)
	switch {
	case err != nil:
		return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
	case o.ResourceVersion != "" && o.ResourceVersion != old.ResourceVersion, o.UID != "" && o.UID != old.UID:
		return nil, status(409, metav1.StatusReasonConflict, "Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", in.resource, in.name)
	}
	meta := section(content, "metadata")
	meta["uid"], meta["creationTimestamp"] = old.UID, old.CreationTimestamp.UTC().Format(time.RFC3339)
	return c.put(in, old, content)
}

func (c *cluster) remove(in call, o *object, body []byte) (*object, *metav1.Status) {
	options := metav1.DeleteOptions{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
		}
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != o.UID || p.ResourceVersion != nil && *p.ResourceVersion != o.ResourceVersion {
			return nil, status(409, metav1.StatusReasonConflict, "Operation cannot be fulfilled on %s %q: the precondition does not hold", in.resource, in.name)
		}
	}
	waits := in.resource == "pods" || options.PropagationPolicy != nil && *options.PropagationPolicy == metav1.DeletePropagationForeground
	if !waits {
		c.vanish(in.resource, o)
		return o, nil
	}
	if o.DeletionTimestamp != nil {
		return o, nil
	}
	content := clone(o.content)
	section(content, "metadata")["deletionTimestamp"] = c.now.UTC().Format(time.RFC3339)
	return c.put(in, o, content)
}

// put stores an object under a new version and tells watches.
func (c *cluster) put(in call, old *object, content map[string]any) (*object, *metav1.Status) {
	c.version++
	content["kind"], content["apiVersion"] = in.kind, in.api()
	section(content, "metadata")["resourceVersion"] = strconv.FormatUint(c.version, 10)
	o, err := read(content)
	if err == nil {
		o.text, err = json.Marshal(content)
	}
	if err != nil {
		return nil, status(400, metav1.StatusReasonBadRequest, "%s", err)
	}
	if c.objects[in.resource] == nil {
		c.objects[in.resource] = map[string]*object{}
	}
	c.objects[in.resource][o.Namespace+"/"+o.Name] = o
	kind := "MODIFIED"
	if old == nil {
		kind = "ADDED"
	}
	c.tell(event{c.version, kind, in.resource, o})
	return o, nil
}

func (c *cluster) vanish(resource string, o *object) {
	c.version++
	delete(c.objects[resource], o.Namespace+"/"+o.Name)
	last := &object{ObjectMeta: o.ObjectMeta, content: clone(o.content)}
	section(last.content, "metadata")["resourceVersion"] = strconv.FormatUint(c.version, 10)
	last.text, _ = json.Marshal(last.content) // it was JSON before
	c.tell(event{c.version, "DELETED", resource, last})
}

func (c *cluster) tell(e event) {
	c.history = append(c.history, e)
	close(c.changed)
	c.changed = make(chan struct{})
}

func read(content map[string]any) (*object, error) {
	text, err := json.Marshal(section(content, "metadata"))
	if err != nil {
		return nil, err
	}
	o := &object{content: content}
	return o, json.Unmarshal(text, &o.ObjectMeta)
}

func section(content map[string]any, name string) map[string]any {
	m, ok := content[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		content[name] = m
	}
	return m
}

func clone(content map[string]any) map[string]any {
	text, _ := json.Marshal(content) // it came as JSON
	out := map[string]any{}
	_ = json.Unmarshal(text, &out)
	return out
}

func merge(to, change map[string]any) {
	for k, v := range change {
		inner, ok := v.(map[string]any)
		if v == nil {
			delete(to, k)
		} else if ok {
			merge(section(to, k), inner)
		} else {
			to[k] = v
		}
	}
}

// set stores an object as the cluster's own parts do, past permissions.
func (c *cluster) set(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(v)
}

func (c *cluster) store(v any) *object {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	content := map[string]any{}
	if err := json.Unmarshal(text, &content); err != nil {
		panic(err)
	}
	in := call{}
	name := fmt.Sprintf("%T", v)
	name = name[strings.LastIndexByte(name, '.')+1:]
	for key, kind := range kinds {
		if kind == name {
			parts := strings.Split(key, "/")
			in.group, in.version, in.resource, in.kind = parts[0], parts[1], parts[2], kind
		}
	}
	o, err := read(content)
	if err != nil || in.kind == "" {
		panic(fmt.Sprintf("%v cannot be stored: %v", name, err))
	}
	meta := section(content, "metadata")
	old := c.objects[in.resource][o.Namespace+"/"+o.Name]
	if old == nil {
		meta["uid"] = fmt.Sprintf("uid-%s-%d", c.name, c.version+1)
		if o.CreationTimestamp.IsZero() {
			meta["creationTimestamp"] = c.now.UTC().Format(time.RFC3339)
		}
	}
	o, fault := c.put(in, old, content)
	if fault != nil {
		panic(fault.Message)
	}
	return o
}

// into reads a stored object as its type.
func into[T any](o *object) *T {
	v := new(T)
	if err := json.Unmarshal(o.text, v); err != nil {
		panic(err)
	}
	return v
}

// every reads all objects of a resource, in the order of their names.
func every[T any](c *cluster, resource string) []*T {
	var out []*T
	for _, key := range slices.Sorted(maps.Keys(c.objects[resource])) {
		out = append(out, into[T](c.objects[resource][key]))
	}
	return out
}

func (c *cluster) drop(resource, namespace, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[resource][namespace+"/"+name]; o != nil {
		c.vanish(resource, o)
	}
}

// call counts, sorted.
func (c *cluster) made() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.calls), func(a, b string) int { return cmp.Compare(a, b) })
}

func (c *cluster) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[name]
}

// change reads a Node, changes it and stores it.
func (c *cluster) change(node string, by func(*corev1.Node)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := into[corev1.Node](c.objects["nodes"]["/"+node])
	by(n)
	c.store(*n)
}
