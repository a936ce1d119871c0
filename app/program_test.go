package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"purser"
)

// foreign is the architecture that this program is not for.
func foreign() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestProgramsOfTheServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("machines run Linux, and so does a server that hands out its own program")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "purser-linux-"+foreign())
	if err := os.WriteFile(path, []byte("an agent"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "purser-linux-"+runtime.GOARCH), []byte("an older one"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := idle(t)
	a.config.AgentPrograms = dir
	if err := a.startPrograms(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.undo[len(a.undo)-1](context.Background()) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sums := a.agentSHA256()
	if sums[runtime.GOARCH] != sumOf(t, exe) || sums[foreign()] != sumOf(t, path) || len(sums) != 2 {
		t.Fatalf("sums %v", sums)
	}
	// A newer program is put in its place, as packages do it: what was hashed is what is given.
	if err := os.WriteFile(path+".new", []byte("another agent"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	p, err := programsPart{a}.Program(foreign())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(p.Content); err != nil || string(b) != "an agent" || p.SHA256 != sums[foreign()] {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := (programsPart{a}).Program("riscv64"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("an architecture that nobody has: %v", err)
	}
}

func TestProgramFoldersThatAreOfNoUse(t *testing.T) {
	empty, damaged := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "purser-linux-"+foreign()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no folder": "/nowhere", "nothing in it": empty, "an empty file": damaged} {
		a := idle(t)
		a.config.AgentPrograms = dir
		if err := a.startPrograms(t.Context()); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
		for _, undo := range a.undo {
			_ = undo(context.Background())
		}
	}
	c := DefaultConfig()
	c.AgentPrograms = "relative"
	if err := c.check(); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a relative folder: %v", err)
	}
}

// A server that has started hands its own program to anybody, and tells its fleet the
// checksum.
func TestStartedServerHandsOutItsProgram(t *testing.T) {
	a := startable(t, database1(t), nil)
	if err := a.Start(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(context.Background(), silent); err != nil {
			t.Error(err)
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1/agent/program/"+runtime.GOARCH, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || n != resp.ContentLength || hex.EncodeToString(h.Sum(nil)) != a.fleet.AgentSHA256[runtime.GOARCH] {
		t.Errorf("%d, %d bytes of %d, %v, %v", resp.StatusCode, n, resp.ContentLength, err, a.fleet.AgentSHA256)
	}
}
