//! The adapter: opens the queue, checks what is asked, and hands it to the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Code, Failure};
use tokio::sync::OnceCell;

use super::command::{Command, Publish, Settle};
use super::consumer::LogConsumer;
use super::engine::Engine;
use super::options::Options;
use super::stored::Stored;
use super::{clock, failure, limits};
use crate::embedded::{Shelf, Slot, place};
use crate::queue::{
    ConsumeOptions, Consumer, Group, Idempotency, Message, Position, Queue, Receipt, Settlement, Topic,
    TopicSpec,
};
use crate::{Adapter, Call, Home};

/// The file of a service that names none, in its own directory.
const FILE: &str = "queue.db";

/// The path of a queue without a file.
const MEMORY: &str = ":memory:";

/// All open queues, by file: the adapters before and after a change share one.
static SHELF: Shelf<Engine> = Shelf::new();

pub(super) struct LogAdapter {
    slot: Arc<Slot<Engine>>,
    options: Options,
    /// The engine knows the options of this adapter.
    configured: OnceCell<()>,
    /// It has let go of the queue.
    left: AtomicBool,
}

impl LogAdapter {
    pub(super) fn new(options: Options, home: &Home) -> Result<Self, Failure> {
        let slot = match options.path.as_deref() {
            // By its service, so that a changed service finds what the one before kept.
            Some(MEMORY) => SHELF.in_memory(&home.dir, Engine::open_in_memory),
            named => SHELF.slot(&place::file(named, FILE, home)?, Engine::open),
        };
        slot.begin();
        Ok(LogAdapter { slot, options, configured: OnceCell::new(), left: AtomicBool::new(false) })
    }

    pub(super) async fn engine(&self) -> Result<Arc<Engine>, Failure> {
        if self.left.load(Ordering::Acquire) {
            return Err(failure::closed());
        }
        let engine = self.slot.engine().await?;
        self.configure(&engine).await?;
        Ok(engine)
    }

    /// Tells the engine once what holds since this adapter was made. One that is older has told it before.
    async fn configure(&self, engine: &Engine) -> Result<(), Failure> {
        let tell = || engine.tell(Command::Configure(self.options.clone()));
        self.configured.get_or_try_init(tell).await.map(drop)
    }

    /// Publishes those that can be; each of the others says why not.
    async fn publish_all(
        &self,
        topic: &str,
        messages: &[Message],
        idempotency: Option<&Idempotency>,
    ) -> Result<Vec<Result<Receipt, Failure>>, Failure> {
        limits::topic(topic)?;
        let engine = self.engine().await?;
        let checked: Vec<Result<(), Failure>> =
            messages.iter().map(|message| limits::message(message, self.options.max_message)).collect();
        let right =
            || messages.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(own, _)| own);
        let bytes =
            right().map(|message| message.value.len() + message.key.as_ref().map_or(0, bytes::Bytes::len));
        let room = engine.room(bytes.sum()).await?;
        let now = clock::today();
        let copies: Vec<Arc<Stored>> = right().map(|own| Arc::new(Stored::copy_of(own, now))).collect();
        let count = copies.len();
        let receipts = if count == 0 {
            Vec::new()
        } else {
            let command = |answer| {
                let idempotency = idempotency.cloned();
                Command::Publish(Publish {
                    topic: topic.into(),
                    messages: copies,
                    idempotency,
                    answer,
                    _room: room,
                })
            };
            engine.ask(command).await?
        };
        if receipts.len() != count {
            let detail = "The limits of the service have changed since this publish was made.";
            return Err(Failure::client(Code::IdempotencyMismatch, detail));
        }
        let mut receipts = receipts.into_iter();
        // There are as many receipts as messages that were right.
        Ok(checked.into_iter().filter_map(|own| own.map(|()| receipts.next()).transpose()).collect())
    }
}

impl Adapter for LogAdapter {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        Box::pin(async {
            if !self.left.load(Ordering::Acquire) {
                self.slot.probe().await?;
            }
            self.engine().await?.probe().await
        })
    }

    fn queue(&self) -> Option<&dyn Queue> {
        Some(self)
    }

    fn close(&self) -> Call<'_, ()> {
        Box::pin(async {
            // The last who shares it closes it.
            if !self.left.swap(true, Ordering::AcqRel)
                && let Some(engine) = self.slot.leave()
            {
                engine.close().await;
            }
            Ok(())
        })
    }
}

impl Drop for LogAdapter {
    fn drop(&mut self) {
        if !self.left.swap(true, Ordering::AcqRel) {
            // Its threads end by themselves once nobody has it any more.
            self.slot.leave();
        }
    }
}

impl Queue for LogAdapter {
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        messages: &'a [Message],
        idempotency: Option<&'a Idempotency>,
    ) -> Call<'a, Vec<Result<Receipt, Failure>>> {
        Box::pin(self.publish_all(topic, messages, idempotency))
    }

    fn create_topic<'a>(&'a self, spec: &'a TopicSpec) -> Call<'a, Topic> {
        Box::pin(async {
            self.engine().await?.ask(|answer| Command::CreateTopic(spec.clone(), answer)).await
        })
    }

    fn topic<'a>(&'a self, name: &'a str) -> Call<'a, Topic> {
        Box::pin(async { self.engine().await?.ask(|answer| Command::Topic(name.into(), answer)).await })
    }

    fn topics(&self) -> Call<'_, Vec<Topic>> {
        Box::pin(async { self.engine().await?.ask(Command::Topics).await })
    }

    fn delete_topic<'a>(&'a self, name: &'a str) -> Call<'a, ()> {
        Box::pin(async { self.engine().await?.ask(|answer| Command::DeleteTopic(name.into(), answer)).await })
    }

    fn consume<'a>(&'a self, options: &'a ConsumeOptions) -> Call<'a, Box<dyn Consumer>> {
        Box::pin(async {
            let engine = self.engine().await?;
            let joined = engine.ask(|answer| Command::Join(options.clone(), answer)).await?;
            Ok(Box::new(LogConsumer::new(joined, &engine)) as Box<dyn Consumer>)
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settlement) -> Call<'a, u64> {
        Box::pin(async {
            let Settlement { topic, group, ack, nack, term } = settlement.clone();
            let command = |answer| Command::Settle(Settle { topic, group, ack, nack, term, answer });
            self.engine().await?.ask(command).await
        })
    }

    fn groups<'a>(&'a self, topic: Option<&'a str>) -> Call<'a, Vec<Group>> {
        Box::pin(async move {
            self.engine().await?.ask(|answer| Command::Groups(topic.map(Into::into), answer)).await
        })
    }

    fn reset_group<'a>(&'a self, topic: &'a str, group: &'a str, to: Position) -> Call<'a, Group> {
        Box::pin(async move {
            let command = |answer| Command::ResetGroup(topic.into(), group.into(), to, answer);
            self.engine().await?.ask(command).await
        })
    }

    fn delete_group<'a>(&'a self, topic: &'a str, group: &'a str) -> Call<'a, ()> {
        Box::pin(async move {
            let command = |answer| Command::DeleteGroup(topic.into(), group.into(), answer);
            self.engine().await?.ask(command).await
        })
    }
}
