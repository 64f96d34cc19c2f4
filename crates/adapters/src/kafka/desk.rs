//! Where questions about the cluster are asked: one client that reads nothing and publishes nothing, whose calls block
//! and so run beside the cores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use model::{Code, Failure};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Ear, Settings};
use super::contact::{Contact, found_none};
use super::failure;
use super::shared::Shared;

/// How long a change may take, and what waits for it to be seen.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a question may take: less than calls have, so that who asks is told why there was no answer. While there is
/// no connection it is less: a new one is made within a second, or not at all.
const LOOK: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(1500);

/// Questions that are asked at a time: each takes a thread while it waits.
const AT_ONCE: usize = 16;

/// How long a topic that was there may be unknown to a broker.
const HEARSAY: Duration = Duration::from_millis(500);

/// How long a broker is waited for when there has been none for longer than a glance.
const BLINK: Duration = Duration::from_millis(500);

/// A topic that brokers have, and that nobody minds being asked of: whoever answers has its metadata in order.
const ASKED: &str = "__consumer_offsets";

/// What a question to any broker is about: no topic has this name.
const ANY: &str = "";

/// How long the thread of a client sleeps in it; a client that nobody needs is gone as soon after.
const NAP: Duration = Duration::from_millis(100);

/// The clients of one service for everything but messages. They are made when they are first needed.
pub(super) struct Desk {
    settings: Settings,
    ear: Ear,
    /// The client for questions, and for changes. Made when it is first needed, and anew when it is lost.
    clerk: RwLock<Arc<OnceCell<Arc<Clerk>>>>,
    places: Arc<Semaphore>,
    /// What several may want to know at once.
    shared: Shared,
    /// Topics that were there when somebody looked.
    known: RwLock<std::collections::HashSet<Box<str>>>,
}

/// More topics than anybody publishes to at a time.
const MOST_KNOWN: usize = 20_000;

impl Desk {
    pub(super) fn new(settings: Settings, ear: Ear) -> Self {
        Desk {
            settings,
            ear,
            clerk: RwLock::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            shared: Shared::default(),
            known: RwLock::default(),
        }
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks on a thread that may wait. `what` completes "Kafka could not …".
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        question: impl Fn(&Clerk) -> KafkaResult<T> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        let first = self.clerk().await?;
        let answer = self.put(&first, what, question.clone()).await;
        if answer.is_ok() {
            return answer;
        }
        // One that was lost while it was asked says nothing about the brokers.
        let next = self.clerk().await?;
        if Arc::ptr_eq(&first, &next) { answer } else { self.put(&next, what, question).await }
    }

    async fn put<T: Send + 'static>(
        &self,
        clerk: &Arc<Clerk>,
        what: &str,
        question: impl FnOnce(&Clerk) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let own = Arc::clone(clerk);
        let answer = self.aside(move || question(&own)).await?;
        self.heard(clerk, answer, what)
    }

    /// What a question came to.
    fn heard<T>(&self, clerk: &Arc<Clerk>, answer: KafkaResult<T>, what: &str) -> Result<T, Failure> {
        if answer.is_ok() {
            self.ear.well();
        }
        if clerk.contact.is_lost(answer.as_ref().err().is_some_and(found_none)) {
            self.replace(clerk);
        }
        answer.map_err(|error| failure::of(&error, &self.ear, what))
    }

    /// Asks any broker for a topic that all have, and waits no longer than this. It needs no place among the
    /// questions of others: whether the brokers are well does not depend on how much they are asked.
    pub(super) async fn glance(&self, timeout: Duration) -> Result<(), Failure> {
        let clerk = self.clerk().await?;
        let own = Arc::clone(&clerk);
        let question = move || own.metadata(Some(ASKED), timeout).map(drop);
        let answer = done(tokio::task::spawn_blocking(question)).await?;
        self.heard(&clerk, answer, "be asked")
    }

    /// Waits for a broker where none was connected lately, for a moment; who comes meanwhile waits along.
    ///
    /// # Errors
    /// There is none. Nothing was sent.
    pub(super) async fn reach(&self) -> Result<(), Failure> {
        let Some(since) = self.ear.cut_off() else { return Ok(()) };
        let patience = GLANCE.saturating_sub(since.elapsed()).max(BLINK);
        self.shared.ask(ANY, self.glance(patience)).await
    }

    /// Whether a broker answers at this moment; who asks meanwhile is told the same.
    pub(super) async fn is_answered(&self) -> bool {
        self.shared.ask(ANY, self.glance(GLANCE)).await.is_ok()
    }

    /// Asks about a topic, as one of all who ask about it at this moment.
    pub(super) async fn once_for(
        &self,
        topic: &str,
        question: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        self.shared.ask(topic, question).await
    }

    /// Does what blocks on a thread that may.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        done(self.begin(work).await).await
    }

    /// Begins what blocks, as soon as there is a place for it. Whoever goes away leaves the thread behind, and with it the
    /// place.
    async fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        // Never closed.
        let place = Arc::clone(&self.places).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        })
    }

    /// Asks the same question about each of these, all at once.
    pub(super) async fn ask_each<A: Send + 'static, T: Send + 'static>(
        &self,
        about: impl IntoIterator<Item = A>,
        question: fn(&Clerk, &A) -> T,
    ) -> Result<Vec<T>, Failure> {
        let clerk = self.clerk().await?;
        let mut asked = Vec::new();
        for about in about {
            let clerk = Arc::clone(&clerk);
            asked.push(self.begin(move || question(&clerk, &about)).await);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(done(answer).await?);
        }
        Ok(answers)
    }

    /// Has something changed, or looks at what only that client sees. `what` completes "Kafka could not …".
    pub(super) async fn change<T, F: Future<Output = KafkaResult<T>>>(
        &self,
        what: &str,
        change: impl FnOnce(&AdminClient<Ear>) -> F,
    ) -> Result<T, Failure> {
        let clerk = self.clerk().await?;
        if clerk.admin.get().is_none() {
            let (own, config, ear) = (Arc::clone(&clerk), self.settings.config(), self.ear.clone());
            let made = self.aside(move || own.admin(config, ear)).await?;
            made.map_err(|error| failure::of(&error, &self.ear, "be asked"))?;
        }
        let asked = change(clerk.admin.get().ok_or_else(failure::closed)?);
        let answer = asked.await;
        // Nobody asks this client in between: there is nothing else to find out by whether it is lost.
        if answer.as_ref().err().is_some_and(found_none) {
            self.replace(&clerk);
        }
        answer.map_err(|error| failure::of(&error, &self.ear, what))
    }

    async fn clerk(&self) -> Result<Arc<Clerk>, Failure> {
        let make = || async {
            let (config, ear) = (self.settings.config(), self.ear.clone());
            let made = self.aside(move || Clerk::open(config, ear)).await?;
            made.map_err(|error| failure::of(&error, &self.ear, "be asked"))
        };
        let current = Arc::clone(&self.clerk.read().unwrap_or_else(PoisonError::into_inner));
        current.get_or_try_init(make).await.cloned()
    }

    /// The next question gets a new client.
    fn replace(&self, clerk: &Arc<Clerk>) {
        let mut current = self.clerk.write().unwrap_or_else(PoisonError::into_inner);
        if current.get().is_some_and(|own| Arc::ptr_eq(own, clerk)) {
            tracing::debug!(service = %self.ear.service(), "a client of Kafka that finds no broker is made anew");
            *current = Arc::default();
            clerk.stop();
        }
    }

    /// Whether a topic was there when somebody looked last.
    pub(super) fn knows(&self, topic: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    pub(super) fn remember(&self, topic: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(topic.into());
    }

    pub(super) fn forget(&self, topic: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// The partitions of a topic: how many there are.
    ///
    /// # Errors
    /// `not_found` where there is no such topic.
    pub(super) async fn partitions(&self, topic: &str) -> Result<u32, Failure> {
        // Each broker hears of a topic in its own time: one that was there a moment ago is not missed at the first word.
        let until = Instant::now() + if self.knows(topic) { HEARSAY } else { Duration::ZERO };
        loop {
            let name = topic.to_owned();
            match self.ask("look for the topic", move |clerk| clerk.partitions(&name)).await? {
                Ok(count) => {
                    self.remember(topic);
                    return Ok(count);
                }
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) if Instant::now() < until => {
                    tokio::time::sleep(HEARSAY / 10).await;
                }
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    self.forget(topic);
                    return Err(failure::no_topic(topic));
                }
                Err(code) => return Err(failure::of_code(code, &self.ear, "look for the topic")),
            }
        }
    }

    /// Whether the brokers answer, and each partition of a topic has one that takes messages.
    pub(super) async fn is_led(&self, topic: &str) -> bool {
        let name = topic.to_owned();
        let led = self.ask("look for the topic", move |clerk| clerk.is_led(&name)).await;
        led.unwrap_or(false)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let current = self.clerk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(clerk) = current.get() {
            clerk.stop();
        }
    }
}

/// The clients themselves. They are let go of by the thread that listens to them, since that takes a while.
pub(super) struct Clerk {
    client: BaseConsumer<Ear>,
    ear: Ear,
    admin: OnceLock<AdminClient<Ear>>,
    contact: Contact,
    stop: AtomicBool,
}

impl Clerk {
    fn open(mut config: ClientConfig, ear: Ear) -> KafkaResult<Arc<Clerk>> {
        // Without a group it joins none. It reads nothing, so that nothing is fetched.
        config.set("enable.auto.commit", "false");
        let client: BaseConsumer<Ear> = config.create_with_context(ear.clone())?;
        let (admin, contact, stop) = (OnceLock::new(), Contact::default(), AtomicBool::new(false));
        let clerk = Arc::new(Clerk { client, ear, admin, contact, stop });
        let own = Arc::clone(&clerk);
        let listen = move || {
            while !own.stop.load(Ordering::Acquire) || Arc::strong_count(&own) > 1 {
                own.client.poll(NAP);
            }
        };
        thread::Builder::new().name("kafka-desk".to_owned()).spawn(listen).map_err(no_thread)?;
        Ok(clerk)
    }

    fn admin(&self, mut config: ClientConfig, ear: Ear) -> KafkaResult<()> {
        // Nobody hears what this client says between calls: it must not gather it.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let made = config.create_with_context(ear)?;
        // Another may have been first, and that one serves as well.
        drop(self.admin.set(made));
        Ok(())
    }

    /// Its thread ends when nobody has it any more.
    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// How long a question may take at present.
    pub(super) fn patience(&self) -> Duration {
        if self.ear.trouble().is_some() { GLANCE } else { LOOK }
    }

    /// All topics, or the one of that name.
    pub(super) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        // A question to a broker that goes meanwhile waits for that one; the next goes to one that is there.
        let first = timeout * 2 / 3;
        let answer = self.client.fetch_metadata(topic, first);
        let answer = answer.or_else(|_| self.client.fetch_metadata(topic, timeout.saturating_sub(first)))?;
        // A broker that its cluster has given up serves nobody until it has come in again.
        if answer.brokers().is_empty() {
            self.contact.told_of_none();
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerNotAvailable));
        }
        Ok(answer)
    }

    /// How many partitions a topic has, or why that is not known.
    fn partitions(&self, topic: &str) -> KafkaResult<Result<u32, RDKafkaErrorCode>> {
        let metadata = self.metadata(Some(topic), self.patience())?;
        let Some(own) = metadata.topics().iter().find(|own| own.name() == topic) else {
            return Ok(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
        };
        Ok(match own.error() {
            Some(code) => Err(code.into()),
            None => Ok(own.partitions().len() as u32),
        })
    }

    fn is_led(&self, topic: &str) -> KafkaResult<bool> {
        let metadata = self.metadata(Some(topic), self.patience())?;
        let own = metadata.topics().iter().find(|own| own.name() == topic);
        Ok(own.is_some_and(|own| {
            own.error().is_none()
                && own.partitions().iter().all(|one| one.error().is_none() && one.leader() >= 0)
        }))
    }

    /// The first or last offsets of all these partitions, in one question to each of their leaders.
    pub(super) fn ends(&self, of: &TopicPartitionList, end: Offset) -> KafkaResult<TopicPartitionList> {
        let mut asked = of.clone();
        // Offsets that mean an end stand in the place of a time.
        asked.set_all_offsets(end)?;
        self.client.offsets_for_times(asked, self.patience())
    }

    /// The groups of that name, or all.
    pub(super) fn groups(&self, name: Option<&str>) -> KafkaResult<GroupList> {
        self.client.fetch_group_list(name, self.patience())
    }
}

async fn done<T>(work: JoinHandle<T>) -> Result<T, Failure> {
    let done = work.await;
    done.map_err(|error| Failure::gateway(Code::Internal, "A question to Kafka broke off.").with_cause(error))
}

/// How long a look at settings may take.
pub(super) fn looking() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(GLANCE))
}

/// How long changes may take.
pub(super) fn changing() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// As the client says that it cannot begin.
pub(super) fn no_thread(error: std::io::Error) -> KafkaError {
    KafkaError::ClientCreation(format!("no thread can be made: {error}"))
}

#[cfg(test)]
mod tests {
    use model::ServiceSpec;

    use super::*;
    use crate::kafka::options;

    /// Of brokers that nobody can reach.
    fn desk() -> Desk {
        let mut service = ServiceSpec::of_kind("kafka");
        (service.host, service.port) = (Some("127.0.0.1".to_owned()), Some(1));
        let options = options::of(&service).unwrap();
        let settings = Settings::of(&service, &options).unwrap();
        let ear = settings.ear("c/s".into());
        Desk::new(settings, ear)
    }

    #[tokio::test]
    async fn questions_of_others_keep_no_probe_waiting() {
        let desk = desk();
        drop(desk.glance(Duration::from_millis(10)).await);
        let slow = || thread::sleep(Duration::from_secs(2));
        for _ in 0..AT_ONCE {
            // Nobody waits for it, and it takes its place all the same.
            drop(desk.begin(slow).await);
        }
        assert_eq!(desk.places.available_permits(), 0);
        let began = Instant::now();
        assert!(desk.glance(Duration::from_millis(200)).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let waits = tokio::time::timeout(Duration::from_millis(100), desk.aside(|| ()));
        assert!(waits.await.is_err(), "there are no more threads than places");
    }

    #[tokio::test]
    async fn without_a_broker_many_wait_together_and_not_for_long() {
        let desk = Arc::new(desk());
        assert!(desk.reach().await.is_ok(), "nothing speaks against it");
        desk.ear.gave_up();
        thread::sleep(GLANCE);
        let began = Instant::now();
        let all: Vec<_> = (0..100)
            .map(|_| {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move { desk.reach().await })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap().unwrap_err().code(), Code::BadGateway);
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
