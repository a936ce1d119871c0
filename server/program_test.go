package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"purser"
	"purser/server"
)

// agentProgram is what the fake hands to machines.
var agentProgram = strings.Repeat("an agent's program. ", 100_000)

type programs struct{}

func (programs) Program(arch string) (server.Program, error) {
	if arch != "amd64" {
		return server.Program{}, purser.Errorf(purser.KindNotFound, "fake", "this server has no agent for %s", arch)
	}
	sum := sha256.Sum256([]byte(agentProgram))
	return server.Program{Content: bytes.NewReader([]byte(agentProgram)), SHA256: hex.EncodeToString(sum[:])}, nil
}

// Machines fetch the agent's program without a token: whole, in part, or not at all
// when they have it.
func TestAgentProgram(t *testing.T) {
	h := start(t)
	p, _ := programs{}.Program("amd64")
	tag := `"` + p.SHA256 + `"`
	resp, body := h.call(t, "GET", "/v1/agent/program/amd64", "", "")
	if resp.StatusCode != http.StatusOK || body != agentProgram || resp.Header.Get("ETag") != tag ||
		resp.Header.Get("Content-Length") != strconv.Itoa(len(agentProgram)) || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	resp, body = h.call(t, "GET", "/v1/agent/program/amd64", "", "", "Range", "bytes=3-9", "If-Range", tag)
	if resp.StatusCode != http.StatusPartialContent || body != agentProgram[3:10] {
		t.Errorf("a range: %d, %q", resp.StatusCode, body)
	}
	if resp, body = h.call(t, "GET", "/v1/agent/program/amd64", "", "", "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("known already: %d, %d bytes", resp.StatusCode, len(body))
	}
	for path, want := range map[string]int{"/v1/agent/program/arm64": 404, "/v1/agent/program/sparc": 422, "/v1/agent/program/..%2f..%2fetc": 422, "/v1/agent/program/": 404} {
		if resp, body = h.call(t, "GET", path, "", ""); resp.StatusCode != want || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s answers %d %s", path, resp.StatusCode, body)
		}
	}
	if strings.Contains(h.log.String(), "level=ERROR") {
		t.Errorf("logged: %s", h.log)
	}
}

// Many machines that start at once each get all of it.
func TestAgentProgramForManyAtOnce(t *testing.T) {
	h := start(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if resp, body := h.call(t, "GET", "/v1/agent/program/amd64", "", ""); resp.StatusCode != http.StatusOK || body != agentProgram {
				t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
			}
		})
	}
	all.Wait()
}
