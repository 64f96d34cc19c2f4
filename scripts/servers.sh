#!/usr/bin/env bash
# Starts and stops servers for tests, benchmarks and trials: plain processes on free ports of loopback, each with its
# files in a directory of its own, ended by its own pid. What each of them is stands in scripts/servers/.
#
#   eval "$(scripts/servers.sh start redis kafka)"      starts what is not up, and prints REDIS_PORT=…, KAFKA_PORT=…
#   scripts/servers.sh start redis@6379                 on this port
#   BACKEND=127.0.0.1:3000 scripts/servers.sh start nginx haproxy
#   scripts/servers.sh status
#   scripts/servers.sh kill|pause|resume NAME…          SIGKILL, SIGSTOP, SIGCONT, also to the processes it has started
#   scripts/servers.sh stop NAME…                       ends it as it wishes to be ended; its data stays
#   scripts/servers.sh restart NAME…                    on the same port and data, as `start` does after kill or stop
#   scripts/servers.sh promote postgres-replica         no standby any more: it takes writes
#   scripts/servers.sh stop                             all of them, with all their files; also what scripts/docker.sh
#                                                       has started beside them
#   scripts/servers.sh with NAME… -- COMMAND…           runs it with servers of its own, which end with it
#   scripts/servers.sh fetch                            downloads what has no package: Kafka; `start` would too
#   scripts/servers.sh kafka CLASS ARGUMENTS…           runs a program of Kafka's own, such as
#                                                       org.apache.kafka.tools.TopicCommand
#   scripts/servers.sh hold                             waits for the end of its standard input, then stops all
#   scripts/servers.sh tell                             prints what `start` prints; `directory` where all this is
#
#   POSTGRES_BIN=DIRECTORY scripts/servers.sh start postgres
#                                                       another PostgreSQL than the newest of the system: its programs
#                                                       stand there (those that do not are the system's)
#
# redis-sentinel, redis-cluster and kafka-cluster are several processes each, which `status` names. The directory of all is
# $THROOME_SERVERS_DIR, or throome-servers-<uid> in the directory for temporary files:
# whoever breaks servers takes one of his own. Several callers at once wait for each other.
#
# Other versions than the newest that is installed: REDIS_BIN and POSTGRES_BIN are directories of programs, KAFKA_VERSION
# is one that Maven has.
#
# Users and passwords, of no use to anybody but these tests:
#   redis-auth, redis-mtls   default/redis-secret; app/app-secret (no admin commands); reader/reader-secret (only reads)
#   redis-sentinel           the master is called `main`
#   postgres, pgbouncer      postgres/postgres-secret (superuser); throome/throome-secret (owns the database `throome`);
#                            reader/reader-secret (may only SELECT there); `certified` (TLS with the client certificate)
#   kafka                    by PLAIN plain/plain-secret; by SCRAM-SHA-256 and -512 scram/scram-secret
set -euo pipefail
umask_of_caller=$(umask)
umask 077

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$scripts")
home=${THROOME_SERVERS_DIR:-${TMPDIR:-/tmp}/throome-servers-$(id -u)}
home=$(realpath -m -- "$home")
# Servers are kept where the paths of ordinary users do not look.
PATH=$PATH:/usr/sbin:/sbin

# What there is, in the order in which it can be started.
known=(
    redis redis-replica redis-auth redis-mtls
    redis-sentinel-master redis-sentinel-replica redis-sentinel-1 redis-sentinel-2 redis-sentinel-3
    redis-cluster-1 redis-cluster-2 redis-cluster-3
    postgres postgres-replica pgbouncer kafka kafka-cluster-1 kafka-cluster-2 kafka-cluster-3 webdis nginx haproxy
)
declare -A groups=(
    [redis-sentinel]="redis-sentinel-master redis-sentinel-replica redis-sentinel-1 redis-sentinel-2 redis-sentinel-3"
    [redis-cluster]="redis-cluster-1 redis-cluster-2 redis-cluster-3"
    [kafka-cluster]="kafka-cluster-1 kafka-cluster-2 kafka-cluster-3"
)
# What tests share: all but what stands before a service of theirs, and what only those take who break it.
groups[all]="redis redis-replica redis-auth redis-mtls ${groups[redis-sentinel]} ${groups[redis-cluster]}
    postgres postgres-replica pgbouncer kafka webdis"
# Whom each is set up for: it goes when that begins anew.
declare -A needs=(
    [redis-replica]=redis [webdis]=redis
    [redis-sentinel-replica]=redis-sentinel-master [redis-sentinel-1]=redis-sentinel-master
    [redis-sentinel-2]=redis-sentinel-master [redis-sentinel-3]=redis-sentinel-master
    [postgres-replica]=postgres [pgbouncer]=postgres
    [kafka-cluster-2]=kafka-cluster-1 [kafka-cluster-3]=kafka-cluster-1
)

refuse() {
    echo "servers.sh: $1" >&2
    exit 1
}

for file in "$scripts"/servers/*.sh; do
    # shellcheck source=/dev/null
    . "$file"
done

# Names of servers, in the order given; a group is all of its processes.
expand() { # name…
    local name
    for name in "$@"; do
        if [ -n "${groups[$name]:-}" ]; then
            printf '%s\n' ${groups[$name]}
        else
            [[ " ${known[*]} " == *" $name "* ]] ||
                refuse "there is no server \"$name\"; known are: ${!groups[*]} ${known[*]}"
            printf '%s\n' "$name"
        fi
    done
}

# Functions are called after what a server is: make_redis, run_redis, and the three sentinels share one pair.
family() { # name
    local family=${1%-[0-9]}
    echo "${family//-/_}"
}

start() { # name [port]
    local name=$1 port=${2:-} status dependant
    [ -z "${needs[$name]:-}" ] || start "${needs[$name]}"
    if [ -e "$home/$name/ready" ] && [ "${port:-$(port_of "$name")}" = "$(port_of "$name")" ]; then
        is_up "$name" || run "$name"
        return 0
    fi
    ! is_up "$name" || [ ! -e "$home/$name/ready" ] ||
        refuse "$name is up on port $(port_of "$name") and not on $port; stop it first"
    for dependant in "${!needs[@]}"; do
        [ "${needs[$dependant]}" != "$name" ] || remove "$dependant"
    done
    for _ in 1 2 3; do
        remove "$name"
        mkdir "$home/$name"
        echo "${port:-$(free_ports 1)}" >"$home/$name/port"
        # Not in a condition, where bash would not stop at the first thing that fails.
        set +e
        (set -e; "make_$(family "$name")" "$name"; "run_$(family "$name")" "$name")
        status=$?
        set -e
        case "$status" in
            0)
                touch "$home/$name/ready"
                return 0
                ;;
            "$port_taken") [ -z "$port" ] || refuse "port $port for $name is taken" ;;
            *)
                end "$name"
                exit 1
                ;;
        esac
    done
    refuse "$name found its port taken three times"
}

# Starts what is there, on its port and its data.
run() { # name
    local status
    set +e
    (set -e; "run_$(family "$1")" "$1")
    status=$?
    set -e
    [ "$status" -ne "$port_taken" ] || refuse "port $(port_of "$1") of $1 was taken meanwhile by another"
    [ "$status" -eq 0 ] || exit 1
}

restart() { # name
    [ -e "$home/$1/ready" ] || refuse "$1 was never started here; say: start $1"
    end "$1"
    run "$1"
}

stop_all() {
    local at
    # The engine of scripts/docker.sh, where one was started beside these.
    [ ! -d "$home/docker" ] || THROOME_SERVERS_DIR=$home "$scripts/docker.sh" stop
    for ((at = ${#known[@]} - 1; at >= 0; at--)); do
        remove "${known[at]}"
    done
    rmdir "$home" 2>/dev/null || true
}

# Everything that is up, in words for a shell.
tell() {
    local name prefix
    for name in "${known[@]}"; do
        is_up "$name" && [ -e "$home/$name/ready" ] || continue
        prefix=${name^^}
        prefix=${prefix//-/_}
        printf '%s_PORT=%q\n%s_PID=%q\n' "$prefix" "$(port_of "$name")" "$prefix" "$(pid_of "$name")"
        cat "$home/$name/variables" 2>/dev/null || true
    done
}

# Runs a command with a set of servers for itself alone, which ends with it, however that ends.
with() { # name… -- command…
    local names=() status=0 own
    while [ "${1:---}" != -- ]; do
        names+=("$1")
        shift
    done
    [ $# -gt 1 ] || refuse "say what to run: with NAME… -- COMMAND…"
    shift
    own=$(mktemp -d)
    # See `lock`: those who are not root must find the way.
    [ "$(id -u)" -ne 0 ] || chmod 711 "$own"
    # Of its own, and yet what all that is run here share: scripts/docker.sh asks.
    export THROOME_SERVERS_DIR=$own/servers THROOME_SERVERS_SHARED=1
    # shellcheck disable=SC2064
    trap "'$scripts/servers.sh' stop; rm -rf '$own'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$scripts/servers.sh" start "${names[@]}" >/dev/null
    # What is run here makes its files as whoever asks for it would.
    (umask "$umask_of_caller" && exec "$@") || status=$?
    return "$status"
}

# Whoever changes something waits until others have. The file stays: another caller may wait at it already.
lock() {
    mkdir -p "$home"
    # Servers that refuse to run as root run as another, who must find the way to his directory.
    [ "$(id -u)" -ne 0 ] || chmod 711 "$home"
    exec {lock_fd}>"$home.lock"
    flock "$lock_fd"
    # It may have gone with a `stop` meanwhile.
    mkdir -p "$home"
    [ "$(id -u)" -ne 0 ] || chmod 711 "$home"
}

each() { # function name…
    local names
    [ $# -gt 1 ] || refuse "say which: ${!groups[*]} ${known[*]}"
    names=$(expand "${@:2}")
    lock
    for name in $names; do
        "$1" "$name"
    done
}

verb=${1:-}
[ $# -eq 0 ] || shift
case "$verb" in
    start)
        [ $# -gt 0 ] || refuse "name what to start: ${!groups[*]} ${known[*]}"
        names=$(expand "${@%@*}")
        lock
        for word in "$@"; do
            for name in $(expand "${word%@*}"); do
                case "$word" in
                    *@*) start "$name" "${word#*@}" ;;
                    *) start "$name" ;;
                esac
            done
            case "$word" in redis-cluster | all) join_redis_cluster ;; esac
            case "$word" in redis-sentinel | all) await_redis_sentinels ;; esac
        done
        tell
        ;;
    stop)
        if [ $# -eq 0 ]; then
            lock
            stop_all
        else
            each end "$@"
        fi
        ;;
    restart) each restart "$@" ;;
    kill) each destroy "$@" ;;
    pause) each pause "$@" ;;
    resume) each resume "$@" ;;
    promote)
        [ "$*" = postgres-replica ] || refuse "promote is for postgres-replica"
        each promote "$@"
        ;;
    with)
        with "$@"
        ;;
    fetch) fetch_kafka ;;
    kafka)
        require_up kafka
        run_java kafka "$@"
        ;;
    hold)
        cat >/dev/null
        lock
        stop_all
        # The set was its caller's alone, who is gone.
        rm -f "$home.lock" "$home.docker.lock"
        ;;
    tell) tell ;;
    directory) echo "$home" ;;
    status)
        for name in "${known[@]}"; do
            if is_up "$name"; then
                echo "$name: port $(port_of "$name"), pid $(pid_of "$name")"
            else
                echo "$name: not running"
            fi
        done
        ;;
    *)
        refuse "say start, stop, restart, kill, pause, resume, promote, with, fetch, kafka, hold, tell, directory or status; see the first lines of scripts/servers.sh"
        ;;
esac
