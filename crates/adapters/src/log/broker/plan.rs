//! What a turn needs to know before it begins: topics that must be there, publishes that were made before, and the
//! contents of messages that go to the dead letters.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use disk::SqlResult;
use model::{Code, Failure};

use super::super::command::{Answer, Publish, Settle};
use super::super::failure;
use super::super::limits::invalid;
use super::super::progress::Millis;
use super::super::receipts;
use super::super::stored::Stored;
use super::super::token::Ack;
use super::super::{clock, reads, writes};
use super::Broker;
use super::turn::Turn;
use crate::queue::{DEAD_LETTERS, Idempotency, LAST_DELIVERY, Receipt, TopicSpec};

/// A message by topic, partition and offset.
pub(super) type Place = (u64, u32, u64);

/// A publish whose topic is there.
pub(super) struct PlannedPublish {
    pub(super) topic: u64,
    pub(super) messages: Vec<Arc<Stored>>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) answer: Answer<Vec<Receipt>>,
    /// Given back when it is written, or is not.
    pub(super) _room: tokio::sync::OwnedSemaphorePermit,
}

/// A settlement whose tokens were read.
pub(super) struct PlannedSettle {
    pub(super) group: u64,
    pub(super) ack: Vec<Ack>,
    pub(super) nack: Vec<(Ack, Millis)>,
    pub(super) term: Vec<Ack>,
    pub(super) answer: Answer<u64>,
}

/// A turn that can be carried out, and carried out again.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) publishes: Vec<PlannedPublish>,
    pub(super) settles: Vec<PlannedSettle>,
    /// What may go to the dead letters; `None` for what is no longer kept.
    pub(super) dying: HashMap<Place, Option<Arc<Stored>>>,
}

impl Broker {
    /// Answers what can be answered at once; the rest is the plan. What must wait for the rest is left in `turn`.
    pub(super) async fn plan(&mut self, turn: &mut Turn, now: Millis) -> Plan {
        let mut plan = Plan::default();
        self.remembered(&mut turn.publishes).await;
        let mut keys = HashSet::new();
        let mut later = Vec::new();
        for publish in turn.publishes.drain(..) {
            if let Some(own) = &publish.idempotency
                && !keys.insert(own.key.clone())
            {
                later.push(publish);
                continue;
            }
            let Publish { topic, messages, idempotency, answer, _room } = publish;
            match self.topic_to_publish(&topic).await {
                Ok(topic) => {
                    plan.publishes.push(PlannedPublish { topic, messages, idempotency, answer, _room })
                }
                Err(failure) => drop(answer.send(Err(failure))),
            }
        }
        turn.publishes = later;
        for settle in turn.settles.drain(..) {
            match self.read_tokens(&settle) {
                Ok((group, ack, nack, term)) => {
                    plan.settles.push(PlannedSettle { group, ack, nack, term, answer: settle.answer });
                }
                Err(failure) => drop(settle.answer.send(Err(failure))),
            }
        }
        self.gather_dying(&mut plan, now).await;
        plan
    }

    /// Answers publishes that were made before.
    async fn remembered(&mut self, publishes: &mut Vec<Publish>) {
        let keys: Vec<Box<str>> =
            publishes.iter().filter_map(|publish| Some(publish.idempotency.as_ref()?.key.clone())).collect();
        if keys.is_empty() {
            return;
        }
        let look = move |connection: &disk::Connection| {
            let found = keys.into_iter().map(|key| Ok((writes::publish_of(connection, &key)?, key)));
            found.collect::<SqlResult<Vec<_>>>()
        };
        let found = match self.disk.read(look).await {
            Ok(found) => found,
            Err(error) => {
                let blind = |publish: &mut Publish| publish.idempotency.is_some();
                for publish in publishes.extract_if(.., blind) {
                    let _ = publish.answer.send(Err(failure::of(&error)));
                }
                return;
            }
        };
        let found: HashMap<Box<str>, writes::Remembered> =
            found.into_iter().filter_map(|(row, key)| Some((key, row?))).collect();
        for publish in std::mem::take(publishes) {
            let row = publish.idempotency.as_ref().and_then(|own| Some((own, found.get(&own.key)?)));
            // What was published to a topic that is deleted is forgotten with it.
            let row = row.filter(|(_, (topic, ..))| self.topics.contains_key(topic));
            let Some((own, (topic, fingerprint, row))) = row else {
                publishes.push(publish);
                continue;
            };
            let same =
                self.names.get(&publish.topic) == Some(topic) && fingerprint[..] == own.fingerprint[..];
            let answer = if same {
                receipts::unpack(row).ok_or_else(|| {
                    Failure::gateway(Code::Internal, "The receipts of this publish cannot be read.")
                })
            } else {
                Err(Failure::client(
                    Code::IdempotencyMismatch,
                    "This idempotency key was used for another publish.",
                ))
            };
            let _ = publish.answer.send(answer);
        }
    }

    /// The topic of that name, made if the service is set so.
    async fn topic_to_publish(&mut self, name: &str) -> Result<u64, Failure> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        if !self.options.auto_create {
            return Err(no_topic(name).with_hint("Create it first; `auto_create` of the service is off."));
        }
        self.make_topic(&TopicSpec {
            name: name.into(),
            partitions: self.options.num_partitions,
            replication_factor: 1,
            retention: None,
            retention_bytes: None,
        })
        .await
    }

    /// All tokens, or what is wrong with one.
    #[expect(clippy::type_complexity, reason = "taken apart where it is called")]
    fn read_tokens(&self, settle: &Settle) -> Result<(u64, Vec<Ack>, Vec<(Ack, Millis)>, Vec<Ack>), Failure> {
        let (_, group) = self.find_group(&settle.topic, &settle.group)?;
        let partitions = group.progress.len();
        let read = |text: &str| {
            Ack::read(text, group.id, self.salt)
                .filter(|ack| (ack.partition as usize) < partitions)
                .ok_or_else(|| {
                    let shown: String = text.chars().take(80).collect();
                    invalid(format!("`{}` is no token of this topic and group.", shown.escape_debug()))
                })
        };
        let ack = settle.ack.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
        let nack = settle
            .nack
            .iter()
            .map(|(text, delay)| Ok((read(text)?, clock::millis(*delay))))
            .collect::<Result<_, Failure>>()?;
        let term = settle.term.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
        Ok((group.id, ack, nack, term))
    }

    /// Finds the contents of everything that this turn may put to the dead letters, and makes their topics.
    async fn gather_dying(&mut self, plan: &mut Plan, now: Millis) {
        let mut places: HashSet<Place> = HashSet::new();
        for settle in &plan.settles {
            let Some(group) = self.groups.get(&settle.group) else { continue };
            let last = settle.nack.iter().map(|(ack, _)| ack).filter(|ack| ack.delivery >= LAST_DELIVERY);
            let open = settle
                .term
                .iter()
                .chain(last)
                .filter(|ack| group.progress[ack.partition as usize].delivery_of(ack.offset).is_some());
            places.extend(open.map(|ack| (group.topic, ack.partition, ack.offset)));
        }
        for group in self.due.iter().filter_map(|group| self.groups.get(group)) {
            for (partition, progress) in group.progress.iter().enumerate() {
                places.extend(progress.dying(now).map(|offset| (group.topic, partition as u32, offset)));
            }
        }
        let mut lost: HashMap<Place, String> = HashMap::new();
        for place in places {
            match self.letter(place).await {
                Ok(content) => drop(plan.dying.insert(place, content)),
                Err(failure) => drop(lost.insert(place, failure.detail().to_owned())),
            }
        }
        if lost.is_empty() {
            return;
        }
        // What is due by itself is tried again later; who asked for it is told.
        for settle in std::mem::take(&mut plan.settles) {
            let topic = self.groups.get(&settle.group).map_or(0, |group| group.topic);
            let mut named = settle.term.iter().chain(settle.nack.iter().map(|(ack, _)| ack));
            match named.find_map(|ack| lost.get(&(topic, ack.partition, ack.offset))) {
                None => plan.settles.push(settle),
                Some(why) => {
                    let failure =
                        Failure::gateway(Code::Overloaded, format!("A dead letter cannot be kept: {why}"));
                    let _ = settle.answer.send(Err(failure));
                }
            }
        }
    }

    /// What is put to the dead letters of a topic, which are made if they are not there. `None` is nothing: what
    /// dies among dead letters stays where it is, settled, and so does what is no longer kept.
    async fn letter(&mut self, place: Place) -> Result<Option<Arc<Stored>>, Failure> {
        let name = &self.topics[&place.0].name;
        if name.ends_with(DEAD_LETTERS) {
            return Ok(None);
        }
        let name = format!("{name}{DEAD_LETTERS}");
        let content = self.content(place).await.map_err(|error| failure::of(&error))?;
        if content.is_some() {
            self.dead_letters(&name).await?;
        }
        Ok(content)
    }

    /// A message from memory or from the file; `None` when it is no longer kept.
    async fn content(&self, (topic, partition, offset): Place) -> Result<Option<Arc<Stored>>, disk::Error> {
        if let Some(recent) = self.topics[&topic].partitions[partition as usize].recent(offset) {
            return Ok(Some(Arc::clone(recent)));
        }
        let run = reads::runs(&[offset]);
        let found =
            self.disk.read(move |connection| reads::messages(connection, topic, partition, &run, 1)).await?;
        Ok(found.messages.into_iter().next().map(|(_, stored)| stored))
    }
}

pub(super) fn no_topic(name: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is no topic `{name}`."))
}
