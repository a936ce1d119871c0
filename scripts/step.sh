#!/bin/sh
# step.sh NAME COMMAND [ARGUMENT...]
# Runs one step of the build: says its name, a sign of life every 20 s, and how
# long it took. The exit code is the command's.
set -u

name=$1
shift
start=$(date +%s)
printf '==> %s\n' "$name"

# The beat ends with the step, even when that is killed. Its sleep holds no file of ours, so
# that whoever reads our output does not wait for it.
(
    while sleep 20 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        printf '    ... %s: %s s\n' "$name" "$(($(date +%s) - start))"
    done
) &
beat=$!
trap 'kill "$beat" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$@"
code=$?

took=$(($(date +%s) - start))
if [ "$code" = 0 ]; then
    printf '    %s: done in %s s\n' "$name" "$took"
else
    printf '    %s: failed after %s s (exit code %s)\n' "$name" "$took" "$code" >&2
fi
exit "$code"
