# What every run.sh here begins with, by `source`: `mock` starts a server of test/mock, `gateway` starts the gateway with the
# example's cluster, `until_ended` waits for Ctrl-C. All of it listens on loopback, has its files in one temporary
# directory, and ends with the script.
#
# By the environment: THROOME_BIN, the gateway (bin/throome, built where it is not there); THROOME_SERVER_PORT (9000) and
# THROOME_PROXY_PORT (8080), its doors; CLUSTER_FILE, another file than the example's config.yaml; the ports of the mock
# servers, which each run.sh names.

example=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$example")
root=$(cd "$example/../.." && pwd)
export THROOME_SERVER_PORT=${THROOME_SERVER_PORT:-9000} THROOME_PROXY_PORT=${THROOME_PROXY_PORT:-8080}
export THROOME_PROXY_HOST=127.0.0.1
# Streams that are open at Ctrl-C have no end of their own.
export THROOME_SERVER_SHUTDOWN_TIMEOUT=${THROOME_SERVER_SHUTDOWN_TIMEOUT:-2s}
control=http://localhost:$THROOME_SERVER_PORT
traffic=http://localhost:$THROOME_PROXY_PORT
work=
children=()

refuse() {
    echo "$name: $1" >&2
    exit 2
}

stop() {
    trap - EXIT INT TERM
    # The gateway, which was started last, says goodbye to its clients while its services are still there.
    for ((at = ${#children[@]} - 1; at >= 0; at--)); do
        kill "${children[at]}" 2>/dev/null || true
        wait "${children[at]}" 2>/dev/null || true
    done
    [ -z "$work" ] || rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A server in the background, whose log is $work/NAME.log. Ctrl-C is for this script alone, which ends its servers itself.
start() { # name command…
    local log=$work/$1.log
    shift
    setsid "$@" >"$log" 2>&1 </dev/null &
    children+=($!)
}

# Waits until the server that was started last says yes to a question; shows its log when it has ended before.
ready() { # name command…
    local what=$1 pid=${children[-1]}
    shift
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        if ! kill -0 "$pid" 2>/dev/null; then
            cat "$work/$what.log" >&2
            refuse "$what did not start"
        fi
        sleep 0.1
    done
    cat "$work/$what.log" >&2
    refuse "$what does not answer"
}

mock() { # http|websocket|sse port name argument…
    local kind=$1 port=$2 what=$3
    shift 3
    start "$what" python3 -B "$root/test/mock/${kind}_mock.py" --port "$port" --name "$what" "$@"
    ready "$what" grep -q http:// "$work/$what.log"
}

gateway() {
    local settings=() door
    for door in THROOME_SERVER_PORT THROOME_PROXY_PORT; do
        # Another gateway there would be taken for this one.
        ! (: <>"/dev/tcp/127.0.0.1/${!door}") 2>/dev/null ||
            refuse "somebody listens at port ${!door} already; $door names another"
    done
    mkdir -p "$work/clusters/$name"
    cp "$file" "$work/clusters/$name/config.yaml"
    [ ! -f "$example/throome.yaml" ] || settings=(--config "$example/throome.yaml")
    # It would take a throome.yaml from where it runs.
    start gateway env --chdir="$work" "$throome" serve "${settings[@]}" --clusters-dir "$work/clusters"
    gateway=${children[-1]}
    ready gateway curl -sf "http://127.0.0.1:$THROOME_SERVER_PORT/health"
}

until_ended() {
    cat <<END

$name runs. Ctrl-C ends it.

  traffic  $traffic
  control  $control  ($control/swagger/)
  cluster  $work/clusters/$name/config.yaml  (changes are picked up)
  logs     $work/*.log

$1

examples/$name/README.md says what there is to see.
END
    wait "$gateway" || true
    cat "$work/gateway.log" >&2
    refuse "the gateway has ended"
}

for tool in python3 curl setsid; do
    command -v "$tool" >/dev/null || refuse "$tool is missing; scripts/setup.sh installs what is needed"
done
file=${CLUSTER_FILE:-$example/config.yaml}
[ -f "$file" ] || refuse "$file, which CLUSTER_FILE names, is not there"
throome=${THROOME_BIN:-$root/bin/throome}
if [ ! -x "$throome" ]; then
    [ -z "${THROOME_BIN:-}" ] || refuse "$THROOME_BIN, which THROOME_BIN names, is not there"
    make --no-print-directory -C "$root" build-gateway
fi
throome=$(realpath "$throome")
work=$(mktemp -d "${TMPDIR:-/tmp}/throome-$name.XXXXXX")
