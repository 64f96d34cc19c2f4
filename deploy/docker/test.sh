#!/usr/bin/env bash
# Starts the image and waits until its own health check says that it is healthy, then asks it from outside.
#
#   test.sh [IMAGE]          akshitmadan/throome:latest unless another one is named
set -euo pipefail

image=${1:-akshitmadan/throome:latest}
name=throome-image-test-$$
trap 'docker rm --force --volumes "$name" >/dev/null 2>&1 || true' EXIT

fail() {
    echo "test.sh: $1" >&2
    docker logs "$name" >&2 || true
    exit 1
}

docker run --detach --name "$name" --health-interval 1s --publish 127.0.0.1::9000 "$image" >/dev/null
for _ in $(seq 60); do
    health=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$name")
    [ "$health" != "running healthy" ] || break
    [ "${health%% *}" = running ] || fail "the container is ${health%% *}"
    sleep 1
done
[ "$health" = "running healthy" ] || fail "after a minute it is still $health"

said=$(docker logs "$name" 2>&1)
token=$(grep -A 2 'shown this once' <<<"$said" | tail -n 1 | tr -d ' ' || true)
[ -n "$token" ] || fail "its log has no token"
user=$(docker inspect --format '{{.Config.User}}' "$name")
[ "$user" = throome ] || fail "its user is \"$user\""
door=$(docker port "$name" 9000/tcp)
status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }
answer=$(status "http://$door/api/v1/clusters")
[ "$answer" = 401 ] || fail "without a token it answers $answer"
answer=$(status --header "Authorization: Bearer $token" "http://$door/api/v1/clusters")
[ "$answer" = 200 ] || fail "with the token of its log it answers $answer"

docker stop --time 30 "$name" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "on SIGTERM it ends with $code"
echo "$image: healthy, asks for its token, and ends when it is told to"
