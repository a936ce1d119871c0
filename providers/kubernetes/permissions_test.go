package kubernetes

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "../../docs/permissions/kubernetes-role.yaml"

// The golden file is what an administrator applies.
func TestPermissionsFile(t *testing.T) {
	got := Roles("purser")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%s differs (%v); look at it and run go test -update\n%s", golden, err, got)
	}
}

// The test's server refuses whatever is not on the list, in every test. Here everything
// that a provider can do is done once, and nothing on the list is left over.
func TestPermissionsAreNeeded(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Queue = "team" })
	s.missing["kueue.x-k8s.io"], s.missing[jobsets.Group] = false, false
	s.set(LocalQueue{ObjectMeta: metav1.ObjectMeta{Name: "team", Namespace: "purser"}})
	s.set(*node("n1", nil, has()))
	s.set(driverSlice("n1", "NVIDIA H100 80GB HBM3", 4))
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func(_ []providers.Instance, err error) { t.Helper(); do(err) }
	list(s.p.List(t.Context()))
	dynamic := request("lease-b", offersOf(t, s.p)[0])
	_, err := s.p.Launch(t.Context(), dynamic)
	do(err)
	for _, w := range []providers.Work{training("a", 1000), training("b", 1000), serving("c")} {
		s.run(w)
		s.run(w)
	}
	do(s.p.Run(t.Context(), dynamic.Lease, training("d", 1000)))
	do(s.p.RunGang(t.Context(), []providers.Member{{Lease: s.lease, Work: replica("g0", 0, 2, 1)}, {Lease: dynamic.Lease, Work: replica("g1", 1, 2, 1)}}))
	s.pass(time.Second)
	for _, task := range []purser.TaskID{"a", "b", "c", "g0"} {
		do(s.p.Stop(t.Context(), s.lease, task))
	}
	s.works()

	l := s.listen(nil)
	l.quiet()
	other := serving("t")
	s.run(other)
	s.pass(time.Second)
	_, err = s.p.Logs(t.Context(), s.lease, "t", time.Time{})
	do(err)
	do(s.p.Forget(t.Context(), dynamic.Lease, "d"))
	s.terminate()
	do(s.p.Terminate(t.Context(), dynamic.Lease))
	s.pass(48 * time.Hour)
	s.pass(time.Second)
	_, err = s.p.Sweep(t.Context(), time.Hour)
	do(err)
	called := s.made()
	for _, p := range Permissions() {
		if !slices.IsSorted(p.Verbs) {
			t.Errorf("the verbs of %s are not in order", p.Resource)
		}
		for _, v := range p.Verbs {
			if name := callName(v, p.Group, p.Resource); !slices.Contains(called, name) {
				t.Errorf("%s is on the list and never done", name)
			}
		}
	}
	for _, name := range called {
		if !s.allowed[name] {
			t.Errorf("%s is done and not on the list", name)
		}
	}
}
