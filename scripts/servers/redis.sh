# Redis: alone, with a replica, with users and TLS, under sentinels, as a cluster. What it has answered is written
# down, so that it is there after a kill; only a crash of the whole machine would lose it. REDIS_BIN is the directory of
# another version's program.

redis_server=${REDIS_BIN:+$REDIS_BIN/}redis-server

ask_redis() { # name command…
    redis-cli -h 127.0.0.1 -p "$(port_of "$1")" "${@:2}"
}

# Files and options that all have; further options follow.
run_any_redis() { # name options…
    require "$redis_server" redis-server
    launch "$1" "$redis_server" --bind 127.0.0.1 --port "$(port_of "$1")" --dir "$home/$1" \
        --save "" --appendonly yes --appendfsync no --auto-aof-rewrite-percentage 0 \
        --repl-diskless-sync yes --repl-diskless-sync-delay 0 --repl-ping-replica-period 1 "${@:2}"
}

# It takes connections before it has read what it wrote down.
until_loaded() { # name
    until_it "has read its data" "$1" redis_says "$1" "loading:0" INFO persistence
}

redis_says() { # name pattern command…
    ask_redis "$1" "${@:3}" | tr -d '\r' | grep -qE "^$2$"
}

make_redis() { # name
    variable "$1" REDIS_URL "redis://127.0.0.1:$(port_of "$1")"
}

run_redis() { # name
    run_any_redis "$1"
    until_loaded "$1"
}

make_redis_replica() { # name
    :
}

run_redis_replica() { # name
    run_any_redis "$1" --replicaof 127.0.0.1 "$(port_of redis)"
    until_loaded "$1"
    # Brought back while its master is down, it waits for it.
    ! is_up redis || until_it "follows its master" "$1" redis_says "$1" "master_link_status:up" INFO replication
}

make_redis_auth() { # name
    make_certificates "$home/$1" app
    # Users have rights to channels from 6.2 on, and no word for them before.
    local channels=" &*"
    case "$("$redis_server" --version)" in *" v=6.0."*) channels= ;; esac
    # The default user's password is also said by `requirepass`, as older servers and clients know it.
    printf '%s\n' \
        "user default on >redis-secret ~*$channels +@all" \
        "user app on >app-secret ~*$channels +@all -@admin" \
        "user reader on >reader-secret ~*$channels -@all +@read +@connection" >"$home/$1/users.acl"
    free_ports 1 >"$home/$1/tls_port"
    local prefix=REDIS
    [ "$1" = redis-auth ] || prefix=REDIS_MTLS
    variable "$1" "${prefix}_TLS_PORT" "$(cat "$home/$1/tls_port")"
    tell_certificates "$1" "$prefix"
}

# A client may show a certificate, and need not.
run_redis_auth() { # name
    run_tls_redis "$1" optional
}

make_redis_mtls() { # name
    make_redis_auth "$1"
}

# A client must show a certificate.
run_redis_mtls() { # name
    run_tls_redis "$1" yes
}

run_tls_redis() { # name whether-clients-show-certificates
    local tls=$home/$1/tls
    run_any_redis "$1" --aclfile "$home/$1/users.acl" --tls-port "$(cat "$home/$1/tls_port")" --tls-auth-clients "$2" \
        --tls-ca-cert-file "$tls/ca.crt" --tls-cert-file "$tls/server.crt" --tls-key-file "$tls/server.key"
    REDISCLI_AUTH=redis-secret until_loaded "$1"
}

make_redis_sentinel_master() { # name
    :
}

run_redis_sentinel_master() { # name
    run_any_redis "$1"
    until_loaded "$1"
}

make_redis_sentinel_replica() { # name
    :
}

run_redis_sentinel_replica() { # name
    run_any_redis "$1" --replicaof 127.0.0.1 "$(port_of redis-sentinel-master)"
    until_loaded "$1"
}

make_redis_sentinel() { # name
    cat >"$home/$1/sentinel.conf" <<END
bind 127.0.0.1
port $(port_of "$1")
dir $home/$1
sentinel monitor main 127.0.0.1 $(port_of redis-sentinel-master) 2
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 5000
sentinel parallel-syncs main 1
END
    [ "$1" != redis-sentinel-1 ] || variable "$1" REDIS_SENTINEL_NAME main
}

run_redis_sentinel() { # name
    require "$redis_server" redis-server
    launch "$1" "$redis_server" "$home/$1/sentinel.conf" --sentinel
}

# Only when they know of each other and of the replica do they bring about what they are for.
await_redis_sentinels() {
    local name
    for name in 1 2 3; do
        name=redis-sentinel-$name
        until_it "knows the two other sentinels" "$name" sentinel_knows "$name" num-other-sentinels 2
        until_it "knows the replica" "$name" sentinel_knows "$name" num-slaves 1
    done
}

sentinel_knows() { # name field value
    [ "$(ask_redis "$1" SENTINEL MASTER main | grep -A 1 -x "$2" | tail -n 1)" = "$3" ]
}

make_redis_cluster() { # name
    :
}

run_redis_cluster() { # name
    run_any_redis "$1" --cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 2000 \
        --cluster-announce-ip 127.0.0.1 --cluster-require-full-coverage no
    until_loaded "$1"
}

# Shares the slots out and makes the nodes known to each other, where that is still to be done.
join_redis_cluster() {
    local name at=0 from=(0 5461 10923 16384)
    for name in ${groups[redis-cluster]}; do
        if redis_says "$name" "cluster_slots_assigned:0" CLUSTER INFO; then
            ask_redis "$name" CLUSTER ADDSLOTS $(seq "${from[at]}" $((from[at + 1] - 1))) >/dev/null
        fi
        at=$((at + 1))
    done
    for name in redis-cluster-2 redis-cluster-3; do
        redis_says "$name" "cluster_known_nodes:3" CLUSTER INFO ||
            ask_redis redis-cluster-1 CLUSTER MEET 127.0.0.1 "$(port_of "$name")" >/dev/null
    done
    for name in ${groups[redis-cluster]}; do
        until_it "knows the whole cluster" "$name" redis_says "$name" "cluster_slots_ok:16384" CLUSTER INFO
        until_it "finds the cluster well" "$name" redis_says "$name" "cluster_state:ok" CLUSTER INFO
    done
}
