#!/usr/bin/env bash
# The basic example by one command: an HTTP service that runs twice, and the gateway before it. MOCK_HTTP_PORT (3000) and
# MOCK_SECOND_PORT (3003) are the service's ports; ../start.sh names what else can be chosen.
set -euo pipefail
source "$(dirname "$0")/../start.sh"
export MOCK_HTTP_PORT=${MOCK_HTTP_PORT:-3000} MOCK_SECOND_PORT=${MOCK_SECOND_PORT:-3003}

mock http "$MOCK_HTTP_PORT" one
mock http "$MOCK_SECOND_PORT" two
gateway
until_ended "  curl $traffic/api/products
  curl $traffic/people/2
  curl $traffic/hello"
