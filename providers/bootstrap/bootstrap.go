// Package bootstrap writes what a new machine is told at its first boot: a shell script
// (cloud-init runs user data that begins with #!) that brings the agent and starts it.
//
//	check   a container runtime and the accelerators' drivers are looked for and noted; a
//	        missing one is a line in the machine's own log, and the task that needs it
//	        fails with that reason
//	fetch   the agent's program comes from the server (/v1/agent/program/ARCH), and is
//	        only run if its SHA-256 is the one that stands in the script
//	join    the agent gets the lease's join token in a 0600 file; it is good for one join
//	        of this lease while the lease is launching, and for nothing else
//	listen  the agent watches the cloud's notices to the machine (PURSER_NOTICES=on)
//	end     a machine whose agent does not start within Limit, or ends, powers itself off;
//	        launches are made so that a machine that powers off is ended, not stopped.
//	        A signal that kills the agent starts it again, up to five times; the signal
//	        of a shutdown reaches the agent alone, which stops its tasks by itself
//
// The script is the same for every repetition of a launch but for the server's address.
// It holds one secret, the join token, which is of no use once the agent has joined.
//
// # Failures
//
// invalid for a request without a server's address, a join token or checksums, and for
// values that could break out of the script's quotes.
package bootstrap

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"purser"
	"purser/providers"
)

// Limit is how long a machine may take from the start of the script to a running agent.
const Limit = 10 * time.Minute

// ProgramPath is where the server gives out the agent's program, by architecture.
const ProgramPath = "/v1/agent/program/"

// MaxBytes is the size that every cloud takes as user data (AWS: 16 KiB before base64).
const MaxBytes = 16 << 10

var (
	hexForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	urlForm   = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]_-]+$`)
)

// Script is the user data of the request's machine.
func Script(r providers.Request) (string, error) {
	const op = "bootstrap.Script"
	switch {
	case !urlForm.MatchString(r.ServerURL):
		return "", purser.Errorf(purser.KindInvalid, op, "%q is no address that a machine can reach the server at; set public_url", r.ServerURL)
	case !tokenForm.MatchString(r.JoinToken) || !tokenForm.MatchString(string(r.Lease.ID)):
		return "", purser.Errorf(purser.KindInvalid, op, "the lease's name and its join token must be letters, digits, dots, dashes and underscores")
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if sum, ok := r.AgentSHA256[arch]; ok && !hexForm.MatchString(sum) {
			return "", purser.Errorf(purser.KindInvalid, op, "the checksum of the agent for %s is not 64 hexadecimal digits", arch)
		}
	}
	if r.AgentSHA256["amd64"] == "" && r.AgentSHA256["arm64"] == "" {
		return "", purser.Errorf(purser.KindInvalid, op, "the checksum of the agent's program is not known")
	}
	shape, err := json.Marshal(r.Lease.Offer.Shape)
	if err != nil {
		return "", purser.Wrap(purser.KindInternal, op, err)
	}
	out := strings.NewReplacer(
		"@LEASE@", string(r.Lease.ID), "@TOKEN@", r.JoinToken, "@SERVER@", r.ServerURL, "@PATH@", ProgramPath,
		"@SHAPE@", strings.ReplaceAll(string(shape), "'", `\u0027`), "@AMD64@", r.AgentSHA256["amd64"], "@ARM64@", r.AgentSHA256["arm64"],
		"@LIMIT@", fmt.Sprint(int(Limit.Seconds())),
	).Replace(script)
	if len(out) > MaxBytes {
		return "", purser.Errorf(purser.KindInvalid, op, "the script of lease %s has %d bytes; clouds take %d", r.Lease.ID, len(out), MaxBytes)
	}
	return out, nil
}

// script is plain sh, for any Linux. Values stand in single quotes.
//
//go:embed script.sh
var script string
