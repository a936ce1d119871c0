package azure_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"purser"
	"purser/providers/azure"
)

type object = map[string]any

const group = "purser-machines"

// fakeCloud is a subscription of Azure with one resource group: it keeps what is put, lets
// time pass when it is told to, and refuses what Azure would refuse.
type fakeCloud struct {
	mu   sync.Mutex
	sub  string
	now  time.Time
	step time.Duration // that each call takes

	lag       time.Duration // until a new machine is shown
	createFor time.Duration // until a machine runs
	deleteFor time.Duration // until a deleted one is gone
	page      int           // things on a page. Defaults to 50.
	latency   time.Duration // real time of each call
	slowCards bool          // cards are made by an operation of their own
	blind     bool          // the listing of power lacks it

	refuse func(call string) *refusal                    // any call
	full   func(vm *vmBody) *refusal                     // the creation of a machine; late if it has no status
	keeps  map[string]*reservations                      // capacity reservation groups by name
	usages map[string][]object                           // by region
	tamper func(call string, w http.ResponseWriter) bool // answers in place of Azure

	calls map[string]int
	odd   []string // calls that Azure does not have

	vms        map[string]*machine
	cards      map[string]*card
	disks      map[string]*disk
	records    map[string]*groupBody
	operations map[string]*machine
	numbers    int
	made       map[purser.LeaseID]int // machines ever made
}

// refusal is an answer that is no success.
type refusal struct {
	status        int // 0: the operation fails later with the code
	code, message string
	after         int // Retry-After, in seconds
}

func newCloud(sub string) *fakeCloud {
	return &fakeCloud{
		sub: sub, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), createFor: 25 * time.Second, deleteFor: 35 * time.Second, page: 50,
		calls: map[string]int{}, vms: map[string]*machine{}, cards: map[string]*card{}, disks: map[string]*disk{}, records: map[string]*groupBody{},
		operations: map[string]*machine{}, made: map[purser.LeaseID]int{},
	}
}

// hub is one server for many subscriptions.
type hub struct {
	*httptest.Server
	mu   sync.Mutex
	subs map[string]*fakeCloud
}

func newHub(t testing.TB, tls bool) *hub {
	t.Helper()
	h := &hub{subs: map[string]*fakeCloud{}}
	h.Server = httptest.NewUnstartedServer(h)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that the test's end cuts
	if tls {
		h.StartTLS()
	} else {
		h.Start()
	}
	h.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

// cloud opens another subscription.
func (h *hub) cloud() *fakeCloud {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newCloud(fmt.Sprintf("00000000-0000-0000-0000-%012d", len(h.subs)))
	h.subs[c.sub] = c
	return c
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(r.URL.Path, "/")
	if len(part) < 3 || part[1] != "subscriptions" {
		refuse(w, &refusal{status: http.StatusNotFound, code: "InvalidPath"})
		return
	}
	h.mu.Lock()
	c := h.subs[part[2]]
	h.mu.Unlock()
	switch {
	case c == nil:
		refuse(w, &refusal{status: http.StatusNotFound, code: "SubscriptionNotFound"})
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		refuse(w, &refusal{status: http.StatusUnauthorized, code: "AuthenticationFailed"})
	default:
		c.serve(w, r, part[3:])
	}
}

// config is what an operator would set.
func (h *hub) config(c *fakeCloud, rt http.RoundTripper) azure.Config {
	if rt == nil {
		rt = h.Client().Transport
	}
	subnet := func(region string) azure.Place {
		return azure.Place{
			Subnet:        "/subscriptions/" + c.sub + "/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/" + region + "/subnets/machines",
			SecurityGroup: "/subscriptions/" + c.sub + "/resourceGroups/net/providers/Microsoft.Network/networkSecurityGroups/" + region,
		}
	}
	return azure.Config{
		Subscription: c.sub, ResourceGroup: group, Installation: "test", Places: map[string]azure.Place{"eastus": subnet("eastus"), "westus2": subnet("westus2")},
		Credential: &azfake.TokenCredential{},
		ARM: arm.ClientOptions{ClientOptions: policy.ClientOptions{
			Cloud:     cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: h.URL, Audience: h.URL}}},
			Transport: &http.Client{Transport: rt}, InsecureAllowCredentialWithHTTP: strings.HasPrefix(h.URL, "http:"),
		}},
		Patience: -1, PollEvery: time.Millisecond, Now: c.clock,
	}
}

func (h *hub) provider(t testing.TB, c *fakeCloud, change ...func(*azure.Config)) *azure.Provider {
	t.Helper()
	cfg := h.config(c, nil)
	for _, f := range change {
		f(&cfg)
	}
	p, err := azure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *fakeCloud) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// pass lets time go by.
func (c *fakeCloud) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.settle()
}

func (c *fakeCloud) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

// locked runs f while nobody else sees the cloud.
func (c *fakeCloud) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// call names what was asked for, as permissions do: GET one Microsoft.Compute/virtualMachines.
func callOf(method string, part []string) (call, region, name, child string) {
	of := "subscription"
	if len(part) > 2 && part[0] == "resourceGroups" {
		of, part = "group", part[2:]
	}
	if len(part) < 3 || part[0] != "providers" {
		return method + " " + strings.Join(part, "/"), "", "", ""
	}
	kind := part[1] + "/" + part[2]
	part = part[3:]
	if strings.HasSuffix(kind, "/locations") && len(part) >= 2 {
		region, kind, of, part = part[0], kind+"/"+part[1], "region", part[2:]
	}
	if len(part) > 0 {
		name, of, part = part[0], "one", part[1:]
	}
	if len(part) > 0 {
		kind, of = kind+"/"+part[0], "group"
	}
	if len(part) > 1 {
		child, of = part[1], "one"
	}
	return method + " " + of + " " + kind, region, name, child
}

func (c *fakeCloud) serve(w http.ResponseWriter, r *http.Request, part []string) {
	if c.latency > 0 {
		time.Sleep(c.latency) // what the benchmark measures
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	c.settle()
	call, region, name, _ := callOf(r.Method, part)
	c.calls[call]++
	want := "2026-04-01"
	switch {
	case strings.Contains(call, "Microsoft.Network/"):
		want = "2025-05-01"
	case strings.Contains(call, "Compute/disks"):
		want = "2026-03-02"
	}
	switch {
	case c.tamper != nil && c.tamper(call, w):
		return
	case r.URL.Query().Get("api-version") != want:
		refuse(w, &refusal{status: 400, code: "InvalidApiVersionParameter", message: call + " with " + r.URL.RawQuery})
		return
	case part[0] == "resourceGroups" && part[1] != group && part[1] != "net":
		refuse(w, &refusal{status: 404, code: "ResourceGroupNotFound", message: "Resource group '" + part[1] + "' could not be found."})
		return
	}
	if c.refuse != nil {
		if no := c.refuse(call); no != nil {
			refuse(w, no)
			return
		}
	}
	serve := c.routes()[call]
	if serve == nil {
		c.odd = append(c.odd, call)
		refuse(w, &refusal{status: 404, code: "InvalidResourceType", message: call})
		return
	}
	serve(w, r, name, region)
}

type route = func(w http.ResponseWriter, r *http.Request, name, region string)

func (c *fakeCloud) routes() map[string]route {
	const vm, nic, disk, record = "Microsoft.Compute/virtualMachines", "Microsoft.Network/networkInterfaces", "Microsoft.Compute/disks", "Microsoft.Network/applicationSecurityGroups"
	return map[string]route{
		"PUT one " + vm: c.putMachine, "GET one " + vm: c.getMachine, "DELETE one " + vm: c.deleteMachine, "GET group " + vm: c.listMachines, "GET subscription " + vm: c.listPower,
		"PUT one " + nic: c.putCard, "GET one " + nic: c.getCard, "DELETE one " + nic: c.deleteCard, "GET group " + nic: c.listCards,
		"GET group " + disk: c.listDisks, "DELETE one " + disk: c.deleteDisk,
		"PUT one " + record: c.putRecord, "GET one " + record: c.getRecord, "DELETE one " + record: c.deleteRecord, "GET group " + record: c.listRecords,
		"GET one Microsoft.Compute/locations/operations": c.getOperation, "GET one Microsoft.Network/locations/operations": c.getCardOperation,
		"GET region Microsoft.Compute/locations/usages":                              c.listUsages,
		"GET one Microsoft.Compute/capacityReservationGroups":                        c.getReservationGroup,
		"GET group Microsoft.Compute/capacityReservationGroups/capacityReservations": c.listReservations,
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // whoever asked has gone
	}
}

func refuse(w http.ResponseWriter, no *refusal) {
	if no.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(no.after))
	}
	answer(w, no.status, object{"error": object{"code": no.code, "message": no.message}})
}

func notFound(w http.ResponseWriter, kind, name string) {
	refuse(w, &refusal{status: 404, code: "ResourceNotFound", message: "The Resource '" + kind + "/" + name + "' under resource group '" + group + "' was not found."})
}

// pages answers with one page of a listing of what has these names.
func (c *fakeCloud) pages(w http.ResponseWriter, r *http.Request, names []string, view func(string) object) {
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken")) // absent: 0
	to := min(from+c.page, len(names))
	value := []object{}
	for _, name := range names[min(from, to):to] {
		value = append(value, view(name))
	}
	out := object{"value": value}
	if to < len(names) {
		q := r.URL.Query()
		q.Set("$skiptoken", strconv.Itoa(to))
		scheme := "https"
		if r.TLS == nil {
			scheme = "http"
		}
		out["nextLink"] = scheme + "://" + r.Host + r.URL.Path + "?" + q.Encode()
	}
	answer(w, http.StatusOK, out)
}

// listed pages through objects as they are.
func (c *fakeCloud) listed(w http.ResponseWriter, r *http.Request, all []object) {
	names := make([]string, len(all))
	for i := range all {
		names[i] = strconv.Itoa(i)
	}
	c.pages(w, r, names, func(name string) object {
		i, _ := strconv.Atoi(name) // made above
		return all[i]
	})
}

func sorted[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
