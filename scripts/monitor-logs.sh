#!/usr/bin/env bash
# Follows the log of a gateway that runs in a container, each line with its time. Ctrl-C ends it.
#
#   scripts/monitor-logs.sh                 the container throome-test
#   scripts/monitor-logs.sh NAME            another one
#   scripts/monitor-logs.sh NAME --tail 50  further words are those of `docker logs`
set -euo pipefail

name=throome-test
case "${1:-}" in
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
        exit 0
        ;;
    "" | -*) ;;
    *)
        name=$1
        shift
        ;;
esac

refuse() { # what, what to do
    echo "monitor-logs.sh: $1" >&2
    echo "  $2" >&2
    exit 1
}

command -v docker >/dev/null ||
    refuse "there is no docker here" "a gateway without a container logs to standard error, or where logging.output_path says"
if ! answer=$(docker version --format '{{.Server.Version}}' 2>&1); then
    refuse "the Docker engine does not answer: ${answer##*$'\n'}" "start it, or say where it is with DOCKER_HOST"
fi
if ! state=$(docker container inspect --format '{{.State.Status}}' "$name" 2>/dev/null); then
    running=$(docker ps --format '{{.Names}}' | tr '\n' ' ')
    refuse "there is no container \"$name\"" "name another one; running are: ${running:-none}"
fi
[ "$state" = running ] || echo "monitor-logs.sh: \"$name\" is $state; this is what it said" >&2
exec docker logs --follow --timestamps "$@" "$name"
