//! Dead letters: a message goes to the topic beside its own first, and is settled when it is there.

use std::sync::Arc;

use bytes::Bytes;
use model::{Code, Failure};

use super::adapter::Hub;
use super::group::Group;
use super::record::Content;
use super::topics;
use crate::queue::{DEAD_LETTERS, Message};

/// A message that goes to the dead letters.
pub(super) struct Letter {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) deliveries: u32,
    pub(super) content: Arc<Content>,
    pub(super) why: Why,
}

/// Why it goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its consumer wants it never again.
    Terminated,
    /// It was given back, or not heard of, as often as may be.
    MaxDeliveries,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Why::Terminated => "terminated",
            Why::MaxDeliveries => "max_deliveries",
        }
    }
}

/// Sends a letter on its way, and settles its message when it has arrived: also when nobody waits for that.
pub(super) fn send(
    hub: &Arc<Hub>,
    group: &Arc<Group>,
    letter: Letter,
) -> tokio::task::JoinHandle<Result<(), Failure>> {
    let (hub, group) = (Arc::clone(hub), Arc::clone(group));
    tokio::spawn(async move {
        let (partition, offset) = (letter.partition, letter.offset);
        let sent = deliver(&hub, &group, &letter).await;
        let now = group.now();
        let mut state = group.lock();
        if let Some(part) = state.parts.get_mut(&partition) {
            match &sent {
                Ok(()) => drop(part.ledger.settle(offset)),
                Err(_) => part.ledger.raise(offset, now),
            }
            let owner = part.owner;
            if let Some((consumer, link)) =
                owner.and_then(|own| state.member(own)).map(|own| (own.consumer, Arc::clone(&own.link)))
            {
                link.commit(&group, &mut state, consumer);
                state.member(consumer).iter().for_each(|own| own.stream.wake.notify_one());
            }
        }
        sent
    })
}

async fn deliver(hub: &Hub, group: &Group, letter: &Letter) -> Result<(), Failure> {
    // What dies among dead letters stays where it is, settled.
    if group.topic.ends_with(DEAD_LETTERS) {
        return Ok(());
    }
    let topic = format!("{}{DEAD_LETTERS}", group.topic);
    if !hub.desk.knows(&topic) {
        // Whoever publishes there may not make it; no name of a topic has a slash.
        let about = format!("{topic}/");
        let made = hub.desk.once_for(&about, topics::make(&hub.desk, &topic, 1));
        made.await.map_err(|failure| lost(&failure))?;
    }
    let sent = hub.press.letter(&topic, &written(group, letter)).await;
    sent.map_err(|failure| lost(&failure))
}

/// The message with where it comes from behind its own headers.
fn written(group: &Group, letter: &Letter) -> Message {
    let mut message = letter.content.message.clone();
    let words = [
        ("dead-topic", group.topic.to_string()),
        ("dead-group", group.name.to_string()),
        ("dead-partition", letter.partition.to_string()),
        ("dead-offset", letter.offset.to_string()),
        ("dead-deliveries", letter.deliveries.to_string()),
        ("dead-reason", letter.why.text().to_owned()),
    ];
    message.headers.extend(words.map(|(name, value)| (name.into(), Bytes::from(value))));
    message
}

fn lost(failure: &Failure) -> Failure {
    Failure::gateway(Code::Overloaded, format!("A dead letter cannot be kept: {}", failure.detail()))
}
