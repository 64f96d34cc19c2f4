//! The recipe of a broker, whole.

use serde_json::json;

use super::*;
use crate::recipe::tests::{container, process, shown, spec};

const IN_A_CONTAINER: &str = "\
image apache/kafka:3.9.1
run sh -c PATH=/opt/kafka/bin:$PATH; kafka-storage.sh format --ignore-formatted --cluster-id ID --config /throome/server.properties && exec kafka-server-start.sh /throome/server.properties
env KAFKA_HEAP_OPTS=-Xms128m -Xmx512m
env KAFKA_LOG4J_OPTS=-Dlog4j.configuration=file:/throome/log4j.properties
env LOG_DIR=/var/lib/kafka/data
env EXTRA_ARGS=-name kafkaServer
data /var/lib/kafka/data
ports 9092 19092
stop Term 60s
dump tar
--- server.properties
# Written by the gateway for each start.
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:19093
listeners=HOST://0.0.0.0:9092,NETWORK://0.0.0.0:19092,OWN://127.0.0.1:19094,CONTROLLER://127.0.0.1:19093
advertised.listeners=HOST://localhost:7001,NETWORK://throome-shop-db:19092,OWN://127.0.0.1:19094
listener.security.protocol.map=HOST:PLAINTEXT,NETWORK:PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OWN
log.dirs=/var/lib/kafka/data
num.partitions=1
auto.create.topics.enable=true
message.max.bytes=1114112
";

const AS_A_PROCESS: &str = "\
image apache/kafka:3.9.1
once make the broker's data
run kafka-storage.sh format --ignore-formatted --cluster-id ID --config /p/shop/db/config/server.properties
env KAFKA_HEAP_OPTS=-Xms128m -Xmx512m
env KAFKA_LOG4J_OPTS=-Dlog4j.configuration=file:/p/shop/db/config/log4j.properties
env LOG_DIR=/p/shop/db/data
env EXTRA_ARGS=-name kafkaServer
run kafka-server-start.sh /p/shop/db/config/server.properties
env KAFKA_HEAP_OPTS=-Xms128m -Xmx512m
env KAFKA_LOG4J_OPTS=-Dlog4j.configuration=file:/p/shop/db/config/log4j.properties
env LOG_DIR=/p/shop/db/data
env EXTRA_ARGS=-name kafkaServer
data /p/shop/db/data
ports 7001 7001
stop Term 60s
dump tar
--- server.properties
# Written by the gateway for each start.
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:17002
listeners=HOST://127.0.0.1:7001,CONTROLLER://127.0.0.1:17002
advertised.listeners=HOST://localhost:7001
listener.security.protocol.map=HOST:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=HOST
log.dirs=/p/shop/db/data
num.partitions=3
auto.create.topics.enable=false
message.max.bytes=8454144
";

/// What follows in both.
const REST: &str = "\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# The first of a group does not wait for others.
group.initial.rebalance.delay.ms=0
# One that was killed is let in again when its last session is over.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
# Memory that one broker has no use for.
log.cleaner.dedupe.buffer.size=16777216
--- log4j.properties
log4j.rootLogger=WARN, out
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n
";

#[test]
fn the_whole_of_it() {
    let service = spec(json!({ "type": "kafka" }));
    let expected = IN_A_CONTAINER.replace("ID", &id("throome-shop-db"));
    assert_eq!(shown(&recipe(&service, &container()).unwrap()), expected + REST);
    let service =
        spec(json!({ "type": "kafka", "num_partitions": 3, "auto_create": false, "max_message": "8mb" }));
    let expected = AS_A_PROCESS.replace("ID", &id("/p/shop/db/data"));
    assert_eq!(shown(&recipe(&service, &process()).unwrap()), expected + REST);
}

#[test]
fn the_id_of_a_cluster_is_always_the_same_and_its_own() {
    assert_eq!(id("throome-shop-events"), id("throome-shop-events"));
    for (a, b) in [("throome-shop-events", "throome-shop-event"), ("", "a")] {
        assert_ne!(id(a), id(b));
    }
    for name in 0..1000 {
        let id = id(&name.to_string());
        assert!(id.len() == 22 && !id.starts_with('-'), "{id}");
    }
}

#[test]
fn brokers_of_one_machine_do_not_meet() {
    assert_eq!([9092, 9093, 55534, 65535].map(controller_port), [19093, 19094, 65535, 55534]);
}

#[test]
fn java_has_half_of_the_memory() {
    for (memory, expected) in
        [("2gb", "-Xms128m -Xmx512m"), ("512mb", "-Xms128m -Xmx256m"), ("64mb", "-Xms64m -Xmx64m")]
    {
        let service = spec(json!({ "type": "kafka", "run": { "memory": memory } }));
        assert_eq!(heap(&service), expected, "{memory}");
    }
}
