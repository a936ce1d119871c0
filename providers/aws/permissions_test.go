package aws_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestPermissions holds the policy and the rules in docs/permissions against the code.
func TestPermissions(t *testing.T) {
	for name, write := range map[string]func() ([]byte, error){
		"aws.json":        func() ([]byte, error) { return aws.Policy("INSTALLATION") },
		"aws-events.json": aws.Events,
	} {
		got, err := write()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "permissions", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from the code (%v); run go test ./providers/aws -run Permissions -update", path, err)
		}
	}
	policy, err := aws.Policy("INSTALLATION")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range aws.Permissions() {
		if !strings.Contains(string(policy), `"`+p.Action+`"`) || p.Need == "" {
			t.Errorf("the policy lacks %s", p.Action)
		}
	}
}

// within fails for calls that are not in the list.
func within(t *testing.T, calls map[string]int) {
	t.Helper()
	listed := map[string]bool{}
	for _, p := range aws.Permissions() {
		listed[p.Action] = true
	}
	for action := range calls {
		if !listed[action] {
			t.Errorf("the call %s is not in the list of permissions", action)
		}
	}
}

// TestPermissionsAreUsed walks through all that the adapter does, and finds every
// listed call made and no other. (Conformance and storm check the latter too.)
func TestPermissionsAreUsed(t *testing.T) {
	w := fresh(t)
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-1", Type: "g5.xlarge", Zone: "use1-az1", Total: 5, Free: 3, State: "active"})
	p := w.provider(t, func(c *aws.Config) { c.Queues = []aws.Queue{{URL: awsURL(w) + "/1/q", Region: "us-east-1", Own: true}} })
	launch(t, p, request("lease-a", onDemand))
	launch(t, p, request("lease-b", spot, offer("g6.xlarge", "use1-az1", purser.Spot, 0.5)))
	launch(t, p, request("lease-c", offer("g5.xlarge", "use1-az1", purser.Reserved, 0.01)))
	for _, m := range w.Machines() {
		if err := p.Terminate(t.Context(), purser.Lease{ID: purser.LeaseID(m.Tags["purser-lease"])}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		w.clock.pass(25 * time.Hour)
		if _, err := p.Sweep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Quotas(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := w.Send("no event")
	(&listener{}).until(t, p, func() bool { return deleted(w, m) })
	within(t, w.Calls())
	for _, q := range aws.Permissions() {
		if w.Calls()[q.Action] == 0 {
			t.Errorf("%s is listed and was never called", q.Action)
		}
	}
}
