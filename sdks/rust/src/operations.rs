//! Changes that take a while: listed, shown, followed to their end, cancelled.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::address::{escape, with_query};
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::error::{Error, Family};
use crate::following::Following;
use crate::page::Paged;
use crate::sse::Event;

const OPERATIONS: &str = "/api/v1/operations";

impl Client {
    /// Changes that take a while.
    #[must_use]
    pub fn operations(&self) -> Operations {
        Operations { client: self.clone() }
    }
}

/// The operations of a gateway.
#[derive(Debug, Clone)]
pub struct Operations {
    client: Client,
}

impl Operations {
    /// The newest, the latest first.
    pub fn list(&self, filter: &OperationFilter) -> Paged<Operation> {
        let limit = filter.limit.map(|limit| limit.to_string());
        let path = with_query(
            OPERATIONS,
            &[
                ("cluster", filter.cluster.as_deref()),
                ("status", filter.status.as_deref()),
                ("limit", limit.as_deref()),
            ],
        );
        Paged::new(self.client.clone(), path, "operations", Patience::Management)
    }

    /// One as it is now.
    pub fn get(&self, id: &str) -> Call<Operation> {
        self.client.call(Outgoing::get(path(id), Patience::Management))
    }

    /// Asks for its end: what it has made is undone. Twice is the same as once.
    pub fn cancel(&self, id: &str) -> Call<Operation> {
        let mut request = Outgoing::new(Method::DELETE, path(id), Patience::Management);
        request.repeatable = true;
        self.client.call(request)
    }

    /// What becomes of it, until it ends.
    ///
    /// # Errors
    /// The gateway cannot be reached, or has no such operation.
    pub async fn events(&self, id: &str) -> Result<OperationEvents, Error> {
        let events = Following::open(&self.client, format!("{}/events", path(id))).await?;
        Ok(OperationEvents { events, has_ended: false })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It has failed or was canceled: then the error is its own. Or it cannot be followed.
    pub async fn wait(&self, id: &str) -> Result<Operation, Error> {
        let mut events = self.events(id).await?;
        while let Some(event) = events.next().await? {
            if let OperationEvent::End(operation) = event {
                return operation.ended();
            }
        }
        self.get(id).await?.ended()
    }
}

fn path(id: &str) -> String {
    format!("{OPERATIONS}/{}", escape(id))
}

/// Which operations are wanted; what is left out is not looked at.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OperationFilter {
    /// Of this cluster.
    pub cluster: Option<String>,
    /// `running`, `succeeded`, `failed` or `canceled`.
    pub status: Option<String>,
    /// Operations in a page; left out, as many as the gateway likes.
    pub limit: Option<u32>,
}

/// What a call has come to that may take a while.
#[derive(Debug, Clone)]
pub enum Started<T> {
    /// All of it is done.
    Done(T),
    /// It has begun; [`Operation::wait`] waits for its end.
    Begun(Box<Operation>),
}

/// A change that takes a while.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Operation {
    /// Unique; later ones sort later.
    pub id: String,
    /// What it does: `cluster.create`, `service.restart`, …
    #[serde(default)]
    pub kind: String,
    /// The cluster that it changes.
    #[serde(default)]
    pub cluster: String,
    /// The one service that it is about.
    #[serde(default)]
    pub service: Option<String>,
    /// `running`, `succeeded`, `failed` or `canceled`.
    pub status: String,
    /// Its end was asked for, and it has not ended yet.
    #[serde(default)]
    pub canceling: bool,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub created_at: String,
    /// When it had ended.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// From its beginning to its end.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// Who asked for it.
    #[serde(default)]
    pub actor: String,
    /// In the order in which they were planned; steps of different services may run at once.
    #[serde(default)]
    pub steps: Vec<OperationStep>,
    /// Why it is not done: a problem document.
    #[serde(default)]
    pub error: Option<Value>,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OperationStep {
    /// For people, and unique in its operation.
    pub name: String,
    /// The service that it is about.
    #[serde(default)]
    pub service: Option<String>,
    /// One word: `pull`, `start`, `ready`, …
    #[serde(default)]
    pub action: String,
    /// `waiting`, `running`, `done`, `failed`, `undone` or `skipped`.
    pub status: String,
    /// From its beginning to its end.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// What is being done, what came of it, or why it failed.
    #[serde(default)]
    pub detail: Option<String>,
    /// Bytes that are here.
    #[serde(default)]
    pub done_bytes: Option<u64>,
    /// Bytes in all, as far as that is known.
    #[serde(default)]
    pub total_bytes: Option<u64>,
    /// The last lines of what has failed.
    #[serde(default)]
    pub log: Vec<String>,
}

impl Operation {
    /// Whether nothing of it changes any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status != "running"
    }

    /// Takes a step as it is now, in its place or behind the others.
    pub fn take(&mut self, step: OperationStep) {
        match self.steps.iter_mut().find(|own| own.name == step.name) {
            Some(own) => *own = step,
            None => self.steps.push(step),
        }
    }

    /// Waits for its end, which is at once for one that has ended.
    ///
    /// # Errors
    /// It has failed or was canceled: then the error is its own. Or it cannot be followed.
    pub async fn wait(&self, client: &Client) -> Result<Operation, Error> {
        if self.has_ended() {
            return self.clone().ended();
        }
        client.operations().wait(&self.id).await
    }

    /// It, where it has succeeded; why it has not, where not.
    ///
    /// # Errors
    /// It has failed or was canceled.
    pub fn ended(self) -> Result<Operation, Error> {
        match (&self.error, self.status.as_str()) {
            (_, "succeeded" | "running") => Ok(self),
            (Some(problem), _) => Err(Error::from_problem(problem)),
            (None, status) => {
                Err(Error::new(Family::Conflict, format!("the operation {} has ended: {status}", self.id)))
            }
        }
    }
}

/// What becomes of an operation. When the connection breaks, all of it is told again by the next.
#[derive(Debug)]
pub struct OperationEvents {
    events: Following,
    has_ended: bool,
}

/// One thing that the stream tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OperationEvent {
    /// All of it as it is. What was known before is void.
    Operation(Operation),
    /// A step as it is now, for [`Operation::take`].
    Step(OperationStep),
    /// All of it as it has ended.
    End(Operation),
}

impl OperationEvents {
    /// What happens next; `None` after the end.
    ///
    /// # Errors
    /// The stream ended in a way that trying again does not mend.
    pub async fn next(&mut self) -> Result<Option<OperationEvent>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        let read = |event: &Event| {
            Ok(match event.name.as_str() {
                "operation" => Some(OperationEvent::Operation(event.read()?)),
                "step" => Some(OperationEvent::Step(event.read()?)),
                "end" => Some(OperationEvent::End(event.read()?)),
                _ => None,
            })
        };
        let event = self.events.next(read).await?;
        self.has_ended = matches!(event, OperationEvent::End(_));
        Ok(Some(event))
    }
}
