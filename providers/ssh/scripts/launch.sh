#!/bin/sh
# Takes a place of the host for a lease, or finds the one that it has, and starts its agent
# once the program is there. To be repeated after "need".
# shellcheck disable=SC2034,SC2154 # some are for lib.sh, some are set there
enter
for tool in setsid sha256sum; do command -v "$tool" >/dev/null || fail 78 "$tool is missing"; done

# full says whether every place of the host is taken, whoever has it. Our own dead are buried,
# other installations' are theirs to bury and take no place.
full() {
	taken=0
	for each in leases/*/*/launch; do
		[ -s "$each" ] || continue
		each=${each%/launch}
		each=${each#leases/}
		place "${each%/*}" "${each#*/}"
		if [ "${each%/*}" = "$installation" ]; then
			look
			[ "$state" = gone ] || taken=$((taken + 1))
		else
			agent
			if [ -n "$pid" ] || [ -z "$begun" ]; then taken=$((taken + 1)); fi
		fi
	done
	place "$installation" "$lease"
	[ "$taken" -ge "$places" ]
}

sum() {
	hash=$(sha256sum "$1" 2>/dev/null)
	echo "${hash%% *}"
}

# program sets $program if it is there and what it should be, and says what is needed otherwise.
program() {
	case $(uname -m) in
	x86_64 | amd64) arch=amd64 want=$amd64 ;;
	aarch64 | arm64) arch=arm64 want=$arm64 ;;
	*) fail 78 "there is no agent for $(uname -m)" ;;
	esac
	program=$root/programs/purser-$want
	[ -n "$want" ] && [ -f "$program" ] && [ "$(sum "$program")" = "$want" ] && return
	program=''
	echo "need $arch"
}

# begin starts the agent in a session of its own, away from this connection, and returns when it
# is one. What starts holds the lock until then, even if this script is killed.
begin() {
	[ -d checkpoints ] || mkdir checkpoints || fail 28 "$root/checkpoints cannot be made"
	# Its own link: the program may be replaced and removed while it runs.
	{ ln -f "$program" "$dir/purser" && printf '%s\n' "$join" >"$dir/join-token"; } 2>/dev/null || fail 28 "$dir cannot be written"
	export PURSER_SERVER_URL="$server" PURSER_LEASE="$lease" PURSER_AGENT_DIR="$dir" PURSER_SHAPE="$shape" \
		PURSER_CHECKPOINT_ROOT="$root/checkpoints" PURSER_JOIN_TOKEN_FILE="$dir/join-token"
	unset SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ORIGINAL_COMMAND
	cd "$dir" || fail 73 "$dir cannot be entered"
	# The substitution ends when nobody has its pipe any more: when the shell has become the
	# agent, or has failed.
	# shellcheck disable=SC2016 # expanded by the shell that becomes the agent
	: "$(setsid sh -c '
		read -r stat </proc/$$/stat || exit 1
		boot=$1
		stat=${stat##*) }
		set -- $stat
		echo "$$ ${20} $boot" >agent.pid || exit 1
		umask 022
		exec ./purser agent >>agent.log 2>&1 9>&-
	' sh "$boot" </dev/null 2>/dev/null &)"
	cd "$root" || fail 73 "$root cannot be entered"
}

place "$installation" "$lease"
if [ -s "$mark" ] || [ -s "$dir/launch" ]; then
	look
	[ -z "$held" ] || [ "$state" = gone ] || [ "$held" = "$token" ] || fail 65 "lease $lease has its machine by another launch"
elif [ "$places" = 0 ]; then
	state=drained
elif full; then
	state=full
else
	mkdir -p "$dir" 2>/dev/null || fail 28 "$dir cannot be made"
	put "$dir/launch" "$token $now"
	state=pending asked=$now reason='' begun=''
fi
if [ "$state" = pending ]; then
	program
	if [ -n "$program" ]; then
		begin
		look
	fi
fi
say
