package server_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/server"
)

// Every filter of a query arrives, and what is left out has its default.
func TestPriceQueriesArrive(t *testing.T) {
	h := start(t)
	all := "provider=aws&region=us-east-1&accelerator=H100&option=spot&source=aws-spot&id=a/b/c/d/spot&min_memory_gib=40.5&min_devices=0.125&accelerated=true&per=gib&max_price=0.03"
	for _, path := range []string{"/v1/prices?as_of=2026-01-02T03:04:05Z&limit=7&" + all, "/v1/prices/cheapest?" + all, "/v1/prices"} {
		if resp, body := h.call(t, "GET", path, "viewer", ""); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	want := server.OfferQuery{
		Provider: "aws", Region: "us-east-1", Accelerator: "H100", Option: purser.Spot, Source: "aws-spot", ID: "a/b/c/d/spot", MinMemoryGiB: 40.5, MinDevices: 0.125, Accelerated: true, Per: "gib", MaxPrice: 0.03,
	}
	asOf := want
	asOf.AsOf, asOf.Limit = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 7
	if want := []server.OfferQuery{asOf, want, {Per: "device", Limit: 100}}; !slices.Equal(h.asked, want) {
		t.Errorf("asked\n%+v\nwant\n%+v", h.asked, want)
	}
	for path, status := range map[string]int{
		"/v1/prices?per=kilo":               http.StatusUnprocessableEntity,
		"/v1/prices?limit=0":                http.StatusUnprocessableEntity,
		"/v1/prices?min_memory_gib=-1":      http.StatusUnprocessableEntity,
		"/v1/prices?as_of=yesterday":        http.StatusUnprocessableEntity,
		"/v1/prices/cheapest":               http.StatusUnprocessableEntity,
		"/v1/prices/history":                http.StatusUnprocessableEntity,
		"/v1/prices/history?offer=a&by=eon": http.StatusUnprocessableEntity,
	} {
		if resp, body := h.call(t, "GET", path, "viewer", ""); resp.StatusCode != status {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// Who may do what with prices, and under which name.
func TestPriceReviewsAreTheAdmins(t *testing.T) {
	h := start(t)
	offer := `{"offer":"a/b/-/c/spot","reason":"outlier","days":2,"note":"x"}`
	for _, c := range []struct {
		method, path, body string
		least              string // role
		ok                 int
		noted              string
	}{
		{"POST", "/v1/sources/aws-bulk/collect", "", "operator", http.StatusAccepted, "operator collects aws-bulk"},
		{"POST", "/v1/quarantine/release", offer, "admin", http.StatusOK, "admin releases a/b/-/c/spot"},
		{"POST", "/v1/quarantine/keep", offer, "admin", http.StatusNoContent, "admin keeps a/b/-/c/spot"},
		{"POST", "/v1/prices/block", offer, "admin", http.StatusOK, "admin blocks a/b/-/c/spot"},
		{"DELETE", "/v1/prices/rules?offer=a/b/-/c/spot&reason=by_hand", "", "admin", http.StatusNoContent, "admin drops by_hand of a/b/-/c/spot"},
	} {
		roles := []string{"viewer", "operator", "admin"}
		for _, role := range roles[:slices.Index(roles, c.least)] {
			if resp, _ := h.call(t, c.method, c.path, role, c.body); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s by a %s: %d", c.method, c.path, role, resp.StatusCode)
			}
		}
		before := len(h.reviewed)
		resp, body := h.call(t, c.method, c.path, c.least, c.body)
		if resp.StatusCode != c.ok || len(h.reviewed) != before+1 || h.reviewed[before] != c.noted {
			t.Errorf("%s %s: %d %s, noted %v, want %q", c.method, c.path, resp.StatusCode, body, h.reviewed[before:], c.noted)
		}
	}
	if resp, _ := h.call(t, "POST", "/v1/quarantine/release", "admin", `{"reason":"outlier"}`); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a release of no offer: %d", resp.StatusCode)
	}
}
