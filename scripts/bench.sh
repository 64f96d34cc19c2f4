#!/usr/bin/env bash
# Installs the peers, builds Throome and the measuring programs, then compares Throome with its peers.
#
#   scripts/bench.sh                  everything, in full; writes docs/benchmarks.md (an hour)
#   scripts/bench.sh proxy            all that is proxied, beside nginx, HAProxy, Envoy, Traefik and Caddy; printed (25 minutes)
#   scripts/bench.sh quick proxy      whether that works, beside the first three (3 minutes)
#   scripts/bench.sh quick            everything in short rounds; printed
#   scripts/bench.sh [quick] http routes …    only these: http latency tls http2 grpc websocket events routes cache sql publish
#                                     fanout start idle websockets edits; printed, or with `--output docs/benchmarks.md` in place of the same
#                                     sections there
#   scripts/bench.sh [quick] [part…] --subject haproxy    without Throome, to try the measurement itself
#
# Options come last and are passed on (--rounds N, --seconds S, --peers nginx,envoy, --cache-door data,
# --cache-services memory,redis, --sql-services sqlite,postgres, --queue-services log,kafka, --many-routes, --load-core N,
# --output FILE …); `--help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=release
packages=(-p throome -p throome-bench)
words=()
output=(--output docs/benchmarks.md)
while [ $# -gt 0 ]; do
    case "$1" in
        quick)
            profile=fast
            words+=(--quick)
            ;;
        proxy | http | latency | tls | http2 | grpc | websocket | events | routes | cache | sql | publish | fanout | start | idle | websockets | edits) words+=("$1") ;;
        -*) break ;;
        *)
            echo "bench.sh: there is no \"$1\"; see the first lines of scripts/bench.sh" >&2
            exit 2
            ;;
    esac
    # Only the whole run, in full, is published without being asked to.
    output=()
    shift
done
for option in "$@"; do
    case "$option" in
        --subject* | --help)
            # A peer stands in for Throome, which need not be built then.
            packages=(-p throome-bench)
            output=()
            ;;
        --output*) output=() ;;
    esac
done

# Where something cannot be had, the run says which comparison lacks it.
scripts/install-peers.sh >&2 || echo "bench.sh: not all peers are installed" >&2
if fetched=$(scripts/bench-peers.sh); then
    eval "$fetched"
    export ENVOY TRAEFIK CADDY
else
    echo "bench.sh: Envoy, Traefik and Caddy are not there" >&2
fi

cargo build --profile "$profile" "${packages[@]}" --bins

# Ten thousand idle connections need more open files than most systems allow at first; where this is not enough, that
# part says so.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"

exec "${CARGO_TARGET_DIR:-target}/$profile/bench" "${words[@]}" "${output[@]}" "$@"
