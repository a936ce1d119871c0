package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/providertest"
)

func TestConformance(t *testing.T) {
	s := newServer(t)
	n := 0
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		n++
		h := s.host(fmt.Sprintf("host%d", n))
		c := s.configOf(h)
		return providertest.Subject{
			Provider: newPool(t, c), Installation: "ours", Offer: h.offer(h.Shape, 3, time.Time{}),
			Again: func() providers.Provider { return newPool(t, c) },
			Other: func(name string) providers.Provider {
				c := c
				c.Installation = name
				return newPool(t, c)
			},
		}
	})
}

// stormOf drives schedules over hosts of a server with so many places.
func stormOf(t *testing.T, s *testServer, o providertest.StormOptions, places ...int) {
	t.Helper()
	n := 0
	var opened []*Provider
	var before string
	end := func() {
		for _, p := range opened {
			_ = p.Close()
		}
		opened = nil
		if before != "" {
			killNoted(before)
			for _, of := range []string{"leases", "checkpoints"} {
				left, _ := filepath.Glob(filepath.Join(before, "*", ".purser", "*", of))
				for _, dir := range left {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	providertest.Storm(t, func(t *testing.T) providertest.World {
		end()
		n++
		// A host serves some schedules, as in life; then comes one that was never used.
		world := fmt.Sprintf("w%d-%d", o.Seed, n/16)
		var hosts []Host
		var offers []purser.Offer
		for i, n := range places {
			h := s.host(fmt.Sprintf("%s/h%d", world, i))
			h.Name, h.Places = fmt.Sprintf("h%d", i), n
			hosts, offers = append(hosts, h), append(offers, h.offer(h.Shape, n, time.Time{}))
		}
		dir := filepath.Join(s.dir, world)
		before = dir
		var clock atomic.Int64
		clock.Store(time.Date(2026, 3, 1+2*n, 0, 0, 0, 0, time.UTC).Unix())
		c := s.configOf(hosts...)
		c.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
		return providertest.World{
			Installation: "ours",
			Offers:       offers,
			Provider: func(f *providertest.Faults) providers.Provider {
				c := c
				c.around = f.Around
				p, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				opened = append(opened, p)
				return p
			},
			Live: func() map[purser.LeaseID]int {
				out := map[purser.LeaseID]int{}
				for id, pids := range livingAgents(dir) {
					out[id] = len(pids)
				}
				return out
			},
			Leavings: func() []string { return leavings(t, dir) },
			Pass: func(d time.Duration) {
				clock.Add(int64(d / time.Second))
				settle(t, dir)
			},
		}
	}, o)
	end()
}

// settle waits until every agent that was started has noted itself and every one that was told
// to end has.
func settle(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "the agents settle", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*", ".purser", "*", "leases", "*", "*", "agent.pid"))
		more, _ := filepath.Glob(filepath.Join(dir, ".purser", "*", "leases", "*", "*", "agent.pid"))
		files = append(files, more...)
		noted := marksOf(dir, "agent")
		for _, f := range files {
			var pid int
			text, err := os.ReadFile(f)
			if err != nil {
				return false
			}
			_, _ = fmt.Sscan(string(text), &pid)
			living := alive(pid, dir)
			_, told := os.Stat(filepath.Join(filepath.Dir(f), "told"))
			found := false
			for _, have := range noted[purser.LeaseID(filepath.Base(filepath.Dir(f)))] {
				found = found || have == pid
			}
			if living && (told == nil || !found) {
				return false
			}
		}
		return true
	})
}

// leavings are folders of leases without a living agent, and parts of files.
func leavings(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	living := livingAgents(dir)
	folders, _ := filepath.Glob(filepath.Join(dir, "*", ".purser", "*", "leases", "*", "*"))
	more, _ := filepath.Glob(filepath.Join(dir, ".purser", "*", "leases", "*", "*"))
	for _, f := range append(folders, more...) {
		if lease := purser.LeaseID(filepath.Base(f)); len(living[lease]) == 0 {
			out = append(out, f)
			files, _ := filepath.Glob(filepath.Join(f, "*"))
			for _, file := range files {
				text, _ := os.ReadFile(file)
				out = append(out, fmt.Sprintf("%s: %.60q", filepath.Base(file), text))
			}
			out = append(out, fmt.Sprintf("agents noted: %v", marksOf(dir, "agent")[lease]))
		}
	}
	parts, _ := filepath.Glob(filepath.Join(dir, "*", ".purser", "*", "programs", "*.part"))
	return append(out, parts...)
}

// The schedules run in four parts at once, since most of each is waiting for processes.
func TestStorm(t *testing.T) {
	s := newServer(t)
	const parts = 4
	schedules := 1000
	if testing.Short() {
		schedules = 100
	}
	t.Run("parts", func(t *testing.T) {
		for i := range parts {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				places := []int{3}
				if i == 0 {
					places = []int{2, 1} // the leases are dealt out in turn
				}
				stormOf(t, s, providertest.StormOptions{Schedules: schedules / parts, Seed: uint64(1 + i*schedules/parts)}, places...)
			})
		}
	})
}

// What stands in a command line can be read by everybody on the host.
func TestSecretsAreInNoCommandLine(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	l := leaseOn(h, "lease-a")
	if _, err := p.Launch(t.Context(), request(l)); err != nil {
		t.Fatal(err)
	}
	for _, command := range s.ran() {
		if strings.Contains(command, "join-secret") {
			t.Errorf("the join token stands in %q", command)
		}
	}
	file := filepath.Join(s.home("a"), ".purser/a/leases/ours/lease-a/join-token")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the join token's file: %v, %v", info, err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "join-secret-lease-a\n" {
		t.Errorf("the join token's file holds %q, %v", b, err)
	}
}
