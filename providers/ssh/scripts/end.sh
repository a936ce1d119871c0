#!/bin/sh
# Asks for the end of a lease's machine. Where there is none, it is noted that none may come: a
# launch may be on its way.
# shellcheck disable=SC2034,SC2154 # some are for lib.sh, some are set there
enter
place "$installation" "$lease"
if [ ! -s "$mark" ] && [ -s "$dir/launch" ]; then
	if [ ! -s "$dir/ending" ]; then
		agent
		# Where the disk is full the agent is told all the same.
		[ -z "$pid" ] || kill -s TERM -- "-$pid" 2>/dev/null
		{ : >"$dir/terminated"; } 2>/dev/null # an agent that has not begun ends at once
		put "$dir/ending" "$now it was terminated"
		[ -z "$pid" ] || put "$dir/told" "$now"
	fi
	look
else
	asked=0 reason="it was ended before it was launched"
	[ -s "$mark" ] || remember
	look
fi
say
