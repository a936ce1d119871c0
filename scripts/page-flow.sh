#!/bin/sh
# Runs the page flow of web/ in a Chromium against the built bin/purser. Without a
# Chromium the flow is left out with one sentence; with CI=true that is a failure.
set -u

chromium=$(sh scripts/chromium.sh)
if [ -z "$chromium" ]; then
    if [ "${CI:-}" = true ]; then
        echo "The page flow cannot run: there is no Chromium, and CI may not leave it out (apt-get install --yes --no-install-recommends chromium)." >&2
        exit 1
    fi
    echo "The page flow was left out, since there is no Chromium here; as root 'apt-get install --yes --no-install-recommends chromium' brings it, or set CHROMIUM to one."
    exit 0
fi

cd web && CHROMIUM="$chromium" PURSER_BIN="$(cd .. && pwd)/bin/purser" npm run --silent e2e
