# Writes a dump of a database to standard output, with who owns what and may do what.
# $1: the file of the password; $2, $3: where the server is; $4: the user; $5: the database.
set -u
# By the environment, since a name in an argument might be read as more than a name.
export PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE="$5" PGCONNECT_TIMEOUT=30
PGPASSWORD=$(cat "$1") exec pg_dump --format=custom
