#!/usr/bin/env bash
# Starts and stops servers for tests and trials: plain processes on free ports of loopback, each with its
# configuration in a directory of its own, ended by its own pid.
#
#   eval "$(scripts/servers.sh start redis webdis)"     prints REDIS_PORT=… and WEBDIS_PORT=…, and starts what is not up
#   BACKEND=127.0.0.1:3000 scripts/servers.sh start nginx haproxy
#   scripts/servers.sh status
#   scripts/servers.sh stop [name…]                     all of them when no name is given
#
# The directory is $THROOME_SERVERS_DIR, or throome-servers-<uid> in the directory for temporary files.
set -euo pipefail

home=${THROOME_SERVERS_DIR:-${TMPDIR:-/tmp}/throome-servers-$(id -u)}
known=(redis webdis nginx haproxy)
# Servers are kept where the paths of ordinary users do not look.
PATH=$PATH:/usr/sbin:/sbin

refuse() {
    echo "servers.sh: $1" >&2
    exit 1
}

require() { # program package
    command -v "$1" >/dev/null ||
        refuse "$1 is not installed; run scripts/install-peers.sh as root, or: apt-get install $2"
}

require_known() {
    local name
    for name in "${known[@]}"; do
        [ "$name" = "$1" ] && return
    done
    refuse "there is no server \"$1\"; known are: ${known[*]}"
}

answers() { # port
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
    local port
    for _ in $(seq 100); do
        # Below the range that the kernel takes ports of outgoing connections from.
        port=$((20000 + RANDOM % 12000))
        answers "$port" || {
            echo "$port"
            return
        }
    done
    refuse "found no free port"
}

# A pid may have passed to another program since it was written down; then ours is gone.
is_up() { # name
    local pid
    pid=$(cat "$home/$1/pid" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(cat "$home/$1/comm")" ]
}

port_of() { # name
    cat "$home/$1/port"
}

# Runs a server in the background and waits until it takes connections.
launch() { # name port program arguments…
    local name=$1 port=$2
    shift 2
    setsid "$@" >"$home/$name/log" 2>&1 </dev/null &
    local pid=$!
    echo "$pid" >"$home/$name/pid"
    echo "$port" >"$home/$name/port"
    basename "$1" >"$home/$name/comm"
    for _ in $(seq 200); do
        kill -0 "$pid" 2>/dev/null || refuse "$name ended at once: $(tail -n 5 "$home/$name/log")"
        answers "$port" && return
        sleep 0.05
    done
    kill "$pid"
    refuse "$name takes no connections on port $port after 10 s: $(tail -n 5 "$home/$name/log")"
}

start_redis() { # directory port
    require redis-server redis-server
    launch redis "$2" redis-server --bind 127.0.0.1 --port "$2" --dir "$1" --save "" --appendonly no
}

start_webdis() { # directory port
    require webdis webdis
    start redis
    cat >"$1/webdis.json" <<END
{ "redis_host": "127.0.0.1", "redis_port": $(port_of redis), "http_host": "127.0.0.1", "http_port": $2,
  "threads": 1, "pool_size": 50, "daemonize": false, "database": 0, "verbosity": 1, "logfile": "$1/webdis.log" }
END
    launch webdis "$2" webdis "$1/webdis.json"
}

require_backend() { # name
    [ -n "${BACKEND:-}" ] || refuse "$1 needs a service behind it: set BACKEND to its address, such as 127.0.0.1:3000"
}

start_nginx() { # directory port
    require nginx nginx-light
    require_backend nginx
    cat >"$1/nginx.conf" <<END
daemon off;
$([ "$(id -u)" -eq 0 ] && echo "user root;")
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream web { server $BACKEND; keepalive 64; }
  server {
    listen 127.0.0.1:$2;
    location = /health { return 200; }
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host \$http_host;
    }
  }
}
END
    launch nginx "$2" nginx -p "$1" -c nginx.conf -e stderr
}

start_haproxy() { # directory port
    require haproxy haproxy
    require_backend haproxy
    cat >"$1/haproxy.cfg" <<END
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:$2
  monitor-uri /health
  default_backend web
backend web
  http-reuse always
  server one $BACKEND
END
    launch haproxy "$2" haproxy -db -f "$1/haproxy.cfg"
}

start() { # name
    require_known "$1"
    is_up "$1" && return
    rm -rf "${home:?}/$1"
    mkdir -p "$home/$1"
    local port
    port=$(free_port)
    "start_$1" "$home/$1" "$port"
}

stop() { # name
    require_known "$1"
    [ -d "$home/$1" ] || return 0
    if is_up "$1"; then
        local pid
        pid=$(cat "$home/$1/pid")
        kill -TERM "$pid"
        for _ in $(seq 100); do
            is_up "$1" || break
            sleep 0.05
        done
        # The group is the server's own, since it was started in a session of its own.
        is_up "$1" && kill -KILL -- "-$pid"
    fi
    rm -rf "${home:?}/$1"
}

case "${1:-}" in
    start)
        shift
        [ $# -gt 0 ] || refuse "name what to start: ${known[*]}"
        (umask 077 && mkdir -p "$home")
        for name in "$@"; do
            start "$name"
        done
        for name in "${known[@]}"; do
            is_up "$name" && echo "${name^^}_PORT=$(port_of "$name")"
        done
        exit 0
        ;;
    stop)
        shift
        [ $# -gt 0 ] || set -- "${known[@]}"
        for name in "$@"; do
            stop "$name"
        done
        rmdir "$home" 2>/dev/null || true
        ;;
    status)
        for name in "${known[@]}"; do
            if is_up "$name"; then
                echo "$name: port $(port_of "$name"), pid $(cat "$home/$name/pid")"
            else
                echo "$name: not running"
            fi
        done
        ;;
    *)
        refuse "say start, stop or status; see the first lines of scripts/servers.sh"
        ;;
esac
