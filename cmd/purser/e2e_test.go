package main

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// training is a job of replicas that count seconds, note each beginning and each
// end in a folder of the test, and go on from their checkpoint.
func training(name string, replicas, seconds int, notes string) string {
	return strings.NewReplacer("NAME", name, "REPLICAS", itoa(replicas), "SECONDS", itoa(seconds), "NOTES", notes).Replace(`
version: 1
jobs:
  - name: NAME
    train:
      replicas: REPLICAS
      accelerators: T4:1
      cpus: 1
      memory: 1GiB
      run_time: 2m
      checkpoint: {every: 1s}
      retries: 3
      command: |
        n="NOTES/NAME-$PURSER_REPLICA"
        echo "$PURSER_ATTEMPT" >> "$n.begun"
        at=0; [ -f "$PURSER_CHECKPOINT_DIR/at" ] && at=$(cat "$PURSER_CHECKPOINT_DIR/at")
        echo "begins at $at"
        while [ "$at" -lt SECONDS ]; do
          sleep 1; at=$((at + 1)); echo "$at" > "$PURSER_CHECKPOINT_DIR/at"
        done
        echo "$PURSER_ATTEMPT" >> "$n.done"
        echo "is done"
`)
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func (w *world) notes() string {
	dir := filepath.Join(w.dir, "notes")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func (w *world) job(name string) api.Job {
	w.t.Helper()
	j, err := w.client.Job(w.t.Context(), name, "default")
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *world) awaitRunning(name string, n int) {
	w.t.Helper()
	w.await(60*time.Second, name+" running", func() bool { return w.job(name).Tasks.Running >= n })
}

func (w *world) awaitSuccess(name string, limit time.Duration) {
	w.t.Helper()
	w.await(limit, "the success of "+name, func() bool {
		j, err := w.client.Job(w.t.Context(), name, "default")
		if err == nil && j.State == purser.JobFailed {
			w.t.Fatalf("%s failed: %s", name, j.Reason)
		}
		return err == nil && j.State == purser.JobSucceeded
	})
}

func lines(path string) int {
	b, _ := os.ReadFile(path)
	return strings.Count(string(b), "\n")
}

// A newcomer's whole way: submit, see it run, read logs, see it charged, stop, start
// again, find everything as it was.
func TestFromSubmissionToCharge(t *testing.T) {
	w := newWorld(t)
	w.start()
	path := w.file("jobs.yaml", training("count", 3, 4, w.notes()))
	if out := w.ok("submit", "-f", path, "--dry-run"); !strings.Contains(out, "Rehearsal") || !strings.Contains(out, "T4") {
		t.Errorf("the dry run says: %s", out)
	}
	if out := w.ok("jobs"); !strings.Contains(out, "No jobs") {
		t.Errorf("a dry run left jobs: %s", out)
	}
	w.ok("submit", "-f", path)
	if out := w.ok("submit", "-f", path); !strings.Contains(out, "unchanged") {
		t.Errorf("the second submission says: %s", out)
	}
	w.ok("wait", "count", "--project", "default", "--timeout", "90s")
	if out := w.ok("logs", "count"); strings.Count(out, "is done") != 3 {
		t.Errorf("the logs say: %s", out)
	}
	w.await(30*time.Second, "the release of the machines", func() bool {
		l, err := w.client.Leases(t.Context(), url.Values{"live": {"true"}})
		return err == nil && len(l.Leases) == 0
	})
	w.await(20*time.Second, "the last charge", func() bool { return w.chargedWhole() })
	if out := w.ok("charges"); !strings.Contains(out, "(rehearsal)") || !strings.Contains(out, "default/count") {
		t.Errorf("the charges say: %s", out)
	}
	if _, code := w.cli("jobs", "ghost"); code != exitNotFound {
		t.Errorf("an unknown job ends with %d", code)
	}
	before := w.ok("charges", "--lines", "-o", "json")
	w.stop()
	w.start()
	if after := w.ok("charges", "--lines", "-o", "json"); after != before {
		t.Errorf("the ledger changed over a restart:\n%s\n%s", before, after)
	}
	if out := w.ok("submit", "-f", path); !strings.Contains(out, "unchanged") {
		t.Errorf("the submission after a restart says: %s", out)
	}
	if out := w.ok("doctor", "--data-dir", w.dir); !strings.Contains(out, "HiGHS") {
		t.Errorf("doctor says: %s", out)
	}
	w.stop()
}

// chargedWhole says whether every lease is charged to the second of its end, and
// that the lines add up to what jobs and leases say they cost.
func (w *world) chargedWhole() bool {
	w.t.Helper()
	ctx := w.t.Context()
	ledger, err1 := w.client.Charges(ctx, url.Values{"limit": {"100000"}})
	leases, err2 := w.client.Leases(ctx, nil)
	if err1 != nil || err2 != nil || len(ledger.Charges) == 0 {
		return false
	}
	end := map[purser.LeaseID]time.Time{}
	var sum purser.Money
	for _, c := range ledger.Charges {
		if c.End.After(end[c.Lease]) {
			end[c.Lease] = c.End
		}
		sum += c.BilledCost
	}
	if sum != ledger.Total {
		w.t.Fatalf("the lines add up to %s, the ledger says %s", sum.Decimal(), ledger.Total.Decimal())
	}
	var cost purser.Money
	for _, l := range leases.Leases {
		cost += l.Cost
		if l.RunningAt != nil && l.EndedAt != nil && !end[l.ID].Equal(l.EndedAt.Truncate(time.Second)) {
			return false
		}
	}
	return cost == sum
}

// A clean stop brings the work to a checkpoint and back to the queue; the next
// start goes on from there.
func TestStopAndGoOn(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	w.ok("submit", "-f", w.file("jobs.yaml", training("long", 2, 20, notes)))
	w.awaitRunning("long", 2)
	w.await(30*time.Second, "a checkpoint", func() bool {
		return strings.Contains(w.ok("logs", "long"), "begins at 0") && lines(filepath.Join(notes, "long-0.begun")) == 1
	})
	w.stop()
	if pids := w.agentPIDs(); len(pids) != 0 {
		t.Errorf("agents outlived a clean stop: %v", pids)
	}
	w.start()
	w.awaitSuccess("long", 120*time.Second)
	w.noDoubles("long", 2)
	if out := w.ok("logs", "long"); strings.Count(out, "begins at 0") != 2 || strings.Count(out, "begins at") != 4 {
		t.Errorf("the second attempts did not go on from a checkpoint: %s", out)
	}
	w.stop()
}

// A gang of several sizes runs in the one that keeps its deadline, and its tasks know how many they are.
func TestGangOfSeveralSizes(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	w.ok("submit", "-f", w.file("jobs.yaml", strings.ReplaceAll(`
name: elastic
train:
  replicas: [1, 3]
  work: 24
  scaling: {3: 0.9}
  accelerators: T4:1
  throughput: 10/h
  cpus: 1
  memory: 1GiB
  deadline: in 90m
  command: echo "$PURSER_REPLICA of $PURSER_REPLICAS" >> "NOTES/elastic-$PURSER_REPLICA.done"
`, "NOTES", notes)))
	w.awaitSuccess("elastic", 60*time.Second)
	w.noDoubles("elastic", 3)
	for r := range 3 {
		if b, _ := os.ReadFile(filepath.Join(notes, "elastic-"+itoa(r)+".done")); string(b) != itoa(r)+" of 3\n" {
			t.Errorf("replica %d says %q", r, b)
		}
	}
	w.stop()
}

// Stages run one after the other; one that fails takes those after it with it.
func TestStagesInTurn(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	order := filepath.Join(notes, "order")
	group := func(name, after, command string) string {
		return "  - {name: " + name + ", kind: training, " + after + "accelerators: T4, cpus: 1, memory: 1GiB, run_time: 2m, output: 1GB, command: '" + command + "'}\n"
	}
	say := func(name string) string { return "sleep 1; echo " + name + " >> " + order }
	w.ok("submit", "-f", w.file("jobs.yaml", "name: stages\ngroups:\n"+group("score", "after: [fit], ", say("score"))+group("fit", "after: prepare, ", say("fit"))+group("prepare", "", say("prepare"))))
	w.awaitSuccess("stages", 120*time.Second)
	if b, _ := os.ReadFile(order); string(b) != "prepare\nfit\nscore\n" {
		t.Errorf("the stages ran in the order %q", b)
	}
	w.ok("submit", "-f", w.file("failing.yaml", "name: failing\ngroups:\n"+group("prepare", "", "exit 3")+group("fit", "after: prepare, ", say("fit"))))
	w.await(60*time.Second, "the failure", func() bool { return w.job("failing").State == purser.JobFailed })
	tasks, err := w.client.Tasks(t.Context(), string(w.job("failing").ID), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks.Tasks {
		if task.Group == "fit" && (task.State != purser.TaskCancelled || !strings.Contains(task.Reason, "the stage prepare")) {
			t.Errorf("fit is %s: %q", task.State, task.Reason)
		}
	}
	w.stop()
}

// noDoubles: every replica ended exactly once.
func (w *world) noDoubles(name string, replicas int) {
	w.t.Helper()
	for r := range replicas {
		if n := lines(filepath.Join(w.dir, "notes", name+"-"+itoa(r)+".done")); n != 1 {
			w.t.Errorf("replica %d of %s was done %d times", r, name, n)
		}
	}
	j := w.job(name)
	if j.Tasks.Succeeded != replicas {
		w.t.Errorf("%s: %+v", name, j.Tasks)
	}
	tasks, err := w.client.Tasks(w.t.Context(), string(j.ID), "")
	if err != nil {
		w.t.Fatal(err)
	}
	ok := map[int]int{}
	for _, task := range tasks.Tasks {
		if task.State == purser.TaskSucceeded {
			ok[task.Replica]++
		}
	}
	for r := range replicas {
		if ok[r] != 1 {
			w.t.Errorf("replica %d of %s succeeded %d times", r, name, ok[r])
		}
	}
}

// The server is killed while work runs. Agents live on; the work is neither lost nor
// begun twice.
func TestKillServer(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	w.ok("submit", "-f", w.file("jobs.yaml", training("steady", 3, 15, notes)))
	w.awaitRunning("steady", 3)
	agents := len(w.agentPIDs())
	w.kill()
	if n := len(w.agentPIDs()); n != agents || n == 0 {
		t.Errorf("%d of %d agents live on", n, agents)
	}
	w.start()
	w.awaitSuccess("steady", 90*time.Second)
	w.noDoubles("steady", 3)
	for r := range 3 {
		if n := lines(filepath.Join(notes, "steady-"+itoa(r)+".begun")); n != 1 {
			t.Errorf("replica %d was begun %d times", r, n)
		}
	}
	w.stop()
}

// PostgreSQL is killed while work runs. The server starts it again.
func TestKillPostgres(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	w.ok("submit", "-f", w.file("jobs.yaml", training("steady", 2, 15, notes)))
	w.awaitRunning("steady", 2)
	b, err := os.ReadFile(filepath.Join(w.dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := json.Unmarshal([]byte(strings.SplitN(string(b), "\n", 2)[0]), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.awaitSuccess("steady", 120*time.Second)
	w.noDoubles("steady", 2)
	for r := range 2 {
		if n := lines(filepath.Join(notes, "steady-"+itoa(r)+".begun")); n != 1 {
			t.Errorf("replica %d was begun %d times", r, n)
		}
	}
	w.stop()
}

// An agent is killed while work runs. Its tasks go on elsewhere from their
// checkpoint.
func TestKillAgent(t *testing.T) {
	w := newWorld(t)
	w.start()
	notes := w.notes()
	w.ok("submit", "-f", w.file("jobs.yaml", training("steady", 2, 12, notes)))
	w.awaitRunning("steady", 2)
	pids := w.agentPIDs()
	if len(pids) == 0 {
		t.Fatal("no agent runs")
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.awaitSuccess("steady", 150*time.Second)
	w.noDoubles("steady", 2)
	w.stop()
	if !w.begunTwice(notes, 2) {
		t.Error("no replica was begun again, so no agent with work was killed")
	}
}

func (w *world) begunTwice(notes string, replicas int) bool {
	for r := range replicas {
		if lines(filepath.Join(notes, "steady-"+itoa(r)+".begun")) > 1 {
			return true
		}
	}
	return false
}

// A job that is cancelled stops, and its machine is let go.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ok("submit", "-f", w.file("jobs.yaml", training("endless", 2, 600, w.notes())))
	w.awaitRunning("endless", 2)
	w.ok("cancel", "endless")
	w.await(60*time.Second, "the end of the job", func() bool { return w.job("endless").State == purser.JobCancelled })
	w.await(60*time.Second, "the release of the machines", func() bool { return len(w.agentPIDs()) == 0 })
	if _, code := w.cli("wait", "endless", "--project", "default"); code != exitJobFailed {
		t.Errorf("waiting for a cancelled job ends with %d", code)
	}
	w.stop()
}

// Nothing moves while prices stay as they are.
func TestRebalanceMovesNothingOnUnchangedPrices(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ok("submit", "-f", w.file("jobs.yaml", training("steady", 4, 300, w.notes())))
	w.awaitRunning("steady", 4)
	for range 2 {
		out := w.ok("rebalance", "-o", "json")
		var r api.Rebalanced
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Moves) != 0 || r.Pays {
			t.Errorf("something moves: %s", out)
		}
	}
	w.ok("cancel", "steady")
	w.stop()
}
