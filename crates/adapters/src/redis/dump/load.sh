# Puts a dump, from standard input, in the place of all databases: a second server reads it, and the first becomes its
# replica for a moment. What is no whole dump fails in the second one, before anything is changed.
# $1: the file of the password; $2, $3: where the server is; $4: the user, or nothing; $5: the directory of its data; $6: the
# file with what the second server is told.
set -u
password=$1 host=$2 port=$3 user=$4 data=$5 config=$6
# What is left from a load that was killed goes.
dir=$data/throome-load
rm -rf "$dir" && (umask 077 && mkdir "$dir") && cd "$dir" || exit 1

served() {
    REDISCLI_AUTH=$(cat "$password") redis-cli -h "$host" -p "$port" ${user:+--user "$user"} "$@"
}
# By its socket, so that it is the right one.
second() {
    REDISCLI_AUTH=$(cat "$password") redis-cli -s ./socket "$@"
}
field() { # server section name
    "$1" INFO "$2" | tr -d '\r' | sed -n "s/^$3://p"
}
must() { # what is done, then the command
    said=$("$@" 2>&1)
    [ "$said" = OK ] || { echo "$said" >&2; exit 1; }
}

replica='' begun=''
leave() {
    [ -z "$replica" ] || {
        # It hears nothing while it reads what it was sent; one that is gone begins again as its own master.
        n=0
        until said=$(served REPLICAOF NO ONE 2>&1) && [ "$said" = OK ] || [ $n -ge 6000 ]; do
            case $said in *refused*|*'Could not connect'*) break ;; esac
            sleep 0.1
            n=$((n + 1))
        done
        printf '' | served -x CONFIG SET masterauth >/dev/null
        replica=
    }
    [ -z "$begun" ] || {
        [ -e ended ] || [ ! -s pid ] || kill "$(cat pid)"
        n=0
        while [ ! -e ended ] && [ -s pid ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
        [ -e ended ] || [ ! -s pid ] || kill -s KILL "$(cat pid)"
        begun=
    }
    cd / && rm -rf "$dir"
}
finish() {
    status=$?
    trap '' TERM INT HUP PIPE
    leave
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP PIPE

cat >dump.rdb || exit 1
[ "$(head -c 5 dump.rdb)" = REDIS ] || { echo "this is not a dump of Redis" >&2; exit 1; }

start() { # port
    rm -f ended
    begun=yes
    ( { cat "$config"; printf 'dir "."\nport %s\n' "$1"; } | redis-server - >log 2>&1; echo $? >ended ) &
    until [ "$(second PING 2>/dev/null)" = PONG ]; do
        [ ! -e ended ] || return 1
        sleep 0.1
    done
}
other=$((20000 + $$ % 10000)) tries=0
until start "$other"; do
    begun=
    tries=$((tries + 1))
    grep -q 'Address already in use' log && [ $tries -lt 20 ] || { tail -n 5 log >&2; exit 1; }
    other=$((other + 7))
done

replica=yes
must served -x CONFIG SET masterauth <"$password"
must served REPLICAOF 127.0.0.1 "$other"
idle=0
until [ "$(field served replication master_link_status)" = up ] &&
    [ "$(field served replication slave_repl_offset)" = "$(field second replication master_repl_offset)" ]; do
    [ ! -e ended ] || { echo "the second server has ended" >&2; tail -n 5 log >&2; exit 1; }
    # It is done when it is done, as long as something is done at all.
    idle=$((idle + 1))
    case $(field served replication role) in
        slave) ;;
        '') ;;
        *) echo "the server was started again in the middle" >&2; exit 1 ;;
    esac
    [ "$(field served replication master_sync_in_progress)" != 1 ] || idle=0
    [ $idle -lt 300 ] || { echo "the server does not read the dump from the second one" >&2; tail -n 5 log >&2; exit 1; }
    sleep 0.1
done
must served REPLICAOF NO ONE
# On the disk it is when the file has been written anew.
while served PING >/dev/null 2>&1 && [ "$(field served persistence aof_rewrite_in_progress)" = 1 ] ||
    [ "$(field served persistence aof_rewrite_scheduled)" = 1 ]; do
    sleep 0.1
done
[ "$(field served persistence aof_last_bgrewrite_status)" = ok ] || {
    echo "the dump is loaded, and could not be written to the disk" >&2
    exit 1
}
exit 0
