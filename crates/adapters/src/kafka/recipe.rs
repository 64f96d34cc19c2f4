//! One broker that is its own controller, as the gateway runs it. A broker tells its clients where it is, so it listens
//! once for those of this machine and, in a container, once more for those of its network and once for itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::ServiceSpec;
use model::recipe::{Dump, Preparation, Recipe, Run, Runs, Signal, Site, Within};

use super::options::{self, Options};
use crate::recipe::{file, pairs, path, stop, words};

/// Where the broker listens in a container: for clients of this machine, for those of its network, as its own
/// controller, and for itself.
const PORT: u16 = 9092;
const NETWORK_PORT: u16 = 19092;
const CONTROLLER_PORT: u16 = 19093;
const OWN_PORT: u16 = 19094;

const IMAGE: &str = "apache/kafka:3.9.1";
const DATA: &str = "/var/lib/kafka/data";
const CONFIG: &str = "server.properties";
const LOGGING: &str = "log4j.properties";

/// The largest record that a broker takes unless told otherwise, and the room that its head takes at most.
const LARGEST_RECORD: u64 = 1_048_588;
const ROOM_OF_A_HEAD: u64 = 64 << 10;

/// The most memory of Java, in megabytes, where the service does not have less in all.
const MOST_HEAP: u64 = 512;

pub(super) const RUNS: Runs = Runs { port: PORT, username: None, database: None, password: false, kept: &[] };

pub(super) fn recipe(service: &ServiceSpec, site: &Site) -> Option<Recipe> {
    let options = options::of(service).ok()?;
    let (config, logging) = (path(site, CONFIG), path(site, LOGGING));
    let mut recipe = Recipe {
        image: IMAGE.to_owned(),
        prepare: Vec::new(),
        run: Run::default(),
        files: vec![],
        data: DATA.to_owned(),
        port: PORT,
        network_port: PORT,
        stop: stop(Signal::Term, 60),
        // Its files change all the time, and nothing beside them tells which belong together.
        dump: Dump::AtRest { format: "tar" },
    };
    let listeners = match &site.within {
        Within::Container { name } => {
            let format = format_args(&id(name), &config).join(" ");
            let script = format!(
                "PATH=/opt/kafka/bin:$PATH; kafka-storage.sh {format} && exec kafka-server-start.sh {config}"
            );
            recipe.run = Run { program: "sh".to_owned(), args: words(["-c", &script]), env: Vec::new() };
            recipe.network_port = NETWORK_PORT;
            of_a_container(name, site)
        }
        Within::Process { data } => {
            let run = |program: &str, args| Run { program: program.to_owned(), args, env: Vec::new() };
            recipe.prepare.push(Preparation {
                what: "make the broker's data".to_owned(),
                run: run("kafka-storage.sh", format_args(&id(data), &config)),
                input: None,
            });
            recipe.run = run("kafka-server-start.sh", words([&config]));
            data.clone_into(&mut recipe.data);
            (recipe.port, recipe.network_port) = (site.port, site.port);
            of_a_process(site)
        }
    };
    let env = pairs([
        ("KAFKA_HEAP_OPTS", &heap(service)),
        ("KAFKA_LOG4J_OPTS", &format!("-Dlog4j.configuration=file:{logging}")),
        // Nothing is written there, but it must be a directory that can be.
        ("LOG_DIR", &recipe.data),
        // Without it, a file of what Java's memory does would be.
        ("EXTRA_ARGS", "-name kafkaServer"),
    ]);
    for run in recipe.prepare.iter_mut().map(|preparation| &mut preparation.run).chain([&mut recipe.run]) {
        run.env.clone_from(&env);
    }
    recipe.files.push(file(CONFIG, properties(&listeners, &recipe.data, &options)));
    recipe.files.push(file(LOGGING, LOG4J.to_owned()));
    Some(recipe)
}

fn format_args(id: &str, config: &str) -> Vec<String> {
    words(["format", "--ignore-formatted", "--cluster-id", id, "--config", config])
}

fn of_a_container(name: &str, site: &Site) -> String {
    format!(
        "controller.quorum.voters=1@127.0.0.1:{CONTROLLER_PORT}\n\
         listeners=HOST://0.0.0.0:{PORT},NETWORK://0.0.0.0:{NETWORK_PORT},\
         OWN://127.0.0.1:{OWN_PORT},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}\n\
         advertised.listeners=HOST://{}:{},NETWORK://{name}:{NETWORK_PORT},OWN://127.0.0.1:{OWN_PORT}\n\
         listener.security.protocol.map=HOST:PLAINTEXT,NETWORK:PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=OWN\n",
        site.host, site.port
    )
}

fn of_a_process(site: &Site) -> String {
    let (host, port, controller) = (&site.host, site.port, controller_port(site.port));
    format!(
        "controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=HOST://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=HOST://{host}:{port}\n\
         listener.security.protocol.map=HOST:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=HOST\n"
    )
}

/// Where the broker of this port is its own controller, on a machine where others are too.
fn controller_port(port: u16) -> u16 {
    const APART: u16 = CONTROLLER_PORT - PORT;
    port.checked_add(APART).unwrap_or_else(|| port - APART)
}

fn properties(listeners: &str, data: &str, options: &Options) -> String {
    let largest = LARGEST_RECORD.max(options.max_message.saturating_add(ROOM_OF_A_HEAD));
    let Options { num_partitions, auto_create, .. } = options;
    // A value ends with its line, and a backslash would say something of what follows it.
    let data = data.replace('\\', "\\\\");
    format!(
        "# Written by the gateway for each start.\n\
         process.roles=broker,controller\n\
         node.id=1\n\
         controller.listener.names=CONTROLLER\n\
         {listeners}\
         log.dirs={data}\n\
         num.partitions={num_partitions}\n\
         auto.create.topics.enable={auto_create}\n\
         message.max.bytes={largest}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=8\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=8\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         # The first of a group does not wait for others.\n\
         group.initial.rebalance.delay.ms=0\n\
         # One that was killed is let in again when its last session is over.\n\
         broker.session.timeout.ms=6000\n\
         broker.heartbeat.interval.ms=1000\n\
         # Memory that one broker has no use for.\n\
         log.cleaner.dedupe.buffer.size=16777216\n"
    )
}

/// Half of what the container has, since Java needs more than its heap.
fn heap(service: &ServiceSpec) -> String {
    let memory = service.run.as_ref().and_then(|run| run.memory);
    let most = memory.map_or(MOST_HEAP, |memory| (memory.0 >> 21).clamp(64, MOST_HEAP));
    format!("-Xms{}m -Xmx{most}m", most.min(128))
}

/// A cluster's id: sixteen bytes that are always the same for the same thing.
fn id(of: &str) -> String {
    // FNV-1a of 128 bits, which is the same on every machine and in every version.
    let hash = of.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    let mut bytes = hash.to_be_bytes();
    // It must not begin with a dash, which would make it an option.
    bytes[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What goes wrong, and that it has started.
const LOG4J: &str = "\
log4j.rootLogger=WARN, out
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n
";

#[cfg(test)]
mod tests;
