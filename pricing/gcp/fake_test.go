package gcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/pricing"
)

// object is a JSON object as it stands on the wire.
type object = map[string]any

// cloud is a stand-in for the three APIs. What it sells is set before it is asked.
type cloud struct {
	skus         map[string][]object // by service
	machines     map[string][]object // by zone
	cards        map[string][]object // by zone
	tpus         map[string][]string // by zone
	histories    map[string]object   // by zone and machine type
	capacities   map[string]object
	unreachable  string // a zone that does not answer
	skuPage      int
	machinePage  int
	tpuPage      int
	emptyTPUOnce map[string]bool // zones whose list is empty the first time

	mu    sync.Mutex
	asked []string // method, path and what tells a page
	body  []object // of the POSTs
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("pageToken"))
	c.mu.Unlock()
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/v1/services/") && strings.HasSuffix(p, "/skus"):
		c.serveSKUs(w, r, strings.TrimSuffix(strings.TrimPrefix(p, "/v1/"), "/skus"))
	case p == "/compute/v1/projects/proj/aggregated/machineTypes":
		c.serveAggregated(w, r, "machineTypes", c.machines)
	case p == "/compute/v1/projects/proj/aggregated/acceleratorTypes":
		c.serveAggregated(w, r, "acceleratorTypes", c.cards)
	case p == "/v2/projects/proj/locations":
		c.serveLocations(w, r)
	case strings.HasPrefix(p, "/v2/projects/proj/locations/") && strings.HasSuffix(p, "/acceleratorTypes"):
		c.serveTPUs(w, r, strings.Split(p, "/")[5])
	case strings.HasPrefix(p, "/compute/v1/projects/proj/regions/") && strings.Contains(p, "/advice/"):
		c.serveAdvice(w, r)
	default:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "notFound", "no such path "+p)
	}
}

// page cuts out the page that a token names; the token of the next one is empty at the end.
func page[T any](all []T, token string, size int) ([]T, string) {
	from, _ := strconv.Atoi(strings.TrimPrefix(token, "page-"))
	to := min(from+size, len(all))
	if to == len(all) {
		return all[from:to], ""
	}
	return all[from:to], fmt.Sprintf("page-%d", to)
}

func (c *cloud) serveSKUs(w http.ResponseWriter, r *http.Request, service string) {
	q := r.URL.Query()
	asked, _ := strconv.Atoi(q.Get("pageSize"))
	if q.Get("currencyCode") != "USD" || asked < 1 || asked > 5000 {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "badRequest", "currency or page size")
		return
	}
	items, next := page(c.skus[service], q.Get("pageToken"), min(asked, c.skuPage))
	reply(w, object{"skus": items, "nextPageToken": next})
}

func (c *cloud) serveAggregated(w http.ResponseWriter, r *http.Request, what string, byZone map[string][]object) {
	type at struct {
		zone string
		item object
	}
	var all []at
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		for _, item := range byZone[zone] {
			all = append(all, at{zone, item})
		}
	}
	items, next := page(all, r.URL.Query().Get("pageToken"), c.machinePage)
	scopes := map[string]any{"global": object{"warning": object{"code": "NO_RESULTS_ON_PAGE"}}}
	for zone := range byZone {
		scopes["zones/"+zone] = object{"warning": object{"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope on this page."}}
	}
	for _, i := range items {
		scope, _ := scopes["zones/"+i.zone].(object)
		list, _ := scope[what].([]object)
		scopes["zones/"+i.zone] = object{what: append(list, i.item)}
	}
	if c.unreachable != "" {
		scopes["zones/"+c.unreachable] = object{"warning": object{"code": "UNREACHABLE"}}
	}
	answer := object{"kind": "compute#aggregatedList", "id": "projects/proj/aggregated/" + what, "items": scopes}
	if next != "" {
		answer["nextPageToken"] = next
	}
	reply(w, answer)
}

func (c *cloud) serveLocations(w http.ResponseWriter, r *http.Request) {
	zones, next := page(slices.Sorted(maps.Keys(c.tpus)), r.URL.Query().Get("pageToken"), c.tpuPage)
	var out []object
	for _, z := range zones {
		out = append(out, object{"name": "projects/proj/locations/" + z, "locationId": z})
	}
	reply(w, object{"locations": out, "nextPageToken": next})
}

func (c *cloud) serveTPUs(w http.ResponseWriter, r *http.Request, zone string) {
	c.mu.Lock()
	empty := c.emptyTPUOnce[zone]
	delete(c.emptyTPUOnce, zone)
	c.mu.Unlock()
	if empty {
		reply(w, object{})
		return
	}
	types, next := page(c.tpus[zone], r.URL.Query().Get("pageToken"), c.tpuPage)
	var out []object
	for _, t := range types {
		out = append(out, object{"name": "projects/proj/locations/" + zone + "/acceleratorTypes/" + t, "type": t})
	}
	reply(w, object{"acceleratorTypes": out, "nextPageToken": next})
}

func (c *cloud) serveAdvice(w http.ResponseWriter, r *http.Request) {
	var body object
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "parseError", err.Error())
		return
	}
	c.mu.Lock()
	c.body = append(c.body, body)
	c.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/advice/capacity") {
		zone := dig(body, "distributionPolicy", "zones", 0, "zone")
		typ := dig(body, "instanceFlexibilityPolicy", "instanceSelections", "only", "machineTypes", 0)
		c.tell(w, c.capacities, zone, typ)
		return
	}
	c.tell(w, c.histories, dig(body, "locationPolicy", "location"), dig(body, "instanceProperties", "machineType"))
}

func (c *cloud) tell(w http.ResponseWriter, of map[string]object, zone, typ string) {
	answer, ok := of[strings.TrimPrefix(zone, "zones/")+" "+typ]
	if !ok {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "invalid", "nothing is known of this machine type")
		return
	}
	reply(w, answer)
}

// dig follows keys and indexes to a string.
func dig(v any, path ...any) string {
	for _, step := range path {
		switch at := step.(type) {
		case string:
			o, _ := v.(object)
			v = o[at]
		case int:
			l, _ := v.([]any)
			if at >= len(l) {
				return ""
			}
			v = l[at]
		}
	}
	s, _ := v.(string)
	return s
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers as Google's APIs do, with the older list of errors and newer details.
func refuse(w http.ResponseWriter, code int, status, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object{"error": object{
		"code": code, "message": message, "status": status,
		"errors":  []object{{"message": message, "domain": "global", "reason": reason}},
		"details": []object{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}},
	}})
}

// sku makes a SKU with a price in decimal dollars per unit.
func sku(description, usage, unit, price string, regions ...string) object {
	family := "Compute"
	if strings.Contains(description, "Local Storage") {
		family = "Storage"
	}
	id := fmt.Sprintf("%04X-%s", len(description), strings.ToUpper(strings.Join(strings.Fields(description+" "+regions[0]), "-")))
	return object{
		"name": computeService + "/skus/" + id, "skuId": id, "description": description,
		"category":       object{"serviceDisplayName": "Compute Engine", "resourceFamily": family, "resourceGroup": "ANY", "usageType": usage},
		"serviceRegions": regions, "geoTaxonomy": object{"type": "REGIONAL", "regions": regions}, "serviceProviderName": "Google",
		"pricingInfo": []object{info("2026-11-01T00:00:00Z", unit, tier(0, price))},
	}
}

func info(effective, unit string, tiers ...object) object {
	return object{"summary": "", "effectiveTime": effective, "currencyConversionRate": 1, "pricingExpression": object{
		"usageUnit": unit, "displayQuantity": 1, "baseUnit": "s", "baseUnitConversionFactor": 3600, "tieredRates": tiers,
	}}
}

func tier(start float64, price string) object {
	p, err := purser.ParseUSDPerHour(price)
	if err != nil {
		panic(err)
	}
	return object{"startUsageAmount": start, "unitPrice": object{
		"currencyCode": "USD", "units": strconv.FormatInt(int64(p)/1_000_000_000, 10), "nanos": int64(p) % 1_000_000_000,
	}}
}

func machineType(name string, cpus, mib int, more ...any) object {
	out := object{"kind": "compute#machineType", "id": "3004", "name": name, "guestCpus": cpus, "memoryMb": mib, "isSharedCpu": false, "maximumPersistentDisksSizeGb": "263168"}
	for i := 0; i+1 < len(more); i += 2 {
		key, _ := more[i].(string)
		out[key] = more[i+1]
	}
	return out
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// quick are options whose pauses are short.
func quick(url string, client *http.Client) Options {
	return Options{
		Endpoint: url, HTTPClient: client, Now: func() time.Time { return noon.In(time.FixedZone("", 3600)) },
		Tries: 3, Pause: time.Millisecond, Silence: 400 * time.Millisecond,
	}
}

// serve starts the cloud and gives options for it.
func serve(t *testing.T, h http.Handler) Options {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return quick(srv.URL, srv.Client())
}

// offers collects prices and gives them by ID.
func offers(t *testing.T, opt Options) map[purser.OfferID]pricing.Row {
	t.Helper()
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pricing.Collect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := map[purser.OfferID]pricing.Row{}
	for _, r := range rows {
		id := r.Offer.ID()
		if _, twice := out[id]; twice {
			t.Errorf("%s came twice", id)
		}
		out[id] = r
	}
	return out
}
