//! What happens to containers of ours, by whomever: heard from the engine, for as long as somebody listens.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use crate::Name;
use crate::docker::engine::{Engine, Told};
use crate::docker::names::{Owner, SERVICE};

/// How soon an engine that is away is asked again, at first and at last.
const SOON: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(10);

/// How long an engine is given to say a first word. It says none before something happens, and a request that nobody waits
/// for is not sent: after this it listens.
const SETTLE: Duration = Duration::from_millis(100);

/// Something has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A container of this service has started, ended or been removed, by whomever.
    Of(Name),
    /// The engine is heard from now on: whatever happened before, nobody was told.
    Heard,
}

/// Changes as they happen. It never ends: an engine that goes away is waited for.
pub type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// Listens to an engine.
pub(super) fn listen(host: Option<String>) -> Changes {
    let listener = Listener { host, events: None, early: None, pause: Duration::ZERO };
    Box::pin(futures_util::stream::unfold(listener, async |mut listener| {
        let change = listener.next().await;
        Some((change, listener))
    }))
}

struct Listener {
    host: Option<String>,
    events: Option<Told<EventMessage>>,
    /// What was heard before we said that we hear.
    early: Option<Name>,
    pause: Duration,
}

impl Listener {
    async fn next(&mut self) -> Change {
        loop {
            if let Some(name) = self.early.take() {
                return Change::Of(name);
            }
            let Some(events) = &mut self.events else {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).clamp(SOON, LATE);
                if self.connect().await {
                    return Change::Heard;
                }
                continue;
            };
            match events.next().await {
                Some(Ok(event)) => {
                    self.pause = Duration::ZERO;
                    if let Some(name) = whose(event) {
                        return Change::Of(name);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "the engine tells no more of what happens");
                    self.events = None;
                }
                None => self.events = None,
            }
        }
    }

    /// Whether the engine answers, and will tell.
    async fn connect(&mut self) -> bool {
        let Ok(engine) = Engine::found(self.host.as_deref()) else { return false };
        // By the engine's clock, so that nothing falls between its answer and the first word of the stream.
        let Ok(info) = engine.ask().info().await else { return false };
        let of = |key: &str, values: &[&str]| {
            (key.to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        let filters = HashMap::from([
            of("type", &["container"]),
            of("label", &[SERVICE]),
            of("event", &["start", "die", "destroy", "pause", "unpause"]),
        ]);
        let options = EventsOptions {
            since: info.system_time.as_deref().and_then(seconds),
            until: None,
            filters: Some(filters),
        };
        let mut events = Box::pin(engine.ask().events(Some(options)));
        match tokio::time::timeout(SETTLE, events.next()).await {
            Ok(Some(Ok(event))) => self.early = whose(event),
            Ok(Some(Err(_)) | None) => return false,
            Err(_) => {}
        }
        self.events = Some(events);
        true
    }
}

/// A time as the interface takes it: seconds and their fraction.
fn seconds(time: &str) -> Option<String> {
    let time: Timestamp = time.parse().ok()?;
    Some(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

fn whose(event: EventMessage) -> Option<Name> {
    let labels = event.actor?.attributes?;
    Owner::of(&labels).map(|owner| owner.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_seconds() {
        assert_eq!(seconds("1970-01-01T00:01:00.5Z").as_deref(), Some("60.500000000"));
        assert_eq!(seconds("1970-01-01T01:01:00.000000001+01:00").as_deref(), Some("60.000000001"));
        assert_eq!(seconds("today"), None);
    }
}
