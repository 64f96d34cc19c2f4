//! The thread of a member: it hears what the group decides, looks for the topic, and lets go of the client in the end,
//! which takes a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::contact::{Contact, found_none};
use super::group::Ending;
use super::making::Making;
use super::member::{Delegate, Link};
use super::table::Table;

/// How long the thread sleeps in the client: commits that failed are tried again, and members whose grace is over go,
/// as soon after.
const NAP: Duration = Duration::from_millis(100);

/// Between two looks at whether the topic is there, and between two that must agree that it is not.
const LOOK: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A member, as its thread has it.
pub(super) struct Joined {
    making: Making,
    client: Arc<BaseConsumer<Delegate>>,
    link: Arc<Link>,
    table: Arc<Table>,
    runtime: Handle,
}

impl Joined {
    pub(super) fn of(
        making: Making,
        client: Arc<BaseConsumer<Delegate>>,
        link: Arc<Link>,
        table: Arc<Table>,
        runtime: Handle,
    ) -> Self {
        link.open(Arc::clone(&client));
        Joined { making, client, link, table, runtime }
    }

    /// Stays in the group until its stream is gone for good.
    pub(super) fn run(mut self) {
        self.subscribe();
        let mut watch = Watch::default();
        let group = Arc::clone(&self.making.group);
        while group.lock().stays(self.making.consumer) {
            match self.look(&mut watch) {
                Sight::Well => {}
                Sight::Gone => self.table.forget_topic(&group.topic, Ending::TopicDeleted),
                Sight::Lost => match self.join_anew() {
                    Ok(()) => watch = Watch::default(),
                    Err(error) => self.troubled(&error),
                },
            }
            match self.client.poll(NAP) {
                None => {}
                // Each partition has its queue before anything of it is fetched; a message that went elsewhere must
                // not be lost.
                Some(Ok(_)) => self.end(Ending::Refused(RDKafkaErrorCode::Inconsistent)),
                Some(Err(error)) => self.troubled(&error),
            }
            self.link.commit(&group, &mut group.lock(), self.making.consumer);
        }
        // The last places are committed while it closes.
        self.link.close();
        drop(self.client);
        group.lock().left(self.making.consumer);
    }

    fn subscribe(&self) {
        let group = &self.making.group;
        if let Err(error) = self.client.subscribe(&[&group.topic]) {
            tracing::warn!(%error, group = %group.name, "a topic could not be subscribed to");
            self.end(Ending::Refused(RDKafkaErrorCode::InvalidArgument));
        }
    }

    /// Joins with another client. The group misses the one that is lost as it misses one that has crashed.
    fn join_anew(&mut self) -> KafkaResult<()> {
        let Making { group, desk, consumer, .. } = &self.making;
        tracing::warn!(
            service = %desk.ear().service(), group = %group.name,
            "a consumer of Kafka finds no broker while others do, and is made anew"
        );
        let client = Arc::new(self.making.client(&self.link)?);
        group.lock().revoke_all(*consumer);
        self.link.close();
        // It says what it gives back while it goes: the other one begins when it has.
        drop(std::mem::replace(&mut self.client, Arc::clone(&client)));
        self.link.open(client);
        self.subscribe();
        Ok(())
    }

    fn end(&self, why: Ending) {
        if let Some(member) = self.making.group.lock().member(self.making.consumer) {
            member.stream.end(why);
            member.leaves_at = Some(Instant::now());
        }
    }

    fn troubled(&self, error: &KafkaError) {
        use RDKafkaErrorCode as E;
        let code = error.rdkafka_error_code().unwrap_or(E::Unknown);
        match code {
            E::GroupAuthorizationFailed
            | E::TopicAuthorizationFailed
            | E::InconsistentGroupProtocol
            | E::GroupMaxSizeReached
            | E::InvalidGroupId
            | E::Fatal => self.end(Ending::Refused(code)),
            _ => {
                let (service, group) = (self.making.desk.ear().service(), &self.making.group.name);
                tracing::debug!(%service, %group, %error, "a consumer of Kafka")
            }
        }
    }

    /// Looks for the topic, when it is time. Where others have deleted it, the client would ask again and again for what is
    /// not there, and say nothing.
    fn look(&self, watch: &mut Watch) -> Sight {
        if watch.looks_at > Instant::now() {
            return Sight::Well;
        }
        let topic = &*self.making.group.topic;
        let unknown = RDKafkaErrorCode::UnknownTopicOrPartition;
        let answer = self.client.fetch_metadata(Some(topic), LOOK);
        let found_none = answer.as_ref().err().is_some_and(found_none);
        let missing = answer.is_ok_and(|metadata| {
            let own = metadata.topics().iter().find(|own| own.name() == topic);
            own.and_then(|own| own.error()).is_some_and(|code| RDKafkaErrorCode::from(code) == unknown)
        });
        watch.missed = if missing { watch.missed + 1 } else { 0 };
        watch.looks_at = Instant::now() + if missing { LOOK_AGAIN } else { LOOK };
        if watch.contact.is_lost(found_none && self.others_find_one()) {
            Sight::Lost
        } else if watch.missed > 1 {
            Sight::Gone
        } else {
            Sight::Well
        }
    }

    /// Whether another client of the service finds a broker now.
    fn others_find_one(&self) -> bool {
        self.runtime.block_on(self.making.desk.is_answered())
    }
}

/// What a look at the topic came to.
enum Sight {
    Well,
    /// Others have deleted it.
    Gone,
    /// The client finds no broker any more.
    Lost,
}

/// When the topic is looked for again, how often in a row it was not there, since one broker may not know it yet, and
/// whether anybody could be asked.
struct Watch {
    looks_at: Instant,
    missed: u32,
    contact: Contact,
}

impl Default for Watch {
    fn default() -> Self {
        Watch { looks_at: Instant::now() + LOOK, missed: 0, contact: Contact::default() }
    }
}
