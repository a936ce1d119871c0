#!/bin/sh
# Removes what no machine needs: marks of leases that ended long ago, programs that are not to be
# run any more, and what was cut off. Says how many things.
# shellcheck disable=SC2034,SC2154 # some are for lib.sh, some are set there
removed=0
if [ -d "$root" ]; then
	enter
	for dir in leases/"$installation"/*; do
		[ -d "$dir" ] || continue
		place "$installation" "${dir##*/}"
		if [ -s "$mark" ] || [ -s "$dir/launch" ]; then
			look
		else
			rm -rf "$dir" # a launch that was cut off before it had a place
			removed=$((removed + 1))
		fi
	done
	for each in marks/"$installation"/*; do
		[ -f "$each" ] || continue
		when=0
		read -r when rest <"$each" || true
		if [ $((now - when)) -ge "$remember" ] && [ ! -d "leases/$installation/${each##*/}" ]; then
			rm -f "$each"
			removed=$((removed + 1))
		fi
	done
	# By the host's own clock: files have its times.
	# shellcheck disable=SC2044 # these names have no blanks
	for each in $(find programs -type f -mmin +"$minutes" 2>/dev/null); do
		case $each in
		*/purser-"${amd64:-none}" | */purser-"${arm64:-none}") continue ;;
		esac
		rm -f "$each"
		removed=$((removed + 1))
	done
fi
echo "removed $removed"
