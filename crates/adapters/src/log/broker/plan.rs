//! What a turn needs to know before it begins: topics that must be there, and publishes that were made before.

use std::collections::{HashMap, HashSet, VecDeque};
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
use super::super::{clock, writes};
use super::Broker;
use super::letters::{Letter, PlannedSettle, Why};
use super::turn::Turn;
use crate::queue::{Idempotency, LAST_DELIVERY, Receipt, TopicSpec};

/// How much a topic may hold beside twice its bound while its old messages are being taken out.
const MOST_BEHIND: u64 = 64 << 20;

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

/// A turn that can be carried out, and carried out again.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) publishes: Vec<PlannedPublish>,
    pub(super) settles: Vec<PlannedSettle>,
    /// What may go to the dead letters; `None` for what is no longer kept.
    pub(super) dying: HashMap<Place, Option<Arc<Stored>>>,
    /// More is due than this turn deals with.
    pub(super) unfinished: bool,
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
            match self.topic_to_publish(&topic).await.and_then(|topic| self.has_room(topic)) {
                Ok(topic) => {
                    plan.publishes.push(PlannedPublish { topic, messages, idempotency, answer, _room })
                }
                Err(failure) => drop(answer.send(Err(failure))),
            }
        }
        turn.publishes = later;
        plan.settles.append(&mut self.carried);
        for settle in turn.settles.drain(..) {
            match self.read_tokens(&settle) {
                Ok(read) => plan.settles.push(read(settle.answer)),
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

    /// Whether a topic may grow. One at its bound loses as much as it gains, unless the old messages are so much
    /// smaller than the new ones that this would take too long.
    fn has_room(&self, topic: u64) -> Result<u64, Failure> {
        let Some(own) = self.topics.get(&topic).filter(|own| own.behind) else { return Ok(topic) };
        let most = own.retention_bytes.unwrap_or(self.options.retention_bytes);
        if own.bytes() <= most.saturating_mul(2).saturating_add(MOST_BEHIND) {
            return Ok(topic);
        }
        let detail =
            format!("The topic `{}` holds more than its {most} bytes; old messages must go.", own.name);
        Err(Failure::gateway(Code::Overloaded, detail).with_retryable(true))
    }

    /// All tokens, or what is wrong with one.
    fn read_tokens(
        &self,
        settle: &Settle,
    ) -> Result<impl FnOnce(Answer<u64>) -> PlannedSettle + use<>, Failure> {
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
        let (mut nack, mut letters) = (Vec::new(), VecDeque::new());
        for (text, delay) in &settle.nack {
            match read(text)? {
                ack if ack.delivery >= LAST_DELIVERY => {
                    letters.push_back(Letter { ack, why: Why::MaxDeliveries });
                }
                ack => nack.push((ack, clock::millis(*delay))),
            }
        }
        for text in &settle.term {
            letters.push_back(Letter { ack: read(text)?, why: Why::Terminated });
        }
        let group = group.id;
        Ok(move |answer| PlannedSettle { group, ack, nack, letters, looked: 0, settled: 0, answer })
    }
}

pub(super) fn no_topic(name: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is no topic `{name}`."))
}
