#!/bin/sh
# Says how the machines of an installation are, or that of one lease, and carries on what is due.
# shellcheck disable=SC2034,SC2154 # some are for lib.sh, some are set there
[ -d "$root" ] || only=/
case $only in
/) ;; # nothing was ever here
'')
	enter
	for each in leases/"$installation"/*/launch; do
		[ -s "$each" ] || continue
		each=${each%/launch}
		lease=${each##*/}
		place "$installation" "$lease"
		look
		[ "$state" = gone ] || say
	done
	;;
*)
	enter
	lease=$only
	place "$installation" "$lease"
	if [ -s "$mark" ] || [ -s "$dir/launch" ]; then
		look
		say
	fi
	;;
esac
