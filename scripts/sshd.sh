#!/bin/sh
# Prints the path of an OpenSSH server for the tests of the SSH pool. As root on Debian a
# missing one is installed; elsewhere, without any, it prints nothing and exits with 1.
# SSHD names one explicitly. The tests run it themselves, on loopback with keys of their
# own; no service is started.
set -u

find_one() {
    if [ -n "${SSHD:-}" ]; then
        [ -x "$SSHD" ] && echo "$SSHD"
        return
    fi
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v sshd
}

find_one && exit 0
[ -z "${SSHD:-}" ] || exit 1
sh "$(dirname "$0")/apt.sh" openssh-server >&2 && find_one
