#!/bin/sh
# shellcheck disable=SC2034,SC2154 # what a script is given stands before it as variables
#
# What every script begins with. root is Purser's folder for this host:
#
#   leases/INSTALLATION/LEASE/   the agent's folder, while the machine is there
#     launch                     TOKEN ASKED: the lease has a place here
#     agent.pid                  NUMBER START BOOT of the one process that is its agent
#     ending                     WHEN REASON: its end was asked for
#     told                       WHEN the agent was told so
#     groups/                    process groups of its tasks, as the agent notes them
#   marks/INSTALLATION/LEASE     WHEN ASKED REASON of a lease that has ended
#   programs/purser-SHA256       the agent's program
#   checkpoints/                 outlives leases
#
# Whoever changes anything holds the lock, and an agent that is being started holds it until
# it is one, so no two work at once. The files that scripts write are one write each, so what is
# cut off leaves an empty one, which counts as none. Times are the server's, in seconds.
set -u
umask 077
CDPATH=''
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PATH=$PATH:/usr/local/cuda/bin:/opt/rocm/bin:/opt/aws/neuron/bin:/opt/xilinx/xrt/bin

fail() {
	code=$1
	shift
	echo "purser: $*" >&2
	exit "$code"
}

# enter takes the folder and its lock, or fails.
enter() {
	if [ ! -d "$root" ]; then mkdir -p -- "$root" 2>/dev/null || fail 73 "the folder $root cannot be made"; fi
	cd -P -- "$root" 2>/dev/null || fail 73 "the folder $root cannot be entered"
	root=$PWD
	command -v flock >/dev/null || fail 78 "flock is missing"
	{ exec 9>>lock; } 2>/dev/null || fail 73 "the folder $root cannot be written"
	flock -w 10 9 || fail 75 "another script has been at work for 10 s"
	read -r boot </proc/sys/kernel/random/boot_id || boot=unknown
}

# place says where things of a lease are: $dir and $mark.
place() {
	dir=$root/leases/$1/$2
	mark=$root/marks/$1/$2
}

# put writes a line into a file.
put() {
	{ printf '%s\n' "$2" >"$1"; } 2>/dev/null || fail 28 "$1 cannot be written"
}

# remember notes for good that the lease has ended.
remember() {
	if [ ! -d "${mark%/*}" ]; then mkdir -p "${mark%/*}" || fail 28 "$mark cannot be written"; fi
	put "$mark" "$now $asked $reason"
}

# recall sets $state, $asked and $reason of a lease that has ended.
recall() {
	state=gone asked=0 reason=''
	read -r when asked reason <"$mark" || true
}

# process sets $start and $group of a process, to nothing when none of that number lives.
# Those that ended and wait to be taken note of do not live.
process() {
	start='' group=''
	{ read -r stat </proc/"$1"/stat; } 2>/dev/null || return 0
	stat=${stat##*) } # the command stands in parentheses and may hold anything
	# shellcheck disable=SC2086 # fields
	set -- $stat
	case $1 in
	Z | X) ;;
	*) start=${20} group=$3 ;;
	esac
}

# agent sets $pid to the agent's process if it lives, and $begun to whether there ever was one.
agent() {
	pid='' begun=''
	[ -s "$dir/agent.pid" ] || return 0
	begun=yes number=0 since='' booted=''
	read -r number since booted <"$dir/agent.pid" || true
	process "$number"
	if [ -n "$start" ] && [ "$start" = "$since" ] && [ "$booted" = "$boot" ]; then pid=$number; fi
}

# group_lives says whether a process group has a process that lives.
group_lives() {
	kill -s 0 -- "-$1" 2>/dev/null || return 1
	for each in /proc/[0-9]*; do
		process "${each#/proc/}"
		[ "$group" != "$1" ] || return 0
	done
	return 1
}

# leftovers kills what a dead agent's tasks left: the groups that it noted, and every process
# that has its contract in its environment. True says that there was something; it is looked
# at again.
leftovers() {
	left=1
	for note in "$dir"/groups/*; do
		[ -f "$note" ] || continue
		number='' since=''
		read -r number since <"$note" || true
		case $number in
		'' | 0 | 1 | *[!0-9]*) ;;
		*)
			# A number is not given anew while a group has it; a first process with
			# another start is somebody else's.
			process "$number"
			if { [ -z "$start" ] || [ "$start" = "$since" ]; } && group_lives "$number"; then
				kill -s KILL -- "-$number" 2>/dev/null
				left=0
				continue # the note stays until the group is gone
			fi
			;;
		esac
		rm -f "$note"
	done
	[ -d "$dir/tasks" ] || return $left
	# shellcheck disable=SC2013 # these names have no blanks
	for each in $(grep -lF "PURSER_PROGRESS_FILE=$dir/tasks/" /proc/[0-9]*/environ 2>/dev/null); do
		each=${each#/proc/}
		process "${each%/environ}"
		[ -n "$start" ] || continue
		kill -s KILL "${each%/environ}" 2>/dev/null
		left=0
	done
	return $left
}

# bury ends a machine whose agent is gone. The mark comes before the folder goes, so that being
# cut off anywhere is taken up again.
bury() {
	if [ -d "$dir" ]; then
		if leftovers; then
			state=stopping
			return
		fi
		[ ! -d "$dir/tasks" ] || rm -rf "$dir/tasks" # a full disk has room for the mark again
	fi
	[ -s "$mark" ] || remember
	[ ! -d "$dir" ] || rm -rf "$dir"
	state=gone
}

# look sets $state, $asked and $reason of a machine, and does what is due: an end that was asked
# for is carried on, and a dead agent is buried.
look() {
	held=''
	if [ -s "$mark" ]; then
		recall
		[ ! -d "$dir" ] || bury
		return
	fi
	asked=0 reason=''
	read -r held asked <"$dir/launch" || true
	agent
	if [ -s "$dir/ending" ]; then
		read -r when reason <"$dir/ending"
		if [ -z "$pid" ]; then
			bury
			return
		fi
		state=stopping
		if [ ! -s "$dir/told" ]; then
			kill -s TERM -- "-$pid" 2>/dev/null
			put "$dir/told" "$now"
			return
		fi
		read -r when <"$dir/told"
		[ $((now - when)) -lt "$grace" ] || kill -s KILL -- "-$pid" 2>/dev/null
	elif [ -n "$pid" ]; then
		state=running
	elif [ -z "$begun" ]; then
		state=pending
	else
		reason="its agent ended"
		last=$(tail -n 1 "$dir/agent.log" 2>/dev/null | tr -cd '[:print:]' | cut -c 1-300)
		[ -z "$last" ] || reason="$reason: $last"
		bury
	fi
}

# say answers for one lease.
say() { echo "lease $lease $state ${asked:-0} ${reason:-}"; }
