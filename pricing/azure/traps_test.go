package azure_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"purser"
	"purser/pricing"
	"purser/pricing/azure"
)

func TestTrap05_NoCredentialsWithoutTLS(t *testing.T) {
	o := signedIn(options("https://127.0.0.1", http.DefaultClient, "eastus"))
	o.ARM.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: "http://127.0.0.1", Audience: "x"}}
	if _, err := azure.New(o); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %v", err)
	}
	if _, err := azure.NewSpotHistory(o); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("got %v", err)
	}
}

// Registering a resource provider would be a write; the SDK does it unasked on this
// answer unless it is told not to.
func TestTrap05_NoResourceProviderIsRegistered(t *testing.T) {
	var asked []string
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		refuse(w, http.StatusConflict, "MissingSubscriptionRegistration")
	}))
	made, err := azure.New(signedIn(options(srv.URL, srv.Client(), "eastus")))
	if _, err := gather(t, collector(t, made, err)); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("got %v", err)
	}
	same(t, asked, "GET /subscriptions/"+subscription+"/providers/Microsoft.Compute/skus")
}

func TestTrap06_FilterValuesHaveTheirCase(t *testing.T) {
	// The fake compares with case, and knows priceType and no field called type.
	s := offersOf(t, &fakeAzure{prices: []object{
		price("eastus", "Standard_D2s_v5", "0.096"),
		price("eastus", "Standard_D4s_v5", "0.192", "serviceName", "virtual machines"),
	}}, "eastus")
	same(t, lines(s.Offers), "azure/eastus/-/Standard_D2s_v5/on_demand 0.096 x0 2/8")
	for _, name := range []string{"EastUS", "East US", "", "eastus' or 'a' eq 'a"} {
		if _, err := azure.New(azure.Options{Regions: []string{name}}); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("region %q: got %v", name, err)
		}
	}
}

func TestTrap07_ReservationsAreNoHourlyPrices(t *testing.T) {
	reserved := price("eastus", "Standard_ND96isr_H100_v5", "551221.0", "type", "Reservation", "reservationTerm", "1 Year")
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// As if the filter were not heeded.
		answer(w, object{"Items": []object{
			reserved,
			price("eastus", "Standard_ND96isr_H100_v5", "49.16", "type", "DevTestConsumption"),
			price("eastus", "Standard_ND96isr_H100_v5", "70", "reservationTerm", "3 Years"),
			price("eastus", "Standard_ND96isr_H100_v5", "98.32"),
		}, "NextPageLink": nil})
	}))
	same(t, lines(sifted(t, options(srv.URL, srv.Client(), "eastus")).Offers), "azure/eastus/-/Standard_ND96isr_H100_v5/on_demand 98.32 H100x8 96/1900")
}

func TestTrap10_DevicesAreTheTables(t *testing.T) {
	for _, c := range []struct {
		size, vCPUs, memory, gpus string
		accelerator               string
		devices                   purser.MilliDevices
		deviceGiB                 int64
	}{
		{"Standard_NV6ads_A10_v5", "6", "55", "1", "A10", 166, 24},
		{"Standard_NV12ads_A10_v5", "12", "110", "1", "A10", 333, 24},
		{"Standard_NV18ads_A10_v5", "18", "220", "1", "A10", 500, 24},
		{"Standard_NV72ads_A10_v5", "72", "880", "2", "A10", 2000, 24},
		{"Standard_NC16ads_A10_v4", "16", "200", "", "A10", 1000, 24},
		{"Standard_NP10s", "10", "168", "", "U250", 1000, 64},
		{"Standard_NP40s", "40", "672", "", "U250", 4000, 64},
		{"Standard_ND96isr_H100_v5", "96", "1900", "12", "H100", 8000, 80},
		{"Standard_ND48s_H100_v5", "48", "950", "6", "H100", 4000, 80},
		{"Standard_NC80adis_H100_v5", "80", "640", "2", "H100-NVL", 2000, 94},
		{"Standard_NG8ads_V620_v1", "8", "16", "1", "V620", 250, 32},
		{"Standard_NV4as_v4", "4", "14", "1", "MI25", 125, 16},
	} {
		f := &fakeAzure{prices: []object{price("eastus", c.size, "1")}}
		srv := serve(t, f)
		f.skus = []object{sku(c.size, "eastus", can(c.vCPUs, c.memory, "GPUs", c.gpus), "1")}
		bySKU, byTable := options(srv.URL, srv.Client(), "eastus"), options(srv.URL, srv.Client(), "eastus")
		byTable.Now = func() time.Time { return time.Date(2026, 9, 30, 23, 0, 0, 0, time.UTC) } // MI25's last day
		for i := range f.prices {
			f.prices[i]["effectiveStartDate"] = "2026-09-01T00:00:00Z"
		}
		bySKU = signedIn(bySKU)
		for _, o := range []azure.Options{bySKU, byTable} {
			s := sifted(t, o)
			if len(s.Offers) != 1 {
				t.Errorf("%s: %+v", c.size, s)
				continue
			}
			got := s.Offers[0]
			if got.Accelerator != c.accelerator || got.Devices != c.devices || got.DeviceMemoryMiB != c.deviceGiB<<10 {
				t.Errorf("%s: got %s × %s of %d MiB", c.size, got.Accelerator, got.Devices, got.DeviceMemoryMiB)
			}
		}
	}
}

func TestTrap10_UnknownAcceleratorsAreQuarantined(t *testing.T) {
	f := &fakeAzure{
		prices: []object{
			price("eastus", "Standard_ND256isr_X900_v9", "200"),
			price("eastus", "Standard_QX4_v9", "1"), price("eastus", "Standard_D2s_v5", "0.096"),
		},
		skus: []object{
			sku("Standard_ND256isr_X900_v9", "eastus", can("256", "4000", "GPUs", "8"), "1"), sku("Standard_QX4_v9", "eastus", can("4", "16", "GPUs", "1"), "1"),
			sku("Standard_D2s_v5", "eastus", can("2", "8"), "1"),
		},
	}
	srv := serve(t, f)
	for mode, want := range map[string]map[string]pricing.QuarantineReason{
		"table": {"Standard_ND256isr_X900_v9": pricing.QuarantineIncomplete},
		"skus":  {"Standard_ND256isr_X900_v9": pricing.QuarantineIncomplete, "Standard_QX4_v9": pricing.QuarantineIncomplete},
	} {
		o := options(srv.URL, srv.Client(), "eastus")
		if mode == "skus" {
			o = signedIn(o)
		}
		s := sifted(t, o)
		if len(s.Offers) != 1 || s.Offers[0].InstanceType != "Standard_D2s_v5" || len(s.Quarantined) != len(want) {
			t.Errorf("%s: got %+v", mode, s)
		}
		for _, q := range s.Quarantined {
			if q.Reason != want[q.Offer.InstanceType] || q.Detail == "" || q.Offer.UnitPrice == 0 {
				t.Errorf("%s: got %+v", mode, q)
			}
		}
	}
}

func TestTrap15_PricesOutliveSizes(t *testing.T) {
	f := &fakeAzure{prices: []object{
		price("eastus", "Standard_NC6s_v3", "3.06"), price("eastus", "Standard_NV32as_v4", "1.87"), price("eastus", "Standard_NC6_Promo", "0.396"),
		price("eastus", "Standard_D2s_v5", "0.096"),
	}}
	same(t, lines(offersOf(t, f, "eastus").Offers), "azure/eastus/-/Standard_D2s_v5/on_demand 0.096 x0 2/8")
	// Where a SKU says that the size is still there, it is.
	f.skus = []object{sku("Standard_NC6s_v3", "eastus", can("6", "112", "GPUs", "1"))}
	srv := serve(t, f)
	same(t, lines(sifted(t, signedIn(options(srv.URL, srv.Client(), "eastus"))).Offers), "azure/eastus/-/Standard_NC6s_v3/on_demand 3.06 V100-16GBx1 6/112")
}

func TestRestrictions(t *testing.T) {
	const size = "Standard_NC24ads_A100_v4"
	a100 := func() object { return sku(size, "eastus", can("24", "220", "GPUs", "1"), "1", "2", "3") }
	for name, c := range map[string]struct {
		sku  object
		want []string
	}{
		"none":                  {a100(), []string{"1", "2", "3"}},
		"the subscription":      {restricted(a100(), "Location", "NotAvailableForSubscription", []string{"EastUS"}, nil), nil},
		"the offer":             {restricted(a100(), "Location", "QuotaId", []string{"eastus"}, nil), nil},
		"another region":        {restricted(a100(), "Location", "NotAvailableForSubscription", []string{"westus"}, nil), []string{"1", "2", "3"}},
		"a zone":                {restricted(a100(), "Zone", "NotAvailableForSubscription", []string{"EASTUS"}, []string{"2"}), []string{"1", "3"}},
		"all zones":             {restricted(a100(), "Zone", "QuotaId", []string{"eastus"}, []string{"1", "2", "3"}), nil},
		"of a kind that is new": {restricted(a100(), "Planet", "Other", nil, nil), nil},
		"another resource":      {func() object { o := a100(); o["resourceType"] = "hostGroups"; return o }(), nil},
	} {
		f := &fakeAzure{prices: []object{price("eastus", size, "3.673"), price("eastus", "Standard_D2s_v5", "0.096")}}
		f.skus = []object{c.sku, sku("Standard_D2s_v5", "eastus", can("2", "8"))}
		srv := serve(t, f)
		var zones []string
		for _, o := range sifted(t, signedIn(options(srv.URL, srv.Client(), "eastus"))).Offers {
			if o.InstanceType == size {
				zones = append(zones, o.Zone)
			}
		}
		if strings.Join(zones, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: got zones %v, want %v", name, zones, c.want)
		}
	}
}

func TestSKUsSayWhatCanBeUsed(t *testing.T) {
	f := &fakeAzure{
		prices: []object{
			price("eastus", "Standard_E64-16s_v5", "4.032"), price("eastus", "Standard_D2s_v5", "0.096"), spot("eastus", "Standard_B2s", "0.01"),
			price("eastus", "Standard_B2s", "0.0416"), price("eastus", "Standard_F8s_v2", "0.338"),
		},
		skus: []object{
			sku("Standard_E64-16s_v5", "eastus", can("64", "512", "vCPUsAvailable", "16")),
			sku("Standard_B2s", "eastus", can("2", "0.75", "LowPriorityCapable", "False")),
			sku("Standard_D2s_v5", "eastus", map[string]string{"vCPUs": "two"}),
		},
	}
	srv := serve(t, f)
	s := sifted(t, signedIn(options(srv.URL, srv.Client(), "eastus")))
	same(t, lines(s.Offers), "azure/eastus/-/Standard_B2s/on_demand 0.0416 x0 2/0", "azure/eastus/-/Standard_E64-16s_v5/on_demand 4.032 x0 16/512")
	if s.Offers[0].MemoryMiB != 768 {
		t.Errorf("got %d MiB", s.Offers[0].MemoryMiB)
	}
	if len(s.Quarantined) != 1 || s.Quarantined[0].Reason != pricing.QuarantineIncomplete {
		t.Errorf("got %+v", s.Quarantined)
	}
}

func TestWhatIsNoPrice(t *testing.T) {
	const size = "Standard_D2s_v5"
	for name, c := range map[string][]any{
		"windows":          {"productName", "Virtual Machines Dsv5 Series Windows"},
		"windows in short": {"productName", "NDsr H100 v5 Srs Win"},
		"dedicated host":   {"productName", "Dsv5 Series Dedicated Host"},
		"cloud services":   {"productName", "Dv5 Series Cloud Services"},
		"cloudservices":    {"productName", "Dv5 Series CloudServices"},
		"low priority":     {"skuName", "D2s v5 Low Priority"},
		"by its meter":     {"meterName", "D2s v5 Low Priority"},
		"another unit":     {"unitOfMeasure", "1/Month"},
		"another currency": {"currencyCode", "EUR"},
		"a higher tier":    {"tierMinimumUnits", 100.0},
		"no size":          {"armSkuName", ""},
		"to come":          {"effectiveStartDate", "2026-12-01T00:00:00Z"},
		"over":             {"effectiveEndDate", "2026-11-20T00:00:00Z"},
		"never":            {"effectiveStartDate", "2026-11-23T00:00:00Z", "effectiveEndDate", "2026-11-22T23:59:59Z"},
	} {
		s := offersOf(t, &fakeAzure{prices: []object{price("eastus", size, "0.01", c...), price("eastus", "Standard_D4s_v5", "0.192")}}, "eastus")
		if len(s.Offers) != 1 || s.Offers[0].InstanceType != "Standard_D4s_v5" || len(s.Quarantined) != 0 {
			t.Errorf("%s: got %v and %+v", name, lines(s.Offers), s.Quarantined)
		}
	}
}

func TestDuplicates(t *testing.T) {
	const size = "Standard_D2s_v5"
	at := func(usd, from string, more ...any) object {
		return price("eastus", size, usd, append([]any{"effectiveStartDate", from}, more...)...)
	}
	for name, c := range map[string]struct {
		items []object
		want  string
	}{
		"the primary region":   {[]object{at("0.2", "2026-11-02T00:00:00Z", "isPrimaryMeterRegion", false), at("0.1", "2026-01-01T00:00:00Z")}, "0.1"},
		"the newest":           {[]object{at("0.1", "2026-01-01T00:00:00Z"), at("0.3", "2026-11-02T00:00:00Z"), at("0.2", "2026-05-01T00:00:00Z")}, "0.3"},
		"not one to come":      {[]object{at("0.1", "2026-01-01T00:00:00Z"), at("0.3", "2026-11-23T09:30:01Z")}, "0.1"},
		"the dearest":          {[]object{at("0.1", "2026-01-01T00:00:00Z"), at("0.3", "2026-01-01T00:00:00Z"), at("0.2", "2026-01-01T00:00:00Z")}, "0.3"},
		"one that makes sense": {[]object{at("0.1", "2026-01-01T00:00:00Z"), at("0", "2026-11-01T00:00:00Z")}, "0.1"},
		"the last day counts":  {[]object{at("0.1", "2026-01-01T00:00:00Z", "effectiveEndDate", "2026-11-23T00:00:00Z")}, "0.1"},
	} {
		s := offersOf(t, &fakeAzure{pageSize: 1, prices: c.items}, "eastus")
		if len(s.Offers) != 1 || s.Offers[0].UnitPrice.Decimal() != c.want {
			t.Errorf("%s: got %v", name, lines(s.Offers))
		}
	}
}

// A clock that is slow leaves out prices that have just begun, and the ones before
// them count; when none has begun it is the clock that is wrong, and nothing goes.
func TestClockSkew(t *testing.T) {
	f := &fakeAzure{prices: []object{price("eastus", "Standard_D2s_v5", "0.1", "effectiveStartDate", "2026-11-23T09:00:00Z")}}
	srv := serve(t, f)
	o := options(srv.URL, srv.Client(), "eastus")
	o.Now = func() time.Time { return now.Add(-time.Hour) }
	made, err := azure.New(o)
	got, err := gather(t, collector(t, made, err))
	if purser.KindOf(err) != purser.KindInvalid || len(got) != 0 || !strings.Contains(err.Error(), "clock") {
		t.Errorf("got %v and %v", got, err)
	}
	f.prices = append(f.prices, price("eastus", "Standard_D2s_v5", "0.2", "effectiveStartDate", "2026-01-01T00:00:00Z"))
	same(t, lines(sifted(t, o).Offers), "azure/eastus/-/Standard_D2s_v5/on_demand 0.2 x0 2/8")
}

func TestPricesAreExact(t *testing.T) {
	s := offersOf(t, &fakeAzure{prices: []object{
		price("eastus", "Standard_D2s_v5", "0.123456789"), price("eastus", "Standard_D4s_v5", "5.5E-05"), price("eastus", "Standard_D8s_v5", "0"),
		price("eastus", "Standard_D16s_v5", "-1"), price("eastus", "Standard_D32s_v5", "1E+20"), price("eastus", "Standard_D48s_v5", "1", "retailPrice", nil),
		price("eastus", "Standard_D64s_v5", "1", "retailPrice", "0.07"),
	}}, "eastus")
	same(t, lines(s.Offers),
		"azure/eastus/-/Standard_D2s_v5/on_demand 0.123456789 x0 2/8", "azure/eastus/-/Standard_D4s_v5/on_demand 0.000055 x0 4/16",
		"azure/eastus/-/Standard_D64s_v5/on_demand 0.07 x0 64/256")
	if n := s.Reasons()[purser.QuarantineNoPrice]; n != 4 || len(s.Quarantined) != 4 {
		t.Errorf("got %+v", s.Quarantined)
	}
}

func TestPagesOfPrices(t *testing.T) {
	for name, link := range map[string]string{
		"elsewhere": "https://example.com/api/retail/prices?$skip=1000", "no address": "https://%zz", "itself": "SELF", "plain": "http://127.0.0.1/api/retail/prices",
	} {
		srv := httptest.NewUnstartedServer(nil)
		srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next := link
			if link == "SELF" {
				next = "https://" + r.Host + r.URL.Path + "?$skip=1"
			}
			answer(w, object{"Items": []object{price("eastus", "Standard_D2s_v5", "0.1")}, "NextPageLink": next})
		})
		srv.StartTLS()
		t.Cleanup(srv.Close)
		made, err := azure.New(options(srv.URL, srv.Client(), "eastus"))
		if got, err := gather(t, collector(t, made, err)); purser.KindOf(err) != purser.KindInvalid || len(got) != 0 {
			t.Errorf("%s: got %d batches and %v", name, len(got), err)
		}
	}
}
