package bootstrap

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"purser"
	"purser/providers"
)

var update = flag.Bool("update", false, "write the golden file")

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// request is a launch as the fleet asks for it.
func request() providers.Request {
	return providers.Request{
		Lease: purser.Lease{ID: "lease-01hz", Attempt: 1, Offer: purser.Offer{
			Provider: "aws", Region: "us-east-1", InstanceType: "p4d.24xlarge",
			Shape: purser.Shape{Accelerator: "A100-40GB", Devices: 8000, DeviceMemoryMiB: 40 << 10, MilliCPU: 96_000, MemoryMiB: 1152 << 10},
		}},
		JoinToken: strings.Repeat("ab", 32), ServerURL: "https://purser.example:7077",
		AgentSHA256: map[string]string{"amd64": sumOf("amd64"), "arm64": sumOf("arm64")},
	}
}

func must(t testing.TB, r providers.Request) string {
	t.Helper()
	s, err := Script(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The script as it is: a change of it is to be seen.
func TestScriptIsTheGoldenOne(t *testing.T) {
	const path = "testdata/script.golden"
	got := must(t, request())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // it is no secret
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the script is another one; look at it and write it anew with: go test ./providers/bootstrap -update\n%s", got)
	}
	if len(got) >= MaxBytes {
		t.Errorf("%d bytes", len(got))
	}
	if left := regexp.MustCompile(`@[A-Z0-9]+@`).FindAllString(got, -1); left != nil {
		t.Errorf("not filled in: %q", left)
	}
	if again := must(t, request()); again != got {
		t.Error("the same launch gives another script")
	}
}

// The parts of the script that a shell reads on its own.
func parts(t *testing.T, script string) (whole, agent string) {
	t.Helper()
	_, rest, ok := strings.Cut(script, "<<'PURSER_END'\n")
	agent, _, end := strings.Cut(rest, "PURSER_END\n")
	if !ok || !end {
		t.Fatal("the agent's script is not in the script")
	}
	return script, agent
}

func TestScriptsPassShellcheck(t *testing.T) {
	program, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not here (apt-get install shellcheck)")
	}
	whole, agent := parts(t, must(t, request()))
	for name, text := range map[string]string{"the script": whole, "the agent's script": agent} {
		cmd := exec.CommandContext(t.Context(), program, "-s", "sh", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// What could break out of the quotes is refused, and so is what makes no machine that
// could join.
func TestRequestsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*providers.Request){
		"no server":             func(r *providers.Request) { r.ServerURL = "" },
		"no scheme":             func(r *providers.Request) { r.ServerURL = "purser.example" },
		"a quote in the server": func(r *providers.Request) { r.ServerURL = "https://x'; reboot; '" },
		"a path":                func(r *providers.Request) { r.ServerURL = "https://x/$(reboot)" },
		"a line end":            func(r *providers.Request) { r.ServerURL += "\n" },
		"no token":              func(r *providers.Request) { r.JoinToken = "" },
		"a quote in the token":  func(r *providers.Request) { r.JoinToken = "a'b" },
		"a line in the token":   func(r *providers.Request) { r.JoinToken = "a\nb" },
		"no lease":              func(r *providers.Request) { r.Lease.ID = "" },
		"a lease with a line":   func(r *providers.Request) { r.Lease.ID = "a\nreboot" },
		"no checksums":          func(r *providers.Request) { r.AgentSHA256 = nil },
		"of no architecture":    func(r *providers.Request) { r.AgentSHA256 = map[string]string{"riscv64": sumOf("x")} },
		"half a checksum":       func(r *providers.Request) { r.AgentSHA256["arm64"] = "abc" },
		"an empty checksum":     func(r *providers.Request) { r.AgentSHA256["amd64"] = "" },
		"a loud checksum":       func(r *providers.Request) { r.AgentSHA256["amd64"] = strings.ToUpper(sumOf("amd64")) },
		"too long a shape":      func(r *providers.Request) { r.Lease.Offer.Accelerator = strings.Repeat("x", MaxBytes) },
	} {
		r := request()
		change(&r)
		if s, err := Script(r); purser.KindOf(err) != purser.KindInvalid || s != "" {
			t.Errorf("%s: %v", name, err)
		} else if r.JoinToken != "" && strings.Contains(err.Error(), r.JoinToken) {
			t.Errorf("%s: the token is told: %v", name, err)
		}
	}
}

// Whatever the values are, either they are refused or a shell reads them back as they
// were given, and nothing of them is carried out.
func FuzzValuesStayInTheirQuotes(f *testing.F) {
	r := request()
	f.Add(string(r.Lease.ID), r.JoinToken, r.ServerURL, "A100", r.AgentSHA256["amd64"])
	f.Add("l", "t", "http://[::1]:80", `it's "$(reboot)" \ and`+"\nPURSER_END\n`reboot`", "")
	f.Add("@TOKEN@", "@SERVER@", "http://@PATH@", "@LIMIT@ @TOKEN@", "@AMD64@")
	f.Add("'", "';reboot;'", "http://$(reboot)", "\x00\u2028'", strings.Repeat("0", 64)+"\n")
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lease, token, server, accelerator, sum string) {
		r := request()
		r.Lease.ID, r.JoinToken, r.ServerURL, r.Lease.Offer.Accelerator = purser.LeaseID(lease), token, server, accelerator
		r.AgentSHA256 = map[string]string{"amd64": sum}
		s, err := Script(r)
		if err != nil {
			return
		}
		if len(s) > MaxBytes {
			t.Fatalf("%d bytes", len(s))
		}
		_, agent := parts(t, s)
		exports, _, _ := strings.Cut(agent, "export HOME")
		exports = strings.ReplaceAll(exports, "mkdir", "exit")
		cmd := exec.CommandContext(t.Context(), sh, "-c", exports+"\nprintf '%s\\n' \"$PURSER_SERVER_URL\" \"$PURSER_LEASE\" \"$PURSER_SHAPE\"")
		cmd.Env = []string{"PATH=" + filepath.Join(t.TempDir(), "nothing")}
		out, err := cmd.CombinedOutput()
		lines := strings.Split(string(out), "\n")
		if err != nil || len(lines) != 4 || lines[0] != server || lines[1] != lease {
			t.Fatalf("a shell reads %q, %v", out, err)
		}
		var shape purser.Shape
		if err := json.Unmarshal([]byte(lines[2]), &shape); err != nil || shape.Accelerator != strings.ToValidUTF8(accelerator, "\ufffd") || shape.Devices != r.Lease.Offer.Devices {
			t.Fatalf("the shape is read as %q, %v", lines[2], err)
		}
		check := exec.CommandContext(t.Context(), sh, "-n")
		check.Stdin = strings.NewReader(s)
		if out, err := check.CombinedOutput(); err != nil {
			t.Fatalf("no shell script: %v %s", err, out)
		}
		if !strings.Contains(s, "\nprintf %s '"+token+"' >") {
			t.Fatal("the token does not stand where it is written from")
		}
	})
}
