#!/usr/bin/env bash
# Builds the image of Throome.
#
#   build.sh                            by the Dockerfile, from the sources; its first stage comes from a registry
#   build.sh --binary PROGRAM           from a program that is built already, for this machine's kind of processor; no other
#                                       image and no registry are needed
#   build.sh --tag NAME …               NAME in place of akshitmadan/throome:latest
#   build.sh --check                    whether the first stage's image can be had, and nothing else
#
# Without a registry and without --binary it builds the program here, by cargo, and goes on as with --binary.
set -euo pipefail
cd "$(dirname "$0")/../.."

tag=akshitmadan/throome:latest
binary=
check=
while [ $# -gt 0 ]; do
    case "$1" in
        --binary | --tag)
            [ $# -gt 1 ] || { echo "build.sh: $1 needs a value" >&2; exit 2; }
            [ "$1" = --tag ] && tag=$2 || binary=$2
            shift 2
            ;;
        --check)
            check=yes
            shift
            ;;
        *)
            echo "build.sh: \"$1\" is not known; see the head of deploy/docker/build.sh" >&2
            exit 2
            ;;
    esac
done

command -v docker >/dev/null || { echo "build.sh: there is no docker here; https://docs.docker.com/engine/install" >&2; exit 1; }
if ! answer=$(docker version --format '{{.Server.Version}}' 2>&1); then
    echo "build.sh: the Docker engine does not answer: ${answer##*$'\n'}" >&2
    echo "  start it, or say where it is with DOCKER_HOST" >&2
    exit 1
fi

dockerfile=deploy/docker/Dockerfile
base=$(sed -n '0,/^FROM/s/^FROM \([^ ]*\) AS build$/\1/p' "$dockerfile")
base_is_there() {
    docker image inspect "$base" >/dev/null 2>&1 || docker pull --quiet "$base" >/dev/null 2>&1
}
if [ -n "$check" ]; then
    base_is_there || { echo "build.sh: $base cannot be had" >&2; exit 1; }
    exit 0
fi
if [ -z "$binary" ] && base_is_there; then
    exec docker build --file "$dockerfile" --tag "$tag" .
fi
if [ -z "$binary" ]; then
    echo "build.sh: $base cannot be had; the program is built here instead" >&2
    cargo build --profile release --package throome
    binary=${CARGO_TARGET_DIR:-target}/release/throome
fi

# The last stage as it stands, after a first one that only has the files.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
deploy/docker/image.sh "$binary" "$context/image"
{
    printf 'FROM scratch AS build\nCOPY image/ /image/\n\n'
    awk '/^FROM /{ stages++ } stages == 2' "$dockerfile"
} >"$context/Dockerfile"
# It says much that nobody needs, unless it fails.
said=$(docker build --tag "$tag" "$context" 2>&1) || { echo "$said" >&2; exit 1; }
echo "$tag is built: $(docker image inspect --format '{{.Size}}' "$tag" | awk '{ printf "%.0f MB", $1 / 1000000 }')"
