#!/bin/sh
# Runs a program of Kafka's with the heap and the options that the environment says.
base=$(cd "$(dirname "$0")/.." && pwd)
# In the same order each time, or the archive of classes would not fit.
for jar in "$base"/libs/*.jar; do
    path=${path:+$path:}$jar
done
archive=
[ ! -e "$base/kafka.jsa" ] || archive=-XX:SharedArchiveFile=$base/kafka.jsa
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} ${KAFKA_JVM_PERFORMANCE_OPTS--XX:+UseSerialGC} $archive ${KAFKA_OPTS:-} \
    ${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:$base/config/tools-log4j.properties} -cp "$path" "$@"
