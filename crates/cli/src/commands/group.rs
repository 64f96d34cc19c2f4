//! `group`: those who read a topic together, and how far they are.

use clap::{Args, Subcommand};
use sdk::Position;
use serde_json::{Value, json};

use super::topic::OfQueue;
use crate::ask::{self, Consent};
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{counted, text};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    #[command(flatten)]
    queue: OfQueue,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Groups of a topic, or of all
    #[command(visible_alias = "ls")]
    List {
        /// Of this topic
        #[arg(add = complete::topics())]
        topic: Option<String>,
    },
    /// How far a group is in each partition
    Lag(Named),
    /// Set a group to another place
    Reset {
        #[command(flatten)]
        named: Named,
        /// earliest, latest, or an offset
        #[arg(long, value_parser = position)]
        to: Position,
    },
    /// Remove a group: how far it was is forgotten
    #[command(visible_alias = "rm")]
    Delete {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Args, Debug)]
struct Named {
    /// The topic
    #[arg(add = complete::topics())]
    topic: String,
    /// The group
    #[arg(add = complete::groups())]
    group: String,
}

fn position(text: &str) -> Result<Position, String> {
    match text {
        "earliest" => Ok(Position::Earliest),
        "latest" => Ok(Position::Latest),
        offset => offset
            .parse()
            .map(Position::Offset)
            .map_err(|_| "write earliest, latest, or the number of an offset".to_owned()),
    }
}

const LIST: &[Column] = &[
    column("TOPIC", Cell::At("/topic")),
    column("GROUP", Cell::At("/group")),
    column("CONSUMERS", Cell::Of(|group| items(group, "consumers").len().to_string())),
    column("LAG", Cell::At("/lag")),
    column("DELIVERED", Cell::Of(delivered)),
];

const LAG: &[Column] = &[
    column("PARTITION", Cell::At("/partition")),
    column("SETTLED", Cell::At("/settled")),
    column("NEXT", Cell::At("/next")),
    column("LAG", Cell::At("/lag")),
    column("DELIVERED", Cell::At("/delivered")),
];

pub(crate) async fn run(args: GroupArgs, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let queue = args.queue.open(session)?;
    match args.verb {
        Verb::List { topic } => {
            let body = session.gather(queue.groups(topic.as_deref()), "groups").await?;
            let groups = items(&body, "groups");
            session.list(&body, &groups, LIST, |group| text(group, "/group"))?;
            if groups.is_empty() {
                session.say("no groups");
            }
        }
        Verb::Lag(Named { topic, group }) => {
            let body = session.gather(queue.groups(Some(&topic)), "groups").await?;
            let mut groups = items(&body, "groups");
            groups.retain(|found| found["group"] == group.as_str());
            let Some(found) = groups.pop() else {
                return Err(Fault::new(Exit::NotFound, format!("`{topic}` has no group `{group}`"))
                    .fix(format!("`throome group list {topic}` shows them")));
            };
            let partitions = items(&found, "partitions");
            session.list(&found, &partitions, LAG, |partition| text(partition, "/partition"))?;
            let consumers = counted(items(&found, "consumers").len() as u64, "consumer");
            session.say(&format!("lag {}, {consumers}", text(&found, "/lag")));
        }
        Verb::Reset { named: Named { topic, group }, to } => {
            let body = session.send(queue.reset_group(&topic, &group, to)).await?;
            let place = match to {
                Position::Earliest => "the earliest message".to_owned(),
                Position::Latest => "the end".to_owned(),
                Position::Offset(offset) => format!("offset {offset}"),
            };
            session.changed(&format!("group `{group}` of `{topic}` goes on at {place}"), &body, &group)?;
        }
        Verb::Delete { named: Named { topic, group }, consent } => {
            ask::before(session, consent, &format!("how far group `{group}` of `{topic}` was"), &group)?;
            let body = session.send(queue.delete_group(&topic, &group)).await?;
            session.changed(&format!("removed group `{group}` of `{topic}`"), &body, &group)?;
        }
    }
    Ok(Exit::Done)
}

fn delivered(group: &Value) -> String {
    let partitions = items(group, "partitions");
    json!(partitions.iter().filter_map(|partition| partition["delivered"].as_u64()).sum::<u64>()).to_string()
}
