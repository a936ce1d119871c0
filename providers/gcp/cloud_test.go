package gcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is a JSON object as it stands on the wire.
type object = map[string]any

// cloud is a stand-in for Compute Engine and the TPU API: a server on the loopback that
// keeps what was made, by project, in a time of its own.
type cloud struct {
	server *httptest.Server
	mu     sync.Mutex
	worlds map[string]*world
	called map[string]bool // in all worlds
}

// world is one project. Its knobs are set before it is asked.
type world struct {
	mu  sync.Mutex
	now time.Time

	// Knobs.
	tick        time.Duration             // goes by with every call
	latency     time.Duration             // of real time, for every call
	real        time.Time                 // not zero: time goes by as it does since then
	zones       []string                  // of virtual machines
	tpuZones    []string                  // of TPUs
	types       func(zone, t string) bool // whether a zone sells a machine type; nil: all
	full        map[string]bool           // zones without capacity
	refuseAfter time.Duration             // from an insertion to the operation's refusal
	refusal     object                    // an operation's error; nil: ZONE_RESOURCE_POOL_EXHAUSTED
	hidden      time.Duration             // from an insertion until Get shows the machine
	lag         time.Duration             // of lists
	forget      time.Duration             // after which request ids are forgotten
	pageSize    int                       // at most; 0: as asked
	unreachable string                    // a zone that lists say does not answer
	answer      func(call string, r *http.Request) (int, object)
	quotas      map[string][]object // by region; "" for the project
	booked      map[string][]object // reservations by zone
	leaveDisks  bool                // a refused insertion leaves its disk

	vms      map[string]*vm // by zone and name
	disks    map[string]object
	ops      []*operation
	byID     map[string]*operation
	queued   map[string]*queued
	tpuOps   map[string]*tpuOp
	tpuByID  map[string]*tpuOp
	calls    map[string]int
	bodies   []object // of insertions
	refusals []string // what was refused as bad
	serial   int
}

// start is when all tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newCloud(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{worlds: map[string]*world{}, called: map[string]bool{}}
	c.server = httptest.NewServer(c.mux())
	t.Cleanup(func() {
		c.server.Close()
		c.known(t)
	})
	return c
}

// world makes a project; the one before is forgotten, for storms have thousands.
func (c *cloud) world(project string) *world {
	w := &world{
		now: start, forget: time.Hour, refuseAfter: 500 * time.Millisecond, full: map[string]bool{},
		zones: []string{"europe-west4-a", "us-central1-a", "us-central1-b"}, tpuZones: []string{"europe-west4-a", "us-central1-a", "us-east5-b"},
		vms: map[string]*vm{}, disks: map[string]object{}, byID: map[string]*operation{}, queued: map[string]*queued{},
		tpuOps: map[string]*tpuOp{}, tpuByID: map[string]*tpuOp{}, calls: map[string]int{}, quotas: map[string][]object{}, booked: map[string][]object{},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worlds = map[string]*world{project: w}
	return w
}

// clock is the world's time.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run()
	return w.now
}

// run lets real time go by, where the world has it.
func (w *world) run() {
	if !w.real.IsZero() {
		w.now = start.Add(time.Since(w.real))
	}
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.settle()
}

func (w *world) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

// handler answers one call with a status and a body, under the world's lock.
type handler func(w *world, r *http.Request) (int, object)

// routes are the calls that the stand-in knows, by the name of their method.
func routes() map[string]handler {
	const c, z, t = "/compute/v1/projects/{project}", "/compute/v1/projects/{project}/zones/{zone}", "/v2/projects/{project}/locations"
	return map[string]handler{
		"compute.instances.insert POST " + z + "/instances":                           (*world).insertVM,
		"compute.instances.get GET " + z + "/instances/{name}":                        (*world).getVM,
		"compute.instances.delete DELETE " + z + "/instances/{name}":                  (*world).deleteVM,
		"compute.instances.aggregatedList GET " + c + "/aggregated/instances":         (*world).listVMs,
		"compute.zoneOperations.get GET " + z + "/operations/{name}":                  (*world).getOperation,
		"compute.zoneOperations.list GET " + z + "/operations":                        (*world).listOperations,
		"compute.globalOperations.aggregatedList GET " + c + "/aggregated/operations": (*world).listAllOperations,
		"compute.disks.aggregatedList GET " + c + "/aggregated/disks":                 (*world).listDisks,
		"compute.disks.delete DELETE " + z + "/disks/{name}":                          (*world).deleteDisk,
		"compute.zones.list GET " + c + "/zones":                                      (*world).listZones,
		"compute.regions.list GET " + c + "/regions":                                  (*world).listRegions,
		"compute.projects.get GET " + c:                                               (*world).getProject,
		"compute.reservations.list GET " + z + "/reservations":                        (*world).listReservations,
		"compute.reservations.aggregatedList GET " + c + "/aggregated/reservations":   (*world).listAllReservations,
		"compute.machineTypes.get GET " + z + "/machineTypes/{name}":                  (*world).getMachineType,
		"tpu.locations.list GET " + t:                                                 (*world).listLocations,
		"tpu.queuedResources.create POST " + t + "/{zone}/queuedResources":            (*world).createQueued,
		"tpu.queuedResources.get GET " + t + "/{zone}/queuedResources/{name}":         (*world).getQueued,
		"tpu.queuedResources.list GET " + t + "/{zone}/queuedResources":               (*world).listQueued,
		"tpu.queuedResources.delete DELETE " + t + "/{zone}/queuedResources/{name}":   (*world).deleteQueued,
		"tpu.nodes.get GET " + t + "/{zone}/nodes/{name}":                             (*world).getTPU,
		"tpu.nodes.list GET " + t + "/{zone}/nodes":                                   (*world).listTPUs,
		"tpu.operations.get GET " + t + "/{zone}/operations/{name}":                   (*world).getTPUOperation,
	}
}

func (c *cloud) mux() http.Handler {
	mux := http.NewServeMux()
	for route, h := range routes() {
		parts := strings.Fields(route)
		call, method, path := parts[0], parts[len(parts)-2], parts[len(parts)-1]
		mux.HandleFunc(method+" "+path, func(rw http.ResponseWriter, r *http.Request) { c.serve(rw, r, call, h) })
	}
	return mux
}

func (c *cloud) serve(rw http.ResponseWriter, r *http.Request, call string, h handler) {
	c.mu.Lock()
	w := c.worlds[r.PathValue("project")]
	c.called[call] = true
	c.mu.Unlock()
	status, body := http.StatusNotFound, refuse("notFound", "NOT_FOUND", "no such project")
	if w != nil {
		if w.latency > 0 {
			time.Sleep(w.latency) // stands for the network
		}
		status, body = w.handle(r, call, h)
	}
	if e, ok := body["error"].(object); ok && status >= http.StatusBadRequest {
		e["code"] = status
	}
	rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(body) // the caller may have gone
}

func (w *world) handle(r *http.Request, call string, h handler) (int, object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[call]++
	w.now = w.now.Add(w.tick)
	w.run()
	w.settle()
	if w.answer != nil {
		if status, body := w.answer(call, r); status != 0 {
			return status, body
		}
	}
	return h(w, r)
}

// refuse is the body of a refusal: Compute Engine's reason, the TPU API's status.
func refuse(reason, status, message string) object {
	return object{"error": object{"message": message, "errors": []object{{"message": message, "domain": "global", "reason": reason}}, "status": status}}
}

// bad refuses a request that the real cloud would refuse.
func (w *world) bad(format string, a ...any) (int, object) {
	message := fmt.Sprintf(format, a...)
	w.refusals = append(w.refusals, message)
	return http.StatusBadRequest, refuse("invalid", "INVALID_ARGUMENT", message)
}

func missing(what string) (int, object) {
	return http.StatusNotFound, refuse("notFound", "NOT_FOUND", "The resource '"+what+"' was not found")
}

func (w *world) next(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s-%d", prefix, w.serial)
}

// stamp writes a time as Compute Engine does, with an offset.
func stamp(t time.Time) string {
	return t.In(time.FixedZone("", -8*3600)).Format("2006-01-02T15:04:05.000-07:00")
}

var (
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	rfc1035    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	labelValue = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
	filterTerm = regexp.MustCompile(`^\(?([A-Za-z.-]+) (=|eq) "([^"]*)"\)?$`)
)

// matches evaluates the filters that are used here, and refuses others.
func matches(filter string, o object) (bool, error) {
	if filter == "" {
		return true, nil
	}
	for term := range strings.SplitSeq(filter, " OR ") {
		m := filterTerm.FindStringSubmatch(term)
		if m == nil {
			return false, fmt.Errorf("Invalid value for field 'filter': '%s'", filter)
		}
		var at any = o
		for _, key := range strings.SplitN(m[1], ".", 2) {
			switch inner := at.(type) {
			case object:
				at = inner[key]
			case map[string]string:
				at = inner[key]
			}
		}
		got, _ := at.(string)
		if m[2] == "=" && got == m[3] {
			return true, nil
		}
		if m[2] == "eq" {
			re, err := regexp.Compile("^(?:" + m[3] + ")$")
			if err != nil {
				return false, err
			}
			if re.MatchString(got) {
				return true, nil
			}
		}
	}
	return false, nil
}

// listed is one item of a list and the zone that it is in.
type listed struct {
	zone string
	item object
}

// filtered keeps what the request's filter lets through.
func (w *world) filtered(r *http.Request, all []listed) ([]listed, error) {
	var out []listed
	for _, l := range all {
		ok, err := matches(r.URL.Query().Get("filter"), l.item)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, l)
		}
	}
	return out, nil
}

// page cuts out the page that the request asks for.
func (w *world) page(r *http.Request, param string, all []listed) ([]listed, string) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get(param))
	if size <= 0 || size > 500 {
		size = 500
	}
	if w.pageSize > 0 {
		size = min(size, w.pageSize)
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("pageToken"), "page-"))
	from = min(from, len(all))
	to := min(from+size, len(all))
	if to == len(all) {
		return all[from:to], ""
	}
	return all[from:to], fmt.Sprintf("page-%d", to)
}

// list answers a list of one zone or of the project.
func (w *world) list(r *http.Request, all []listed) (int, object) {
	all, err := w.filtered(r, all)
	if err != nil {
		return w.bad("%s", err)
	}
	items, next := w.page(r, "maxResults", all)
	out := object{"kind": "compute#list"}
	var plain []object
	for _, l := range items {
		plain = append(plain, l.item)
	}
	if len(plain) > 0 {
		out["items"] = plain
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return http.StatusOK, out
}

// aggregated answers a list of all zones. Zones without results have a warning.
func (w *world) aggregated(r *http.Request, what string, all []listed) (int, object) {
	all, err := w.filtered(r, all)
	if err != nil {
		return w.bad("%s", err)
	}
	items, next := w.page(r, "maxResults", all)
	scopes := object{}
	for _, zone := range w.zones {
		scopes["zones/"+zone] = object{"warning": object{"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope 'zones/" + zone + "' on this page."}}
	}
	for _, l := range items {
		scope, _ := scopes["zones/"+l.zone].(object)
		list, _ := scope[what].([]object)
		scopes["zones/"+l.zone] = object{what: append(list, l.item)}
	}
	if w.unreachable != "" {
		scopes["zones/"+w.unreachable] = object{"warning": object{"code": "UNREACHABLE"}}
	}
	out := object{"kind": "compute#aggregatedList", "items": scopes}
	if next != "" {
		out["nextPageToken"] = next
	}
	return http.StatusOK, out
}

func (w *world) listZones(r *http.Request) (int, object) {
	var all []listed
	for _, z := range w.zones {
		all = append(all, listed{z, object{"name": z, "status": "UP"}})
	}
	return w.list(r, all)
}
