# PostgreSQL, a streaming replica of it, and PgBouncer in front. All three refuse to run as root, and run as the user
# `postgres` then. Nothing is forced to disk: that outlives a kill of the processes, and only a crash of the whole
# machine would lose what was committed.

# The Debian programs are not on the path, as several versions may be there; the newest is taken, or POSTGRES_BIN.
postgres_program() { # program
    local found
    found=${POSTGRES_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}/$1
    [ -x "$found" ] || found=$(command -v "$1") ||
        refuse "$1 is not installed; run scripts/install-peers.sh as root, or: apt-get install postgresql"
    echo "$found"
}

# The rest of the words as a user that PostgreSQL agrees to.
as_postgres() { # program arguments…
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups "$@"
    else
        "$@"
    fi
}

give_to_postgres() { # name
    [ "$(id -u)" -eq 0 ] || return 0
    chown -R postgres:postgres "$home/$1"
    as_postgres test -x "$home/$1" ||
        refuse "the user postgres has no way into $home; choose a THROOME_SERVERS_DIR whose parents all may enter"
}

# launch, as that user; the process is the server itself, whoever it runs as.
launch_as_postgres() { # name program arguments…
    local name=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        launch "$name" setpriv --reuid=postgres --regid=postgres --init-groups "$@"
    else
        launch "$name" "$@"
    fi
}

# Asks as superuser.
ask_postgres() { # name arguments of psql…
    PGPASSWORD=postgres-secret psql -X -q -A -t -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d postgres "${@:2}"
}

postgres_says() { # name answer question
    [ "$(ask_postgres "$1" -c "$3")" = "$2" ]
}

make_postgres() { # name
    local dir=$home/$1
    local initdb postgres
    initdb=$(postgres_program initdb)
    postgres=$(postgres_program postgres)
    make_certificates "$dir" certified
    echo postgres-secret >"$dir/password"
    give_to_postgres "$1"
    (cd "$dir" && as_postgres "$initdb" -D "$dir/data" -U postgres --auth=scram-sha-256 --pwfile="$dir/password" \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync) >>"$dir/log" 2>&1 ||
        refuse "initdb failed; $dir/log says last:
$(last_words "$1")"
    # A replica takes a copy of what is in the data directory, so that the certificate stands there too.
    cp "$dir"/tls/{ca.crt,server.crt,server.key} "$dir/data"
    cat >>"$dir/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
fsync = off
full_page_writes = off
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
wal_receiver_status_interval = 1
password_encryption = 'scram-sha-256'
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
END
    case "$("$postgres" -V)" in
        *' 12.'*) ;;
        # What a replica that is gone has not fetched must not fill the disk.
        *) echo "max_slot_wal_keep_size = 256MB" >>"$dir/data/postgresql.conf" ;;
    esac
    cat >"$dir/data/pg_hba.conf" <<END
hostssl all certified 127.0.0.1/32 cert
host all certified 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
host replication replicator 127.0.0.1/32 scram-sha-256
END
    give_to_postgres "$1"
    variable "$1" POSTGRES_URL "postgres://throome:throome-secret@127.0.0.1:$(port_of "$1")/throome"
    tell_certificates "$1" POSTGRES
}

run_postgres() { # name
    launch_postgres "$1"
    [ -e "$home/$1/ready" ] || make_roles "$1"
}

launch_postgres() { # name
    local postgres
    postgres=$(postgres_program postgres)
    # After a kill it still names a process, which is gone, but may not have been taken off the list of processes yet.
    rm -f "$home/$1/data/postmaster.pid"
    launch_as_postgres "$1" "$postgres" -D "$home/$1/data" -p "$(port_of "$1")"
    until_it "answers" "$1" postgres_says "$1" 1 "SELECT 1"
}

make_roles() { # name
    ask_postgres "$1" -f "$root/test/postgres/roles.sql" >>"$home/$1/log" 2>&1 ||
        refuse "no roles were made; $home/$1/log says last:
$(last_words "$1")"
}

make_postgres_replica() { # name
    local dir=$home/$1 basebackup
    basebackup=$(postgres_program pg_basebackup)
    # Of a replica that was here before.
    ask_postgres postgres -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active" \
        >/dev/null
    give_to_postgres "$1"
    # The password goes into the settings of the copy, which it will follow its primary with.
    (cd "$dir" && PGPASSWORD=replicator-secret as_postgres "$basebackup" -h 127.0.0.1 -p "$(port_of postgres)" \
        -U replicator -D "$dir/data" --write-recovery-conf --create-slot --slot=replica --wal-method=stream \
        --checkpoint=fast --no-sync) >>"$dir/log" 2>&1 ||
        refuse "pg_basebackup failed; $dir/log says last:
$(last_words "$1")"
    # It may be newer than the server, and have written what that does not know. The last line counts.
    echo "primary_conninfo = 'host=127.0.0.1 port=$(port_of postgres) user=replicator password=replicator-secret'" \
        >>"$dir/data/postgresql.auto.conf"
}

run_postgres_replica() { # name
    launch_postgres "$1"
    # Brought back while its primary is down, it waits for it; one that was promoted follows nobody.
    if is_up postgres && postgres_says "$1" t "SELECT pg_is_in_recovery()"; then
        until_it "follows its primary" "$1" postgres_says "$1" streaming "SELECT status FROM pg_stat_wal_receiver"
    fi
}

promote() { # name
    require_up "$1"
    postgres_says "$1" t "SELECT pg_promote(true, 30)" || refuse "$1 was not promoted; see $home/$1/log"
}

make_pgbouncer() { # name
    require pgbouncer pgbouncer
    cat >"$home/$1/users.txt" <<END
"throome" "throome-secret"
"reader" "reader-secret"
"postgres" "postgres-secret"
END
    cat >"$home/$1/pgbouncer.ini" <<END
[databases]
* = host=127.0.0.1 port=$(port_of postgres)
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $(port_of "$1")
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $home/$1/users.txt
pool_mode = transaction
default_pool_size = 20
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
END
    give_to_postgres "$1"
    variable "$1" PGBOUNCER_URL "postgres://throome:throome-secret@127.0.0.1:$(port_of "$1")/throome"
}

run_pgbouncer() { # name
    launch_as_postgres "$1" pgbouncer "$home/$1/pgbouncer.ini"
}
