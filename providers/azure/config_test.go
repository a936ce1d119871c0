package azure_test

import (
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"purser"
	"purser/providers/azure"
)

func TestConfigIsChecked(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	place := func(change func(*azure.Place)) func(*azure.Config) {
		return func(cfg *azure.Config) {
			p := cfg.Places["eastus"]
			change(&p)
			cfg.Places["eastus"] = p
		}
	}
	for name, change := range map[string]func(*azure.Config){
		"no subscription":   func(cfg *azure.Config) { cfg.Subscription = "" },
		"no installation":   func(cfg *azure.Config) { cfg.Installation = "" },
		"no resource group": func(cfg *azure.Config) { cfg.ResourceGroup = "" },
		"a path as group":   func(cfg *azure.Config) { cfg.ResourceGroup = "a/b" },
		"no region":         func(cfg *azure.Config) { cfg.Places = nil },
		"a region's title":  func(cfg *azure.Config) { cfg.Places["East US"] = cfg.Places["eastus"] },
		"no subnet":         place(func(p *azure.Place) { p.Subnet = "machines" }),
		"no security group": place(func(p *azure.Place) { p.SecurityGroup = "open" }),
		"no reservations":   place(func(p *azure.Place) { p.ReservationGroup = "kept" }),
		"no image":          func(cfg *azure.Config) { cfg.Images = map[string]string{"cpu": "ubuntu"} },
		"no key":            func(cfg *azure.Config) { cfg.SSHPublicKey = "-----BEGIN" },
		"no trusted launch": func(cfg *azure.Config) { cfg.TrustedLaunch = "some" },
		"a negative factor": func(cfg *azure.Config) { cfg.SpotPriceFactor = -1 },
	} {
		cfg := h.config(c, nil)
		change(&cfg)
		if _, err := azure.New(cfg); purser.KindOf(err) != purser.KindInvalid || err == nil || !strings.Contains(err.Error(), "(") {
			t.Errorf("%s: got %v; want invalid with a hint", name, err)
		}
	}
	if p, err := azure.New(h.config(c, nil)); err != nil || p.Name() != "azure" {
		t.Errorf("got %v, %v", p, err)
	}
}

// TestTrapPlainHTTPIsRefused at once, and not with every call by the SDK.
func TestTrapPlainHTTPIsRefused(t *testing.T) {
	h := newHub(t, false)
	cfg := h.config(h.cloud(), nil)
	cfg.ARM.InsecureAllowCredentialWithHTTP = false
	if _, err := azure.New(cfg); purser.KindOf(err) != purser.KindInvalid || err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %v", err)
	}
}

// TestCredentials: one is found without being given, the workload identity first,
// whatever secrets lie about.
func TestCredentials(t *testing.T) {
	t.Setenv("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111")
	t.Setenv("AZURE_TENANT_ID", "22222222-2222-2222-2222-222222222222")
	t.Setenv("AZURE_CLIENT_SECRET", "not-this-one")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "") // so that it is put back
	if err := os.Unsetenv("AZURE_FEDERATED_TOKEN_FILE"); err != nil {
		t.Fatal(err)
	}
	if cred, err := azure.DefaultCredential(azcore.ClientOptions{}); err != nil {
		t.Error(err)
	} else if _, ok := cred.(*azidentity.DefaultAzureCredential); !ok {
		t.Errorf("without a workload identity it is %T", cred)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token")
	if cred, err := azure.DefaultCredential(azcore.ClientOptions{}); err != nil {
		t.Error(err)
	} else if _, ok := cred.(*azidentity.WorkloadIdentityCredential); !ok {
		t.Errorf("with a workload identity it is %T", cred)
	}
	h := newHub(t, true)
	cfg := h.config(h.cloud(), nil)
	cfg.Credential = nil
	if _, err := azure.New(cfg); err != nil {
		t.Error(err)
	}
}

func TestImages(t *testing.T) {
	h := newHub(t, true)
	const own = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/x/images/y"
	p := h.provider(t, h.cloud(), func(cfg *azure.Config) {
		cfg.Images = map[string]string{"H100": own, "cpu-arm64": "/CommunityGalleries/x/Images/y/Versions/latest"}
	})
	for _, e := range []struct{ size, accelerator, want string }{
		{"Standard_D4s_v5", "", "Canonical:ubuntu-24_04-lts:server:latest"},
		{"Standard_D4ps_v5", "", "/CommunityGalleries/x/Images/y/Versions/latest"},
		{"Standard_D4pls_v6", "", "/CommunityGalleries/x/Images/y/Versions/latest"},
		{a100, "A100-80GB", "microsoft-dsvm:ubuntu-hpc:2404:latest"},
		{"Standard_ND96isr_H100_v5", "H100", own},
		{"Standard_ND96isr_MI300X_v5", "MI300X", "microsoft-dsvm:ubuntu-hpc:2404-rocm:latest"},
		{"Standard_NP10s", "U250", "Canonical:ubuntu-24_04-lts:server:latest"},
		{"Standard_ND128isr_NDR_GB200_v6", "GB200", ""}, // no free image has drivers for Arm
	} {
		got, err := p.Image(purser.Offer{Provider: "azure", InstanceType: e.size, Shape: purser.Shape{Accelerator: e.accelerator}})
		if got != e.want || (err == nil) != (e.want != "") {
			t.Errorf("%s boots %q, %v; want %q", e.size, got, err, e.want)
		}
	}
}

func TestNames(t *testing.T) {
	h := newHub(t, true)
	seen := map[string]string{}
	for _, id := range []string{
		"lease-a", "LEASE-A", "lease.a", "lease_a", strings.Repeat("a", 40), strings.Repeat("a", 41), strings.Repeat("a", 200), "ls-01hx5zzkbkactav9wevgemmvry", "-a-", "a-",
	} {
		c := h.cloud()
		in := launch(t, h.provider(t, c), request(id, offer(a100, purser.Spot)))
		name := strings.ToLower(in.ID) // as Azure compares them
		if other, taken := seen[name]; taken || len(name) > 64 || strings.HasSuffix(name, "-") {
			t.Errorf("%q is named %s, as %q is", id, name, other)
		}
		seen[name] = id
		all, err := h.provider(t, c).List(t.Context())
		if err != nil || len(all) != 1 || string(all[0].Lease) != id {
			t.Errorf("%q is listed as %+v, %v", id, all, err)
		}
	}
}
