package gcp

import (
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// queued is a queued resource with its machine.
type queued struct {
	zone, name string
	body       object
	made       time.Time
	state      string // once set from outside, it stays
	tpu        string // state of the machine, once set from outside
	ending     time.Time
	until      time.Time // it is given up
}

// tpuOp is a long-running operation of the TPU API.
type tpuOp struct {
	name    string
	begun   time.Time
	failure object
}

const (
	tpuAccepted = time.Second
	tpuActive   = 20 * time.Second
)

func (w *world) settleTPUs() {
	for key, q := range w.queued {
		if !q.ending.IsZero() && !w.now.Before(q.ending.Add(stopping)) {
			delete(w.queued, key)
		}
	}
}

func (w *world) queuedState(q *queued) string {
	switch age := w.now.Sub(q.made); {
	case !q.ending.IsZero():
		return "DELETING"
	case q.state != "":
		return q.state
	case age < tpuAccepted:
		return "CREATING"
	case w.full[q.zone] && !w.now.Before(q.until):
		return "FAILED"
	case w.full[q.zone]:
		return "WAITING_FOR_RESOURCES"
	case age < tpuActive:
		return "PROVISIONING"
	default:
		return "ACTIVE"
	}
}

func (w *world) wireQueued(q *queued) object {
	out := maps.Clone(q.body)
	state := w.queuedState(q)
	out["name"] = "projects/p/locations/" + q.zone + "/queuedResources/" + q.name
	out["createTime"] = q.made.Format(time.RFC3339Nano)
	data := object{"state": state, "stateInitiator": "SERVICE"}
	if state == "FAILED" {
		data["failedData"] = object{"error": object{"code": 8, "message": "There is no more capacity in the zone \"" + q.zone + "\""}}
	}
	out["state"] = data
	return out
}

func (w *world) wireTPU(q *queued) object {
	node, _ := at(q.body, "tpu", "nodeSpec", 0, "node").(object)
	out := maps.Clone(node)
	state := "READY"
	if q.tpu != "" {
		state = q.tpu
	}
	out["name"], out["state"] = "projects/p/locations/"+q.zone+"/nodes/"+q.name, state
	return out
}

// machine says whether the request has one.
func (w *world) hasTPU(q *queued) bool {
	s := w.queuedState(q)
	return s == "ACTIVE" && q.tpu != "GONE"
}

func (w *world) wireTPUOp(op *tpuOp) object {
	out := object{
		"name": op.name, "done": w.now.Sub(op.begun) >= tpuAccepted,
		"metadata": object{"@type": "type.googleapis.com/google.cloud.common.OperationMetadata", "createTime": op.begun.Format(time.RFC3339Nano), "verb": "create"},
	}
	if out["done"] == true && op.failure != nil {
		out["error"] = op.failure
	}
	return out
}

func (w *world) listLocations(r *http.Request) (int, object) {
	var out []object
	for _, z := range w.tpuZones {
		out = append(out, object{"name": "projects/p/locations/" + z, "locationId": z})
	}
	return http.StatusOK, object{"locations": out}
}

func (w *world) createQueued(r *http.Request) (int, object) {
	zone, name, id := r.PathValue("zone"), r.URL.Query().Get("queuedResourceId"), r.URL.Query().Get("requestId")
	if !slices.Contains(w.tpuZones, zone) {
		return missing("projects/p/locations/" + zone)
	}
	if !uuidForm.MatchString(id) {
		return w.bad("request_id must be a UUID: %q", id)
	}
	if op, ok := w.tpuByID[zone+id]; ok && w.now.Sub(op.begun) < w.forget {
		return http.StatusOK, w.wireTPUOp(op)
	}
	var body object
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return w.bad("parse: %s", err)
	}
	spec := at(body, "tpu", "nodeSpec", 0)
	until, err := time.ParseDuration(text(body, "queueingPolicy", "validUntilDuration"))
	switch {
	case !rfc1035.MatchString(name) || !rfc1035.MatchString(text(spec, "nodeId")):
		return w.bad("queued_resource_id and node_id must be names: %q", name)
	case !strings.HasSuffix(text(spec, "parent"), "/locations/"+zone):
		return w.bad("the node's parent must be the zone: %q", text(spec, "parent"))
	case text(spec, "node", "acceleratorType") == "" || text(spec, "node", "runtimeVersion") == "":
		return w.bad("accelerator type and runtime version are required")
	case err != nil:
		return w.bad("valid_until_duration: %s", err)
	}
	key := zone + "/" + name
	if _, taken := w.queued[key]; taken {
		return http.StatusConflict, refuse("alreadyExists", "ALREADY_EXISTS", "Resource '"+key+"' already exists")
	}
	w.bodies = append(w.bodies, body)
	op := &tpuOp{name: "projects/" + r.PathValue("project") + "/locations/" + zone + "/operations/" + w.next("operation"), begun: w.now}
	w.tpuOps[path.Base(op.name)], w.tpuByID[zone+id] = op, op
	if w.full[zone] && w.refusal != nil {
		op.failure = w.refusal
		return http.StatusOK, w.wireTPUOp(op)
	}
	w.queued[key] = &queued{zone: zone, name: name, body: body, made: w.now, until: w.now.Add(until)}
	return http.StatusOK, w.wireTPUOp(op)
}

func (w *world) getQueued(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	q, ok := w.queued[key]
	if !ok || w.now.Sub(q.made) < w.hidden {
		return missing(key)
	}
	return http.StatusOK, w.wireQueued(q)
}

func (w *world) deleteQueued(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	q, ok := w.queued[key]
	switch {
	case !ok || w.now.Sub(q.made) < w.hidden:
		return missing(key)
	case !q.ending.IsZero():
		return http.StatusConflict, refuse("conflict", "ABORTED", "the queued resource is being deleted")
	case w.hasTPU(q) && r.URL.Query().Get("force") != "true":
		return http.StatusBadRequest, refuse("failedPrecondition", "FAILED_PRECONDITION", "the queued resource has nodes; use force")
	}
	q.ending = w.now
	op := &tpuOp{name: "projects/" + r.PathValue("project") + "/locations/" + q.zone + "/operations/" + w.next("operation"), begun: w.now}
	w.tpuOps[path.Base(op.name)] = op
	return http.StatusOK, w.wireTPUOp(op)
}

// zoneOf gives the requests of the call's zone, as listed now.
func (w *world) queuedIn(r *http.Request) []*queued {
	var out []*queued
	for _, key := range slices.Sorted(maps.Keys(w.queued)) {
		if q := w.queued[key]; q.zone == r.PathValue("zone") && w.now.Sub(q.made) >= w.lag {
			out = append(out, q)
		}
	}
	return out
}

// tpuPage answers a list of the TPU API.
func (w *world) tpuPage(r *http.Request, what string, all []listed) (int, object) {
	if !slices.Contains(w.tpuZones, r.PathValue("zone")) {
		return http.StatusForbidden, refuse("forbidden", "PERMISSION_DENIED", "Permission denied on 'locations/"+r.PathValue("zone")+"' (or it may not exist)")
	}
	items, next := w.page(r, "pageSize", all)
	out := object{}
	var plain []object
	for _, l := range items {
		plain = append(plain, l.item)
	}
	if len(plain) > 0 {
		out[what] = plain
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	if w.unreachable == r.PathValue("zone") {
		out["unreachable"] = []string{"projects/p/locations/" + w.unreachable}
	}
	return http.StatusOK, out
}

func (w *world) listQueued(r *http.Request) (int, object) {
	var all []listed
	for _, q := range w.queuedIn(r) {
		all = append(all, listed{q.zone, w.wireQueued(q)})
	}
	return w.tpuPage(r, "queuedResources", all)
}

func (w *world) getTPU(r *http.Request) (int, object) {
	key := r.PathValue("zone") + "/" + r.PathValue("name")
	q, ok := w.queued[key]
	if !ok || !w.hasTPU(q) {
		return missing(key)
	}
	return http.StatusOK, w.wireTPU(q)
}

func (w *world) listTPUs(r *http.Request) (int, object) {
	var all []listed
	for _, q := range w.queuedIn(r) {
		if w.hasTPU(q) {
			all = append(all, listed{q.zone, w.wireTPU(q)})
		}
	}
	return w.tpuPage(r, "nodes", all)
}

func (w *world) getTPUOperation(r *http.Request) (int, object) {
	op, ok := w.tpuOps[r.PathValue("name")]
	if !ok {
		return missing(r.URL.Path)
	}
	return http.StatusOK, w.wireTPUOp(op)
}
