#!/usr/bin/env bash
# The dashboard by one command: a service of server-sent events with a page, and the gateway before it. MOCK_SSE_PORT (3002)
# is the service's port; ../start.sh names what else can be chosen.
set -euo pipefail
source "$(dirname "$0")/../start.sh"
export MOCK_SSE_PORT=${MOCK_SSE_PORT:-3002}

mock sse "$MOCK_SSE_PORT" sse --page "$example/index.html"
gateway
until_ended "  $traffic/dashboard  in a browser
  curl -N $traffic/dashboard/events"
