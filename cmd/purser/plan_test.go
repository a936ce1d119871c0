package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"purser"
	"purser/api"
)

// A plan under a commitment says what runs under it, what of it is idle, and what is paid besides.
func TestPlanUnderACommitment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	limits := write("limits.yaml", "commitments:\n  - {name: savings, provider: aws, usd_per_hour: 10, discount: 40%}\n")
	job := write("job.yaml", "version: 1\nname: chat\nserve:\n  accelerators: L4:1\n  cpus: 4\n  memory: 8GiB\n  replicas: 1\n  port: 9000\n  command: echo\n")
	plan := func(more ...string) string {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"plan", "-f", job, "--limits", limits}, more...), strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("%d: %s", code, errs.String())
		}
		return out.String()
	}
	var said api.Plan
	if err := json.Unmarshal([]byte(plan("-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Leases) != 1 || said.Leases[0].Commitment != "savings" || said.Leases[0].Offer.Option != purser.OnDemand || said.UnitPrice != 0 || said.Objective != 0 {
		t.Errorf("%+v", said)
	}
	c := said.Commitments[0]
	if c.Machines != 1 || c.Used <= 0 || c.IdlePerDay != 24*purser.Money(purser.USDPerHourOf(10)-c.Used) {
		t.Errorf("%+v", c)
	}
	if text := plan(); !strings.Contains(text, "1 machine runs under savings: "+c.Used.String()+" of its $10.00/h is used") || !strings.Contains(text, "and the committed $10.00/h") {
		t.Error(text)
	}
}
