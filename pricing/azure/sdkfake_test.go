package azure_test

import (
	"context"
	"net/http"
	"testing"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"
	graphfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph/fake"

	"purser"
	"purser/pricing/azure"
)

// The fakes that Microsoft generates check paths and types of what is asked.

func TestMicrosoftsFakeOfResourceSKUs(t *testing.T) {
	srv := serve(t, catalogueOf())
	var asked []string
	fake := computefake.ResourceSKUsServer{
		NewListPager: func(o *armcompute.ResourceSKUsClientListOptions) (resp azfake.PagerResponder[armcompute.ResourceSKUsClientListResponse]) {
			asked = append(asked, *o.Filter)
			size := func(name, vCPUs, memory string) *armcompute.ResourceSKU {
				return &armcompute.ResourceSKU{
					ResourceType: to.Ptr("virtualMachines"), Name: to.Ptr(name), Locations: []*string{to.Ptr("eastus")},
					LocationInfo: []*armcompute.ResourceSKULocationInfo{{Location: to.Ptr("EastUS"), Zones: []*string{to.Ptr("1")}}},
					Capabilities: []*armcompute.ResourceSKUCapabilities{
						{Name: to.Ptr("vCPUs"), Value: to.Ptr(vCPUs)}, {Name: to.Ptr("MemoryGB"), Value: to.Ptr(memory)}, {Name: to.Ptr("GPUs"), Value: to.Ptr("1")},
					},
				}
			}
			for _, s := range []*armcompute.ResourceSKU{size("Standard_NC4as_T4_v3", "4", "28"), size("Standard_NC24ads_A100_v4", "24", "220")} {
				resp.AddPage(http.StatusOK, armcompute.ResourceSKUsClientListResponse{ResourceSKUsResult: armcompute.ResourceSKUsResult{Value: []*armcompute.ResourceSKU{s, nil}}}, nil)
			}
			return resp
		},
	}
	o := signedIn(options(srv.URL, srv.Client(), "eastus"))
	o.ARM.Transport = computefake.NewResourceSKUsServerTransport(&fake)
	same(t, lines(sifted(t, o).Offers),
		"azure/eastus/1/Standard_NC24ads_A100_v4/on_demand 3.673 A100-80GBx1 24/220", "azure/eastus/1/Standard_NC4as_T4_v3/on_demand 0.526 T4x1 4/28")
	same(t, asked, "location eq 'eastus'")
}

func TestMicrosoftsFakeOfResourceGraph(t *testing.T) {
	status := http.StatusOK
	fake := graphfake.Server{
		Resources: func(_ context.Context, q armresourcegraph.QueryRequest, _ *armresourcegraph.ClientResourcesOptions) (resp azfake.Responder[armresourcegraph.ClientResourcesResponse], errResp azfake.ErrorResponder) {
			if status != http.StatusOK {
				errResp.SetResponseError(status, "AuthorizationFailed")
				return resp, errResp
			}
			page := armresourcegraph.QueryResponse{TotalRecords: to.Ptr[int64](2), Count: to.Ptr[int64](1), ResultTruncated: to.Ptr(armresourcegraph.ResultTruncatedFalse)}
			row := map[string]any{"skuName": "standard_d2s_v5", "evictionRate": "0-5", "spotPrices": []any{map[string]any{"priceUSD": 0.02, "effectiveDate": "2026-11-01"}}}
			if q.Options.SkipToken == nil {
				page.SkipToken = to.Ptr("more")
			} else {
				row["skuName"] = "standard_d4s_v5"
			}
			page.Data = []any{row}
			resp.SetResponse(http.StatusOK, armresourcegraph.ClientResourcesResponse{QueryResponse: page}, nil)
			return resp, errResp
		},
	}
	o := tenantOnly(options("https://127.0.0.1", nil, "eastus"))
	o.ARM.Transport = graphfake.NewServerTransport(&fake)
	got, err := history(t, o)
	if err != nil || len(got) != 1 || len(got[0].Signals) != 2 {
		t.Fatalf("got %+v and %v", got, err)
	}
	same(t, shown(got[0]), "azure/eastus/-/Standard_D2s_v5/spot 2026-11-01 0.02", "azure/eastus/-/Standard_D4s_v5/spot 2026-11-01 0.02")
	status = http.StatusForbidden
	made, err := azure.NewSpotHistory(o)
	if _, err := gather(t, collector(t, made, err)); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("got %v", err)
	}
}
