#!/usr/bin/env bash
# Makes Pebble, an ACME authority for tests, and the DNS server that it is told to ask. Needs Go. Prints where they are.
set -euo pipefail

version=v2.10.1
here=$(cd "$(dirname "$0")/.." && pwd)
place=${PEBBLE_DIR:-$here/.cache/pebble-$version}
for program in pebble pebble-challtestsrv; do
    if [ ! -x "$place/$program" ]; then
        GOBIN=$place GOFLAGS=-mod=mod go install "github.com/letsencrypt/pebble/v2/cmd/$program@$version" >&2
    fi
done
echo "$place"
