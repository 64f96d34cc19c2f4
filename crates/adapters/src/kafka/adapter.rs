//! The adapter: one for all brokers of a service, whose parts are made when they are first needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Failure;
use tokio::time::Instant;

use super::client::Settings;
use super::desk::Desk;
use super::group::Ending;
use super::options::Options;
use super::publish::Press;
use super::table::Table;
use super::{consumer, failure, groups, settle, topics};
use crate::queue::{
    ConsumeOptions, Consumer, Group, Idempotency, Message, Position, Queue, Receipt, Settlement, Topic,
    TopicSpec,
};
use crate::{Adapter, Call};

/// A client that cannot reach a broker asks again and again, as long as it is let. This long it may, when it has said
/// why.
const REFUSED: Duration = Duration::from_secs(1);

/// How long closing waits for what is on its way.
const CLOSING: Duration = Duration::from_secs(3);

pub(super) struct KafkaAdapter {
    hub: Arc<Hub>,
}

/// The parts of a service, as streams keep them too.
pub(super) struct Hub {
    pub(super) options: Arc<Options>,
    pub(super) desk: Arc<Desk>,
    pub(super) press: Press,
    pub(super) table: Arc<Table>,
    closed: AtomicBool,
}

impl KafkaAdapter {
    pub(super) fn new(label: Arc<str>, options: Options, settings: Settings) -> Self {
        let ear = settings.ear(label);
        let (options, desk) = (Arc::new(options), Arc::new(Desk::new(settings, ear)));
        let press = Press::new(Arc::clone(&options), Arc::clone(&desk));
        let (table, closed) = (Arc::default(), AtomicBool::new(false));
        KafkaAdapter { hub: Arc::new(Hub { options, desk, press, table, closed }) }
    }
}

impl Hub {
    /// Fails when the service is being closed, or was.
    pub(super) fn is_open(&self) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) { Err(failure::closed()) } else { Ok(()) }
    }
}

impl Adapter for KafkaAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            self.hub.is_open()?;
            let desk = &self.hub.desk;
            match desk.glance(timeout.min(REFUSED)).await {
                // Nobody has said yet why there is no answer.
                Err(_) if timeout > REFUSED && desk.ear().trouble().is_none() => {
                    desk.glance(timeout - REFUSED).await
                }
                asked => asked,
            }
        })
    }

    fn queue(&self) -> Option<&dyn Queue> {
        Some(self)
    }

    fn close(&self) -> Call<'_, ()> {
        Box::pin(async {
            self.hub.closed.store(true, Ordering::Release);
            let until = Instant::now() + CLOSING;
            let groups = self.hub.table.all();
            groups.iter().for_each(|group| group.end(Ending::Closed));
            self.hub.press.close(CLOSING).await;
            // Members leave, so that others need not wait for them.
            while groups.iter().any(|group| !group.lock().is_empty()) && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
    }
}

impl Queue for KafkaAdapter {
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        messages: &'a [Message],
        idempotency: Option<&'a Idempotency>,
    ) -> Call<'a, Vec<Result<Receipt, Failure>>> {
        Box::pin(async move {
            self.hub.is_open()?;
            self.hub.press.publish(topic, messages, idempotency).await
        })
    }

    fn create_topic<'a>(&'a self, spec: &'a TopicSpec) -> Call<'a, Topic> {
        Box::pin(topics::create(&self.hub.desk, spec))
    }

    fn topic<'a>(&'a self, name: &'a str) -> Call<'a, Topic> {
        Box::pin(topics::one(&self.hub.desk, name))
    }

    fn topics(&self) -> Call<'_, Vec<Topic>> {
        Box::pin(topics::all(&self.hub.desk))
    }

    fn delete_topic<'a>(&'a self, name: &'a str) -> Call<'a, ()> {
        Box::pin(async move {
            topics::delete(&self.hub.desk, name).await?;
            self.hub.table.forget_topic(name, Ending::TopicDeleted);
            Ok(())
        })
    }

    fn consume<'a>(&'a self, options: &'a ConsumeOptions) -> Call<'a, Box<dyn Consumer>> {
        Box::pin(async move {
            self.hub.is_open()?;
            consumer::join(&self.hub, options).await
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settlement) -> Call<'a, u64> {
        Box::pin(settle::settle(&self.hub, settlement))
    }

    fn groups<'a>(&'a self, topic: Option<&'a str>) -> Call<'a, Vec<Group>> {
        Box::pin(groups::all(&self.hub, topic))
    }

    fn reset_group<'a>(&'a self, topic: &'a str, group: &'a str, to: Position) -> Call<'a, Group> {
        Box::pin(groups::reset(&self.hub, topic, group, to))
    }

    fn delete_group<'a>(&'a self, topic: &'a str, group: &'a str) -> Call<'a, ()> {
        Box::pin(groups::delete(&self.hub, topic, group))
    }
}
