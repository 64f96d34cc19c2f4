# Writes all databases to standard output, as they are at one moment.
# $1: the file of the password; $2, $3: where the server is; $4: the user, or nothing.
set -u
# After the last byte there may be a mark of forty more, by which one server tells another that this was all; whoever loads
# it stops before.
REDISCLI_AUTH=$(cat "$1") exec redis-cli -h "$2" -p "$3" ${4:+--user "$4"} --rdb -
