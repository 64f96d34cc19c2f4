#!/usr/bin/env bash
# Runs a command, and runs it again whenever a source of the workspace changes. What still runs is stopped first,
# by its own process group.
#
#   scripts/watch.sh make run
#   scripts/watch.sh make test-unit ARGS="-p throome-policy"
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { echo "watch.sh: say what to run" >&2; exit 2; }

# Names and times of all sources, as one number.
state() {
    find crates sdks tests benches xtask Cargo.toml -name target -prune -o \
        \( -name '*.rs' -o -name '*.toml' -o -name '*.http' \) -printf '%p %T@\n' | sort | cksum
}

child=
stop() {
    [ -n "$child" ] || return 0
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    child=
}
trap 'stop; exit 130' INT TERM
trap stop EXIT

while true; do
    before=$(state)
    setsid "$@" &
    child=$!
    while [ "$(state)" = "$before" ]; do
        sleep 1
    done
    echo "watch.sh: a source has changed" >&2
    stop
done
