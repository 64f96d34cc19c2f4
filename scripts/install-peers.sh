#!/usr/bin/env bash
# Installs the programs that benchmarks and tests run beside Throome, from Debian or Ubuntu packages. Run it as root;
# running it again changes nothing. The servers are only installed: none is left running or enabled.
# scripts/servers.sh starts its own.
set -euo pipefail

packages=(nginx-light haproxy webdis redis-server postgresql pgbouncer wrk openssl iproute2 nghttp2-client curl busybox-static)
# Kafka has no package: Maven fetches it, and Java runs it.
if ! command -v java >/dev/null; then
    # The version that it is tried with, where the system still has it.
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        packages+=(openjdk-17-jre-headless)
    else
        packages+=(default-jre-headless)
    fi
fi
command -v mvn >/dev/null || packages+=(maven)
# An engine of another maker is as good, and Debian's would take its place.
is_installed() { # package
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}
if ! command -v dockerd >/dev/null && [ ! -S /var/run/docker.sock ] && ! is_installed docker-ce-cli; then
    packages+=(docker.io)
fi
# Newer systems have its command line apart.
if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then
    packages+=(docker-cli)
fi

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    echo "all installed: ${packages[*]}"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "install-peers.sh: this is no Debian or Ubuntu; install these with its own tools: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "install-peers.sh: installing needs root: run \"sudo scripts/install-peers.sh\", or as root" >&2
    echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# Debian asks this file whether a package may start its service. Ours says no for as long as we install; one that the
# administrator has put there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"

# They would start with the next boot. Only what was installed just now is touched: a server that was here before
# belongs to somebody.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
    for package in "${missing[@]}"; do
        case "$package" in
            nginx-light) systemctl disable --now nginx ;;
            docker.io) systemctl disable --now docker.service docker.socket containerd.service ;;
            haproxy | webdis | redis-server | postgresql | pgbouncer) systemctl disable --now "$package" ;;
        esac
    done
fi
echo "installed: ${missing[*]}"
