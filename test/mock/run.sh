#!/usr/bin/env bash
# Starts the three mock servers; Ctrl-C ends them. MOCK_HTTP_PORT, MOCK_WEBSOCKET_PORT and MOCK_SSE_PORT name other ports.
set -euo pipefail
cd "$(dirname "$0")"

command -v python3 >/dev/null || { echo "mock/run.sh: python3 is missing; scripts/setup.sh installs it" >&2; exit 2; }
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 130' INT TERM
for server in http websocket sse; do
    python3 -B "${server}_mock.py" &
done
# One that cannot start, or ends, ends all of them.
wait -n
