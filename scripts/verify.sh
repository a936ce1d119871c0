#!/bin/sh
# Writes every generated file anew and fails when that changes anything: then what
# is committed was not what the sources generate. Work that is not committed yet is
# no fault; only what this run itself changes is.
set -eu

step="sh scripts/step.sh"
before=$(mktemp)
after=$(mktemp)
api=$(mktemp)
trap 'rm -f "$before" "$after" "$api"' EXIT

# state lists every file that git knows or would add, with a checksum of what it holds.
state() {
    git ls-files --cached --others --exclude-standard | sort -u | while IFS= read -r file; do
        if [ -f "$file" ]; then printf '%s %s\n' "$(cksum <"$file")" "$file"; fi
    done
}

state >"$before"
$step "go generate" go generate ./...
$step "layer rules" go test ./internal/archtest -count=1 -run '^TestLayers$' -update
$step "description of the REST API" sh -c "bin/purser openapi >'$api' && cp '$api' web/openapi.json"
$step "client of the page" npm --prefix web --silent run generate
state >"$after"

if ! diff "$before" "$after" >/dev/null; then
    echo "These files were not what their sources generate; look at the difference and commit it:" >&2
    diff "$before" "$after" | sed -n 's/^[<>] [0-9]* [0-9]* /  /p' | sort -u >&2
    exit 1
fi
$step "go.mod" go mod tidy -diff
echo "Every generated file is what its sources say."
