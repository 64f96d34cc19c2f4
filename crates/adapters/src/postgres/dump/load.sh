# Puts a dump, from standard input, in the place of a database: it is read into another one, and then both change names.
# $1: the file of the password; $2, $3: where the server is; $4: the user; $5: the database; $6: anything for a dump of
# another server, whose users are not here.
set -u
password=$1 database=$5 plain=${6:+--no-owner --no-acl}
export PGHOST="$2" PGPORT="$3" PGUSER="$4" PGCONNECT_TIMEOUT=30 PGOPTIONS='-c client_min_messages=warning'
# The names of the one that is read into, and of the one that was there. Whatever has them is left from a load that was
# killed.
new=throome_loading old=throome_replaced
case $database in
    "$new" | "$old") echo "a database of the name $database is what is loaded by the way: give it another one" >&2; exit 1 ;;
esac

# Statements from standard input, in another database than all of those.
sql() {
    PGPASSWORD=$(cat "$password") PGDATABASE=template1 psql --no-psqlrc --quiet --tuples-only --no-align \
        --set=ON_ERROR_STOP=1 --set=database="$database" --set=new="$new" --set=old="$old" "$@"
}

drop() {
    sql --set=gone="$1" <<'END'
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE datname = :'gone' \gset
DROP DATABASE IF EXISTS :"gone";
END
}

made=
finish() {
    status=$?
    trap '' TERM INT HUP PIPE
    # The old one has its other name only where all is done.
    [ -z "$made" ] || { drop "$new" && drop "$old"; }
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP PIPE

drop "$new" && drop "$old" || exit 1

# As the old one is: its owner, how it sorts, and what is set for it.
made=yes
sql <<'END' || exit 1
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L CONNECTION LIMIT %s',
    :'new', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit)
FROM pg_database WHERE datname = :'database' \gexec
SELECT format(CASE WHEN setrole = 0 THEN 'ALTER DATABASE %2$I' ELSE 'ALTER ROLE %1$I IN DATABASE %2$I' END
    || ' SET %3$I TO %4$s', pg_get_userbyid(setrole), :'new', name,
    -- Lists are kept as they are to be written.
    CASE WHEN name IN ('local_preload_libraries', 'search_path', 'session_preload_libraries', 'temp_tablespaces')
    THEN value ELSE quote_literal(value) END)
FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS setting,
    split_part(setting, '=', 1) AS name, substr(setting, length(split_part(setting, '=', 1)) + 2) AS value
WHERE datname = :'database' \gexec
END

PGPASSWORD=$(cat "$password") pg_restore --exit-on-error $plain --dbname="$new" || exit 1

# Whoever is in the old one is sent away. From the first change of a name on, who comes has to wait, until both have changed;
# somebody may have come just before that.
for try in 1 2 3 4 5; do
    sql <<'END' && changed=yes && break
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE datname IN (:'database', :'new') \gset
BEGIN;
ALTER DATABASE :"database" RENAME TO :"old";
ALTER DATABASE :"new" RENAME TO :"database";
COMMIT;
END
    changed=
done
[ -n "$changed" ] || exit 1
# It is done. Should the old one not go, the next load tries again.
exit 0
