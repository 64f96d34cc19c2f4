//! Publishing as a call: what may go, where it goes, and what is said of each message.

use std::sync::{Arc, PoisonError, RwLock};

use model::{Code, Failure};
use rdkafka::error::RDKafkaErrorCode;

use super::desk::Desk;
use super::once::{Once, Turn};
use super::options::Options;
use super::producer::{Fate, Parcel, Producer};
use super::{failure, limits, topics};
use crate::queue::{Idempotency, Message, Receipt};

/// What publishes for a service.
pub(super) struct Press {
    options: Arc<Options>,
    desk: Arc<Desk>,
    once: Once,
    /// Made when it is first needed, and anew when it is lost.
    producer: RwLock<Option<Arc<Producer>>>,
    /// One makes it, the others wait.
    making: tokio::sync::Mutex<()>,
}

impl Press {
    pub(super) fn new(options: Arc<Options>, desk: Arc<Desk>) -> Self {
        Press {
            options,
            desk,
            once: Once::default(),
            producer: RwLock::new(None),
            making: tokio::sync::Mutex::new(()),
        }
    }

    /// Publishes those that can be; each of the others says why not.
    pub(super) async fn publish(
        &self,
        topic: &str,
        messages: &[Message],
        idempotency: Option<&Idempotency>,
    ) -> Result<Vec<Result<Receipt, Failure>>, Failure> {
        limits::writable(topic)?;
        let most = self.options.max_message;
        let mut refused: Vec<Option<Failure>> =
            messages.iter().map(|message| limits::message(message, most).err()).collect();
        let right: Vec<&Message> = messages
            .iter()
            .zip(&refused)
            .filter(|(_, no)| no.is_none())
            .map(|(message, _)| message)
            .collect();
        let fates = if right.is_empty() {
            Vec::new()
        } else {
            // Nothing has left before the first message is handed over.
            let producer = self.ready(topic).await.map_err(unsent)?;
            match idempotency {
                None => {
                    let parcel = Parcel::of(vec![None; right.len()]);
                    hand_over(&producer, topic, &right, &parcel);
                    parcel.fates().await
                }
                Some(asked) => self.once(&producer, topic, &right, asked).await?,
            }
        };
        self.learn(topic, &fates);
        let mut fates = fates.into_iter();
        let told = |refused: &mut Option<Failure>| match refused.take() {
            Some(failure) => Some(Err(failure)),
            None => fates.next().map(|fate| fate.map_err(|code| failure::of_message(code, self.desk.ear()))),
        };
        Ok(refused.iter_mut().filter_map(told).collect())
    }

    /// The producer, once there are a broker and the topic.
    async fn ready(&self, topic: &str) -> Result<Arc<Producer>, Failure> {
        self.desk.reach().await?;
        if !self.desk.knows(topic) {
            self.desk.once_for(topic, self.find_topic(topic)).await?;
        }
        let producer = self.producer().await?;
        // The client has been seen to lose its way when its broker goes and comes back.
        if producer.has_stalled() && self.desk.is_led(topic).await {
            self.replace(&producer, "delivers nothing while the broker answers");
            return self.producer().await;
        }
        Ok(producer)
    }

    /// The next message gets a new one. What this one still has is its own to the end of those who wait for it.
    fn replace(&self, producer: &Arc<Producer>, why: &'static str) {
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = current.take_if(|own| Arc::ptr_eq(own, producer)) {
            tracing::warn!(service = %self.desk.ear().service(), why, "a producer of Kafka is made anew");
            old.stop();
        }
    }

    /// Publishes under a key: what was handed over by an earlier call is waited for, and not handed over again.
    async fn once(
        &self,
        producer: &Arc<Producer>,
        topic: &str,
        messages: &[&Message],
        asked: &Idempotency,
    ) -> Result<Vec<Fate>, Failure> {
        let mut turn = self.once.begin(asked, messages.len())?;
        // A call whose own messages failed says so; one that finds failures of another tries once more.
        loop {
            match turn {
                Turn::Send(parcel) => {
                    hand_over(producer, topic, messages, &parcel);
                    return Ok(parcel.fates().await);
                }
                Turn::Wait(parcel) => {
                    let fates = parcel.fates().await;
                    match self.once.again(asked, &parcel, &fates) {
                        Some(next) => turn = next,
                        None => return Ok(fates),
                    }
                }
            }
        }
    }

    /// Makes sure that the topic is there, or makes it where the service is set so.
    async fn find_topic(&self, topic: &str) -> Result<(), Failure> {
        match self.desk.partitions(topic).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Code::NotFound && self.options.auto_create => {
                topics::make(&self.desk, topic, self.options.num_partitions).await
            }
            Err(failure) if failure.code() == Code::NotFound => {
                Err(failure.with_hint("Create the topic first, or set `auto_create` of the service."))
            }
            Err(failure) => Err(failure),
        }
    }

    /// What the fates of messages say beside themselves.
    fn learn(&self, topic: &str, fates: &[Fate]) {
        use RDKafkaErrorCode as E;
        let mut errors = fates.iter().filter_map(|fate| fate.err());
        if errors.any(|code| matches!(code, E::UnknownTopic | E::UnknownTopicOrPartition)) {
            self.desk.forget(topic);
        }
    }

    async fn producer(&self) -> Result<Arc<Producer>, Failure> {
        if let Some(producer) = self.current() {
            return Ok(producer);
        }
        let _making = self.making.lock().await;
        if let Some(producer) = self.current() {
            return Ok(producer);
        }
        let (settings, ear) = (self.desk.settings().clone(), self.desk.ear().clone());
        let options = Arc::clone(&self.options);
        let made = self.desk.aside(move || Producer::open(&settings, &options, ear)).await?;
        let made = made.map_err(|error| failure::of(&error, self.desk.ear(), "be published to"))?;
        *self.producer.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The one that there is. One that can publish nothing more is no longer there.
    fn current(&self) -> Option<Arc<Producer>> {
        let current = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if !current.is_lost() {
            return Some(current);
        }
        self.replace(&current, "can publish nothing more");
        None
    }

    /// Publishes a dead letter.
    pub(super) async fn letter(&self, topic: &str, letter: &Message) -> Result<(), Failure> {
        let producer = self.producer().await?;
        let parcel = Parcel::of(vec![None]);
        hand_over(&producer, topic, &[letter], &parcel);
        let fates = parcel.fates().await;
        self.learn(topic, &fates);
        let failed = fates.into_iter().find_map(Result::err);
        failed.map_or(Ok(()), |code| Err(failure::of_message(code, self.desk.ear())))
    }

    /// Waits for what is on its way, for so long.
    pub(super) async fn close(&self, timeout: std::time::Duration) {
        if let Some(producer) = self.current() {
            // Whether it is flushed or not, nothing more can be done.
            let _ = self.desk.aside(move || producer.flush(timeout)).await;
        }
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        if let Some(producer) = self.current() {
            producer.stop();
        }
    }
}

fn hand_over(producer: &Producer, topic: &str, messages: &[&Message], parcel: &Arc<Parcel>) {
    for at in parcel.open() {
        producer.send(topic, messages[at], parcel, at);
    }
}

/// The same failure, of a call of which nothing has left.
fn unsent(failure: Failure) -> Failure {
    if failure.origin() == model::Origin::Service { failure.with_retryable(true) } else { failure }
}
