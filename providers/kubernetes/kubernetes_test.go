package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"purser"
	"purser/providers"
)

func TestNew(t *testing.T) {
	dollar, less := purser.USDPerHour(1e9), purser.USDPerHour(-1)
	good := Config{REST: &rest.Config{Host: "http://127.0.0.1:1"}, Installation: "inst-1", DefaultPrice: &dollar}
	if p, err := New(good); err != nil || p.Name() != Name || p.Namespace != "purser" {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"no cluster":                  {func(c *Config) { c.REST = nil }, "name a kubeconfig file"},
		"no such file":                {func(c *Config) { c.REST, c.Kubeconfig = nil, "/nowhere/config" }, "/nowhere/config"},
		"installation is no label":    {func(c *Config) { c.Installation = "a b" }, "value of a label"},
		"two places for checkpoints":  {func(c *Config) { c.Checkpoints = Checkpoints{PVC: "a", HostPath: "/b"} }, "not to both"},
		"a folder that is relative":   {func(c *Config) { c.Checkpoints.HostPath = "b" }, "not absolute"},
		"no price":                    {func(c *Config) { c.DefaultPrice = nil }, "no price"},
		"a price below 0":             {func(c *Config) { c.DefaultPrice = &less }, "negative"},
		"one of many below 0":         {func(c *Config) { c.Prices = map[string]purser.USDPerHour{"H100": -1} }, "negative"},
		"an accelerator nobody knows": {func(c *Config) { c.Prices = map[string]purser.USDPerHour{"H1000": 1} }, "H100"},
		"two prices for one":          {func(c *Config) { c.Prices = map[string]purser.USDPerHour{"H100": 1, "H100-SXM": 2} }, "two prices"},
	} {
		config := good
		c.spoil(&config)
		if _, err := New(config); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A kubeconfig's context says which cluster is meant.
func TestKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- {name: a, cluster: {server: 'https://a:1'}}\n- {name: b, cluster: {server: 'https://b:1'}}\n" +
		"contexts:\n- {name: a, context: {cluster: a, user: u}}\n- {name: b, context: {cluster: b, user: u}}\nusers:\n- {name: u, user: {token: t}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, host := range map[string]string{"": "https://a:1", "b": "https://b:1"} {
		if c, err := loadREST(path, context); err != nil || c.Host != host || c.BearerToken != "t" {
			t.Errorf("%q: %+v, %v", context, c, err)
		}
	}
	if _, err := loadREST(path, "c"); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("no such context: %v", err)
	}
}

// Names are what the API server takes, and the same for the same lease.
func TestNames(t *testing.T) {
	for id, plain := range map[string]bool{"lease-0abc": true, "Lease": false, "a_b": false, strings.Repeat("x", 80): false, "a.b": false} {
		name := objectName(id)
		if len(name) > 59 || name != strings.ToLower(name) || (name == "purser-"+id) != plain || name != objectName(id) {
			t.Errorf("%s is named %s", id, name)
		}
	}
}

// Any of the pools may be taken when the lease's own offer is not to be had.
func TestPools(t *testing.T) {
	k := newCluster(t)
	k.set(*h100("n0"))
	k.set(*node("n1", nvidia("NVIDIA-H200"), has("nvidia.com/gpu", "8")))
	p := k.provider(t, nil)
	offers := offersOf(t, p)
	slices.SortFunc(offers, func(a, b purser.Offer) int { return strings.Compare(a.Accelerator, b.Accelerator) })
	k.set(pod("web", "n0", "nvidia.com/gpu", "8"))
	r := request("lease-a", offers[0])
	r.Pools = offers
	if in, err := p.Launch(t.Context(), r); err != nil || in.InstanceType != offers[1].InstanceType || in.Zone != "eu-1a" || in.Region != "eu-1" {
		t.Errorf("Launch: %+v, %v", in, err)
	}
}

// Parts of one place are had side by side, and a smaller one that was planned earlier fits
// where more is free by now.
func TestParts(t *testing.T) {
	k := newCluster(t)
	k.set(*node("n0", nvidia("NVIDIA-A100-SXM4-80GB"), has("nvidia.com/mig-1g.10gb", "2", "nvidia.com/mig-3g.40gb", "1")))
	k.set(*h100("n1"))
	k.set(pod("web", "n1", "nvidia.com/gpu", "3", "cpu", "72", "memory", "750Gi"))
	p := k.provider(t, nil)
	offers := offersOf(t, p)
	k.drop("pods", "default", "web")
	launch := func(id string, o purser.Offer, want purser.Kind) {
		t.Helper()
		_, err := p.Launch(t.Context(), request(id, o))
		if (err == nil) != (want == "") || err != nil && purser.KindOf(err) != want {
			t.Errorf("Launch(%s, %s): %v", id, o.InstanceType, err)
		}
	}
	small, large, five := offers[0], offers[1], offers[2]
	if small.Devices != 125 || large.Devices != 500 || five.Devices != 5000 {
		t.Fatalf("offers: %+v", offers)
	}
	launch("a", small, "")
	launch("b", small, "")
	launch("c", small, purser.KindNoCapacity)
	launch("d", large, "")
	launch("e", five, "")
	launch("f", five, purser.KindNoCapacity)
	if got, want := written(t, p), []string{"p5.48xlarge-h100-3d-72c-750g×1=$3.00/h"}; !slices.Equal(got, want) {
		t.Errorf("what is left is %q, want %q", got, want)
	}
}

// many is a cluster with claims of n leases over 30 zones.
func many(t testing.TB, n int) *cluster {
	k := newCluster(t)
	p := k.provider(t, nil)
	for i := range n {
		h := h100(fmt.Sprintf("n%05d", i))
		h.Labels[corev1.LabelTopologyZone] = fmt.Sprintf("zone-%d", i%30)
		k.set(*h)
		lease := purser.LeaseID(fmt.Sprintf("lease-%05d", i))
		m, err := p.object(claim{Lease: lease, State: claimHeld, Order: 1, Part: part{Node: h.Name, Region: "eu-1", Zone: h.Labels[corev1.LabelTopologyZone], Pool: "nvidia.com/gpu", Units: 8, Share: 1000}})
		if err != nil {
			t.Fatal(err)
		}
		k.set(*m)
	}
	return k
}

// A listing goes over pages, is in order, and is whole or nothing.
func TestListPages(t *testing.T) {
	k := many(t, 2*perPage+1)
	p := k.provider(t, nil)
	all, err := p.List(t.Context())
	if err != nil || len(all) != 2*perPage+1 || !slices.IsSortedFunc(all, func(a, b providers.Instance) int { return strings.Compare(string(a.Lease), string(b.Lease)) }) {
		t.Fatalf("%d machines, %v", len(all), err)
	}
	if n := k.count("list /configmaps"); n != 3 {
		t.Errorf("%d pages", n)
	}
	k.oldest = k.version + 10 // every continuation is forgotten
	if all, err := p.List(t.Context()); purser.KindOf(err) != purser.KindUnavailable || all != nil {
		t.Errorf("half a listing: %d machines, %v", len(all), err)
	}
}

// BenchmarkList5000 lists 5,000 machines over 30 zones with 50 ms of latency on each call.
func BenchmarkList5000(b *testing.B) {
	k := many(b, 5000)
	k.latency = 50 * time.Millisecond
	p := k.provider(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if all, err := p.List(b.Context()); err != nil || len(all) != 5000 {
			b.Fatal(len(all), err)
		}
	}
}
