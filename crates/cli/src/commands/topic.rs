//! `topic`: list, show, create, delete.

use clap::{Args, Subcommand};
use model::Span;
use sdk::{Queue, TopicOptions};
use serde_json::Value;

use crate::ask::{self, Consent};
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Args, Debug)]
pub(crate) struct TopicArgs {
    #[command(flatten)]
    queue: OfQueue,
    #[command(subcommand)]
    verb: Verb,
}

/// Which queue of the cluster.
#[derive(Args, Debug)]
pub(crate) struct OfQueue {
    /// The queue, where the cluster has several
    #[arg(long, global = true, value_name = "NAME", add = complete::services())]
    pub(crate) service: Option<String>,
}

impl OfQueue {
    /// The queue that a command is about.
    pub(crate) fn open(&self, session: &Session<'_>) -> Result<Queue, Fault> {
        let queue = session.client()?.cluster(&session.cluster()?).queue();
        Ok(match &self.service {
            Some(service) => queue.service(service),
            None => queue,
        })
    }
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Topics, and how much is in them
    #[command(visible_alias = "ls")]
    List,
    /// One topic with its partitions
    #[command(visible_alias = "get")]
    Show {
        /// Its name
        #[arg(add = complete::topics())]
        topic: String,
    },
    /// Create a topic
    Create {
        /// Its name
        topic: String,
        /// Its parts; each keeps the order of its messages
        #[arg(long, value_name = "N")]
        partitions: Option<u32>,
        /// Copies
        #[arg(long, value_name = "N")]
        replication: Option<u32>,
        /// How long messages stay: 12h, 7d; left out, the queue's own
        #[arg(long, value_name = "TIME")]
        retention: Option<Span>,
        /// How many bytes of messages stay
        #[arg(long, value_name = "N")]
        retention_bytes: Option<u64>,
    },
    /// Remove a topic with its messages and groups
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name
        #[arg(add = complete::topics())]
        topic: String,
        #[command(flatten)]
        consent: Consent,
    },
}

const LIST: &[Column] = &[
    column("TOPIC", Cell::At("/topic")),
    column("PARTITIONS", Cell::At("/num_partitions")),
    column("MESSAGES", Cell::At("/messages")),
    column("BYTES", Cell::At("/bytes")),
    wide("REPLICATION", Cell::At("/replication_factor")),
    wide("RETENTION MS", Cell::At("/retention_ms")),
    wide("RETENTION BYTES", Cell::At("/retention_bytes")),
];

const PARTITIONS: &[Column] = &[
    column("PARTITION", Cell::At("/partition")),
    column("EARLIEST", Cell::At("/earliest")),
    column("NEXT", Cell::At("/next")),
];

pub(crate) async fn run(args: TopicArgs, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let queue = args.queue.open(session)?;
    match args.verb {
        Verb::List => {
            let body = session.gather(queue.topics(), "topics").await?;
            let topics = items(&body, "topics");
            session.list(&body, &topics, LIST, |topic| text(topic, "/topic"))?;
            if topics.is_empty() {
                session.say("no topics");
            }
        }
        Verb::Show { topic } => {
            let body = session.send(queue.topic(&topic)).await?;
            session.show(&body, &topic, |session| page(session, &body))?;
        }
        Verb::Create { topic, partitions, replication, retention, retention_bytes } => {
            let options = TopicOptions {
                num_partitions: partitions,
                replication_factor: replication,
                retention_ms: retention.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)),
                retention_bytes,
            };
            let body = session.send(queue.create_topic(&topic, &options)).await?;
            session.changed(&format!("created topic `{topic}`"), &body, &topic)?;
        }
        Verb::Delete { topic, consent } => {
            if !consent.given() {
                let body = session.send(queue.topic(&topic)).await?;
                let what = format!("topic `{topic}` with its {} messages", text(&body, "/messages"));
                ask::before(session, consent, &what, &topic)?;
            }
            let body = session.send(queue.delete_topic(&topic)).await?;
            session.changed(&format!("removed topic `{topic}`"), &body, &topic)?;
        }
    }
    Ok(Exit::Done)
}

fn page(session: &Session<'_>, body: &Value) -> String {
    let mut page = session.facts(&[
        ("Topic", text(body, "/topic")),
        ("Partitions", text(body, "/num_partitions")),
        ("Replication", text(body, "/replication_factor")),
        ("Retention ms", text(body, "/retention_ms")),
        ("Retention bytes", text(body, "/retention_bytes")),
        ("Messages", text(body, "/messages")),
        ("Bytes", text(body, "/bytes")),
    ]);
    let partitions = items(body, "partitions");
    if !partitions.is_empty() {
        page.push('\n');
        page.push_str(&session.table(&partitions, PARTITIONS));
    }
    page
}
