# Kafka: one broker that is its own controller (KRaft), from jars that Maven fetches once into .cache/.
# Its ports: plain; SASL; SASL over TLS; TLS where a client must show a certificate.
# kafka-cluster: three brokers, of which the first is the controller of all, plain; messages are kept by all three, and
# two must have them.
# KAFKA_VERSION takes another than test/kafka/pom.xml names.

kafka_version() {
    echo "${KAFKA_VERSION:-$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$root/test/kafka/pom.xml")}"
}

# Has Maven fetch the jars where they are not, and says where they are. Callers wait for each other here, also those
# with directories of their own.
kafka_jars() {
    local jars
    jars=$root/.cache/kafka/$(kafka_version)
    if [ ! -e "$jars/complete" ]; then
        require java openjdk-17-jre-headless
        require mvn maven
        mkdir -p "$root/.cache/kafka"
        (
            flock 8
            [ ! -e "$jars/complete" ] || exit 0
            rm -rf "$jars"
            echo "servers.sh: fetching Kafka $(kafka_version) from Maven Central, once" >&2
            mvn -q -B -f "$root/test/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
                -Dkafka.version="$(kafka_version)" -DoutputDirectory="$jars" >"$root/.cache/kafka/log" 2>&1 ||
                refuse "Maven could not fetch Kafka $(kafka_version); it says last:
$(tail -n 8 "$root/.cache/kafka/log")"
            touch "$jars/complete"
        ) 8>"$root/.cache/kafka/lock"
    fi
    echo "$jars"
}

# The jars, and an archive of their classes as Java has them in memory once Kafka runs, which saves a start a third of
# its time. That is all it does: where it could not be made, Kafka starts without.
fetch_kafka() {
    local jars
    jars=$(kafka_jars)
    [ ! -e "$jars/classes.jsa" ] || return 0
    home=$(mktemp -d)
    mkdir "$home/kafka"
    free_ports 1 >"$home/kafka/port"
    make_kafka kafka
    kafka_archive=-XX:ArchiveClassesAtExit=$home/classes.jsa
    run_kafka kafka
    kill "$(pid_of kafka)"
    # It is written at the end, which takes ten seconds.
    until_down kafka 1200 || destroy kafka
    [ ! -e "$home/classes.jsa" ] || mv "$home/classes.jsa" "$jars/classes.jsa"
    rm -rf "$home"
}

# Kafka's own programs, for a second opinion.
run_java() { # name class arguments…
    local name=$1 jars
    shift
    jars=$(cat "$home/$name/jars")
    java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j.configuration="file:$home/$name/log4j.properties" \
        -cp "$jars/*" "$@"
}

write_log4j() { # directory
    printf 'log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%%d %%p %%m (%%c)%%n\n' >"$1/log4j.properties"
}

# What brokers of tests have in common.
small_broker() {
    cat <<END
num.partitions=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
# A broker that was killed is let in again when its last session is over.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
# Memory that a broker of this size has no use for.
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
num.network.threads=2
num.io.threads=4
END
}

format_kafka() { # name id arguments…
    local name=$1 id=$2
    shift 2
    run_java "$name" kafka.tools.StorageTool format --cluster-id "$id" --config "$home/$name/server.properties" "$@" \
        >>"$home/$name/log" 2>&1 ||
        refuse "Kafka's storage was not made; $home/$name/log says last:
$(last_words "$name")"
}

kafka_id() {
    openssl rand -base64 16 | tr '+/' 'ab' | cut -c1-22
}

make_kafka() { # name
    require java openjdk-17-jre-headless
    local dir=$home/$1 port sasl sasl_tls tls controller scram=(SCRAM-SHA-256 SCRAM-SHA-512) mechanisms
    kafka_jars >"$dir/jars"
    port=$(port_of "$1")
    { read -r sasl; read -r sasl_tls; read -r tls; read -r controller; } < <(free_ports 5 | grep -vx "$port")
    make_certificates "$dir" app
    # Kafka before 3.1 takes no key without a password, and Java 17 reads none of the newer ciphers of such.
    openssl_quietly pkcs8 -topk8 -v1 PBE-SHA1-3DES -in "$dir/tls/server.key" -passout pass:key-secret \
        -out "$dir/tls/server.pem"
    cat "$dir/tls/server.crt" >>"$dir/tls/server.pem"
    write_log4j "$dir"
    # Before 3.5 a broker without ZooKeeper had no place for the secrets of SCRAM.
    case "$(kafka_version)" in 3.[0-4].*) scram=() ;; esac
    mechanisms=$(IFS=,; echo "PLAIN${scram[*]:+,${scram[*]}}")
    {
        cat <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$sasl,SASL_SSL://127.0.0.1:$sasl_tls,SSL://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$sasl,SASL_SSL://127.0.0.1:$sasl_tls,SSL://127.0.0.1:$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=$mechanisms
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/server.pem
ssl.key.password=key-secret
ssl.truststore.type=PEM
ssl.truststore.location=$dir/tls/ca.crt
listener.name.ssl.ssl.client.auth=required

log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
        small_broker
        for listener in sasl_plaintext sasl_ssl; do
            echo "listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_plain=\"plain-secret\";"
            for mechanism in "${scram[@]}"; do
                echo "listener.name.$listener.${mechanism,,}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
            done
        done
    } >"$dir/server.properties"
    format_kafka "$1" "$(kafka_id)" \
        $(for mechanism in "${scram[@]}"; do echo "--add-scram $mechanism=[name=scram,password=scram-secret]"; done)
    variable "$1" KAFKA_SASL_PORT "$sasl"
    variable "$1" KAFKA_SASL_SSL_PORT "$sasl_tls"
    variable "$1" KAFKA_SSL_PORT "$tls"
    tell_certificates "$1" KAFKA
}

make_kafka_cluster() { # name
    require java openjdk-17-jre-headless
    local dir=$home/$1 first=$home/kafka-cluster-1 number=${1##*-} port roles=broker own=''
    kafka_jars >"$dir/jars"
    write_log4j "$dir"
    port=$(port_of "$1")
    if [ "$dir" = "$first" ]; then
        free_ports 2 | grep -vx "$port" | head -n 1 >"$dir/controller"
        kafka_id >"$dir/id"
        roles=broker,controller
        own=,CONTROLLER://127.0.0.1:$(cat "$dir/controller")
    fi
    {
        cat <<END
process.roles=$roles
node.id=$number
controller.quorum.voters=1@127.0.0.1:$(cat "$first/controller")
listeners=PLAINTEXT://127.0.0.1:$port$own
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/data
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
END
        small_broker
    } >"$dir/server.properties"
    format_kafka "$1" "$(cat "$first/id")"
}

run_kafka_cluster() { # name
    run_kafka "$1"
}

run_kafka() { # name
    require java openjdk-17-jre-headless
    local jars archive=()
    jars=$(cat "$home/$1/jars")
    [ ! -e "$jars/classes.jsa" ] || archive=("-XX:SharedArchiveFile=$jars/classes.jsa")
    [ -z "${kafka_archive:-}" ] || archive=("$kafka_archive")
    launch "$1" java "${archive[@]}" -Xms128m -Xmx256m -XX:+UseSerialGC -XX:-UsePerfData \
        -Dlog4j.configuration="file:$home/$1/log4j.properties" -cp "$jars/*" kafka.Kafka "$home/$1/server.properties"
    # Before 3.5 it takes connections long before it answers.
    until_it "answers" "$1" kafka_answers "$(port_of "$1")"
}

# Asks which versions of its requests it knows, the first question of any client: ten bytes, of the kind 18, in
# version 0, with the number 1 and no name.
kafka_answers() { # port
    exec 7<>"/dev/tcp/127.0.0.1/$1"
    printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&7
    local got
    got=$(timeout 1 head -c 8 <&7 | od -An -tx1 | tr -d ' \n')
    exec 7>&-
    [ "${got:8}" = 00000001 ]
}
