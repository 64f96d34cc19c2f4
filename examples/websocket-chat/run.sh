#!/usr/bin/env bash
# The chat by one command: a WebSocket service with rooms and a page, and the gateway before it. MOCK_WEBSOCKET_PORT (3001) is
# the service's port; ../start.sh names what else can be chosen.
set -euo pipefail
source "$(dirname "$0")/../start.sh"
export MOCK_WEBSOCKET_PORT=${MOCK_WEBSOCKET_PORT:-3001}

mock websocket "$MOCK_WEBSOCKET_PORT" websocket --page "$example/index.html"
gateway
until_ended "  $traffic/chat  in two windows of a browser
  examples/websocket-chat/chat.py --name Ada $traffic/chat/ws  in a terminal"
