# Processes and ports: started in the background, known again by pid and time of birth, ended with all their children.

# With this status a server says that its port is another's, and another port is worth a try.
port_taken=75

require() { # program package
    command -v "$1" >/dev/null ||
        refuse "$1 is not installed; run scripts/install-peers.sh as root, or: apt-get install $2"
}

require_up() { # name
    is_up "$1" || refuse "$1 is not running; say: start $1"
}

port_of() { # name
    cat "$home/$1/port"
}

pid_of() { # name
    cat "$home/$1/pid"
}

# When a process was born, or nothing when it is gone. The name in brackets may hold anything, also blanks.
birth_of() { # pid
    local stat
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    set -- ${stat##*) }
    # One that has ended and that nobody has asked after is gone.
    [ "$1" = Z ] || [ "$1" = X ] || echo "${20}"
}

# A pid may have passed to another program since it was written down; then ours is gone.
is_up() { # name
    local pid birth
    pid=$(cat "$home/$1/pid" 2>/dev/null) && birth=$(cat "$home/$1/birth" 2>/dev/null) || return 1
    [ -n "$birth" ] && [ "$(birth_of "$pid")" = "$birth" ]
}

answers() { # port
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# So many ports that nobody listens on, a line each.
free_ports() { # count
    local port found=" "
    for _ in $(seq 200); do
        # Below the range that the kernel takes ports of outgoing connections from, with ten thousand more as well,
        # which is where a node of a Redis cluster speaks with others.
        port=$((12500 + RANDOM % 10000))
        [[ "$found" == *" $port "* ]] || answers "$port" || answers "$((port + 10000))" && continue
        found+="$port "
        echo "$port"
        [ "$(wc -w <<<"$found")" -lt "$1" ] || return 0
    done
    refuse "found no free port"
}

# Whether it is this process that listens there, and no other that was quicker.
listens() { # pid port
    local inode
    for inode in $(awk -v port="$(printf '%04X' "$2")" \
        '$4 == "0A" { split($2, at, ":"); if (at[2] == port) print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
        [ -z "$(find "/proc/$1/fd" -lname "socket:\[$inode\]" -print -quit 2>/dev/null)" ] || return 0
    done
    return 1
}

last_words() { # name
    tail -n 8 "$home/$1/log" | sed 's/^/    /'
}

# Runs a server in the background, in its directory, and waits until it takes connections on its port.
launch() { # name program arguments…
    local port
    port=$(port_of "$1")
    spawn "$@"
    until_it "takes connections on port $port" "$1" listens "$(pid_of "$1")" "$port"
}

# Runs a server in the background, in its directory.
spawn() { # name program arguments…
    local name=$1 pid fd
    shift
    (
        cd "$home/$name"
        # Neither our lock nor a pipe of our caller's, who may wait for its end.
        for fd in /proc/self/fd/*; do
            [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"
        done
        exec setsid "$@" >>"$home/$name/log" 2>&1 </dev/null
    ) &
    pid=$!
    birth_of "$pid" >"$home/$name/birth"
    echo "$pid" >"$home/$name/pid"
}

# Waits until a command succeeds, as long as the server lives: a minute, for busy machines.
until_it() { # what name command…
    local what=$1 name=$2 end=$((SECONDS + ${THROOME_SERVERS_PATIENCE:-60}))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! is_up "$name"; then
            ! grep -qiE 'address (already )?in use' "$home/$name/log" || exit "$port_taken"
            refuse "$name ended at its start; $home/$name/log says last:
$(last_words "$name")"
        fi
        [ "$SECONDS" -lt "$end" ] || refuse "$name: not after a minute was it true that it $what; $home/$name/log says last:
$(last_words "$name")"
        sleep 0.05
    done
}

# A line that `start` prints.
variable() { # name variable value
    printf '%s=%q\n' "$2" "$3" >>"$home/$1/variables"
}

# A process and all that it has started, the eldest first.
with_children() { # pid
    local child
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        with_children "$child"
    done
}

send() { # signal name
    local pid
    for pid in $(with_children "$(pid_of "$2")"); do
        kill "-$1" "$pid" 2>/dev/null || true
    done
}

until_down() { # name tries
    local _
    for _ in $(seq "$2"); do
        is_up "$1" || return 0
        sleep 0.05
    done
    return 1
}

destroy() { # name
    is_up "$1" || return 0
    send KILL "$1"
    until_down "$1" 200 || refuse "$1 outlives SIGKILL"
}

# Ends a server as it wishes to be ended; one that takes too long is killed.
end() { # name
    is_up "$1" || return 0
    local signal=TERM
    # To PostgreSQL the usual signal says to wait for its clients.
    case "$1" in postgres*) signal=INT ;; esac
    kill "-$signal" "$(pid_of "$1")"
    # One that is paused hears nothing.
    send CONT "$1"
    until_down "$1" 300 || destroy "$1"
}

remove() { # name
    end "$1"
    rm -rf "${home:?}/$1"
}

pause() { # name
    local pid _
    require_up "$1"
    send STOP "$1"
    # On a busy machine its threads run on until the one that has the signal has had its turn.
    for pid in $(with_children "$(pid_of "$1")"); do
        for _ in $(seq 100); do
            ! is_paused "$pid" || break
            sleep 0.05
        done
    done
}

is_paused() { # pid
    local stat
    for stat in /proc/"$1"/task/*/stat; do
        read -r stat 2>/dev/null <"$stat" || continue
        stat=${stat##*) }
        [ "${stat%% *}" = T ] || return 1
    done
}

resume() { # name
    require_up "$1"
    send CONT "$1"
}
