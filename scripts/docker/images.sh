# The images: small root filesystems of what Debian's packages have installed here (contents.sh), imported once and kept
# in .cache/images. Their label throome.test.image says that they are ours, and what they were made of.

images=(tiny redis postgres kafka)
declare -A tags=(
    [tiny]="throome-test/tiny:latest"
    [redis]="redis:7-alpine redis:7.0-alpine"
    [postgres]="postgres:17-alpine"
    [kafka]="apache/kafka:3.9.1"
)
label=throome.test.image

expand_images() { # name…
    local name
    for name in "$@"; do
        [ -n "${tags[$name]:-}" ] || refuse "there is no image \"$name\"; there are: ${images[*]}"
    done
    [ $# -gt 0 ] || set -- "${images[@]}"
    echo "$@"
}

# Sees to it that the engine has them. What is there under these names and not ours stays as it is.
have_images() { # name…
    local name tag found
    # What is ours would be in the way of what is to be pulled.
    [ "${THROOME_TEST_IMAGES:-}" != official ] || remove_images
    for name in "$@"; do
        [ "${THROOME_TEST_IMAGES:-}" != official ] || [ "$name" = tiny ] || continue
        for tag in ${tags[$name]}; do
            found=$(engine image inspect --format "{{index .Config.Labels \"$label\"}}|" "$tag" 2>/dev/null) || found=none
            case "$found" in
                "$(key_of "$name")|" | '|' | '<no value>|') ;;
                *)
                    have_tar "$name"
                    engine load --quiet --input "$(tar_of "$name")" >/dev/null
                    # What had the name before.
                    engine image prune --force --filter "label=$label" >/dev/null
                    break
                    ;;
            esac
        done
    done
}

# From an engine that was there before. Those that containers still use stay.
remove_images() {
    local tag
    for tag in $(engine image ls --filter "label=$label" --format '{{.Repository}}:{{.Tag}}'); do
        engine image rm "$tag" >/dev/null || true
    done
}

# What an image is made of, in sixteen letters: another version of a package makes another image.
key_of() { # name
    {
        cat "$root/scripts/docker/contents.sh"
        find "$root/test/images" -type f -path "*/images/$1-*" | sort | xargs -r cat
        dpkg-query -W -f '${Package} ${Version}\n' busybox-static "redis*" "postgresql-1*" "openjdk-*-headless" 2>/dev/null || true
        [ "$1" != kafka ] || (unset KAFKA_VERSION; kafka_version)
    } | sha256sum | cut -c1-16
}

tar_of() { # name
    echo "$root/.cache/images/$1-$(key_of "$1").tar"
}

# Callers wait for each other here, also those with engines of their own.
have_tar() { # name
    local file
    file=$(tar_of "$1")
    [ ! -e "$file" ] || return 0
    [ -n "${host:-}" ] || have_engine
    mkdir -p "$root/.cache/images"
    (
        flock 8
        [ -e "$file" ] || make_tar "$1" "$file"
    ) 8>"$root/.cache/images/lock"
}

# With an engine that ends again, where none is up.
fetch_images() {
    local name own status=0
    for name in "${images[@]}"; do
        [ ! -e "$(tar_of "$name")" ] || continue
        if find_host; then
            have_tar "$name"
            continue
        fi
        own=$(mktemp -d)
        THROOME_SERVERS_DIR=$own "$scripts/docker.sh" tars >/dev/null || status=$?
        THROOME_SERVERS_DIR=$own "$scripts/docker.sh" stop
        rm -rf "$own" "$own.docker.lock"
        return "$status"
    done
}

# Imports the filesystem that `fill_NAME` lays out, and has the engine write it to a file.
make_tar() { # name file
    local name=$1 file=$2 work main tag
    main=${tags[$name]%% *}
    echo "docker.sh: making the image $main, once" >&2
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    umask 022
    mkdir "$work/tree"
    fill_base "$work/tree"
    "fill_$name" "$work/tree"
    "describe_$name" >"$work/changes"
    echo "LABEL $label=$(key_of "$name")" >>"$work/changes"
    import "$work" "$main"
    # What is made by running it.
    if declare -F "finish_$name" >/dev/null; then
        "finish_$name" "$work/tree" "$main"
        import "$work" "$main"
    fi
    for tag in ${tags[$name]}; do
        [ "$tag" = "$main" ] || engine tag "$main" "$tag"
    done
    rm -f "$root/.cache/images/$name"-*.tar
    # shellcheck disable=SC2086
    engine save --output "$file.part" ${tags[$name]}
    mv "$file.part" "$file"
    rm -rf "$work"
    trap - EXIT
}

import() { # work tag
    local changes=() signal='' change
    pack "$1"
    while IFS= read -r change; do
        case "$change" in
            STOPSIGNAL*) signal=${change#* } ;;
            *) changes+=(--change "$change") ;;
        esac
    done <"$1/changes"
    engine import "${changes[@]}" "$1/root.tar" "$2" >/dev/null
    [ -z "$signal" ] || have_signal "$2" "$signal"
}

# What an import cannot say, a container does of which an image is made.
have_signal() { # tag signal
    local container
    container=$(engine create --stop-signal "$2" "$1")
    engine commit "$container" "$1" >/dev/null
    engine rm "$container" >/dev/null
}

# All belongs to root but what `own` has said, since whoever calls this may not be root.
pack() { # work
    local line
    tar --create --file "$1/root.tar" --directory "$1/tree" --numeric-owner --owner=0 --group=0 \
        --exclude-from <(sed -n 's|^[^ ]* [^ ]* |./|p' "$1/owners" 2>/dev/null) .
    [ ! -e "$1/owners" ] || while read -r line; do
        set -- "$1" $line
        chmod "$3" "$1/tree/$4"
        tar --append --file "$1/root.tar" --directory "$1/tree" --numeric-owner --owner="$2" --group="$2" \
            --no-recursion "./$4"
    done <"$1/owners"
}

# A directory that is another user's.
own() { # root user mode directory
    mkdir -p "$1/$4"
    echo "$2 $3 $4" >>"$1/../owners"
}
