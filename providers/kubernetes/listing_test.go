package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// This file is how the test API server lists and watches.

// selected says whether an object is asked for.
func selected(r *http.Request, in call) (func(*object) bool, error) {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return nil, err
	}
	for _, f := range byField.Requirements() {
		known := map[string][]string{"pods": {"spec.nodeName", "status.phase"}, "resourceslices": {"spec.nodeName", "spec.driver"}}[in.resource]
		if !slices.Contains(append(known, "metadata.name", "metadata.namespace"), f.Field) {
			return nil, fmt.Errorf("field label not supported: %s", f.Field)
		}
	}
	return func(o *object) bool {
		if in.namespace != "" && o.Namespace != in.namespace {
			return false
		}
		text := func(part, name string) string { s, _ := section(o.content, part)[name].(string); return s }
		return byLabel.Matches(labels.Set(o.Labels)) && (byField.Empty() || byField.Matches(fields.Set{
			"spec.nodeName": text("spec", "nodeName"), "status.phase": text("status", "phase"), "spec.driver": text("spec", "driver"),
			"metadata.name": o.Name, "metadata.namespace": o.Namespace,
		}))
	}, nil
}

func (c *cluster) list(w http.ResponseWriter, r *http.Request, in call) {
	asked, err := selected(r, in)
	if err != nil {
		answer(w, status(400, metav1.StatusReasonBadRequest, "%s", err))
		return
	}
	after, version := "", c.version
	if token := r.URL.Query().Get("continue"); token != "" {
		text, _ := base64.StdEncoding.DecodeString(token) // a wrong one begins anew, which no test wants
		rv, key, _ := strings.Cut(string(text), "|")
		after, version = key, number(rv)
		if version < c.oldest {
			answer(w, status(410, metav1.StatusReasonExpired, "The provided continue parameter is too old"))
			return
		}
	}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit")) // 0: none
	var items [][]byte
	next, last := "", ""
	for _, key := range slices.Sorted(maps.Keys(c.objects[in.resource])) {
		o := c.objects[in.resource][key]
		if (after != "" && key <= after) || !asked(o) {
			continue
		}
		if limit > 0 && len(items) == limit {
			next = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d|%s", version, last))
			break
		}
		items, last = append(items, o.text), key
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d","continue":%q},"items":[`, in.kind, in.api(), version, next)
	for i, text := range items {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		_, _ = w.Write(text)
	}
	_, _ = io.WriteString(w, "]}")
}

func (c *cluster) watch(w http.ResponseWriter, r *http.Request, in call) {
	asked, err := selected(r, in)
	q := r.URL.Query()
	initial := q.Get("sendInitialEvents") == "true"
	if initial && c.noInitial {
		err = fmt.Errorf("sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
	}
	if err != nil {
		answer(w, status(422, metav1.StatusReasonInvalid, "%s", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	send := func(kind string, text []byte) { _, _ = fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", kind, text) }
	c.mu.Lock()
	from, cuts := number(q.Get("resourceVersion")), c.cuts
	if initial || from == 0 {
		for _, key := range slices.Sorted(maps.Keys(c.objects[in.resource])) {
			if o := c.objects[in.resource][key]; asked(o) {
				send("ADDED", o.text)
			}
		}
		from = c.version
		send("BOOKMARK", fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}`, in.kind, in.api(), from))
	}
	for {
		if from+1 < c.oldest {
			text, _ := json.Marshal(status(410, metav1.StatusReasonExpired, "too old resource version: %d", from)) // it is plain
			send("ERROR", text)
			c.mu.Unlock()
			return
		}
		for _, e := range c.history {
			if !c.deaf && e.version > from && e.resource == in.resource && asked(e.o) {
				send(e.kind, e.o.text)
			}
		}
		if !c.deaf {
			from = c.version
		}
		changed := c.changed
		c.mu.Unlock()
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-r.Context().Done():
			return
		case <-cuts:
			return
		case <-changed:
		}
		c.mu.Lock()
	}
}

// cut ends all watches; with forget the server does not remember what was before.
func (c *cluster) cut(forget bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.cuts)
	c.cuts = make(chan struct{})
	if forget {
		c.version++
		c.oldest, c.history = c.version, nil
	}
}

func (c *cluster) log(w http.ResponseWriter, in call) {
	o := c.objects["pods"][in.key()]
	if o == nil {
		answer(w, notFound(in))
		return
	}
	text, ok := c.logs[in.name]
	if !ok {
		answer(w, status(400, metav1.StatusReasonBadRequest, `container "task" in pod %q is waiting to start: ContainerCreating`, in.name))
		return
	}
	_, _ = io.WriteString(w, text)
}
