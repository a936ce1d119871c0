package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// manyHosts is an inventory whose hosts have leases with a place each, as after launches whose
// program is on its way.
func manyHosts(tb testing.TB, s *testServer, hosts, leases int) *Provider {
	tb.Helper()
	var inventory []Host
	for i := range hosts {
		h := s.host(fmt.Sprintf("host%02d", i))
		h.Places = leases
		inventory = append(inventory, h)
		for n := range leases {
			dir := filepath.Join(s.home(h.Name), h.root(), "leases", "ours", fmt.Sprintf("lease-%d-%d", n, i))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				tb.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "launch"), []byte("token 1800000000\n"), 0o600); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return newPool(tb, s.configOf(inventory...))
}

// A listing tells of every lease of every host once, in order.
func TestListOfManyHosts(t *testing.T) {
	s := newServer(t)
	all, err := manyHosts(t, s, 8, 40).List(t.Context())
	if err != nil || len(all) != 320 {
		t.Fatalf("List gave %d machines, %v", len(all), err)
	}
	for i := 1; i < len(all); i++ {
		if all[i-1].Lease >= all[i].Lease {
			t.Fatalf("%s comes before %s", all[i-1].Lease, all[i].Lease)
		}
	}
	if n := len(s.ran()); n != 8 {
		t.Errorf("%d commands for 8 hosts", n)
	}
}

// 5,000 machines on 30 hosts, whose every command takes 50 ms longer than it needs.
func BenchmarkList5000(b *testing.B) {
	s := newServer(b)
	p := manyHosts(b, s, 30, 167)
	s.set(func(string) error { <-time.After(50 * time.Millisecond); return nil }, nil)
	b.ReportAllocs()
	for b.Loop() {
		if all, err := p.List(b.Context()); err != nil || len(all) != 5010 {
			b.Fatalf("List gave %d machines, %v", len(all), err)
		}
	}
}
