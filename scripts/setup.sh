#!/usr/bin/env bash
# Makes a machine ready to build and test Throome: looks for the Rust toolchain, and installs the Debian or Ubuntu
# packages that are missing. Without root it says what to run. Running it again changes nothing.
#
#   scripts/setup.sh          everything
#   scripts/setup.sh build    what building needs, and nothing else
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)

toolchain_is_missing() {
    echo "setup.sh: $1" >&2
    echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --default-toolchain stable" >&2
    exit 1
}

command -v cargo >/dev/null && command -v rustc >/dev/null ||
    toolchain_is_missing "there is no Rust here (at least $wanted is needed); rustup installs it:"
found=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    toolchain_is_missing "Rust $found is older than $wanted; \`rustup update\` renews it, or:"
for tool in fmt clippy; do
    cargo $tool --version >/dev/null 2>&1 ||
        { echo "setup.sh: cargo $tool is missing: rustup component add rustfmt clippy" >&2; exit 1; }
done

# SQLite, the cryptography and Kafka's client are C, compiled on the way; the last with the system's OpenSSL and zlib.
packages=()
command -v cc >/dev/null || packages+=(build-essential)
command -v make >/dev/null || packages+=(build-essential)
if ! pkg-config --exists openssl zlib 2>/dev/null; then
    packages+=(pkg-config libssl-dev zlib1g-dev)
fi
if [ "${1:-}" != build ]; then
    command -v curl >/dev/null || packages+=(curl)
    command -v python3 >/dev/null || packages+=(python3)
    # Tests install Schemathesis and peers from PyPI, and a client that exists from npm, for themselves alone.
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "setup.sh: installing needs root: apt-get update && apt-get install ${packages[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"
fi
[ "${1:-}" != build ] || exit 0

# The servers that tests and benchmarks run beside Throome.
scripts/install-peers.sh
# Kafka comes from Maven Central, here and not while tests run.
scripts/servers.sh fetch
# Images are made of what is installed now.
scripts/docker.sh fetch
# h2spec, grpc-go's interop programs and peers from PyPI: Go installs the first two, and must be there.
scripts/protocol-tools.sh
