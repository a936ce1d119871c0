#!/bin/sh
# Checks what the build needs. Each thing that is missing or too old becomes one
# sentence that names the command which installs it; then the exit code is 1.
set -u

missing=0
say() {
    printf '%s\n' "$*" >&2
    missing=1
}

# sudo_ is what an ordinary user has to put before a command for root.
if [ "$(id -u)" = 0 ]; then sudo_=""; else sudo_="sudo "; fi

# package PKG: the command that installs a package here.
package() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "${sudo_}apt-get install --yes $1"
    elif command -v dnf >/dev/null 2>&1; then
        echo "${sudo_}dnf install --assumeyes $1"
    elif command -v apk >/dev/null 2>&1; then
        echo "${sudo_}apk add $1"
    elif command -v pacman >/dev/null 2>&1; then
        echo "${sudo_}pacman -S $1"
    elif command -v zypper >/dev/null 2>&1; then
        echo "${sudo_}zypper install $1"
    else
        echo "brew install $1"
    fi
}

system=$(uname -s | tr '[:upper:]' '[:lower:]')
case $(uname -m) in
    x86_64 | amd64) goarch=amd64 nodearch=x64 ;;
    aarch64 | arm64) goarch=arm64 nodearch=arm64 ;;
    *) goarch=$(uname -m) nodearch=$(uname -m) ;;
esac

# Go and Node are often too old in a distribution, so their own releases are named.
install_go() {
    if [ "$system" = darwin ]; then
        echo "brew install go"
    else
        echo "${sudo_}rm -rf /usr/local/go && curl -fsSL https://go.dev/dl/go1.26.0.$system-$goarch.tar.gz | ${sudo_}tar -xz -C /usr/local && export PATH=/usr/local/go/bin:\$PATH"
    fi
}

install_node() {
    if [ "$system" = darwin ]; then
        echo "brew install node"
    else
        echo "curl -fsSL https://nodejs.org/dist/v22.12.0/node-v22.12.0-$system-$nodearch.tar.gz | ${sudo_}tar -xz -C /usr/local --strip-components=1"
    fi
}

# older A B: whether version A.a.b comes before version B.a.b, by the first two numbers.
older() {
    a=${1%%.*} b=${2%%.*}
    ar=${1#*.} br=${2#*.}
    am=${ar%%.*} bm=${br%%.*}
    [ "$a" -lt "$b" ] || { [ "$a" -eq "$b" ] && [ "$am" -lt "$bm" ]; }
}

if ! command -v git >/dev/null 2>&1; then
    say "Git is missing; install it with: $(package git)"
fi

# The go command says which version it would use here: with GOTOOLCHAIN=auto that
# can be a newer one than its own, which it then brings by itself.
if ! command -v go >/dev/null 2>&1; then
    say "Go 1.26 or newer is missing; install it with: $(install_go)"
else
    found=$(go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
    case $found in
        [0-9]*.[0-9]*)
            if older "$found" 1.26; then
                say "Go 1.26 or newer is needed, this is $found; install it with: $(install_go)"
            fi
            ;;
        *) say "Go 1.26 or newer is needed, and this one does not start ($(go version 2>&1 | head -n 1)); install it with: $(install_go)" ;;
    esac
fi

if ! command -v node >/dev/null 2>&1; then
    say "Node ^20.19 or >=22.12 is missing; install it with: $(install_node)"
else
    found=$(node --version 2>/dev/null | sed 's/^v//')
    case $found in
        20.*) if older "$found" 20.19; then bad=1; else bad=0; fi ;;
        21.*) bad=1 ;;
        [0-9]*.[0-9]*) if older "$found" 22.12; then bad=1; else bad=0; fi ;;
        *) bad=1 found="one that does not start" ;;
    esac
    if [ "$bad" = 1 ]; then
        say "Node ^20.19 or >=22.12 is needed, this is $found; install it with: $(install_node)"
    fi
fi

if ! command -v npm >/dev/null 2>&1; then
    say "npm is missing; install it with: $(if command -v apt-get >/dev/null 2>&1; then package npm; else install_node; fi)"
fi

# Go and npm keep what they fetch under the home directory.
if [ -z "${HOME:-}" ] || [ ! -d "${HOME:-/nonexistent}" ] || [ ! -w "$HOME" ]; then
    say "HOME (${HOME:-not set}) is not a folder that can be written to; choose one with: export HOME=\$(mktemp -d)"
fi

exit "$missing"
