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
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OnceCell, Semaphore};

use super::client::{Ear, Settings};
use super::failure;

/// How long a change may take, and what waits for it to be seen.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a question may take: less than calls have, so that who asks is told why there was no answer. While there is
/// no connection it is less: a new one is made within a second, or not at all.
const LOOK: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(1500);

/// Questions that are asked at a time: each takes a thread while it waits.
const AT_ONCE: usize = 16;

/// How long the thread of a client sleeps in it; a client that nobody needs is gone as soon after.
const NAP: Duration = Duration::from_millis(100);

/// The clients of one service for everything but messages. They are made when they are first needed.
pub(super) struct Desk {
    settings: Settings,
    ear: Ear,
    clerk: OnceCell<Arc<Clerk>>,
    places: Semaphore,
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
            clerk: OnceCell::new(),
            places: Semaphore::new(AT_ONCE),
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
        question: impl FnOnce(&Clerk) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let clerk = self.clerk().await?;
        let answer = self.aside(move || question(&clerk)).await?;
        if answer.is_ok() {
            self.ear.well();
        }
        answer.map_err(|error| failure::of(&error, &self.ear, what))
    }

    /// Does what blocks on a thread that may.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        // Never closed.
        let _place = self.places.acquire().await;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| {
            Failure::gateway(Code::Internal, "A question to Kafka broke off.").with_cause(error)
        })
    }

    /// The client that changes things.
    pub(super) async fn admin(&self) -> Result<Arc<Clerk>, Failure> {
        let clerk = self.clerk().await?;
        if clerk.admin.get().is_none() {
            let (own, config, ear) = (Arc::clone(&clerk), self.settings.config(), self.ear.clone());
            let made = self.aside(move || own.admin(config, ear)).await?;
            made.map_err(|error| failure::of(&error, &self.ear, "be asked"))?;
        }
        Ok(clerk)
    }

    async fn clerk(&self) -> Result<Arc<Clerk>, Failure> {
        let make = || async {
            let (config, ear) = (self.settings.config(), self.ear.clone());
            let made = self.aside(move || Clerk::open(config, ear)).await?;
            made.map_err(|error| failure::of(&error, &self.ear, "be asked"))
        };
        self.clerk.get_or_try_init(make).await.cloned()
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
        let name = topic.to_owned();
        let found = self.ask("look for the topic", move |clerk| clerk.partitions(&name)).await;
        match found {
            Ok(Ok(count)) => {
                self.remember(topic);
                Ok(count)
            }
            Ok(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                self.forget(topic);
                Err(failure::no_topic(topic))
            }
            Ok(Err(code)) => Err(failure::of_code(code, &self.ear, "look for the topic")),
            Err(failure) => Err(failure),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(clerk) = self.clerk.get() {
            clerk.stop.store(true, Ordering::Release);
        }
    }
}

/// The clients themselves. They are let go of by the thread that listens to them, since that takes a while.
pub(super) struct Clerk {
    client: BaseConsumer<Ear>,
    ear: Ear,
    admin: OnceLock<AdminClient<Ear>>,
    stop: AtomicBool,
}

impl Clerk {
    fn open(mut config: ClientConfig, ear: Ear) -> KafkaResult<Arc<Clerk>> {
        // Without a group it joins none. It reads nothing, so that nothing is fetched.
        config.set("enable.auto.commit", "false");
        let client: BaseConsumer<Ear> = config.create_with_context(ear.clone())?;
        let clerk = Arc::new(Clerk { client, ear, admin: OnceLock::new(), stop: AtomicBool::new(false) });
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

    /// The client of [`Desk::admin`].
    pub(super) fn changes(&self) -> Result<&AdminClient<Ear>, Failure> {
        self.admin.get().ok_or_else(failure::closed)
    }

    /// How long a question may take at present.
    pub(super) fn patience(&self) -> Duration {
        if self.ear.trouble().is_some() { GLANCE } else { LOOK }
    }

    /// All topics, or the one of that name.
    pub(super) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        self.client.fetch_metadata(topic, timeout)
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

/// How long changes may take.
pub(super) fn changing() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// As the client says that it cannot begin.
pub(super) fn no_thread(error: std::io::Error) -> rdkafka::error::KafkaError {
    rdkafka::error::KafkaError::ClientCreation(format!("no thread can be made: {error}"))
}
