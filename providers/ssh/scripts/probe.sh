#!/bin/sh
# Says what the host is and has, and how many of its places are taken. Reads only.
# shellcheck disable=SC2034,SC2154 # some are for lib.sh, some are set there
section() { echo "== $1"; }

section arch
uname -m
section cpuinfo
grep -c '^processor' /proc/cpuinfo
section meminfo
grep MemTotal /proc/meminfo
section disk
at=$root
while [ ! -d "$at" ]; do
	case $at in
	/*/*) at=${at%/*} ;;
	/*) at=/ ;;
	*) at=. ;;
	esac
done
df -Pk "$at" | tail -n 1
section product
cat /sys/class/dmi/id/product_name 2>/dev/null
section missing
for tool in flock setsid sha256sum; do command -v "$tool" >/dev/null || echo "$tool"; done
section runtime
for tool in podman docker; do
	if command -v "$tool" >/dev/null; then echo "$tool"; fi
done
section taken
read -r boot </proc/sys/kernel/random/boot_id || boot=unknown
for each in "$root"/leases/*/*/launch; do
	[ -s "$each" ] || continue
	dir=${each%/launch}
	agent
	if [ -n "$pid" ] || [ -z "$begun" ]; then echo "${dir#"$root"/leases/}"; fi
done

# limited keeps a driver that hangs from holding up the rest.
limited() {
	if command -v timeout >/dev/null; then timeout 15 "$@"; else "$@"; fi
}
# device asks a tool that is there, and says so when it fails.
device() {
	command -v "$2" >/dev/null || return 0
	section "$1"
	shift
	limited "$@" 2>/dev/null
	code=$?
	[ "$code" = 0 ] || printf '\n== failed\n%s %s\n' "$1" "$code"
}
device nvidia nvidia-smi --query-gpu=index,name,memory.total,uuid --format=csv,noheader,nounits
device rocm rocm-smi --showproductname --showmeminfo vram --json
device neuron neuron-ls --json-output
device xilinx xbutil examine
