package verda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
	"purser/pricing/pricingtest"
)

var seen = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("EET", 7200))

const types = `[
 {"id":"a1","instance_type":"8H100.80S.176V","price_per_hour":"18.40","spot_price":"6.44","currency":"usd",
  "cpu":{"description":"176 CPU","number_of_cores":176},"gpu":{"description":"8x H100 SXM5 80GB","number_of_gpus":8},
  "memory":{"description":"1480GB RAM","size_in_gigabytes":1480},"gpu_memory":{"description":"640GB GPU RAM","size_in_gigabytes":640}},
 {"id":"a2","instance_type":"1V100.6V","price_per_hour":"0.14","spot_price_per_hour":"0.049","currency":"usd",
  "cpu":{"number_of_cores":6},"gpu":{"description":"1x Tesla V100 16GB","number_of_gpus":1},"memory":{"size_in_gigabytes":23}},
 {"id":"a3","instance_type":"1B300.30V","price_per_hour":5.44,"spot_price":null,"currency":"usd",
  "cpu":{"number_of_cores":30},"gpu":{"description":"1x B300 SXM6 262GB","number_of_gpus":1},"memory":{"size_in_gigabytes":275}},
 {"id":"a4","instance_type":"CPU.4V.16G","price_per_hour":"0.0279","spot_price":"0.0139","currency":"usd",
  "cpu":{"number_of_cores":4},"gpu":{"description":"","number_of_gpus":0},"memory":{"size_in_gigabytes":16}}
]`

const (
	clientID = "client-0123"
	secret   = "secret-4567"
)

// cloud stands in for Verda. A token dies after it has been shown uses times.
type cloud struct {
	mu     sync.Mutex
	types  string
	uses   int
	logins int
	left   map[string]int // by token
}

func newCloud() *cloud { return &cloud{types: types, uses: 1000, left: map[string]int{}} }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.URL.Path == "/oauth2/token" {
		c.token(w, r)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c.left[token] == 0 {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"code":"unauthorized_request","message":"Access token is missing or invalid"}`)
		return
	}
	c.left[token]--
	switch r.URL.Path + "?" + r.URL.RawQuery {
	case "/instance-types?currency=usd":
		fmt.Fprint(w, c.types)
	case "/instance-availability?":
		fmt.Fprint(w, `[{"location_code":"FIN-03","availabilities":["8H100.80S.176V","CPU.4V.16G","1GONE.1V"]},{"location_code":"FIN-01","availabilities":["1V100.6V","1B300.30V"]},{"location_code":"ICE-01","availabilities":[]}]`)
	case "/instance-availability?is_spot=true":
		fmt.Fprint(w, `[{"location_code":"FIN-01","availabilities":["1V100.6V","1B300.30V"]},{"location_code":"ICE-01","availabilities":["8H100.80S.176V"]}]`)
	case "/locations?":
		fmt.Fprint(w, `[{"code":"FIN-01","name":"Finland 1","country_code":"FI"},{"code":"FIN-03","name":"Finland 3","country_code":"FI"},{"code":"ICE-01","name":"Iceland 1","country_code":"IS"}]`)
	default:
		http.NotFound(w, r)
	}
}

func (c *cloud) token(w http.ResponseWriter, r *http.Request) {
	var ask map[string]string
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&ask) != nil || ask["grant_type"] != "client_credentials" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if ask["client_id"] != clientID || ask["client_secret"] != secret {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","client_secret":%q}`, ask["client_secret"])
		return
	}
	c.logins++
	token := fmt.Sprintf("token-%d", c.logins)
	c.left[token] = c.uses
	fmt.Fprintf(w, `{"access_token":%q,"refresh_token":"r","token_type":"Bearer","expires_in":3600,"scope":"cloud-api-v1"}`, token)
}

func newAt(url string, client *http.Client, clientSecret string) pricing.Collector {
	return New(Options{
		URL: url, ClientID: clientID, ClientSecret: clientSecret, Now: func() time.Time { return seen },
		Client: &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond},
	})
}

func (c *cloud) collect(t *testing.T, clientSecret string) ([]pricing.Row, error) {
	t.Helper()
	srv := httptest.NewServer(c)
	defer srv.Close()
	return pricing.Collect(t.Context(), newAt(srv.URL, srv.Client(), clientSecret))
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(newCloud())
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return newAt(srv.URL+"/", srv.Client(), secret) })
}

// The token request is the first of the five that the faults are tried on.
func TestFaults(t *testing.T) {
	cloud := newCloud()
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: cloud,
		New: func(url string, client *http.Client) pricing.Collector {
			return newAt(url, client, secret)
		},
	})
}

// Trap 15: an offer stands only where the location can start it under that option.
func TestTrap15_OffersStandWhereTheyCanStart(t *testing.T) {
	rows, err := newCloud().collect(t, secret)
	if err != nil {
		t.Fatal(err)
	}
	sifted := pricing.Sift(rows)
	if len(sifted.Quarantined) > 0 {
		t.Errorf("quarantined: %+v", sifted.Quarantined)
	}
	var got []string
	for _, o := range sifted.Offers {
		got = append(got, fmt.Sprintf("%s $%s %s %s×%s %d/%d", o.ID(), o.UnitPrice.Decimal(), o.Country, o.Accelerator, o.Devices, o.MilliCPU, o.MemoryMiB))
	}
	want := []string{
		"verda/FIN-01/-/1B300.30V/on_demand $5.44 FI B300×1 30000/281600", // no spot price, though spot capacity
		"verda/FIN-01/-/1V100.6V/on_demand $0.14 FI V100-16GB×1 6000/23552",
		"verda/FIN-01/-/1V100.6V/spot $0.049 FI V100-16GB×1 6000/23552",
		"verda/FIN-03/-/8H100.80S.176V/on_demand $18.4 FI H100×8 176000/1515520",
		"verda/FIN-03/-/CPU.4V.16G/on_demand $0.0279 FI ×0 4000/16384",
		"verda/ICE-01/-/8H100.80S.176V/spot $6.44 IS H100×8 176000/1515520",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o := rows[0].Offer; !o.ObservedAt.Equal(seen) || o.ObservedAt.Location() != time.UTC {
		t.Errorf("observed at %s", o.ObservedAt)
	}
}

func TestExpiredTokenIsReplacedOnce(t *testing.T) {
	for uses, c := range map[int]struct {
		logins int
		fails  bool
	}{
		4: {1, false}, // it lasts
		3: {2, false}, // it ends before the last request
		2: {2, false},
		1: {2, true}, // the new one ends too
		0: {2, true}, // no token is good for anything
	} {
		cloud := newCloud()
		cloud.uses = uses
		rows, err := cloud.collect(t, secret)
		if cloud.logins != c.logins || (err != nil) != c.fails {
			t.Errorf("%d uses: %d logins and %v, want %d and failing %t", uses, cloud.logins, err, c.logins, c.fails)
		}
		if c.fails && (purser.KindOf(err) != purser.KindUnauthorized || len(rows) > 0) {
			t.Errorf("%d uses: %d rows and %v, want unauthorized", uses, len(rows), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		secret, types string
		kind          purser.Kind
		says          string
	}{
		"no credentials": {"", types, purser.KindUnauthorized, "Verda console"},
		"wrong ones":     {"secret-wrong", types, purser.KindUnauthorized, "the credentials are not accepted"},
		"no types":       {secret, "[]", purser.KindInvalid, "no instance type"},
		"null":           {secret, "null", purser.KindInvalid, "no instance type"},
		"other form":     {secret, `{"code":"oops"}`, purser.KindInvalid, "form"},
	} {
		cloud := newCloud()
		cloud.types = c.types
		_, err := cloud.collect(t, c.secret)
		if purser.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-") || strings.Contains(err.Error(), "token-") {
			t.Errorf("%s: got %s: %v, want %s that says %q and no secret", name, purser.KindOf(err), err, c.kind, c.says)
		}
	}
}

func TestTokenMustBeThere(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }))
	defer srv.Close()
	err := newAt(srv.URL, srv.Client(), secret).Collect(t.Context(), func(pricing.Batch) error { return errors.New("it emitted") })
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "no token") {
		t.Errorf("got %v, want that there is no token", err)
	}
}

func TestMissingAvailabilityIsNoEmptyOne(t *testing.T) {
	cloud := newCloud()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/instance-availability" {
			fmt.Fprint(w, "null")
			return
		}
		cloud.ServeHTTP(w, r)
	}))
	defer srv.Close()
	err := newAt(srv.URL, srv.Client(), secret).Collect(t.Context(), func(pricing.Batch) error { return errors.New("it emitted") })
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "location") {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestWhatCannotBeBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		change, to string
		reason     pricing.QuarantineReason
		says       string
	}{
		"euro":           {`"18.40","spot_price":"6.44","currency":"usd"`, `"18.40","currency":"eur"`, purser.QuarantineNoPrice, "eur"},
		"free":           {`"18.40","spot_price":"6.44"`, `"0.00"`, purser.QuarantineNoPrice, "$0/h"},
		"exponent":       {`"18.40","spot_price":"6.44"`, `1e-3`, purser.QuarantineNoPrice, "1e-3"},
		"unknown device": {"8x H100 SXM5 80GB", "8x AMD 7900XTX", purser.QuarantineAccelerator, "7900XTX"},
	} {
		cloud := newCloud()
		cloud.types = strings.Replace(types, c.change, c.to, 1)
		rows, err := cloud.collect(t, secret)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		q := pricing.Sift(rows).Quarantined
		if len(q) == 0 || q[0].Offer.InstanceType != "8H100.80S.176V" || q[0].Reason != c.reason || !strings.Contains(q[0].Detail, c.says) {
			t.Errorf("%s: quarantined %+v, want %s that says %q", name, q, c.reason, c.says)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := New(Options{ClientID: clientID, ClientSecret: secret})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Collect(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context has ended", err)
	}
}

func TestAccelerator(t *testing.T) {
	for description, want := range map[string]string{
		"8x H100 SXM5 80GB":    "H100",
		"1x H100 PCIe 80GB":    "H100-PCIE",
		"4x A100 SXM4 40GB":    "A100-40GB",
		"8x A100 SXM4 80GB":    "A100-80GB",
		"1x H200 SXM5 141GB":   "H200",
		"1x B200 SXM6 180GB":   "B200",
		"1x RTX6000 Ada 48GB":  "RTX6000-ADA",
		"1x RTX 6000 Ada 48GB": "RTX6000-ADA",
		"1x RTX PRO 6000 96GB": "RTX-PRO-6000",
		"1x RTX A6000 48GB":    "A6000",
		"1x Tesla V100 16GB":   "V100-16GB",
		"2x L40S 48GB":         "L40S",
		"1x B300 SXM6 262GB":   "B300",
		"8x A100 SXM4 60GB":    "", // of no size that is known
		"1x AMD 7900XTX":       "",
		"":                     "",
		"8x":                   "",
		"80GB":                 "",
	} {
		if got := accelerator(description); got != want {
			t.Errorf("accelerator(%q) = %q, want %q", description, got, want)
		}
	}
}

func FuzzAccelerator(f *testing.F) {
	for _, s := range []string{"8x H100 SXM5 80GB", "1x Tesla V100 16GB", "x", "999x  GB", "1x RTX 6000 Ada 48 GB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, description string) {
		name := accelerator(description)
		if a, ok := purser.AcceleratorNamed(name); name != "" && (!ok || a.Name != name) {
			t.Errorf("accelerator(%q) = %q, which is no canonical name", description, name)
		}
	})
}
