package azure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"purser"
	"purser/pricing"
	"purser/pricing/azure"
	"purser/pricing/feed"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

const subscription = "11111111-2222-3333-4444-555555555555"

type object = map[string]any

// price is an item of the price list as the API gives it. Changes are pairs of field
// and value.
func price(region, size, usd string, changes ...any) object {
	it := object{
		"currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": json.Number(usd), "unitPrice": json.Number(usd), "armRegionName": region,
		"location": "US East", "effectiveStartDate": "2026-11-01T00:00:00Z", "meterId": "m-" + size + "-" + usd, "meterName": size,
		"productId": "DZH318Z0BQ35", "skuId": "DZH318Z0BQ35/00TG", "availabilityId": nil, "productName": "Virtual Machines Series", "skuName": size,
		"serviceName": "Virtual Machines", "serviceId": "DZH313Z7MMC8", "serviceFamily": "Compute", "unitOfMeasure": "1 Hour", "type": "Consumption",
		"isPrimaryMeterRegion": true, "armSkuName": size,
	}
	for i := 0; i < len(changes); i += 2 {
		it[changes[i].(string)] = changes[i+1]
	}
	return it
}

func spot(region, size, usd string, changes ...any) object {
	return price(region, size, usd, append([]any{"skuName", size + " Spot", "meterName", size + " Spot"}, changes...)...)
}

// sku is an entry of Resource SKUs as the API gives it.
func sku(name, region string, capabilities map[string]string, zones ...string) object {
	var list []object
	for n, v := range capabilities {
		list = append(list, object{"name": n, "value": v})
	}
	return object{
		"resourceType": "virtualMachines", "name": name, "tier": "Standard", "locations": []string{strings.ToUpper(region[:1]) + region[1:]},
		"locationInfo": []object{{"location": region, "zones": zones, "zoneDetails": []any{}}}, "capabilities": list, "restrictions": []any{},
	}
}

func can(vCPUs, memoryGB string, more ...string) map[string]string {
	c := map[string]string{"vCPUs": vCPUs, "MemoryGB": memoryGB, "LowPriorityCapable": "True", "HyperVGenerations": "V1,V2", "MaxResourceVolumeMB": "0"}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

func restricted(o object, kind, reason string, places, zones []string) object {
	o["restrictions"] = []object{{"type": kind, "values": places, "reasonCode": reason, "restrictionInfo": object{"locations": places, "zones": zones}}}
	return o
}

// fakeAzure answers as the three APIs do.
type fakeAzure struct {
	prices   []object
	skus     []object
	eviction []object
	history  []object
	pageSize int
	token    string // that it accepts; empty: any

	mu       sync.Mutex
	queries  []string
	sessions map[string]int // where a $skipToken goes on
}

func (f *fakeAzure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		http.Error(w, "TLS is needed", http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/api/retail/prices" {
		f.retail(w, r)
		return
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || f.token != "" && given != f.token {
		w.Header().Set("WWW-Authenticate", `Bearer authorization_uri="https://login.windows.net/", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "ExpiredAuthenticationToken")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /subscriptions/" + subscription + "/providers/Microsoft.Compute/skus":
		f.resourceSKUs(w, r)
	case "POST /providers/Microsoft.ResourceGraph/resources":
		f.graph(w, r)
	default:
		refuse(w, http.StatusNotFound, "SubscriptionNotFound")
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object{"error": object{"code": code, "message": "The request is refused."}})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fakeAzure) page() int {
	if f.pageSize == 0 {
		return 1000
	}
	return f.pageSize
}

var clause = regexp.MustCompile(`^(\w+) eq '([^']*)'$`)

// retail compares with the case of values, as the preview version does.
func (f *fakeAzure) retail(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("api-version") != "2023-01-01-preview" || q.Get("currencyCode") != "'USD'" {
		http.Error(w, "bad version or currency", http.StatusBadRequest)
		return
	}
	found := f.prices
	for part := range strings.SplitSeq(q.Get("$filter"), " and ") {
		m := clause.FindStringSubmatch(part)
		field := map[string]string{"priceType": "type", "serviceName": "serviceName", "armRegionName": "armRegionName"}
		if m == nil || field[m[1]] == "" {
			http.Error(w, "Invalid OData parameters supplied", http.StatusBadRequest)
			return
		}
		found = slices.DeleteFunc(slices.Clone(found), func(o object) bool { return o[field[m[1]]] != m[2] })
	}
	skip, _ := strconv.Atoi(q.Get("$skip"))
	end := min(skip+f.page(), len(found))
	var next any
	if end < len(found) {
		next = "https://" + r.Host + r.URL.Path + "?api-version=2023-01-01-preview&currencyCode='USD'&$filter=" + q.Get("$filter") + "&$skip=" + strconv.Itoa(end)
	}
	answer(w, object{
		"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail", "Items": found[skip:end],
		"NextPageLink": next, "Count": end - skip,
	})
}

func (f *fakeAzure) resourceSKUs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m := clause.FindStringSubmatch(q.Get("$filter"))
	if m == nil || m[1] != "location" {
		refuse(w, http.StatusBadRequest, "InvalidFilter")
		return
	}
	found := slices.DeleteFunc(slices.Clone(f.skus), func(o object) bool {
		return !strings.EqualFold(o["locationInfo"].([]object)[0]["location"].(string), m[2])
	})
	skip, _ := strconv.Atoi(q.Get("$skiptoken"))
	end := min(skip+f.page(), len(found))
	out := object{"value": found[skip:end]}
	if end < len(found) {
		q.Set("$skiptoken", strconv.Itoa(end))
		out["nextLink"] = "https://" + r.Host + r.URL.Path + "?" + q.Encode()
	}
	answer(w, out)
}

var located = regexp.MustCompile(`location =~ '(\w+)'`)

func (f *fakeAzure) graph(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query         string
		Subscriptions []string
		Options       struct {
			ResultFormat string
			SkipToken    string `json:"$skipToken"`
			Top          int    `json:"$top"`
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Options.ResultFormat != "objectArray" || in.Subscriptions != nil || !strings.Contains(in.Query, "project id,") {
		refuse(w, http.StatusBadRequest, "BadRequest")
		return
	}
	rows := f.history
	if strings.Contains(in.Query, "skuspotevictionrate") {
		rows = f.eviction
	}
	region := located.FindStringSubmatch(in.Query)[1]
	rows = slices.DeleteFunc(slices.Clone(rows), func(o object) bool { return o["location"] != region })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, in.Query)
	at := 0
	if t := in.Options.SkipToken; t != "" {
		n, ok := f.sessions[t]
		if !ok {
			refuse(w, http.StatusBadRequest, "InvalidSkipToken")
			return
		}
		at = n
	}
	end := min(at+min(f.page(), in.Options.Top), len(rows))
	out := object{"totalRecords": len(rows), "count": end - at, "data": rows[at:end], "facets": []any{}, "resultTruncated": "false"}
	if end < len(rows) {
		if f.sessions == nil {
			f.sessions = map[string]int{}
		}
		token := fmt.Sprintf("ew0KICAi%d%s", end, url.QueryEscape(region))
		f.sessions[token] = end
		out["$skipToken"] = token
	}
	answer(w, out)
}

func evicted(region, size, band string) object {
	return object{"id": "/providers/x/" + region + size, "location": region, "skuName": size, "evictionRate": band}
}

// prices are pairs of time and price, the newest first.
func wasSold(region, size string, pairs ...string) object {
	var list []object
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, object{"effectiveDate": pairs[i], "priceUSD": json.Number(pairs[i+1])})
	}
	return object{"id": "/providers/y/" + region + size, "location": region, "skuName": size, "spotPrices": list}
}

// options reach a server quickly and without credentials.
func options(at string, client *http.Client, regions ...string) azure.Options {
	return azure.Options{
		Regions: regions, PriceURL: at + "/api/retail/prices", Now: func() time.Time { return now },
		Prices: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 300 * time.Millisecond, Stall: 300 * time.Millisecond},
		ARM: arm.ClientOptions{ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: at,
				Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: at, Audience: at}},
			},
			Transport: client,
			Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, MaxRetryDelay: 5 * time.Millisecond, TryTimeout: 300 * time.Millisecond},
		}},
	}
}

// signedIn adds a subscription and a credential.
func signedIn(o azure.Options) azure.Options {
	o.Credential, o.Subscription = azcore.TokenCredential(&azfake.TokenCredential{}), subscription
	return o
}

// serve starts the fake over TLS.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func collector(t *testing.T, made pricing.Collector, err error) pricing.Collector {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// gather collects, and gives what came and the error.
func gather(t *testing.T, c pricing.Collector) ([]pricing.Batch, error) {
	t.Helper()
	var out []pricing.Batch
	err := c.Collect(t.Context(), func(b pricing.Batch) error {
		out = append(out, b)
		return nil
	})
	return out, err
}

// offersOf collects the prices of h without credentials and sifts them.
func offersOf(t *testing.T, h http.Handler, regions ...string) pricing.Sifted {
	t.Helper()
	srv := serve(t, h)
	return sifted(t, options(srv.URL, srv.Client(), regions...))
}

func sifted(t *testing.T, o azure.Options) pricing.Sifted {
	t.Helper()
	made, err := azure.New(o)
	rows, err := pricing.Collect(t.Context(), collector(t, made, err))
	if err != nil {
		t.Fatal(err)
	}
	return pricing.Sift(rows)
}

// lines shows offers in short.
func lines(offers []purser.Offer) []string {
	var out []string
	for _, o := range offers {
		out = append(out, fmt.Sprintf("%s %s %sx%s %d/%d", o.ID(), o.UnitPrice.Decimal(), o.Accelerator, o.Devices, o.MilliCPU/1000, o.MemoryMiB/1024))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
