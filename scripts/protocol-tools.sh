#!/usr/bin/env bash
# Installs what the tests of protocols run against Throome and has no package: h2spec and the interop client and server of
# grpc-go by `go install`, and peers written in Python (tests/clients/protocols/requirements.txt) into an environment of
# their own. All of it stands in .cache/, for this project alone; running it again changes nothing. Prints where.
#
#   eval "$(scripts/protocol-tools.sh)"     sets H2SPEC, GRPC_CLIENT, GRPC_SERVER and PEERS_PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# Other versions find other things, and call them differently.
h2spec_version=v2.2.1+incompatible
grpc_version=v1.85.0
requirements=tests/clients/protocols/requirements.txt
h2spec=$root/.cache/h2spec-$h2spec_version
grpc=$root/.cache/grpc-interop-$grpc_version
peers=$root/.cache/protocol-peers-$(cksum <"$requirements" | cut -d' ' -f1)

refuse() {
    echo "protocol-tools.sh: $1" >&2
    exit 2
}

# A directory that is whole or not there.
install_go() { # directory package@version…
    local directory=$1 package
    shift
    [ ! -d "$directory" ] || return 0
    command -v go >/dev/null || refuse "Go is missing, which installs $*: https://go.dev/dl has it"
    rm -rf "$directory.new"
    for package in "$@"; do
        # grpc-go wants a newer Go than some systems have; one from 1.21 on fetches that by itself.
        GOBIN=$directory.new go install "$package" >&2 || refuse "go install $package failed"
    done
    mv "$directory.new" "$directory"
}

install_peers() {
    [ ! -d "$peers" ] || return 0
    rm -rf "$peers.new"
    python3 -m venv "$peers.new" || refuse "python3-venv is missing: apt-get install python3-venv"
    "$peers.new/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
        refuse "pip cannot install $requirements"
    mv "$peers.new" "$peers"
}

mkdir -p .cache
# Tests that begin at once wait for each other.
exec {lock}>.cache/protocol-tools.lock
flock "$lock"
install_go "$h2spec" "github.com/summerwind/h2spec/cmd/h2spec@$h2spec_version"
install_go "$grpc" "google.golang.org/grpc/interop/client@$grpc_version" "google.golang.org/grpc/interop/server@$grpc_version"
install_peers
printf '%s=%q\n' H2SPEC "$h2spec/h2spec" GRPC_CLIENT "$grpc/client" GRPC_SERVER "$grpc/server" \
    PEERS_PYTHON "$peers/bin/python"
