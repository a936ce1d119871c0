package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
)

var update = flag.Bool("update", false, "write the golden files")

// answers is a server that says what it is told to, and keeps what it was asked.
type answers struct {
	mu    sync.Mutex
	says  map[string]any // "METHOD /path" → what is answered
	asked []string       // "METHOD /path?query"
	auth  []string
	body  map[string]string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	key := r.Method + " " + r.URL.Path
	a.asked = append(a.asked, r.Method+" "+r.URL.RequestURI())
	a.auth = append(a.auth, r.Header.Get("Authorization"))
	a.body[key] = string(body)
	says, ok := a.says[key]
	if !ok {
		says = api.Problem{Status: 404, Code: purser.KindNotFound, Title: "Not Found", Detail: "there is nothing at " + r.URL.Path}
	}
	w.Header().Set("Content-Type", "application/json")
	if page, ok := says.(api.Logs); ok && r.URL.Query().Get("after") != "" {
		says = api.Logs{Lines: []api.LogLine{}, Next: page.Next, Ended: true}
	}
	if p, ok := says.(api.Problem); ok {
		w.WriteHeader(p.Status)
	}
	if says != nil {
		_ = json.NewEncoder(w).Encode(says)
	}
}

func serving(t *testing.T, says map[string]any) *answers {
	t.Helper()
	a := &answers{says: says, body: map[string]string{}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	t.Setenv("PURSER_URL", s.URL)
	t.Setenv("PURSER_TOKEN", "purser_test")
	t.Setenv("PURSER_DATA_DIR", t.TempDir())
	return a
}

// ran runs the program in this process.
func ran(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

// shownWorld is what the verbs are shown. Ages are told from now, in the middle of a unit.
func shownWorld() map[string]any {
	now := time.Now().UTC()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	day := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	spot := api.OfferOf(purser.Offer{
		Provider: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge", Option: purser.Spot, UnitPrice: purser.USDPerHourOf(9.83), Limit: purser.Unlimited,
		Shape: purser.Shape{Accelerator: "A100-40GB", Devices: 8000, MilliCPU: 96_000, MemoryMiB: 1152 << 10}, Source: "bundled:aws", ObservedAt: ago(50 * time.Hour),
	})
	cpu := api.OfferOf(purser.Offer{
		Provider: "gcp", Region: "europe-west4", InstanceType: "n2-standard-8", Option: purser.OnDemand, UnitPrice: purser.USDPerHourOf(0.3885), Limit: purser.Unlimited,
		Shape: purser.Shape{MilliCPU: 8000, MemoryMiB: 32 << 10}, Source: "bundled:gcp", ObservedAt: ago(90 * time.Minute),
	})
	job := api.Job{
		ID: "job-1", Project: "vision", Name: "train", State: purser.JobRunning, SubmittedAt: ago(90 * time.Second), Groups: []api.Group{},
		Tasks: api.TaskCounts{Running: 2, Succeeded: 1, Failed: 1}, Progress: 0.255, Cost: purser.MoneyOf(12.3456), Rehearsal: true,
		Reason: "a task failed: \x1b]0;owned\x07exit code 1",
	}
	one := 1
	plan := api.Plan{
		ID: "plan-1", Status: purser.PlanFeasible, Rehearsal: true, HorizonHours: 24, Objective: purser.MoneyOf(240), ExtraCost: purser.MoneyOf(7.2), Bound: purser.MoneyOf(238), Gap: 2.0 / 240,
		UnitPrice: purser.USDPerHourOf(9.83), BaselinePrice: purser.USDPerHourOf(31.2), SolveSeconds: 0.25, Summary: "3 replicas on 2 machines for $9.83/h.",
		Leases: []api.PlanLease{
			{Offer: spot, Hours: 24, Placements: []api.PlanPlacement{{Job: "train", Group: "main"}, {Job: "train", Group: "main", Replica: 1}, {Job: "serve", Group: "main"}}},
			{Offer: cpu, Held: "lease-1", Hours: 1.5, Placements: []api.PlanPlacement{}},
		},
		Services: []api.PlanService{{
			Job: "serve", Group: "main", Replicas: 3, Demand: 20, Served: 29, Level: purser.DomainZone, Worst: []string{"aws/us-east-1/a"}, Lost: 12, Left: 17,
			Load: 20.0 / 29, Weights: []api.PlanWeight{{Variant: "fp16", Replicas: 2, Weight: 12}, {Variant: "int8", Replicas: 1, Weight: 5}},
		}},
		Unplaced:  []api.PlanUnplaced{{Job: "big", Group: "main", Replicas: 2, Reason: "no offer has 16 devices"}},
		Refusals:  []api.PlanRefusal{{Job: "big", Group: "main", Offers: 300, Allowed: 0, Reasons: map[purser.RefusalReason]int{purser.ReasonDevices: 280, purser.ReasonDeviceMemory: 20}}},
		RunnersUp: []api.PlanRunnerUp{{Job: "train", Group: "main", Chosen: spot.ID, RunnerUp: cpu.ID, ExtraCost: purser.USDPerHourOf(1.5)}},
	}
	used, past := ago(3*time.Minute+30*time.Second), ago(time.Hour)
	return map[string]any{
		"GET /v1/jobs":       api.Jobs{Jobs: []api.Job{job}},
		"GET /v1/jobs/train": job,
		"GET /v1/jobs/job-1": job,
		"GET /v1/jobs/job-1/tasks": api.Tasks{Tasks: []purser.Task{
			{ID: "task-1", Job: "job-1", Group: "main", Attempt: 1, State: purser.TaskFailed, Variant: "A100", Lease: "lease-1", ExitCode: &one, Reason: "exit code 1\x1b[2J"},
			{ID: "task-2", Job: "job-1", Group: "main", Attempt: 2, State: purser.TaskRunning, Variant: "A100", Lease: "lease-1"},
		}},
		"POST /v1/jobs":              api.Submitted{Jobs: []api.SubmittedJob{{ID: "job-1", Project: "vision", Name: "train", Created: true}, {ID: "job-2", Project: "vision", Name: "serve"}}},
		"POST /v1/plans":             plan,
		"POST /v1/jobs/train/cancel": job,
		"GET /v1/jobs/train/logs": api.Logs{Lines: []api.LogLine{
			{Task: "task-1", Seq: 1, At: day, Stream: "stdout", Text: "loss 0.5\x1b[31m"}, {Task: "task-1", Seq: 2, At: day.Add(time.Second), Stream: "stderr", Text: "done"},
		}, Next: "2", Ended: true},
		"GET /v1/leases": api.Leases{Leases: []api.Lease{{
			ID: "lease-1", Plan: "plan-1", Offer: spot, Holder: "local", Rehearsal: true, State: purser.LeaseRunning, Attempt: 1, CreatedAt: ago(2*time.Hour + 30*time.Minute), Cost: purser.MoneyOf(24.5),
			Tasks: []api.LeaseTask{{JobName: "train", Group: "main"}, {JobName: "train", Group: "main", Replica: 1}, {JobName: "serve", Group: "main"}, {JobName: "serve", Group: "main", Replica: 1}},
		}, {ID: "lease-2", Offer: cpu, State: purser.LeaseDraining, CreatedAt: ago(5*time.Minute + 30*time.Second), Tasks: []api.LeaseTask{}}}},
		"GET /v1/spend": api.Spend{
			Rehearsal: true, At: day, RatePerHour: purser.USDPerHourOf(9.83), MonthStart: day, MonthToDate: purser.MoneyOf(100.5), MonthToDateOD: purser.MoneyOf(310), MonthEnd: purser.MoneyOf(7000),
			Assumption: "if what runs now runs on until 1 April", ByJob: []api.SpendRow{{Project: "vision", Job: "train", Billed: purser.MoneyOf(90), List: purser.MoneyOf(280)}, {Billed: purser.MoneyOf(10.5), List: purser.MoneyOf(30)}},
		},
		"GET /v1/charges": api.Charges{Total: purser.MoneyOf(2.5), Charges: []purser.Charge{{
			Lease: "lease-1", Job: "job-1", Start: day, End: day.Add(15 * time.Minute), UnitPrice: purser.USDPerHourOf(10), BilledCost: purser.MoneyOf(2.5), PriceSource: "bundled:aws", Rehearsal: true,
		}}},
		"POST /v1/rebalance": api.Rebalanced{
			DryRun: true, Rehearsal: true, Now: purser.USDPerHourOf(9.83), After: purser.USDPerHourOf(4), Saving: purser.MoneyOf(130), Pays: true, Reason: "it saves 50 % and disturbs 30 %", HorizonHrs: 24,
			Moves: []api.RebalanceMove{{Task: "task-2", Job: "train", Group: "main", From: spot.ID, To: cpu.ID}},
		},
		"GET /v1/tokens": api.Tokens{Tokens: []api.Token{
			{ID: "tok-1", Name: "ann", Role: api.RoleAdmin, CreatedAt: ago(72*time.Hour + time.Minute), UsedAt: &used},
			{ID: "tok-2", Name: "bob", Role: api.RoleViewer, CreatedAt: ago(72*time.Hour + time.Minute), RevokedAt: &past},
			{ID: "tok-3", Name: "cyd", Role: api.RoleViewer, CreatedAt: ago(72*time.Hour + time.Minute), ExpiresAt: &past},
		}},
		"POST /v1/tokens":         api.CreatedToken{Token: api.Token{ID: "tok-4", Name: "dan", Role: api.RoleOperator}, Secret: "purser_secret"},
		"DELETE /v1/tokens/tok-1": nil,
		"POST /v1/logins":         api.Login{Code: "abc", URL: "http://127.0.0.1:7077/#signin=abc", Till: day},
		"GET /v1/health":          api.Health{Status: "ok", Parts: map[string]string{}},
	}
}

// clockTime is a time of day in the reader's zone.
var clockTime = regexp.MustCompile(`\d+:\d\d[AP]M`)

// Every verb that talks to a server: what it prints, what it prints as JSON, and what
// it asks for.
func TestVerbs(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jobs := file("jobs.yaml", "name: train\ntrain: {cpus: 1, run_time: 1m, command: x}\n")
	for name, c := range map[string]verbCase{
		"jobs":           {[]string{"jobs", "--live", "--project", "vision"}, "GET /v1/jobs?limit=100&live=true&project=vision", "GET /v1/jobs"},
		"job":            {[]string{"jobs", "train", "--project", "vision"}, "GET /v1/jobs/train?project=vision", ""},
		"submit":         {[]string{"submit", "-f", jobs}, "POST /v1/jobs", "POST /v1/jobs"},
		"submit-dry-run": {[]string{"submit", "-f", jobs, "--dry-run"}, "POST /v1/plans", "POST /v1/plans"},
		"cancel":         {[]string{"cancel", "train"}, "POST /v1/jobs/train/cancel?", "POST /v1/jobs/train/cancel"},
		"logs":           {[]string{"logs", "train", "--timestamps"}, "GET /v1/jobs/train/logs?after=&limit=1000&task=", ""},
		"leases":         {[]string{"leases"}, "GET /v1/leases?limit=200&live=true", "GET /v1/leases"},
		"charges":        {[]string{"charges"}, "GET /v1/spend", "GET /v1/spend"},
		"charges-lines":  {[]string{"charges", "--lines", "--lease", "lease-1"}, "GET /v1/charges?lease=lease-1&limit=1000", "GET /v1/charges"},
		"rebalance":      {[]string{"rebalance", "--dry-run"}, "POST /v1/rebalance", "POST /v1/rebalance"},
		"token-list":     {[]string{"token", "list"}, "GET /v1/tokens", "GET /v1/tokens"},
		"token-create":   {[]string{"token", "create", "dan", "--role", "operator", "--valid-for", "30d"}, "POST /v1/tokens", "POST /v1/tokens"},
		"token-revoke":   {[]string{"token", "revoke", "tok-1"}, "DELETE /v1/tokens/tok-1", ""},
		"token-link":     {[]string{"token", "link"}, "POST /v1/logins", "POST /v1/logins"},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, name, shownWorld()) })
	}
}

// verbCase is a verb, what it asks for first, and what it shows.
type verbCase struct {
	args []string
	asks string
	json string // the answer that -o json gives again; empty: the verb has no or another JSON
}

func (c verbCase) check(t *testing.T, name string, world map[string]any) {
	t.Helper()
	a := serving(t, world)
	out, errs, code := ran(t, c.args...)
	if code != 0 || len(a.asked) == 0 || a.asked[0] != c.asks || a.auth[0] != "Bearer purser_test" {
		t.Errorf("code %d, said %q, asked %q by %q", code, errs, a.asked, a.auth)
	}
	golden(t, name, clockTime.ReplaceAllString(out, "TIME"))
	if c.json == "" {
		return
	}
	out, errs, code = ran(t, append(c.args, "-o", "json")...)
	var got, want any
	b, err := json.Marshal(a.says[c.json])
	if code != 0 || err != nil || json.Unmarshal(b, &want) != nil || json.Unmarshal([]byte(out), &got) != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("code %d, said %q, JSON %s\nwant %s", code, errs, out, b)
	}
	if _, _, code := ran(t, append(c.args, "-o", "xml")...); code != exitInvalid {
		t.Errorf("-o xml ends with %d", code)
	}
}

// golden compares a table with its file. Nothing in a table may steer a terminal.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("the table steers the terminal: %q", got)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test ./cmd/purser -run 'Verb|Price|Plot' -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestVerbsWithJSONOfTheirOwn(t *testing.T) {
	serving(t, shownWorld())
	out, _, code := ran(t, "logs", "train", "-o", "json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || len(lines) != 2 || !json.Valid([]byte(lines[0])) || strings.Contains(out, "\x1b") {
		t.Errorf("code %d: %q", code, out)
	}
	out, _, code = ran(t, "jobs", "train", "-o", "json")
	var job struct {
		ID  purser.JobID
		All api.Tasks
	}
	if err := json.Unmarshal([]byte(out), &job); err != nil || code != 0 || job.ID != "job-1" || len(job.All.Tasks) != 2 {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	for _, args := range [][]string{{"version", "-o", "json"}, {"openapi"}, {"openapi", "--job-schema"}} {
		if out, _, code := ran(t, args...); code != 0 || !json.Valid([]byte(out)) {
			t.Errorf("%v: code %d, %.200s", args, code, out)
		}
	}
}

// The exit codes that docs/cli.md promises.
func TestExitCodes(t *testing.T) {
	problem := func(status int, kind purser.Kind) api.Problem {
		return api.Problem{Status: status, Code: kind, Title: "t", Detail: "the detail\x1b[2J"}
	}
	ended := func(s purser.JobState) api.Job {
		return api.Job{ID: "j", Name: "train", State: s, Groups: []api.Group{}}
	}
	for name, c := range map[string]struct {
		says any
		args []string
		code int
	}{
		"not found":    {problem(404, purser.KindNotFound), []string{"jobs", "train"}, exitNotFound},
		"unauthorized": {problem(401, purser.KindUnauthorized), []string{"jobs", "train"}, exitUnauthorized},
		"forbidden":    {problem(403, purser.KindForbidden), []string{"jobs", "train"}, exitUnauthorized},
		"invalid":      {problem(422, purser.KindInvalid), []string{"jobs", "train"}, exitInvalid},
		"conflict":     {problem(409, purser.KindConflict), []string{"jobs", "train"}, exitInvalid},
		"infeasible":   {problem(422, purser.KindInfeasible), []string{"jobs", "train"}, exitInfeasible},
		"quota":        {problem(429, purser.KindQuota), []string{"jobs", "train"}, exitInfeasible},
		"internal":     {problem(500, purser.KindInternal), []string{"jobs", "train"}, exitFailed},
		"unavailable":  {problem(503, purser.KindUnavailable), []string{"jobs", "train"}, exitFailed},
		"succeeded":    {ended(purser.JobSucceeded), []string{"wait", "train"}, 0},
		"failed":       {ended(purser.JobFailed), []string{"wait", "train"}, exitJobFailed},
		"cancelled":    {ended(purser.JobCancelled), []string{"wait", "train"}, exitJobFailed},
		"too long":     {ended(purser.JobRunning), []string{"wait", "train", "--timeout", "1ms"}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, map[string]any{"GET /v1/jobs/train": c.says})
			out, errs, code := ran(t, c.args...)
			if code != c.code || out != "" || strings.Contains(errs, "\x1b") {
				t.Errorf("code %d, want %d; printed %q, said %q", code, c.code, out, errs)
			}
			if c.code != 0 && c.code != exitJobFailed && !strings.HasPrefix(errs, "purser: ") && !strings.Contains(errs, "\npurser: ") {
				t.Errorf("said %q", errs)
			}
		})
	}
	t.Setenv("PURSER_URL", "http://127.0.0.1:1")
	if _, errs, code := ran(t, "jobs"); code != exitFailed || !strings.Contains(errs, "purser serve") {
		t.Errorf("no server: code %d, said %q", code, errs)
	}
	if _, errs, code := ran(t, "doctor", "--probe", "--listen", "127.0.0.1:1", "--data-dir", t.TempDir()); code != exitFailed || errs == "" {
		t.Errorf("a probe of nothing: code %d, said %q", code, errs)
	}
}

// A token that a local server left is given to that server alone.
func TestTokenGoesToItsServerAlone(t *testing.T) {
	a := serving(t, shownWorld())
	dir := t.TempDir()
	keep := func(url string) {
		b, err := json.Marshal(map[string]string{"url": url, "token": "purser_kept"})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "credentials.json"), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	url := os.Getenv("PURSER_URL")
	t.Setenv("PURSER_TOKEN", "")
	keep("http://127.0.0.1:1")
	ran(t, "leases", "--data-dir", dir)
	keep(url)
	ran(t, "leases", "--data-dir", dir)
	t.Setenv("PURSER_URL", "")
	ran(t, "leases", "--data-dir", dir)
	if want := []string{"", "Bearer purser_kept", "Bearer purser_kept"}; !reflect.DeepEqual(a.auth, want) {
		t.Errorf("tokens %q, want %q", a.auth, want)
	}
}
