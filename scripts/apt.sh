#!/bin/sh
# apt.sh PACKAGE...
# Installs the Debian packages that are missing. Works only as root where apt-get
# is; elsewhere it says nothing and exits with 1, and the caller decides.
set -u

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

[ "$(id -u)" = 0 ] || exit 1
command -v apt-get >/dev/null 2>&1 || exit 1

wanted=""
for package in "$@"; do
    installed "$package" || wanted="$wanted $package"
done
[ -n "$wanted" ] || exit 0

# Lock timeouts: another apt-get on the same machine is waited for, not fought.
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list is meant to be split
apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq update &&
    apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq install --yes --no-install-recommends $wanted
