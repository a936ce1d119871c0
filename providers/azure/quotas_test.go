package azure_test

import (
	"net/http"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/azure"
)

func usage(name string, limit, used int) object {
	return object{"unit": "Count", "limit": limit, "currentValue": used, "name": object{"value": name, "localizedValue": "Total " + name}}
}

func TestQuotas(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.page = 2
	c.usages = map[string][]object{
		"eastus": {
			usage("availabilitySets", 2500, 1), usage("cores", 350, 52), usage("lowPriorityCores", 100, 24), usage("standardDSv5Family", 350, 4),
			usage("StandardNCADSA100v4Family", 96, 24), usage("standardNDSH100v5Family", 0, 0),
		},
		"westus2": {usage("cores", 10, 0), usage("lowPriorityCores", 10, 0)},
	}
	c.keeps = map[string]*reservations{"kept": {
		list: []object{
			{"id": "/r/one", "name": "one", "location": "East US", "zones": []string{"2"}, "sku": object{"name": "Standard_ND96isr_H100_v5", "capacity": 3}, "properties": object{"timeCreated": "2026-11-01T00:00:00Z"}},
			{"id": "/r/two", "name": "two", "location": "eastus", "sku": object{"name": a100, "capacity": 1}, "properties": object{"scheduleProfile": object{"start": "2026-11-20", "end": "2026-12-01"}}},
		},
		views: []object{{"name": "ONE", "utilizationInfo": object{"virtualMachinesAllocated": []object{{"id": "/a"}, {"id": "/b"}}}}},
	}}
	p := h.provider(t, c, func(cfg *azure.Config) {
		place := cfg.Places["eastus"]
		place.ReservationGroup = "/subscriptions/" + c.sub + "/resourceGroups/net/providers/Microsoft.Compute/capacityReservationGroups/kept"
		cfg.Places["eastus"] = place
	})
	q, ok := providers.As[providers.Quoter](p)
	if !ok {
		t.Fatal("Azure tells no quotas")
	}
	got, err := q.Quotas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []purser.Quota{
		{Name: "azure/eastus/on_demand", Limit: 350, Unit: "vcpus", Provider: "azure", Region: "eastus", Option: purser.OnDemand},
		{Name: "azure/eastus/on_demand/standardncadsa100v4", Limit: 96, Unit: "vcpus", Provider: "azure", Region: "eastus", Option: purser.OnDemand, Accelerator: "A100-80GB", TypePrefix: "Standard_NC"},
		{Name: "azure/eastus/on_demand/standardndsh100v5", Limit: 0, Unit: "vcpus", Provider: "azure", Region: "eastus", Option: purser.OnDemand, Accelerator: "H100", TypePrefix: "Standard_ND"},
		{Name: "azure/eastus/spot", Limit: 100, Unit: "vcpus", Provider: "azure", Region: "eastus", Option: purser.Spot},
		{Name: "azure/westus2/on_demand", Limit: 10, Unit: "vcpus", Provider: "azure", Region: "westus2", Option: purser.OnDemand},
		{Name: "azure/westus2/spot", Limit: 10, Unit: "vcpus", Provider: "azure", Region: "westus2", Option: purser.Spot},
	}
	if len(got.Quotas) != len(want) {
		t.Fatalf("got %+v", got.Quotas)
	}
	for i, q := range want {
		if got.Quotas[i] != q {
			t.Errorf("got %+v\nwant %+v", got.Quotas[i], q)
		}
		if err := q.Check(); err != nil {
			t.Error(err)
		}
	}
	if got.Used["azure/eastus/on_demand"] != 52 || got.Used["azure/eastus/spot"] != 24 {
		t.Errorf("used is %v", got.Used)
	}
	if w := want[1].Weight(offer(a100, purser.OnDemand)); w != 24_000 {
		t.Errorf("an A100 machine takes %d of its family's quota", w)
	}
	if len(got.Reserved) != 2 {
		t.Fatalf("reserved is %+v", got.Reserved)
	}
	one, two := got.Reserved[0], got.Reserved[1]
	if one.Total != 3 || one.Free != 1 || one.Offer.Limit != 1 || one.Offer.ID() != "azure/eastus/2/Standard_ND96isr_H100_v5/reserved" || one.From.IsZero() || !one.Until.IsZero() {
		t.Errorf("got %+v", one)
	}
	if two.Free != 1 || !two.From.Equal(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)) || !two.Until.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", two)
	}
}

func TestQuotasOfARegionThatRefusesAreAnError(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.usages = map[string][]object{"eastus": {usage("cores", 350, 52)}} // westus2 tells nothing
	if got, err := h.provider(t, c).Quotas(t.Context()); purser.KindOf(err) != purser.KindUnavailable || err == nil {
		t.Errorf("got %+v, %v", got, err)
	}
	c.refuse = func(string) *refusal { return &refusal{status: http.StatusForbidden, code: "AuthorizationFailed"} }
	if got, err := h.provider(t, c).Quotas(t.Context()); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("got %+v, %v", got, err)
	}
}
