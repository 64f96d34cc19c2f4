//! The server-sent events of a path, followed over more than one connection.

use serde_json::Value;

use crate::call::{Outgoing, Patience, open};
use crate::client::Client;
use crate::error::{Error, Family};
use crate::patience::Persistence;
use crate::sse::Event;
use crate::stream::Lines;

/// Events as they come. When the connection breaks, the next one goes on behind the last event that had an id; where none
/// has one, the gateway begins again.
pub(crate) struct Following {
    client: Client,
    path: String,
    lines: Option<Lines>,
    last: Option<String>,
    persistence: Persistence,
    event: Event,
}

impl Following {
    /// Opens the stream: what hinders that is told at once.
    pub(crate) async fn open(client: &Client, path: String) -> Result<Following, Error> {
        let mut following = Following {
            client: client.clone(),
            path,
            lines: None,
            last: None,
            persistence: Persistence::default(),
            event: Event::default(),
        };
        following.lines = Some(following.connect().await?);
        Ok(following)
    }

    /// The next event that `read` knows; others are of a later version. An end of the stream is an error that another
    /// connection may mend: whoever waits for a last event stops asking at it.
    pub(crate) async fn next<T>(
        &mut self,
        read: impl Fn(&Event) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        loop {
            match self.event().await.and_then(|event| event.map_or(Ok(None), |event| read(&event))) {
                Ok(Some(known)) => return Ok(known),
                Ok(None) => {}
                Err(error) => {
                    self.lines = None;
                    self.persistence.after(error).await?;
                }
            }
        }
    }

    /// What the next line says, if an event ends with it.
    async fn event(&mut self) -> Result<Option<Event>, Error> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => {
                let lines = self.connect().await?;
                self.event = Event::default();
                self.lines.insert(lines)
            }
        };
        let line = lines.next().await?;
        let line = line.ok_or_else(|| Error::new(Family::Connection, "the stream ended"))?;
        let Some(event) = self.event.take(&String::from_utf8_lossy(&line)) else { return Ok(None) };
        if event.name == "error" {
            return Err(Error::from_problem(&event.read::<Value>()?));
        }
        self.persistence.rest();
        self.last = event.id.clone().or(self.last.take());
        Ok(Some(event))
    }

    async fn connect(&self) -> Result<Lines, Error> {
        let mut request = Outgoing::get(self.path.clone(), Patience::Management);
        request.accept = "text/event-stream";
        request.last_event_id.clone_from(&self.last);
        let (_, body) = Box::pin(open(&self.client, &request)).await?;
        Ok(Lines::new(body))
    }
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("path", &self.path)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
