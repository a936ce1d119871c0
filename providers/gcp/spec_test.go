package gcp

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers/bootstrap"
)

func items(body object) map[string]string {
	out := map[string]string{}
	list, _ := at(body, "metadata", "items").([]any)
	for _, i := range list {
		out[text(i, "key")] = text(i, "value")
	}
	return out
}

func TestMachineIsPrivateAndCarriesItsLabels(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	r := requestOf("lease-0a1b", gpuOffer())
	launch(t, c.provider(t, w), r)
	body := w.bodies[0]
	script, err := bootstrap.Script(r)
	if err != nil {
		t.Fatal(err)
	}
	have := items(body)
	for key, want := range map[string]string{"startup-script": script, "block-project-ssh-keys": "TRUE", "enable-oslogin": "TRUE", "serial-port-enable": "FALSE"} {
		if have[key] != want {
			t.Errorf("metadata %s is %q", key, have[key])
		}
	}
	for name, got := range map[string]any{
		"an address of its own": at(body, "networkInterfaces", 0, "accessConfigs"), "a service account": at(body, "serviceAccounts", 0), "forwarding": at(body, "canIpForward", 0),
		"secure boot with GPUs": orElse(at(body, "shieldedInstanceConfig", "enableSecureBoot") == false, any(nil), any(true)),
	} {
		if got != nil {
			t.Errorf("the machine has %s: %v", name, got)
		}
	}
	for _, labels := range []any{at(body, "labels"), at(body, "disks", 0, "initializeParams", "labels")} {
		if text(labels, "purser-lease") != "lease-0a1b" || text(labels, "purser-installation") != installation {
			t.Errorf("labels %v", labels)
		}
	}
	if text(body, "disks", 0, "initializeParams", "diskSizeGb") != "100" || at(body, "disks", 0, "autoDelete") != true {
		t.Errorf("disk %v", at(body, "disks", 0))
	}
	for key, value := range have {
		if key != "startup-script" && strings.Contains(value, r.JoinToken) {
			t.Errorf("metadata %s tells the join token", key)
		}
	}
}

// What Compute Engine asks of each way to buy; the stand-in refuses anything else.
func TestSchedulingOfEachOption(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*purser.Offer)
		want   map[string]any
	}{
		"spot": {func(o *purser.Offer) {}, map[string]any{
			"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE", "automaticRestart": false, "onHostMaintenance": "TERMINATE", "maxRunDuration": nil,
		}},
		"on demand with GPUs": {func(o *purser.Offer) { o.Option = purser.OnDemand }, map[string]any{
			"provisioningModel": "STANDARD", "instanceTerminationAction": nil, "automaticRestart": false, "onHostMaintenance": "TERMINATE",
		}},
		"on demand without": {func(o *purser.Offer) { o.Option, o.InstanceType = purser.OnDemand, "n2-standard-4" }, map[string]any{"onHostMaintenance": "MIGRATE"}},
		"flex start": {func(o *purser.Offer) { o.Option, o.InstanceType = purser.FlexStart, "a4-highgpu-8g" }, map[string]any{
			"provisioningModel": "FLEX_START", "instanceTerminationAction": "DELETE", "onHostMaintenance": "TERMINATE",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			w := c.world("proj")
			launch(t, c.provider(t, w), requestOf("a", with(gpuOffer(), test.change)))
			for key, want := range test.want {
				if got := at(w.bodies[0], "scheduling", key); got != want {
					t.Errorf("%s is %v; want %v", key, got, want)
				}
			}
			if name == "flex start" { // 64-bit numbers are strings on the wire
				if got := text(w.bodies[0], "scheduling", "maxRunDuration", "seconds"); got != "604800" {
					t.Errorf("runs for %q", got)
				}
				if got := text(w.bodies[0], "params", "requestValidForDuration", "seconds"); got != "7200" {
					t.Errorf("waits for %q", got)
				}
			}
		})
	}
}

func TestAttachedGPUs(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	r := requestOf("a", with(gpuOffer(), func(o *purser.Offer) { o.InstanceType = "n1-standard-8+V100x2" }))
	launch(t, p, r)
	body := w.bodies[0]
	if got := text(body, "guestAccelerators", 0, "acceleratorType"); got != "zones/us-central1-a/acceleratorTypes/nvidia-tesla-v100" || at(body, "guestAccelerators", 0, "acceleratorCount") != 2.0 {
		t.Errorf("accelerators %v", at(body, "guestAccelerators"))
	}
	if got := text(body, "machineType"); got != "zones/us-central1-a/machineTypes/n1-standard-8" {
		t.Errorf("machine type %q", got)
	}
	w.pass(time.Minute)
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.InstanceType != "n1-standard-8+V100x2" {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
}

func TestSettings(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w, func(c *Config) {
		c.ExternalIP, c.Subnetwork, c.ServiceAccount, c.Tags, c.KMSKey, c.MaxRun = true, "inner", "m@proj.iam.gserviceaccount.com", []string{"purser"}, "projects/proj/keys/k", time.Hour
		c.GPUImage = Image{Project: "proj", Name: "mine-1"}
	})
	launch(t, p, requestOf("a", gpuOffer()))
	body := w.bodies[0]
	for what, pair := range map[string][2]string{
		"subnetwork": {text(body, "networkInterfaces", 0, "subnetwork"), "projects/proj/regions/us-central1/subnetworks/inner"},
		"address":    {text(body, "networkInterfaces", 0, "accessConfigs", 0, "type"), "ONE_TO_ONE_NAT"},
		"account":    {text(body, "serviceAccounts", 0, "email"), "m@proj.iam.gserviceaccount.com"},
		"tag":        {orElse(at(body, "tags", "items", 0) == any("purser"), "purser", ""), "purser"},
		"key":        {text(body, "disks", 0, "diskEncryptionKey", "kmsKeyName"), "projects/proj/keys/k"},
		"image":      {text(body, "disks", 0, "initializeParams", "sourceImage"), "projects/proj/global/images/mine-1"},
		"run":        {text(body, "scheduling", "maxRunDuration", "seconds"), "3600"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q; want %q", what, pair[0], pair[1])
		}
	}
	for name, bad := range map[string]func(*Config){
		"no project": func(c *Config) { c.Project = "" }, "a tag in capitals": func(c *Config) { c.Installation = "Test" },
		"a flex start of a month": func(c *Config) { c.FlexRun = 720 * time.Hour },
	} {
		conf := c.config(w, "proj", nil)
		bad(&conf)
		if _, err := New(conf); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: New gave %v", name, err)
		}
	}
}

// A spot TPU is one with an empty object; the network is closed by a field that must be
// sent although it is false.
func TestSliceOnTheWire(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	launch(t, p, requestOf("a", tpuOffer()))
	launch(t, p, requestOf("b", with(tpuOffer(), func(o *purser.Offer) { o.Option = purser.OnDemand })))
	spot, plain := w.bodies[0], w.bodies[1]
	if o, ok := spot["spot"].(object); !ok || len(o) != 0 {
		t.Errorf("spot is %v", spot["spot"])
	}
	if plain["spot"] != nil || plain["guaranteed"] != nil {
		t.Errorf("on demand has spot %v, guaranteed %v", plain["spot"], plain["guaranteed"])
	}
	machine := at(spot, "tpu", "nodeSpec", 0, "node")
	if at(machine, "networkConfig", "enableExternalIps") != false || text(machine, "runtimeVersion") != "v2-alpha-tpuv6e" || text(machine, "acceleratorType") != "v6e-4" ||
		text(machine, "labels", "purser-lease") != "a" || text(machine, "metadata", "block-project-ssh-keys") != "TRUE" || !strings.HasPrefix(text(machine, "metadata", "startup-script"), "#!/bin/sh") {
		t.Errorf("machine %v", machine)
	}
	if text(spot, "queueingPolicy", "validUntilDuration") != "1800s" {
		t.Errorf("policy %v", spot["queueingPolicy"])
	}
}

func TestNames(t *testing.T) {
	one, two := nameFor(t, "lease-1"), ""
	if n, err := nameOf("other", "lease-1"); err == nil {
		two = n
	}
	if one == two || !rfc1035.MatchString(one) {
		t.Errorf("names %q and %q", one, two)
	}
	long := purser.LeaseID(strings.Repeat("a", 45))
	if n := nameFor(t, long); !rfc1035.MatchString(n) {
		t.Errorf("%q has %d characters", n, len(n))
	}
	if lease, ok := leaseOf(installation, one); !ok || lease != "lease-1" {
		t.Errorf("the lease of %q is %q, %v", one, lease, ok)
	}
	for _, foreign := range []string{two, "purser-lease-1", "purser-lease-1-0000000000", "web-1", ""} {
		if lease, ok := leaseOf(installation, foreign); ok {
			t.Errorf("%q is ours, of lease %q", foreign, lease)
		}
	}
	for _, bad := range []purser.LeaseID{"", "A", "a_b", "-a", "a-", purser.LeaseID(strings.Repeat("a", 46))} {
		if n, err := nameOf(installation, bad); err == nil {
			t.Errorf("%q became %q", bad, n)
		}
	}
	id := requestID("token", "zone-a")
	if id != requestID("token", "zone-a") || id == requestID("token", "zone-b") || id == requestID("other", "zone-a") || !uuidForm.MatchString(id) {
		t.Errorf("request id %q", id)
	}
	for _, bad := range []string{"", "i-123", "zones/a/instances/x/y", "zones/us-central1-a/disks/x", "zones/../instances/x"} {
		if at, ok := placeOf(bad); ok {
			t.Errorf("%q is the place %+v", bad, at)
		}
	}
}
