//! What changes, while it changes: a picture first, then each difference in order.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::address::with_query;
use crate::call::{Outgoing, Patience, open};
use crate::client::Client;
use crate::error::{Error, Family};
use crate::patience::Persistence;
use crate::sse::Event;
use crate::stream::Lines;

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
        let mut live = Live {
            client: self.clone(),
            path,
            lines: None,
            last: None,
            persistence: Persistence::default(),
            event: Event::default(),
        };
        live.lines = Some(live.connect().await?);
        Ok(live)
    }
}

/// A stream of what changes. When its connection breaks it is taken up again where it was; where that is
/// not possible any more, another [`Change::Snapshot`] says how things are.
pub struct Live {
    client: Client,
    path: String,
    lines: Option<Lines>,
    /// The id of the last event, by which the gateway knows where to go on.
    last: Option<String>,
    persistence: Persistence,
    event: Event,
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
        loop {
            let line = match &mut self.lines {
                Some(lines) => lines.next().await,
                None => match self.connect().await {
                    Ok(lines) => {
                        self.event = Event::default();
                        self.lines = Some(lines);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            let taken = match line {
                Ok(Some(line)) => self.take(&line),
                Ok(None) => Err(Error::new(Family::Connection, "the stream ended")),
                Err(error) => Err(error),
            };
            match taken {
                Ok(Some(change)) => return Ok(change),
                Ok(None) => {}
                Err(error) => {
                    self.lines = None;
                    self.persistence.after(error).await?;
                }
            }
        }
    }

    fn take(&mut self, line: &Bytes) -> Result<Option<Change>, Error> {
        let Some(Event { name, data, id }) = self.event.take(&String::from_utf8_lossy(line)) else {
            return Ok(None);
        };
        let value: Value = serde_json::from_str(&data)
            .map_err(|source| Error::unreadable("an event of the stream is not JSON", source))?;
        if name == "error" {
            return Err(Error::from_problem(&value));
        }
        self.persistence.rest();
        self.last = id.or(self.last.take());
        match name.as_str() {
            "snapshot" => Ok(Some(Change::Snapshot(value))),
            "delta" => serde_json::from_value(value)
                .map(|delta| Some(Change::Delta(delta)))
                .map_err(|source| Error::unreadable("a delta of the stream is not what we expect", source)),
            _ => Ok(None),
        }
    }

    async fn connect(&self) -> Result<Lines, Error> {
        let mut request = Outgoing::get(self.path.clone(), Patience::Management);
        request.accept = "text/event-stream";
        request.last_event_id.clone_from(&self.last);
        let (_, body) = Box::pin(open(&self.client, &request)).await?;
        Ok(Lines::new(body))
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("last", &self.last).finish_non_exhaustive()
    }
}
