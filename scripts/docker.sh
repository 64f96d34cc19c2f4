#!/usr/bin/env bash
# A real Docker Engine for tests, with the images that recipes name; no registry is asked for them. An engine that answers at
# $DOCKER_HOST or /var/run/docker.sock is used and left running; where there is none, this starts Debian's dockerd, which
# needs root, on a socket of its own. What is in the images stands in scripts/docker/contents.sh.
#
#   eval "$(scripts/docker.sh start)"       starts an engine if none is up, with all images: prints DOCKER_HOST=…
#   scripts/docker.sh start tiny redis      the same, with these images alone; there are tiny, redis, postgres and kafka
#   scripts/docker.sh status
#   scripts/docker.sh kill|pause|resume     SIGKILL, SIGSTOP, SIGCONT to the engine; containers run on after a kill
#   scripts/docker.sh end                   ends it in order, and its containers with it; all of its files stay
#   scripts/docker.sh restart               on the same socket and files, as after kill or end
#   scripts/docker.sh stop                  ends it, with its containers, networks, mounts and files. Of an engine that
#                                           was there before, it takes out the images that `start` has put there
#   scripts/docker.sh tars [IMAGE…]         prints where the files of the images are, which `docker load` reads
#   scripts/docker.sh fetch                 makes these files where they are not, in .cache/images; `start` would too
#   scripts/docker.sh tell                  prints what `start` prints
#   scripts/docker.sh run ARGUMENTS…        runs Docker's own command line on it
#
# Whoever breaks an engine takes one of his own, beside all others: THROOME_SERVERS_DIR=DIRECTORY scripts/docker.sh start.
# Several callers at once wait for each other. THROOME_TEST_IMAGES=official leaves our images out, and the engine pulls
# those of the registries.
set -euo pipefail
umask 077

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$scripts")
home=${THROOME_SERVERS_DIR:-${TMPDIR:-/tmp}/throome-servers-$(id -u)}
home=$(realpath -m -- "$home")
# Firewall and bridges are made by programs that are kept where the paths of ordinary users do not look.
PATH=$PATH:/usr/sbin:/sbin
# Of no meaning beside a host, and refused there.
unset DOCKER_CONTEXT

refuse() {
    echo "docker.sh: $1" >&2
    exit 1
}

for file in "$scripts"/servers/{process,kafka}.sh "$scripts"/docker/*.sh; do
    # shellcheck source=/dev/null
    . "$file"
done

own_host=unix://$home/docker/docker.sock

# Docker's command line on the engine in question.
engine() { # words…
    docker --host "$host" "$@"
}

answers_at() { # host
    timeout 10 docker --host "$1" version >/dev/null 2>&1
}

# The engine of the machine. Whoever names a directory wants one of his own, but for `servers.sh with`, which names one for
# a whole run of tests.
of_the_machine() {
    local at
    [ -z "${THROOME_SERVERS_DIR:-}" ] || [ -n "${THROOME_SERVERS_SHARED:-}" ] || return 1
    for at in "${DOCKER_HOST:-}" unix:///var/run/docker.sock; do
        [ -n "$at" ] && [ "$at" != "$own_host" ] && answers_at "$at" || continue
        echo "$at"
        return 0
    done
    return 1
}

# Which engine is meant: ours where there is one.
find_host() {
    if [ -e "$home/docker/ready" ]; then
        host=$own_host
    else
        host=$(of_the_machine)
    fi
}

# Starts ours where none is up.
have_engine() {
    command -v docker >/dev/null ||
        refuse "there is no docker; run scripts/install-peers.sh as root, or: apt-get install --no-install-recommends docker.io"
    if ! find_host || { [ "$host" = "$own_host" ] && ! is_up docker && ! is_claimed_by_us; }; then
        make_engine
        host=$own_host
    elif [ "$host" = "$own_host" ]; then
        is_up docker || run_engine
    fi
}

tell() {
    printf 'DOCKER_HOST=%q\n' "$host"
}

status() {
    if ! find_host; then
        echo "docker: not running"
    elif [ "$host" != "$own_host" ]; then
        echo "docker: $host, which was there before"
    elif is_up docker; then
        echo "docker: $host, pid $(pid_of docker)"
    else
        echo "docker: $host, not running; \`restart\` brings it back"
    fi
}

# Faults are for an engine that is ours.
require_ours() {
    find_host || refuse "no engine is running; say: start"
    [ "$host" = "$own_host" ] || refuse "$host was there before, and is left alone; take an engine of your own: \
THROOME_SERVERS_DIR=DIRECTORY scripts/docker.sh start"
}

lock() {
    mkdir -p "$home"
    # See scripts/servers.sh: those of its servers that refuse to run as root must find the way.
    [ "$(id -u)" -ne 0 ] || chmod 711 "$home"
    exec {lock_fd}>"$home.docker.lock"
    flock "$lock_fd"
    mkdir -p "$home"
    [ "$(id -u)" -ne 0 ] || chmod 711 "$home"
}

verb=${1:-}
[ $# -eq 0 ] || shift
case "$verb" in
    start)
        names=$(expand_images "$@")
        lock
        have_engine
        # shellcheck disable=SC2086
        have_images $names
        tell
        ;;
    stop)
        lock
        if [ -e "$home/docker" ]; then
            remove_engine
        elif find_host; then
            remove_images
        fi
        rmdir "$home" 2>/dev/null || true
        ;;
    kill | pause | resume | restart | end)
        lock
        require_ours
        case "$verb" in
            kill) destroy docker ;;
            pause) pause docker ;;
            resume) resume docker ;;
            end) end_engine ;;
            restart)
                end_engine
                run_engine
                ;;
        esac
        ;;
    tars)
        names=$(expand_images "$@")
        lock
        for name in $names; do
            have_tar "$name"
            tar_of "$name"
        done
        ;;
    fetch) fetch_images ;;
    status) status ;;
    tell)
        find_host || refuse "no engine is running; say: start"
        tell
        ;;
    run)
        find_host || refuse "no engine is running; say: start"
        engine "$@"
        ;;
    *)
        refuse "say start, stop, status, kill, pause, resume, end, restart, tars, fetch, tell or run; see the first lines of scripts/docker.sh"
        ;;
esac
