//! A consumer's messages on their way to its client: pulled when the client has taken what was given.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use adapters::queue::{Consumer, Delivery, Happening};
use clusters::{Attempt, Clusters, Outcome, RequestId};
use model::{Code, Failure, Origin, problem};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use wire::Error;

use super::events::{Format, room};
use super::frames::Pen;

/// A silent stream says that it lives after so long: often enough for what stands between, which takes half a
/// minute of silence for the end.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How much longer than it waits a stream goes on while its engine is still looking what there is: on a busy disk that
/// takes a while.
const LOOKING: Duration = Duration::from_secs(10);

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// Messages go out in frames of about this size, so that a batch does not stand in memory twice.
const FRAME: usize = 64 << 10;

/// A stream of messages, but for the consumer that it pulls from.
pub(super) struct Stream {
    /// Counts as in flight while the stream lives.
    pub(super) attempt: Attempt,
    pub(super) clusters: Clusters,
    pub(super) topic: Box<str>,
    pub(super) format: Format,
    /// How long it waits without a message before it ends.
    pub(super) wait: Option<Duration>,
    pub(super) id: RequestId,
}

/// What comes next.
enum Next {
    Happening(Result<Happening, Failure>),
    Alarm,
}

impl Stream {
    /// Delivers until the client goes, the wait is over, or the consumer fails.
    ///
    /// # Errors
    /// The consumer failed: the failure was told, and the stream must not look as if it had ended well.
    pub(super) async fn deliver(
        self,
        mut consumer: Box<dyn Consumer>,
        hello: Value,
        pen: Pen,
    ) -> Result<(), Error> {
        pen.write(self.format.event("hello", hello)).await;
        let mut heard = Instant::now();
        let mut written = heard;
        let mut alarm = pin!(sleep_until(self.alarm(heard, written)));
        loop {
            let next = tokio::select! {
                biased;
                happening = consumer.next() => Next::Happening(happening),
                () = &mut alarm => Next::Alarm,
            };
            match next {
                Next::Happening(Ok(Happening::Messages(deliveries))) => {
                    self.messages(consumer.as_mut(), &deliveries, &pen).await;
                    heard = Instant::now();
                    written = heard;
                }
                Next::Happening(Ok(Happening::Assignment(partitions))) => {
                    let partitions = json!({ "assignment": partitions });
                    pen.write(self.format.event("assignment", partitions)).await;
                    written = Instant::now();
                }
                Next::Happening(Err(failure)) => return Err(self.fail(failure, &pen).await),
                // It rings when something may be due: what was written since has put off the rest.
                Next::Alarm => {
                    let now = Instant::now();
                    let beyond = self.wait.and_then(|wait| now.checked_duration_since(heard + wait));
                    let looking = beyond.is_some_and(|beyond| beyond < LOOKING && consumer.is_looking());
                    if beyond.is_some() && !looking {
                        self.attempt.end(Outcome::Good);
                        return Ok(());
                    }
                    if !self.is_there() {
                        let detail = "The service was changed or taken out.";
                        let failure = Failure::gateway(Code::Draining, detail);
                        return Err(self.fail(failure.with_hint("Resume the stream."), &pen).await);
                    }
                    if now >= written + HEARTBEAT {
                        pen.write(self.format.heartbeat()).await;
                        written = Instant::now();
                    }
                    let next = if looking { now + AGAIN } else { self.alarm(heard, written) };
                    alarm.as_mut().reset(next);
                }
            }
        }
    }

    /// When something may be due.
    fn alarm(&self, heard: Instant, written: Instant) -> Instant {
        let heartbeat = written + HEARTBEAT;
        self.wait.map_or(heartbeat, |wait| heartbeat.min(heard + wait))
    }

    /// Tells the consumer how far they have gone: what is left behind when the client goes was delivered to nobody.
    /// A frame that is handed over counts as gone, since its client may have it and say so when it resumes.
    async fn messages(&self, consumer: &mut dyn Consumer, deliveries: &[Delivery], pen: &Pen) {
        let all: usize = deliveries.iter().map(room).sum();
        let mut frame = Vec::with_capacity(all.min(FRAME + FRAME / 4));
        for delivery in deliveries {
            self.format.message(&self.topic, delivery, &mut frame);
            if frame.len() >= FRAME {
                consumer.written(delivery);
                pen.write(std::mem::take(&mut frame)).await;
            }
        }
        if let Some(last) = deliveries.last() {
            consumer.written(last);
        }
        pen.write(frame).await;
    }

    async fn fail(self, failure: Failure, pen: &Pen) -> Error {
        let service = Arc::clone(self.attempt.service());
        let failure = failure.with_service(Arc::clone(&service.name));
        let document = problem::document(&failure, failure.code().status(), self.id.as_str());
        // A service that was taken out lets go of its consumers; nothing is wrong with its endpoint.
        if failure.origin() == Origin::Service && self.is_there() {
            self.attempt.end(Outcome::Broke(failure.detail().to_owned()));
        } else {
            self.attempt.end(Outcome::Good);
        }
        pen.write(self.format.event("error", document)).await;
        // What carries the frames sends them when nothing follows at once; an error would throw them away.
        tokio::task::yield_now().await;
        Error::Truncated
    }

    /// Whether the service still runs over the same connection. One that keeps its messages elsewhere now would
    /// have nothing more to say here.
    fn is_there(&self) -> bool {
        let (service, endpoint) = (self.attempt.service(), self.attempt.endpoint());
        let world = self.clusters.snapshot();
        world.service(&service.cluster, &service.name).is_ok_and(|now| {
            now.spec.kind == service.spec.kind
                && now.spec.options == service.spec.options
                && now.endpoints.iter().any(|other| other.address == endpoint.address)
        })
    }
}

#[cfg(test)]
mod tests;
