#!/bin/sh
# Written by Purser for lease @LEASE@.
set -u
umask 077
dir=/opt/purser
mkdir -p "$dir" || exit 1
log() {
	echo "purser: $*" >>"$dir/bootstrap.log"
	{ echo "purser: $*" >/dev/console; } 2>/dev/null
}
off() {
	log "$*"
	sync
	poweroff 2>/dev/null || shutdown -h now 2>/dev/null || halt -p
	exit 1
}

server='@SERVER@'
case $(uname -m) in
x86_64 | amd64) arch=amd64 want='@AMD64@' ;;
aarch64 | arm64) arch=arm64 want='@ARM64@' ;;
*) off "no agent for $(uname -m)" ;;
esac
[ -n "$want" ] || off "the server has no agent for $arch"

# Seconds that go on evenly: the clock may be set while a machine comes up.
now() { cut -d. -f1 /proc/uptime 2>/dev/null || date +%s; }
begun=$(now)

# A broken driver may hang whoever asks it.
works() {
	command -v "$1" >/dev/null || return 1
	if command -v timeout >/dev/null; then timeout 30 "$1" >/dev/null 2>&1; else "$1" >/dev/null 2>&1; fi
}
runtime='' drivers=''
for tool in podman docker; do [ -n "$runtime" ] || ! command -v "$tool" >/dev/null || runtime=$tool; done
for tool in nvidia-smi rocm-smi neuron-ls xbutil; do ! works "$tool" || drivers="$drivers $tool"; done
log "container runtime: ${runtime:-none found}; accelerator drivers:${drivers:- none found}"

get() {
	if command -v curl >/dev/null; then
		curl -fsS --speed-limit 1000 --speed-time 60 --max-time @LIMIT@ -o "$2" "$1"
	else
		wget -q -T 120 -O "$2" "$1"
	fi
}
sum() { sha256sum "$1" 2>/dev/null | cut -d' ' -f1; }

pause=2
while [ "$(sum "$dir/purser")" != "$want" ]; do
	[ $(($(now) - begun)) -lt @LIMIT@ ] || off "the agent could not be fetched from $server within @LIMIT@ s"
	if get "$server@PATH@$arch" "$dir/purser.new" 2>>"$dir/bootstrap.log"; then
		if [ "$(sum "$dir/purser.new")" = "$want" ]; then
			mv "$dir/purser.new" "$dir/purser"
			continue
		fi
		rm -f "$dir/purser.new"
		log "what the server gave is not the agent that was promised"
	fi
	sleep "$pause"
	[ "$pause" -ge 30 ] || pause=$((pause * 2))
done
chmod 700 "$dir/purser"

printf %s '@TOKEN@' >"$dir/join-token"
cat >"$dir/agent.sh" <<'PURSER_END'
#!/bin/sh
export PURSER_SERVER_URL='@SERVER@' PURSER_LEASE='@LEASE@' PURSER_SHAPE='@SHAPE@' PURSER_NOTICES=on
export PURSER_AGENT_DIR=/opt/purser/lease PURSER_CHECKPOINT_ROOT=/opt/purser/checkpoints PURSER_JOIN_TOKEN_FILE=/opt/purser/join-token
export HOME="${HOME:-/root}" # services have none, and tasks look for it
mkdir -p "$PURSER_AGENT_DIR" "$PURSER_CHECKPOINT_ROOT"
tries=0 asked='' child=''
trap 'asked=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
while [ -z "$asked" ]; do
	/opt/purser/purser agent &
	child=$!
	wait "$child"
	code=$?
	# A signal to this shell ends its wait, not the agent.
	while kill -0 "$child" 2>/dev/null; do
		wait "$child"
		code=$?
	done
	# Killed by a signal it may go on; any other end is its own.
	if [ "$code" -le 128 ] || [ "$tries" -ge 5 ]; then break; fi
	tries=$((tries + 1))
	sleep 2
done
sync
poweroff 2>/dev/null || shutdown -h now 2>/dev/null || halt -p
PURSER_END
chmod 700 "$dir/agent.sh"

# The agent alone is told when the machine shuts down: it stops the tasks itself, and a
# task that ends by a stranger's signal would look as if it were done. A task that runs
# out of memory does not take the agent along.
unit() { systemd-run --unit=purser-agent -p KillMode=mixed -p TimeoutStopSec=40 "$@" "$dir/agent.sh" 2>>"$dir/bootstrap.log"; }
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
	unit -p OOMPolicy=continue || unit || off "the agent could not be started"
else
	setsid "$dir/agent.sh" >>"$dir/agent.log" 2>&1 </dev/null &
fi
log "agent started"
