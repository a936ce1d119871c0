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
//	end     a machine whose agent does not start within Limit, or ends, powers itself off;
//	        launches are made so that a machine that powers off is ended, not stopped
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
	if len(r.AgentSHA256) == 0 {
		return "", purser.Errorf(purser.KindInvalid, op, "the checksum of the agent's program is not known")
	}
	shape, err := json.Marshal(r.Lease.Offer.Shape)
	if err != nil {
		return "", purser.Wrap(purser.KindInternal, op, err)
	}
	out := strings.NewReplacer(
		"@LEASE@", string(r.Lease.ID), "@TOKEN@", r.JoinToken, "@SERVER@", r.ServerURL, "@PATH@", ProgramPath,
		"@SHAPE@", strings.ReplaceAll(string(shape), "'", ""), "@AMD64@", r.AgentSHA256["amd64"], "@ARM64@", r.AgentSHA256["arm64"],
		"@LIMIT@", fmt.Sprint(int(Limit.Seconds())),
	).Replace(script)
	if len(out) > MaxBytes {
		return "", purser.Errorf(purser.KindInvalid, op, "the script of lease %s has %d bytes; clouds take %d", r.Lease.ID, len(out), MaxBytes)
	}
	return out, nil
}

// script is plain sh. Values stand in single quotes.
const script = `#!/bin/sh
# Written by Purser for lease @LEASE@.
set -u
umask 077
dir=/opt/purser
mkdir -p "$dir" || exit 1
log() { echo "purser: $*" | tee -a "$dir/bootstrap.log" >/dev/console 2>/dev/null || true; }
off() { log "$*"; sync; poweroff 2>/dev/null || shutdown -h now 2>/dev/null || halt -p; exit 1; }

server='@SERVER@'
case $(uname -m) in
x86_64 | amd64) arch=amd64 want='@AMD64@' ;;
aarch64 | arm64) arch=arm64 want='@ARM64@' ;;
*) off "no agent for $(uname -m)" ;;
esac
[ -n "$want" ] || off "the server has no agent for $arch"

for tool in podman docker; do command -v "$tool" >/dev/null && runtime=$tool && break; done
log "container runtime: ${runtime:-none found}"
for tool in nvidia-smi rocm-smi neuron-ls xbutil; do command -v "$tool" >/dev/null && "$tool" >/dev/null 2>&1 && drivers="${drivers:-} $tool"; done
log "accelerator drivers:${drivers:- none found}"

get() {
	if command -v curl >/dev/null; then curl -fsS --retry 0 --max-time 120 -o "$2" "$1"
	else wget -q -T 120 -O "$2" "$1"; fi
}
sum() { sha256sum "$1" 2>/dev/null | cut -d' ' -f1; }

begun=$(date +%s)
pause=2
while [ "$(sum "$dir/purser")" != "$want" ]; do
	[ $(($(date +%s) - begun)) -lt @LIMIT@ ] || off "the agent could not be fetched from $server within @LIMIT@ s"
	if get "$server@PATH@$arch" "$dir/purser.new"; then
		if [ "$(sum "$dir/purser.new")" = "$want" ]; then mv "$dir/purser.new" "$dir/purser"; continue; fi
		log "what the server gave is not the agent that was promised"
	fi
	sleep "$pause"
	[ "$pause" -ge 30 ] || pause=$((pause * 2))
done
chmod 755 "$dir/purser"

printf %s '@TOKEN@' >"$dir/join-token"
cat >"$dir/agent.sh" <<'PURSER_END'
#!/bin/sh
export PURSER_SERVER_URL='@SERVER@' PURSER_LEASE='@LEASE@' PURSER_SHAPE='@SHAPE@'
export PURSER_AGENT_DIR=/opt/purser/lease PURSER_CHECKPOINT_ROOT=/opt/purser/checkpoints PURSER_JOIN_TOKEN_FILE=/opt/purser/join-token
mkdir -p "$PURSER_AGENT_DIR" "$PURSER_CHECKPOINT_ROOT"
tries=0
# Killed by a signal it may go on; any other end is its own.
while /opt/purser/purser agent; code=$?; [ "$code" -gt 128 ] && [ "$tries" -lt 5 ]; do tries=$((tries + 1)); sleep 2; done
sync
poweroff 2>/dev/null || shutdown -h now 2>/dev/null || halt -p
PURSER_END
chmod 700 "$dir/agent.sh"
if command -v systemd-run >/dev/null; then
	systemd-run --unit=purser-agent --collect "$dir/agent.sh" || off "the agent could not be started"
else
	setsid "$dir/agent.sh" >>"$dir/agent.log" 2>&1 </dev/null &
fi
log "agent started"
`
