package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
)

// Programs has the agent's program for new machines.
type Programs interface {
	// Program gives the program for an architecture (amd64, arm64) on Linux; not_found
	// when there is none. Its content never changes.
	Program(arch string) (Program, error)
}

// Program is one executable file.
type Program struct {
	Content io.ReadSeeker // of this call alone
	SHA256  string        // of the content, in hex
}

// registerProgram gives the program to anybody: it is no secret, and a machine that has
// not joined yet has nothing to show but its join token, which it keeps for the join.
// What a machine runs is decided by the checksum that its script holds, not by who
// answers here. Callers are held to callsPerSecond like all others.
func (s *Server) registerProgram() {
	type programIn struct {
		Arch string `path:"arch" enum:"amd64,arm64"`
	}
	op := huma.Operation{
		OperationID: "agent-program", Method: http.MethodGet, Path: "/v1/agent/program/{arch}", Tags: []string{"agent"},
		Summary:     "Fetch the agent's program",
		Description: "The program that a new machine runs as its agent. Its ETag is its SHA-256; ranges can be asked for.",
		Responses: map[string]*huma.Response{
			"200": {Description: "The program.", Content: map[string]*huma.MediaType{
				"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			}},
		},
		Errors: []int{404},
	}
	open(s, op, func(_ context.Context, in *programIn) (*huma.StreamResponse, error) {
		p, err := s.parts.Programs.Program(in.Arch)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { p.send(hc) }}, nil
	})
}

// send answers with the content, or the range of it that was asked for, or that the
// caller has it already.
func (p Program) send(hc huma.Context) {
	c := humaecho.Unwrap(hc)
	h := c.Response().Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+p.SHA256+`"`)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, p.Content)
}
