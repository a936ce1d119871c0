//go:build unix

package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"purser"
	"purser/api"
	"purser/providers"
)

// A real agent, started by the provider, runs a task whose processes include one
// that left its group. When the agent is killed, the provider finds and kills them
// all by what the agent noted and what it gave them, before it calls the machine
// gone.
func TestKilledAgentLeavesNothingRunning(t *testing.T) {
	var mu sync.Mutex
	var pids []int
	spec := api.TaskSpec{
		Task:  purser.Task{ID: "task-1", Job: "job-1", Group: "g", Attempt: 1, Lease: "lease-a", State: purser.TaskPlaced},
		Group: purser.TaskGroup{Name: "g", Kind: purser.Training, Replicas: 1, Run: purser.Run{Command: `setsid sleep 300 & echo $!; sleep 300 & echo $!; echo $$; wait`}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/agent/join", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.AgentJoined{ReportEveryMs: 20, GiveUpMs: 60_000})
	})
	mux.HandleFunc("POST /v1/agent/report", func(w http.ResponseWriter, r *http.Request) {
		var rep api.AgentReport
		_ = json.NewDecoder(r.Body).Decode(&rep)
		mu.Lock()
		defer mu.Unlock()
		for _, l := range rep.Logs {
			var pid int
			if _, err := fmt.Sscan(l.Text, &pid); err == nil {
				pids = append(pids, pid)
			}
		}
		_ = json.NewEncoder(w).Encode(api.AgentOrders{Run: []api.TaskSpec{spec}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	p := provider(t, config(t.TempDir()))
	r := request("lease-a")
	r.ServerURL = server.URL
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the task's processes run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(pids) == 3
	})
	dir, _ := p.dir(r.Lease.ID)
	if b, err := os.ReadFile(filepath.Join(dir, "groups", "task-1")); err != nil || !strings.HasPrefix(string(b), fmt.Sprint(pids[2])+" ") {
		t.Errorf("the group is noted as %q, %v", b, err)
	}
	_ = syscall.Kill(lockHolder(filepath.Join(dir, "agent.lock")), syscall.SIGKILL)
	eventually(t, "the machine is gone", func() bool { return state(t, p, r.Lease.ID) == providers.Gone })
	for i, pid := range pids {
		if processStart(pid) != "" && (i > 0 || canSee()) {
			t.Errorf("process %d of the task lives on", pid)
		}
	}
}
