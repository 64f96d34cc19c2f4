//! The one try loop: which endpoint next, what its outcome means, and whether there is another try.
//!
//! Every operation on every service walks through here, whatever it speaks:
//!
//! ```text
//! let mut tries = Tries::begin(…);
//! loop {
//!     let attempt = tries.next().await?;              // filter, pick, admit: an attempt is in flight
//!     let result = … attempt.adapter() …;             // ask it, until attempt.deadline()
//!     match tries.settle(attempt, result)? {          // outcome counted once; answer or again
//!         Settled::Answer(answer, attempt) => break,  // the attempt lives until the last byte
//!         Settled::Again => {}
//!     }
//! }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::route::RetryOn;
use model::{Code, Failure};
use policy::Time;

use crate::activity::{Activity, Ending, Entry, Shape, slot};
use crate::attempt::{Attempt, Outcome};
use crate::choice;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::request_id::RequestId;
use crate::service::{Service, Tactics};
use crate::snapshot::Route;

/// What an operation may be asked of: reads of any endpoint, writes of a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any endpoint.
    Read,
    /// A primary.
    Write,
}

/// An operation as the try loop sees it.
#[derive(Debug, Clone)]
pub struct Order {
    /// A method, or the name of a data operation.
    pub operation: &'static str,
    /// What it looks like without its values.
    pub shape: Shape,
    /// Which endpoints may be asked.
    pub access: Access,
    /// Whether it may run again once its bytes have left.
    pub rerun: bool,
    /// Whether a body goes out before an answer can be expected; then the attempt is told when it is through.
    pub uploads: bool,
    /// How much longer than usual it may take, since what it asks for is to wait.
    pub patience: Duration,
    /// The id in the client's answer.
    pub request_id: RequestId,
}

impl Order {
    /// Whether it may change something, as far as anybody can tell.
    pub(crate) fn may_write(&self) -> bool {
        self.access == Access::Write || !self.rerun
    }
}

/// A try that gave no answer.
#[derive(Debug)]
pub struct Miss {
    /// What is told when there is no further try.
    pub failure: Failure,
    /// What kind of miss it was.
    pub cause: RetryOn,
    /// Whether any byte of the request has left.
    pub sent: bool,
    /// What it means for the endpoint.
    pub outcome: Outcome,
    /// The endpoint only reads, and did nothing: a primary is asked next.
    pub wants_primary: bool,
}

/// What [`Tries::settle`] decided.
#[derive(Debug)]
pub enum Settled<T> {
    /// There is an answer; the attempt is still in flight until its last byte.
    Answer(T, Attempt),
    /// There is another try.
    Again,
}

/// One operation under way: its tries, and its one line in metrics and activity.
pub struct Tries {
    service: Arc<Service>,
    route: Option<Arc<Route>>,
    order: Order,
    activity: Activity,
    began: Instant,
    deadline: Instant,
    /// Tries begun.
    count: u32,
    /// Endpoints asked, by index; beyond 64 an endpoint may be asked twice.
    tried: u64,
    last: Option<usize>,
    /// The one endpoint that can answer, when what is asked lives there.
    only: Option<usize>,
    /// What the last try failed with, when another was granted.
    failed: Option<Failure>,
    granted: bool,
    /// A server that only reads has sent it to a primary.
    sent_on: bool,
    ended: bool,
}

impl Tries {
    /// An operation begins.
    #[must_use]
    pub fn begin(service: Arc<Service>, route: Option<Arc<Route>>, order: Order, activity: Activity) -> Self {
        let began = Instant::now();
        service.meter.begin(slot());
        service.budget.request(clock::at(began));
        let patience = order.patience;
        let timeout = route.as_ref().map_or(service.tactics.timeout, |route| route.tactics().timeout);
        Tries {
            service,
            route,
            order,
            activity,
            began,
            deadline: began + timeout + patience,
            count: 0,
            tried: 0,
            last: None,
            only: None,
            failed: None,
            granted: false,
            sent_on: false,
            ended: false,
        }
    }

    /// An operation begins on what lives at one endpoint of the service, such as a transaction: nobody else is
    /// asked, and it is asked whatever is thought of it.
    #[must_use]
    pub fn begin_at(
        service: Arc<Service>,
        endpoint: &Arc<Endpoint>,
        order: Order,
        activity: Activity,
    ) -> Self {
        let only = service.endpoints.iter().position(|own| Arc::ptr_eq(own, endpoint));
        let mut tries = Tries::begin(service, None, order, activity);
        tries.only = only;
        tries
    }

    /// Whoever asks waits no longer than this, counted from the beginning.
    pub fn end_within(&mut self, limit: Duration) {
        self.deadline = self.deadline.min(self.began + limit);
    }

    /// The next attempt: an endpoint that may be asked, with its own time limit.
    ///
    /// # Errors
    /// Why nobody may be asked; on a further try, what the last one failed with.
    pub async fn next(&mut self) -> Result<Attempt, Failure> {
        if self.order.may_write() && self.only.is_none() && self.service.is_unlooked() {
            Box::pin(self.service.first_look(self.deadline)).await?;
        }
        let mut now = Instant::now();
        let asked = self.choose(clock::at(now));
        let (index, trial) = match (asked, self.failed.take()) {
            (Ok(chosen), _) => chosen,
            (Err(nobody), Some(failed)) => return Err(self.last_word(nobody, failed)),
            (Err(failure), None) => return Err(failure),
        };
        let endpoint = Arc::clone(&self.service.endpoints[index]);
        // From here on the attempt owns its trial's place, also while it waits.
        let mut attempt = Attempt::begin(Arc::clone(&self.service), endpoint, trial, now);
        if !self.order.patience.is_zero() {
            attempt.will_wait();
        } else if !self.order.uploads {
            attempt.asked_at(clock::at(now));
        }
        if self.last == Some(index) {
            let pause = policy::backoff(self.count, choice::seed());
            tokio::time::sleep(pause.min(self.left(now))).await;
            now = Instant::now();
        }
        let alone = self.service.endpoints.len() == 1;
        let share = |alone| now + self.tactics().share(self.left(now), self.count, alone);
        // What a server that only reads is asked has changed nothing, and may be asked of another.
        let reads = self.order.access == Access::Read && attempt.endpoint().only_reads();
        // A connection that is not made in its share of the time leaves time for others: nothing has left.
        attempt.set_deadlines(share(alone), share(alone || !(self.order.rerun || reads)));
        self.count += 1;
        self.tried |= 1_u64.checked_shl(u32::try_from(index).unwrap_or(64)).unwrap_or(0);
        self.last = Some(index);
        self.granted = false;
        Ok(attempt)
    }

    /// Counts how the attempt ended and says what follows.
    ///
    /// # Errors
    /// The miss's failure, when there is no further try.
    pub fn settle<T>(&mut self, attempt: Attempt, result: Result<T, Miss>) -> Result<Settled<T>, Failure> {
        match result {
            Ok(answer) => Ok(Settled::Answer(answer, attempt)),
            Err(miss) => {
                let Miss { failure, cause, sent, outcome, wants_primary } = miss;
                attempt.end(outcome);
                if wants_primary && self.only.is_some() {
                    // What lives there can be asked of nobody else.
                    self.service.look_again();
                    return Err(failure);
                }
                if self.granted || (wants_primary && self.send_on()) || self.grant(cause, sent) {
                    self.failed = Some(failure);
                    return Ok(Settled::Again);
                }
                Err(failure)
            }
        }
    }

    /// Whether an answer of this status should be thrown away for another try; if so, the try is granted.
    pub fn rather_again(&mut self, status: u16) -> bool {
        self.granted = matches!(status, 502..=504)
            && self.choose_other(clock::now())
            && self.grant(RetryOn::GatewayError, true);
        self.granted
    }

    /// From now on a primary is asked. The first time that is no further try: nothing was done, and whoever asked could
    /// not know that this server only reads.
    fn send_on(&mut self) -> bool {
        self.order.access = Access::Write;
        self.service.look_again();
        !std::mem::replace(&mut self.sent_on, true) && Instant::now() < self.deadline
    }

    fn grant(&self, cause: RetryOn, sent: bool) -> bool {
        let tactics = self.tactics();
        let now = Instant::now();
        if self.count >= tactics.attempts || now >= self.deadline || !tactics.retries_on(cause) {
            return false;
        }
        // What never left may run anywhere, and costs nobody anything: it draws nothing from the budget. The
        // attempt has ended, but the request itself is still in flight.
        let in_flight = self.service.in_flight() + 1;
        !sent || (self.order.rerun && self.service.budget.try_retry(clock::at(now), in_flight))
    }

    fn choose(&self, now: Time) -> Result<(usize, bool), Failure> {
        if self.count > 0 && Instant::now() >= self.deadline {
            return Err(self.too_late());
        }
        if let Some(only) = self.only {
            return Ok((only, false));
        }
        choice::choose(&self.service, self.tactics(), &self.order, self.tried, self.last, now)
    }

    fn choose_other(&self, now: Time) -> bool {
        let usable = |endpoint: &Arc<crate::Endpoint>| endpoint.standing(now).is_in();
        let other = |(index, endpoint)| self.tried & (1 << (index as u64).min(63)) == 0 && usable(endpoint);
        self.service.endpoints.iter().enumerate().any(other)
    }

    fn too_late(&self) -> Failure {
        Failure::service(
            Code::Timeout,
            format!("No answer within {} ms.", self.tactics().timeout.as_millis()),
        )
    }

    /// What is told when there is nobody for the next try. Of a server that did nothing since it only reads, that a
    /// primary is missing says more than its refusal: nothing is wrong with the request, and it may be sent again.
    fn last_word(&self, nobody: Failure, failed: Failure) -> Failure {
        let missing = self.service.asks_for_a_primary() && nobody.retryable();
        if !missing || !failed.wants_primary() || failed.retryable() {
            return failed;
        }
        match failed.native() {
            Some((field, code)) => nobody.with_native(field, code),
            None => nobody,
        }
    }

    fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// How this operation is tried.
    #[must_use]
    pub fn tactics(&self) -> &Tactics {
        self.route.as_ref().map_or(&self.service.tactics, |route| route.tactics())
    }

    /// The service that is asked.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The operation has ended with this failure, before any answer.
    pub fn fail(&mut self, failure: &Failure) {
        self.end(Ending::Failure(failure.code(), None), Instant::now());
    }

    /// The operation has ended, in this way: its one line in metrics and activity.
    pub fn finish(mut self, ending: Ending) {
        self.end(ending, Instant::now());
    }

    /// The same, at a moment that is known.
    pub fn finish_at(mut self, ending: Ending, moment: Instant) {
        self.end(ending, moment);
    }

    fn end(&mut self, ending: Ending, moment: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let duration = moment.saturating_duration_since(self.began);
        let code = match ending {
            Ending::Failure(code, _) => Some(code),
            Ending::Success(_) | Ending::Cancelled => None,
        };
        self.service.meter.end(slot(), duration, code);
        let shape = std::mem::replace(&mut self.order.shape, Shape::Text(Box::default()));
        self.activity.note(Entry {
            cluster: Arc::clone(&self.service.cluster),
            service: Arc::clone(&self.service.name),
            kind: self.service.driver.name(),
            operation: self.order.operation,
            shape,
            ending,
            began: clock::at(self.began),
            duration,
            tries: self.count,
            endpoint: self.last.map(|index| Arc::clone(&self.service.endpoints[index].label)),
            request_id: self.order.request_id,
        });
    }
}

impl Drop for Tries {
    /// Nobody said how it ended: its client went away, or its task was dropped.
    fn drop(&mut self) {
        self.end(Ending::Cancelled, Instant::now());
    }
}
