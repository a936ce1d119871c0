package azure_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9/fake"

	"purser"
	"purser/providers"
	"purser/providers/azure"
)

// microsofts are the fakes that Microsoft generates: they check paths, headers and types
// of what is asked, and know nothing of the test's own cloud.
type microsofts struct {
	vms     computefake.VirtualMachinesServer
	cards   networkfake.InterfacesServer
	records networkfake.ApplicationSecurityGroupsServer
}

func (m *microsofts) provider(t *testing.T, change func(*azure.Config)) *azure.Provider {
	t.Helper()
	h := newHub(t, true)
	vms, cards, records := computefake.NewVirtualMachinesServerTransport(&m.vms), networkfake.NewInterfacesServerTransport(&m.cards), networkfake.NewApplicationSecurityGroupsServerTransport(&m.records)
	cfg := h.config(h.cloud(), trip(func(r *http.Request) (*http.Response, error) {
		switch path := r.URL.Path; {
		case strings.Contains(path, "/networkInterfaces"):
			return cards.Do(r)
		case strings.Contains(path, "/applicationSecurityGroups"):
			return records.Do(r)
		default:
			return vms.Do(r)
		}
	}))
	change(&cfg)
	p, err := azure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMicrosofts() *microsofts {
	m := &microsofts{}
	m.vms.Get = func(context.Context, string, string, *armcompute.VirtualMachinesClientGetOptions) (resp azfake.Responder[armcompute.VirtualMachinesClientGetResponse], no azfake.ErrorResponder) {
		no.SetResponseError(http.StatusNotFound, "ResourceNotFound")
		return resp, no
	}
	m.records.Get = func(context.Context, string, string, *armnetwork.ApplicationSecurityGroupsClientGetOptions) (resp azfake.Responder[armnetwork.ApplicationSecurityGroupsClientGetResponse], no azfake.ErrorResponder) {
		no.SetResponseError(http.StatusNotFound, "ResourceNotFound")
		return resp, no
	}
	m.records.BeginCreateOrUpdate = func(_ context.Context, _, _ string, g armnetwork.ApplicationSecurityGroup, _ *armnetwork.ApplicationSecurityGroupsClientBeginCreateOrUpdateOptions) (resp azfake.PollerResponder[armnetwork.ApplicationSecurityGroupsClientCreateOrUpdateResponse], no azfake.ErrorResponder) {
		resp.SetTerminalResponse(http.StatusOK, armnetwork.ApplicationSecurityGroupsClientCreateOrUpdateResponse{ApplicationSecurityGroup: g}, nil)
		return resp, no
	}
	m.cards.BeginCreateOrUpdate = func(_ context.Context, _, _ string, card armnetwork.Interface, _ *armnetwork.InterfacesClientBeginCreateOrUpdateOptions) (resp azfake.PollerResponder[armnetwork.InterfacesClientCreateOrUpdateResponse], no azfake.ErrorResponder) {
		resp.AddNonTerminalResponse(http.StatusCreated, nil)
		resp.SetTerminalResponse(http.StatusOK, armnetwork.InterfacesClientCreateOrUpdateResponse{Interface: card}, nil)
		return resp, no
	}
	return m
}

func TestMicrosoftsFakeOfALaunch(t *testing.T) {
	m := newMicrosofts()
	var asked armcompute.VirtualMachine
	var condition *string
	m.vms.BeginCreateOrUpdate = func(_ context.Context, _, _ string, vm armcompute.VirtualMachine, o *armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions) (resp azfake.PollerResponder[armcompute.VirtualMachinesClientCreateOrUpdateResponse], no azfake.ErrorResponder) {
		asked, condition = vm, o.IfNoneMatch
		resp.AddNonTerminalResponse(http.StatusCreated, nil)
		resp.SetTerminalResponse(http.StatusOK, armcompute.VirtualMachinesClientCreateOrUpdateResponse{VirtualMachine: vm}, nil)
		return resp, no
	}
	p := m.provider(t, func(*azure.Config) {})
	if in := launch(t, p, request("lease-a", offer(a100, purser.Spot))); in.State != providers.Pending {
		t.Errorf("got %+v", in)
	}
	if condition == nil || *condition != "*" {
		t.Errorf("If-None-Match is %v", condition)
	}
	if *asked.Properties.Priority != armcompute.VirtualMachinePriorityTypesSpot || *asked.Properties.EvictionPolicy != armcompute.VirtualMachineEvictionPolicyTypesDelete || *asked.Properties.BillingProfile.MaxPrice != -1 {
		t.Errorf("asked for %+v", asked.Properties)
	}
}

func TestMicrosoftsFakeOfCapacityThatIsOut(t *testing.T) {
	for name, late := range map[string]bool{"at once": false, "by the operation": true} {
		t.Run(name, func(t *testing.T) {
			m := newMicrosofts()
			m.vms.BeginCreateOrUpdate = func(context.Context, string, string, armcompute.VirtualMachine, *armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions) (resp azfake.PollerResponder[armcompute.VirtualMachinesClientCreateOrUpdateResponse], no azfake.ErrorResponder) {
				if !late {
					no.SetResponseError(http.StatusConflict, "SkuNotAvailable")
					return resp, no
				}
				resp.AddNonTerminalResponse(http.StatusCreated, nil)
				resp.SetTerminalError(http.StatusConflict, "ZonalAllocationFailed")
				return resp, no
			}
			ended := 0
			m.vms.BeginDelete = func(_ context.Context, _, _ string, o *armcompute.VirtualMachinesClientBeginDeleteOptions) (resp azfake.PollerResponder[armcompute.VirtualMachinesClientDeleteResponse], no azfake.ErrorResponder) {
				if o.ForceDeletion != nil && *o.ForceDeletion {
					ended++
				}
				resp.SetTerminalResponse(http.StatusNoContent, armcompute.VirtualMachinesClientDeleteResponse{}, nil)
				return resp, no
			}
			p := m.provider(t, func(cfg *azure.Config) { cfg.Patience = 50 * time.Millisecond })
			_, err := p.Launch(t.Context(), request("lease-a", offer(a100, purser.Spot)))
			if purser.KindOf(err) != purser.KindNoCapacity || err == nil {
				t.Errorf("got %v", err)
			}
			if (ended == 1) != late {
				t.Errorf("the failed machine was ended %d times", ended)
			}
		})
	}
}

func TestMicrosoftsFakeOfAListing(t *testing.T) {
	m := newMicrosofts()
	const name = "purser-70b22ff0e1-lease-a"
	id := "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/" + group + "/providers/Microsoft.Compute/virtualMachines/" + name
	m.vms.NewListPager = func(string, *armcompute.VirtualMachinesClientListOptions) (resp azfake.PagerResponder[armcompute.VirtualMachinesClientListResponse]) {
		vm := &armcompute.VirtualMachine{
			ID: &id, Name: to.Ptr(name), Location: to.Ptr("East US"), Tags: map[string]*string{"Purser-Lease": to.Ptr("lease-a"), "Purser-Installation": to.Ptr("test")},
			Properties: &armcompute.VirtualMachineProperties{ProvisioningState: to.Ptr("Succeeded"), TimeCreated: to.Ptr(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))},
		}
		resp.AddPage(http.StatusOK, armcompute.VirtualMachinesClientListResponse{VirtualMachineListResult: armcompute.VirtualMachineListResult{Value: []*armcompute.VirtualMachine{nil, {Name: to.Ptr("untagged")}}}}, nil)
		resp.AddPage(http.StatusOK, armcompute.VirtualMachinesClientListResponse{VirtualMachineListResult: armcompute.VirtualMachineListResult{Value: []*armcompute.VirtualMachine{vm}}}, nil)
		return resp
	}
	m.vms.NewListAllPager = func(o *armcompute.VirtualMachinesClientListAllOptions) (resp azfake.PagerResponder[armcompute.VirtualMachinesClientListAllResponse]) {
		if o.StatusOnly == nil || *o.StatusOnly != "true" {
			t.Error("the power is not asked for")
		}
		view := &armcompute.VirtualMachineInstanceView{Statuses: []*armcompute.InstanceViewStatus{nil, {Code: to.Ptr("PowerState/stopped")}}}
		resp.AddPage(http.StatusOK, armcompute.VirtualMachinesClientListAllResponse{VirtualMachineListResult: armcompute.VirtualMachineListResult{Value: []*armcompute.VirtualMachine{
			{ID: to.Ptr(strings.ToUpper(id)), Properties: &armcompute.VirtualMachineProperties{InstanceView: view}},
		}}}, nil)
		return resp
	}
	all, err := m.provider(t, func(*azure.Config) {}).List(t.Context())
	if err != nil || len(all) != 1 || all[0].Lease != "lease-a" || all[0].State != providers.Stopping || all[0].Region != "eastus" || all[0].StartedAt.IsZero() {
		t.Errorf("List gave %+v, %v", all, err)
	}
}
