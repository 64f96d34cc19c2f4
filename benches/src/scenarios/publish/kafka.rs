//! Publishing over HTTP to Kafka with acks=all: one message in a request from fifty clients, and a hundred in one, beside
//! Kafka's own client batching as it likes. What an answer called published is counted in the topic afterwards.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{BATCH, CALL, hundred, one};
use crate::contestants::{Contestant, throome};
use crate::direct::kafka::{count, make_topic};
use crate::direct::log::MESSAGE;
use crate::measure::{Sample, interleave, median, sample_over};
use crate::report::{Section, Table};
use crate::rig::{CONNECTIONS, Rig, require_program};
use crate::scenarios::calls::{self, Direct, How, Timed, Waiting, ask, latency_table, path};
use crate::scenarios::{Goals, core_of, load_table_beside};
use crate::servers::Servers;
use crate::wrk::Requests;

/// What publishing one by one over HTTP should reach of the rate of the client that batches.
const GOAL: f64 = 0.5;

/// Connections that each publish a hundred at once.
const BATCHING: usize = 10;

const CLIENT: &str = "the client";

/// Everybody who takes part; without Throome the others are measured alone.
struct Parties {
    gateway: Option<Contestant>,
    /// As Kafka's client is told.
    broker: String,
    _servers: Servers,
}

/// Fifty at a time and batches, what became of them, and one alone.
pub(super) fn run(rig: &Rig) -> anyhow::Result<Section> {
    for program in ["wrk", "java", "taskset", "setpriv"] {
        require_program(program)?;
    }
    let mut servers = Servers::new()?;
    servers.start(&["kafka"], rig.load_core())?;
    let at = servers.address("kafka")?;
    let gateway = match rig.tools.throome {
        Some(_) => {
            let service = format!("queue: {{ type: kafka, host: {}, port: {} }}", at.ip(), at.port());
            Some(throome::before(rig, &service)?.start(rig.contestant_core())?)
        }
        None => None,
    };
    let parties = Parties { gateway, broker: at.to_string(), _servers: servers };
    let [together, arrived] = many_clients(rig, &parties)?;
    let tables = vec![together, arrived, one_client(rig, &parties)?];
    let about = format!(
        "Messages of {MESSAGE} B to one topic of one partition of a single Kafka, acks=all and idempotent on all sides. \
         Throome's `kafka` by `POST …/{CALL}` on its data door, answered when the broker has the messages. Beside it \
         Kafka's own client (librdkafka) in a process on the same core as the gateway ({}): batching as it likes, with as many messages \
         under way as it holds, in its own settings; and, for orientation, with {CONNECTIONS} callers who each wait for \
         their message before they send the next, as the clients of HTTP do (`linger.ms=0`). The broker, which was warmed up, is on {} \
         with the clients of HTTP, so that they have less of it than the client used directly. Figures are for one message. {} interleaved rounds of {} s.",
        core_of(rig.contestant_core()),
        core_of(rig.load_core()),
        rig.pace.rounds,
        rig.pace.seconds
    );
    Ok(Section { title: "Publishing over HTTP: kafka".to_owned(), about, tables })
}

/// Who publishes with all that it has; each to a topic of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publisher {
    OneByOne,
    Batching,
    Waiting,
    Hundreds,
}

impl Publisher {
    fn name(self) -> String {
        match self {
            Self::OneByOne => format!("throome, {CONNECTIONS} clients, one in a request"),
            Self::Batching => format!("{CLIENT}, batching"),
            Self::Waiting => format!("{CLIENT}, {CONNECTIONS} callers waiting"),
            Self::Hundreds => format!("throome, {BATCHING} clients, {BATCH} in a request"),
        }
    }

    fn topic(self) -> &'static str {
        match self {
            Self::OneByOne => "one-by-one",
            Self::Batching => "batching",
            Self::Waiting => "waiting",
            Self::Hundreds => "hundreds",
        }
    }

    /// Messages that may be under way, unanswered, when the load ends.
    fn under_way(self) -> u64 {
        let messages = match self {
            Self::OneByOne => CONNECTIONS,
            Self::Hundreds => BATCHING * BATCH,
            // The client is asked what became of each.
            Self::Batching | Self::Waiting => 0,
        };
        messages as u64
    }

    /// Publishes for so long; requests of the sample are messages.
    fn load(self, rig: &Rig, parties: &Parties, seconds: u64) -> anyhow::Result<Sample> {
        let direct = |work, callers| -> anyhow::Result<Sample> {
            let direct = Direct::remote(work, &parties.broker, callers);
            let timings = direct.told(format!("--topic={}", self.topic())).run(rig, seconds)?;
            Ok(Sample::of_its_own(&timings))
        };
        let http = |body: serde_json::Value, connections, messages: usize| -> anyhow::Result<Sample> {
            let Some(gateway) = &parties.gateway else { anyhow::bail!("there is no gateway") };
            let requests = Requests::Bodies { path: path(CALL), bodies: vec![body.to_string()] };
            let sample = sample_over(rig, gateway, &requests, seconds, connections)?;
            Ok(Sample { requests: sample.requests * messages as u64, ..sample })
        };
        match self {
            Self::Batching => direct("kafka-batching", 1),
            Self::Waiting => direct("kafka-waiting", CONNECTIONS),
            Self::OneByOne => http(one(self.topic()), CONNECTIONS, 1),
            Self::Hundreds => http(hundred(self.topic()), BATCHING, BATCH),
        }
    }
}

/// What one round said and what became of it.
#[derive(Debug, Clone, Copy)]
struct Round {
    sample: Sample,
    /// Messages that came into the topic.
    arrived: u64,
}

fn many_clients(rig: &Rig, parties: &Parties) -> anyhow::Result<[Table; 2]> {
    let mut all = vec![Publisher::OneByOne, Publisher::Batching, Publisher::Waiting, Publisher::Hundreds];
    if parties.gateway.is_none() {
        all = vec![Publisher::Batching, Publisher::Waiting];
    }
    for publisher in &all {
        make_topic(&parties.broker, publisher.topic())?;
        // The broker compiles itself while it works.
        publisher.load(rig, parties, rig.pace.seconds)?;
    }
    let rounds = interleave(&all, rig.pace.rounds, |publisher, round| {
        eprintln!("publish to kafka: round {} of {}, {}", round + 1, rig.pace.rounds, publisher.name());
        let before = settled(&parties.broker, publisher.topic())?;
        let sample = publisher.load(rig, parties, rig.pace.seconds)?;
        Ok(Round { sample, arrived: settled(&parties.broker, publisher.topic())? - before })
    })?;
    let samples: Vec<Vec<Sample>> =
        rounds.iter().map(|its| its.iter().map(|round| round.sample).collect()).collect();
    let names: Vec<String> = all.iter().map(|publisher| publisher.name()).collect();
    let goals = Goals { cpu: None, throughput: Some(GOAL) };
    let compared = if parties.gateway.is_some() { 2 } else { 1 };
    let caption = format!("One message of {MESSAGE} B, {CONNECTIONS} clients");
    let mut table = load_table_beside(&caption, &names, &samples, goals, compared);
    if let ([Publisher::OneByOne, ..], [own, _, waiting, ..]) = (&all[..], &samples[..]) {
        let ratios = own.iter().zip(waiting).map(|(own, waiting)| own.throughput() / waiting.throughput());
        let ratio = median(ratios);
        table.notes.push(format!(
            "One by one over HTTP is {ratio:.2} of the rate of the client where as many callers wait as there are clients of HTTP."
        ));
    }
    Ok([table, arrived_table(&all, &rounds)])
}

/// How many messages a topic has once none comes any more: those whose clients left are still on their way.
fn settled(broker: &str, topic: &str) -> anyhow::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut last = count(broker, topic)?;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = count(broker, topic)?;
        if now == last {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "messages still come into {topic} after the load has ended");
        last = now;
    }
}

impl Round {
    /// Messages whose answers called them published.
    fn said(&self) -> u64 {
        self.sample.requests.saturating_sub(self.sample.errors)
    }

    fn missing(&self) -> u64 {
        self.said().saturating_sub(self.arrived)
    }

    /// Arrived, and not said to be.
    fn beyond(&self) -> u64 {
        self.arrived.saturating_sub(self.said())
    }
}

/// Those that were under way when the load ended have arrived without an answer; more than that came twice.
fn arrived_table(all: &[Publisher], rounds: &[Vec<Round>]) -> Table {
    let head = ["program", "said to be published", "in the topic", "missing", "unanswered", "too many"];
    let mut table = Table::new("What arrived, all rounds", &head);
    let mut goal = "met";
    for (publisher, its) in all.iter().zip(rounds) {
        let sum = |figure: &dyn Fn(&Round) -> u64| its.iter().map(figure).sum::<u64>();
        let missing = sum(&Round::missing);
        if missing > 0 {
            goal = "missed";
        }
        let most = publisher.under_way();
        let counts = [
            sum(&Round::said),
            sum(&|round| round.arrived),
            missing,
            sum(&|round| round.beyond().min(most)),
            sum(&|round| round.beyond().saturating_sub(most)),
        ];
        let counts = counts.iter().map(u64::to_string);
        table.rows.push(std::iter::once(publisher.name()).chain(counts).collect());
    }
    table.notes.push(format!("Goal: no answer says published of a message that is not there, {goal}."));
    table
}

fn one_client(rig: &Rig, parties: &Parties) -> anyhow::Result<Table> {
    const TOPIC: &str = "alone";
    make_topic(&parties.broker, TOPIC)?;
    let direct = Direct::remote("kafka-waiting", &parties.broker, 1).told(format!("--topic={TOPIC}"));
    let mut all = vec![Timed { name: CLIENT.to_owned(), how: How::Direct(direct) }];
    if let Some(gateway) = &parties.gateway {
        ask(gateway, CALL, &one(TOPIC))?;
        let bodies = vec![one(TOPIC).to_string()];
        let how = How::Http { gateway, call: CALL, bodies, waiting: Waiting::Asleep };
        all.insert(0, Timed { name: format!("throome, {CALL}"), how });
    }
    let rounds = calls::rounds(rig, "publish of 1", &all)?;
    Ok(latency_table(&format!("One message of {MESSAGE} B, one client"), &all, &rounds, None, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(requests: u64, errors: u64, arrived: u64) -> Round {
        let timings =
            crate::timings::Timings { completed: requests, errors, seconds: 1.0, ..Default::default() };
        Round { sample: Sample::of_its_own(&timings), arrived }
    }

    #[test]
    fn what_is_missing_in_one_round_is_not_made_up_for_by_another() {
        let all = [Publisher::OneByOne, Publisher::Batching];
        let lost = arrived_table(&all, &[vec![round(100, 10, 89), round(100, 0, 160)], vec![round(5, 0, 5)]]);
        assert_eq!(lost.rows[0][1..], ["190", "249", "1", "50", "10"]);
        assert_eq!(lost.rows[1][1..], ["5", "5", "0", "0", "0"]);
        assert!(lost.notes[0].ends_with("missed."), "{:?}", lost.notes);
        let kept = arrived_table(&all[1..], &[vec![round(5, 0, 5)]]);
        assert!(kept.notes[0].ends_with("met."), "{:?}", kept.notes);
    }
}
