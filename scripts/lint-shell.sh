#!/bin/sh
# Lints every shell script: with shellcheck where it is, or where root can install
# it from Debian; elsewhere the shell at least parses them.
set -eu

scripts="scripts/*.sh providers/bootstrap/testdata/script.golden providers/ssh/scripts/*.sh .ci/run"
if ! command -v shellcheck >/dev/null 2>&1; then
    sh scripts/apt.sh shellcheck || true
fi
if command -v shellcheck >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # the list is meant to be split
    shellcheck $scripts
    exit 0
fi
echo "shellcheck is not here (apt-get install shellcheck); the scripts are only parsed."
for script in scripts/*.sh providers/bootstrap/testdata/script.golden providers/ssh/scripts/*.sh; do sh -n "$script"; done
bash -n .ci/run
