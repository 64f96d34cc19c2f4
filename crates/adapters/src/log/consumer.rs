//! A consumer as its caller has it: asks for messages one batch at a time, and says when it goes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use model::{Code, Failure};
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::command::{Ending, Handed, Joined, Signal, Stream};
use super::engine::Engine;
use super::failure;
use super::stored;
use super::token::{Ack, Resume};
use crate::Call;
use crate::queue::{Consumer, Delivery, Happening};

/// One stream of a consumer.
pub(super) struct LogConsumer {
    id: Box<str>,
    stream: Stream,
    inbox: mpsc::UnboundedReceiver<Handed>,
    assignment: watch::Receiver<Vec<u32>>,
    idle: Arc<AtomicBool>,
    ending: Arc<OnceLock<Ending>>,
    signals: mpsc::UnboundedSender<Signal>,
    clock: Clock,
    salt: u32,
    /// The broker knows that messages are waited for.
    asked: bool,
    /// The last delivery that went out to the client, in the order in which they were handed out.
    written: u64,
}

/// What a consumer is called.
pub(super) fn name(consumer: u64) -> Box<str> {
    format!("consumer-{consumer:x}").into()
}

impl LogConsumer {
    pub(super) fn new(joined: Joined, engine: &Engine) -> Self {
        let Joined { stream, inbox, assignment, idle, ending, sequence } = joined;
        LogConsumer {
            id: name(stream.consumer),
            stream,
            inbox,
            assignment,
            idle,
            ending,
            signals: engine.signals(),
            clock: engine.clock(),
            salt: engine.salt(),
            asked: false,
            written: sequence,
        }
    }

    async fn wait(&mut self) -> Result<Happening, Failure> {
        loop {
            if !self.asked {
                self.idle.store(false, Relaxed);
                self.signals.send(Signal::Ready(self.stream)).map_err(|_| failure::closed())?;
                self.asked = true;
            }
            let handed = tokio::select! {
                biased;
                Ok(()) = self.assignment.changed() => {
                    return Ok(Happening::Assignment(self.assignment.borrow_and_update().clone()));
                }
                handed = self.inbox.recv() => handed,
            };
            let Some(handed) = handed else { return Err(self.ended()) };
            self.asked = false;
            // Messages that lay here until their lease ran out are somebody else's by now.
            if handed.until > self.clock.now() {
                return Ok(Happening::Messages(self.deliveries(handed)));
            }
        }
    }

    fn deliveries(&mut self, handed: Handed) -> Vec<Delivery> {
        let Stream { group, consumer, .. } = self.stream;
        let mut deliveries = Vec::with_capacity(handed.messages.len());
        for message in handed.messages {
            let (partition, offset, delivery) = (message.partition, message.offset, message.delivery);
            deliveries.push(Delivery {
                partition,
                offset,
                key: message.stored.key.clone(),
                value: message.stored.value.clone(),
                headers: stored::unpack(&message.stored.headers),
                timestamp: message.stored.timestamp,
                delivery,
                ack: Ack { group, partition, offset, delivery }.text(self.salt),
                resume: Resume { group, consumer, sequence: message.sequence }.text(self.salt),
            });
        }
        deliveries
    }

    fn ended(&self) -> Failure {
        let failure = |code, detail: &'static str| Failure::client(code, detail);
        match self.ending.get() {
            Some(Ending::TopicDeleted) => failure(Code::NotFound, "The topic was deleted."),
            Some(Ending::Superseded) => failure(Code::Conflict, "Another stream has resumed this consumer."),
            Some(Ending::GroupChanged) => failure(Code::Conflict, "The group was deleted or reset."),
            None => failure::closed(),
        }
    }
}

impl Consumer for LogConsumer {
    fn id(&self) -> &str {
        &self.id
    }

    fn assignment(&self) -> Vec<u32> {
        self.assignment.borrow().clone()
    }

    fn next(&mut self) -> Call<'_, Happening> {
        Box::pin(self.wait())
    }

    fn is_looking(&self) -> bool {
        !self.idle.load(Relaxed)
    }

    fn written(&mut self, last: &Delivery) {
        if let Some(resume) = Resume::read(&last.resume, self.stream.group, self.salt) {
            self.written = self.written.max(resume.sequence);
        }
    }
}

impl Drop for LogConsumer {
    fn drop(&mut self) {
        // Nobody hears it when the queue is closed, and then there is nothing to leave.
        let _ = self.signals.send(Signal::Left(self.stream, self.written));
    }
}
