#!/usr/bin/env bash
# Asks a gateway of its own everything that its OpenAPI document lets one ask, with Schemathesis: nothing may end
# in a 5xx, with a status or a type that the document does not know, or in another shape.
#
#   scripts/schemathesis.sh [arguments of `schemathesis run`]
#
# THROOME_BIN  the gateway; target/fast/throome when left out
# EXAMPLES     calls for each operation and phase; 8 when left out. A thorough run has 500
# SEED         another seed makes other calls; 1 when left out
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# Another version finds other things, and at other times.
version=4.32.5
gateway=$(realpath "${THROOME_BIN:-target/fast/throome}")
venv=$root/.cache/schemathesis-$version
[ -x "$gateway" ] || { echo "schemathesis.sh: $gateway is not there: \`make build-gateway\` makes it, THROOME_BIN names another" >&2; exit 2; }

if [ ! -x "$venv/bin/schemathesis" ]; then
    # A directory that is whole or not there.
    rm -rf "$venv" "$venv.new"
    mkdir -p .cache
    python3 -m venv "$venv.new" || { echo "schemathesis.sh: python3-venv is missing: scripts/setup.sh installs it" >&2; exit 2; }
    "$venv.new/bin/python" -m pip install --quiet --disable-pip-version-check "schemathesis==$version"
    mv "$venv.new" "$venv"
fi

directory=$(mktemp -d)
started=
finish() {
    [ -z "$started" ] || kill "$started" 2>/dev/null || true
    wait
    rm -rf "$directory"
}
trap finish EXIT

# Ports that are free now, and that the kernel gives nobody by itself.
read -r control traffic < <(python3 -c '
import random, socket
free = []
while len(free) < 2:
    port = random.randrange(10000, 32000)
    with socket.socket() as probe:
        if port not in free and probe.connect_ex(("127.0.0.1", port)):
            free.append(port)
print(*free)')
mkdir "$directory/clusters"
(cd "$directory" && exec env -u THROOME_TOKEN -u THROOME_URL "$gateway" dev --port "$control" --proxy-port "$traffic" \
    --clusters-dir clusters --data-dir data --log-level warn >stdout 2>log) &
started=$!
export THROOME_URL=http://127.0.0.1:$control
for _ in $(seq 200); do
    curl -sf "$THROOME_URL/health" >"$directory/health" && break
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
done
[ -s "$directory/health" ] || { echo "schemathesis.sh: the gateway does not start:" >&2; cat "$directory/log" >&2; exit 2; }

status=0
(cd "$directory" && SCHEMATHESIS_HOOKS=hooks PYTHONPATH="$root/tests/openapi" PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/python" -m schemathesis.cli --config-file "$root/tests/openapi/schemathesis.toml" run \
    "$THROOME_URL/openapi.json" --seed "${SEED:-1}" --max-examples "${EXAMPLES:-8}" --no-color "$@") || status=$?

if ! kill -0 "$started" 2>/dev/null; then
    echo "schemathesis.sh: the gateway is gone" >&2
    status=1
fi
if [ "$status" -ne 0 ]; then
    echo "--- the gateway's log" >&2
    tail -n 50 "$directory/log" >&2
fi
exit "$status"
