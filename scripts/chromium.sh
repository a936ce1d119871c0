#!/bin/sh
# Prints the path of a Chromium for the page flow. As root on Debian a missing one
# is installed; elsewhere, without any, it prints nothing and exits with 1.
# CHROMIUM names one explicitly. No browser is ever downloaded by npm.
set -u

find_one() {
    if [ -n "${CHROMIUM:-}" ]; then
        [ -x "$CHROMIUM" ] && echo "$CHROMIUM"
        return
    fi
    for name in chromium chromium-browser google-chrome-stable google-chrome; do
        if command -v "$name"; then return; fi
    done
    for app in "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        if [ -x "$app" ]; then
            echo "$app"
            return
        fi
    done
    return 1
}

find_one && exit 0
[ -z "${CHROMIUM:-}" ] || exit 1
sh "$(dirname "$0")/apt.sh" chromium >&2 && find_one
