package gcp

import (
	"bytes"
	"context"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

var update = flag.Bool("update", false, "write the golden files anew")

const roleFile = "../../docs/permissions/gcp-role.json"

func TestPermissionsFile(t *testing.T) {
	role, err := Role(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("../../docs/permissions", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(roleFile, role, 0o644); err != nil { //nolint:gosec // a page of the documentation
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(roleFile)
	if err != nil || !bytes.Equal(have, role) {
		t.Errorf("%s is not what the calls need (%v); run: go test ./providers/gcp -run Permissions -update", roleFile, err)
	}
	more, err := Role(Config{ExternalIP: true, ServiceAccount: "a@b", Tags: []string{"x"}, WithoutTPU: true})
	if err != nil || bytes.Contains(more, []byte("tpu.")) || !bytes.Contains(more, []byte("setTags")) || !bytes.Contains(more, []byte("useExternalIp")) {
		t.Errorf("the role of other settings is %s, %v", more, err)
	}
}

// known fails for calls that are not in the list; every test's cloud ends with it.
func (c *cloud) known(t testing.TB) {
	var listed []string
	for _, call := range Calls() {
		listed = append(listed, call.Method)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for call := range c.called {
		if !slices.Contains(listed, call) {
			t.Errorf("%s is called, and Calls has no permission for it", call)
		}
	}
}

// TestPermissionsAreUsed drives everything once: what is listed is called.
func TestPermissionsAreUsed(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.booked["us-central1-a"] = []object{reservation("r1", "a2-ultragpu-8g", 2, 1)}
	w.quotas[""], w.quotas["us-central1"] = []object{quota("GPUS_ALL_REGIONS", 8, 0)}, []object{quota("NVIDIA_L4_GPUS", 4, 1)}
	p := c.provider(t, w)
	for id, o := range map[purser.LeaseID]purser.Offer{
		"a": with(gpuOffer(), func(o *purser.Offer) { o.Zone = "" }), "b": tpuOffer(),
		"c": with(gpuOffer(), func(o *purser.Offer) { o.InstanceType, o.Option = "a2-ultragpu-8g", purser.Reserved }),
	} {
		r := requestOf(id, o)
		launch(t, p, r)
		w.pass(time.Minute)
		if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Running {
			t.Errorf("Describe(%s) gave %+v, %v", id, in, err)
		}
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("List gave %+v, %v", all, err)
	}
	if _, err := p.Quotas(t.Context()); err != nil {
		t.Error(err)
	}
	w.disks["us-central1-b/"+nameFor(t, "d")] = object{
		"name": nameFor(t, "d"), "creationTimestamp": stamp(start), "labels": map[string]string{labelInstallation: installation},
	}
	if n, err := p.Sweep(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("Sweep removed %d, %v; want the disk", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.config.Wait = func(context.Context, time.Duration) error { cancel(); return context.Canceled }
	if err := p.Interruptions(ctx, func(context.Context, providers.Interruption) error { return nil }); err != nil {
		t.Error(err)
	}
	for _, id := range []purser.LeaseID{"a", "b", "c"} {
		if err := p.Terminate(t.Context(), purser.Lease{ID: id}); err != nil {
			t.Error(err)
		}
	}
	for _, call := range Calls() {
		if w.count(call.Method) == 0 {
			t.Errorf("%s is listed and never called", call.Method)
		}
	}
}
