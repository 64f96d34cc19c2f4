#!/usr/bin/env bash
# Runs a part of the tests by its name, or all of them.
#
#   scripts/test/run-tests.sh [all | unit | integration | hostile | tls | websocket | sse | examples | lint]
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-all}" in
    all) exec make test ;;
    unit) exec make test-unit ;;
    integration | e2e | gateway) exec make test-integration ;;
    hostile) exec make test-integration ARGS="--test hostile" ;;
    lint) exec make check ;;
    tls | websocket | auth | examples) exec make test-integration ARGS="--test it $1::" ;;
    sse) exec make test-integration ARGS="--test it examples::" ;;
    docker)
        echo "run-tests.sh: \"$1\" has no tests of its own yet; \"integration\" runs all that there are" >&2
        exit 2
        ;;
    *)
        echo "run-tests.sh: there is no \"$1\"; known are: all unit integration hostile tls websocket sse auth examples lint" >&2
        exit 2
        ;;
esac
