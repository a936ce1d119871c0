#!/bin/sh
# Watches AWS's own imitation of its metadata service: builds amazon-ec2-metadata-mock
# from its Go module, outside of this one, and runs the agent's test against it.
set -eu

version=v1.13.0
bin=${PURSER_METADATA_MOCK_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/purser/metadata-mock-$version}

cd "$(dirname "$0")/.."
if [ ! -x "$bin/ec2-metadata-mock" ]; then
    mkdir -p "$bin"
    (unset GOFLAGS && GOBIN=$bin go install "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@$version")
fi
PURSER_METADATA_MOCK=$bin/ec2-metadata-mock go test ./agent/notice -count=1 -run '^TestAgainstAWSMock$' "$@"
