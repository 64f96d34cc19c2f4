#!/bin/sh
# As the official image: an empty directory becomes a database cluster with user, password and database of the environment,
# and the server does not run as root.
set -e

# A variable, or the text of the file that the variable of that name with _FILE names.
from_file() { # name default
    eval "value=\${$1:-} file=\${${1}_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: both $1 and ${1}_FILE are set (but are exclusive)" >&2
        exit 1
    fi
    [ -z "$file" ] || value=$(cat "$file")
    export "$1=${value:-$2}"
    unset "${1}_FILE"
}

make_cluster() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
        exit 1
    fi
    pwfile=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$pwfile"
    set --
    [ -z "$POSTGRES_PASSWORD" ] || set -- --pwfile="$pwfile"
    # Only a crash of the whole machine would lose what is not forced to disk here, and a test with it.
    # shellcheck disable=SC2086
    initdb --no-sync --pgdata="$PGDATA" --username="$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 "$@" \
        ${POSTGRES_INITDB_ARGS:-}
    rm -f "$pwfile"
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

    # By its socket alone, so that nobody takes it for ready.
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses='' -p 5432" --wait start
    if [ "$POSTGRES_DB" != postgres ]; then
        echo 'CREATE DATABASE :"db"' | ask --dbname=postgres --set=db="$POSTGRES_DB"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) . "$file" ;;
            *.sql) ask --dbname="$POSTGRES_DB" --file="$file" ;;
            *.sql.gz) gunzip -c "$file" | ask --dbname="$POSTGRES_DB" ;;
        esac
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
    echo "PostgreSQL init process complete; ready for start up."
}

ask() {
    psql --set=ON_ERROR_STOP=1 --no-password --no-psqlrc --username="$POSTGRES_USER" "$@"
}

case "${1:-}" in
    -*) set -- postgres "$@" ;;
esac
if [ "$1" = postgres ]; then
    # A file may be root's alone to read.
    from_file POSTGRES_PASSWORD ''
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    mkdir -p "$PGDATA"
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" ! -user postgres -exec chown postgres {} +
        chmod 700 "$PGDATA"
        # By its path: the shell would take a smaller one of its own.
        exec /usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
    fi
    chmod 700 "$PGDATA" 2>/dev/null || true
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        make_cluster
    fi
    unset POSTGRES_PASSWORD
fi
exec "$@"
