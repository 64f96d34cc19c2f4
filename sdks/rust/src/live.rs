//! What changes, while it changes: a picture first, then each difference in order.

use serde::Deserialize;
use serde_json::Value;

use crate::address::with_query;
use crate::client::Client;
use crate::error::Error;
use crate::following::Following;
use crate::sse::Event;

impl Client {
    /// What happens in the gateway from now on: of these topics (`clusters`, `services`, `routes`, `events`,
    /// `activity`, `metrics`), and of this cluster and service where they are named.
    ///
    /// # Errors
    /// The gateway cannot be reached, or knows no such topic.
    pub async fn live(
        &self,
        topics: &[&str],
        cluster: Option<&str>,
        service: Option<&str>,
    ) -> Result<Live, Error> {
        let path = with_query(
            "/api/v1/live",
            &[("topics", Some(&topics.join(","))), ("cluster", cluster), ("service", service)],
        );
        Ok(Live { events: Following::open(self, path).await? })
    }
}

/// A stream of what changes. When its connection breaks it is taken up again where it was; where that is
/// not possible any more, another [`Change::Snapshot`] says how things are.
#[derive(Debug)]
pub struct Live {
    events: Following,
}

/// One thing that the stream tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// How everything is: the state of each topic under its name. What was known before is void.
    Snapshot(Value),
    /// What is different now.
    Delta(Delta),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Delta {
    /// Rises by one with each.
    #[serde(default)]
    pub seq: u64,
    /// Of which topic.
    pub topic: String,
    /// `put`, `remove` or `append`.
    pub op: String,
    /// What was put or removed.
    #[serde(default)]
    pub key: Option<String>,
    /// What it is now.
    #[serde(default)]
    pub value: Value,
}

impl Live {
    /// What happens next.
    ///
    /// # Errors
    /// The stream ended in a way that trying again does not mend.
    pub async fn next(&mut self) -> Result<Change, Error> {
        let read = |event: &Event| {
            Ok(match event.name.as_str() {
                "snapshot" => Some(Change::Snapshot(event.read()?)),
                "delta" => Some(Change::Delta(event.read()?)),
                _ => None,
            })
        };
        self.events.next(read).await
    }
}
