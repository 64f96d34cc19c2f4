//! Topics are made, shown and taken out; and what is asked one at a time finds its way.

use std::ops::ControlFlow;

use model::{Code, Failure};

use super::super::command::{Command, Ending, Signal};
use super::super::limits::{self, MOST_PARTITIONS_IN_ALL};
use super::super::progress::Millis;
use super::super::{clock, failure, tables, writes};
use super::Broker;
use super::plan::no_topic;
use super::state::Topic;
use super::turn::Turn;
use crate::queue::{self, DEAD_LETTERS, Extent, TopicSpec};

impl Broker {
    /// Carries out what is asked one at a time. Breaks when that was to close.
    pub(super) async fn alone(&mut self, command: Command) -> ControlFlow<()> {
        // Nobody may wait for an answer any more; what was done stays done.
        match command {
            Command::CreateTopic(spec, answer) => drop(answer.send(self.create_topic(&spec).await)),
            Command::Topic(name, answer) => {
                drop(answer.send(self.find_topic(&name).map(|own| self.shown(own))))
            }
            Command::Topics(answer) => drop(answer.send(Ok(self.all_topics()))),
            Command::DeleteTopic(name, answer) => drop(answer.send(self.delete_topic(&name).await)),
            Command::Join(options, answer) => {
                let joined = self.join(&options).await;
                if let Err(Ok(joined)) = answer.send(joined) {
                    self.left(joined.stream, joined.sequence);
                }
            }
            Command::Groups(topic, answer) => drop(answer.send(self.shown_groups(topic.as_deref()))),
            Command::ResetGroup(topic, group, to, answer) => {
                drop(answer.send(self.reset_group(&topic, &group, to).await));
            }
            Command::DeleteGroup(topic, group, answer) => {
                drop(answer.send(self.delete_group(&topic, &group).await));
            }
            Command::Configure(options) => {
                self.options = options;
                self.sweeps_at = self.clock.now();
                self.looks_at = self.sweeps_at;
            }
            Command::Close(answer) => {
                // What was asked before is carried out, or answered by what hinders it.
                while !self.carried.is_empty() {
                    self.take(Turn::default()).await;
                }
                self.groups.clear();
                self.disk.close().await;
                let _ = answer.send(());
                return ControlFlow::Break(());
            }
            // These are gathered into turns.
            Command::Publish(_) | Command::Settle(_) => {}
        }
        ControlFlow::Continue(())
    }

    /// Takes in what consumers and readers report.
    pub(super) fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Ready(stream) => {
                if let Some(group) = self.groups.get_mut(&stream.group)
                    && let Some(member) = group.member(stream.consumer, stream.session)
                {
                    member.ready = true;
                    self.dirty.insert(stream.group);
                }
            }
            Signal::Left(stream, seen) => self.left(stream, seen),
            Signal::Fetched { stream, partition, asked, found } => {
                self.fetched(stream, partition, &asked, found);
            }
        }
    }

    pub(super) fn find_topic(&self, name: &str) -> Result<&Topic, Failure> {
        limits::topic(name)?;
        self.names.get(name).and_then(|id| self.topics.get(id)).ok_or_else(|| no_topic(name))
    }

    fn all_topics(&self) -> Vec<queue::Topic> {
        self.names.values().filter_map(|id| self.topics.get(id)).map(|topic| self.shown(topic)).collect()
    }

    fn shown(&self, topic: &Topic) -> queue::Topic {
        queue::Topic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|own| Some(Extent { earliest: own.earliest, next: own.next }))
                .collect(),
            replication_factor: 1,
            retention: Some(topic.retention.unwrap_or(self.options.retention)),
            retention_bytes: Some(topic.retention_bytes.unwrap_or(self.options.retention_bytes)),
            bytes: Some(topic.bytes()),
        }
    }

    async fn create_topic(&mut self, spec: &TopicSpec) -> Result<queue::Topic, Failure> {
        limits::spec(spec)?;
        if self.names.contains_key(&spec.name) {
            let detail = format!("There is a topic `{}` already.", spec.name);
            return Err(Failure::client(Code::AlreadyExists, detail));
        }
        self.make_topic(spec).await?;
        self.find_topic(&spec.name).map(|topic| self.shown(topic))
    }

    /// Makes a topic that is not there; gives its id.
    pub(super) async fn make_topic(&mut self, spec: &TopicSpec) -> Result<u64, Failure> {
        let counted = self.names.keys().filter(|name| !name.ends_with(DEAD_LETTERS)).count();
        let most = self.options.max_topics;
        if !spec.name.ends_with(DEAD_LETTERS) && counted >= most {
            return Err(Failure::client(
                Code::CommandFailed,
                format!("There are {counted} topics; at most {most} are kept."),
            )
            .with_hint("Raise `max_topics` of the service, or delete topics that nobody needs."));
        }
        let partitions: usize = self.topics.values().map(|topic| topic.partitions.len()).sum();
        if partitions + spec.partitions as usize > MOST_PARTITIONS_IN_ALL {
            let detail =
                format!("There are {partitions} partitions; at most {MOST_PARTITIONS_IN_ALL} are kept.");
            return Err(Failure::client(Code::CommandFailed, detail));
        }
        let (name, count) = (spec.name.clone(), spec.partitions);
        let (retention_ms, retention_bytes) = (spec.retention.map(clock::millis), spec.retention_bytes);
        // SQLite's numbers have a sign.
        let retention_bytes = retention_bytes.map(|bytes| bytes.min(i64::MAX.unsigned_abs()));
        let id = self
            .disk
            .write(move |connection| {
                writes::create_topic(connection, &name, count, retention_ms, retention_bytes)
            })
            .await
            .map_err(|error| failure::of(&error))?;
        let empty = tables::PartitionRow { earliest: 0, next: 0, bytes: 0, oldest: None };
        let topic = Topic::of(tables::TopicRow {
            id,
            name: spec.name.clone(),
            retention_ms,
            retention_bytes,
            partitions: vec![empty; count as usize],
        });
        self.names.insert(topic.name.clone(), id);
        self.topics.insert(id, topic);
        Ok(id)
    }

    /// The topic of dead letters of this name, made if it is not there.
    pub(super) async fn dead_letters(&mut self, name: &str) -> Result<u64, Failure> {
        match self.names.get(name) {
            Some(id) => Ok(*id),
            None => {
                self.make_topic(&TopicSpec {
                    name: name.into(),
                    partitions: 1,
                    replication_factor: 1,
                    retention: None,
                    retention_bytes: None,
                })
                .await
            }
        }
    }

    async fn delete_topic(&mut self, name: &str) -> Result<(), Failure> {
        let id = self.find_topic(name)?.id;
        self.disk
            .write(move |connection| writes::drop_topic(connection, id))
            .await
            .map_err(|error| failure::of(&error))?;
        self.names.remove(name);
        if let Some(mut topic) = self.topics.remove(&id) {
            self.recent.clear(&mut topic);
            for group in topic.groups.values() {
                if let Some(group) = self.groups.remove(group) {
                    group.members.iter().for_each(|member| member.end(Ending::TopicDeleted));
                }
            }
        }
        self.dropped.push_back(id);
        self.sweeps_at = self.clock.now() as Millis;
        Ok(())
    }
}
