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

use adapters::gate;
use model::route::RetryOn;
use model::{Code, Failure};
use policy::Time;

use crate::activity::{Activity, Ending, Entry, Shape, slot};
use crate::attempt::{Attempt, Outcome, Whereabouts};
use crate::choice;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::request_id::RequestId;
use crate::room::{NoRoom, Occupancy, Place};
use crate::route::Route;
use crate::service::{Service, Tactics};

/// What an operation may be asked of: reads of any endpoint, writes of a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any endpoint.
    Read,
    /// A primary.
    Write,
}

/// When a service that was full may have room again.
const ROOM_SOON: Duration = Duration::from_secs(1);

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
    /// What it has in common with those that should go to the same endpoint.
    pub key: Option<u64>,
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
    /// A second try runs beside the first.
    beside: bool,
    /// The one endpoint that can answer, when what is asked lives there.
    only: Option<usize>,
    /// What the last try failed with, when another was granted.
    failed: Option<Failure>,
    granted: bool,
    /// A server that only reads has sent it to a primary.
    sent_on: bool,
    /// Its place in a service that takes so many at once.
    place: Option<Place>,
    ended: bool,
}

impl Tries {
    /// An operation begins.
    #[must_use]
    pub fn begin(service: Arc<Service>, route: Option<Arc<Route>>, order: Order, activity: Activity) -> Self {
        let began = Instant::now();
        service.meter.begin(slot());
        if let Some(route) = &route {
            route.meter.begin();
        }
        service.budget.request(clock::at(began));
        let patience = order.patience;
        let timeout = route.as_ref().map_or(&service.tactics, |route| route.tactics(&service)).timeout;
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
            beside: false,
            only: None,
            failed: None,
            granted: false,
            sent_on: false,
            place: None,
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
        if gate::is_shut() && self.service.is_embedded() {
            Box::pin(self.wait_for_engines()).await?;
        }
        if self.place.is_none()
            && let Some(room) = &self.service.room
        {
            self.place = room.enter_at_once();
            if self.place.is_none() {
                self.place = Some(Box::pin(self.wait_for_room()).await?);
            }
        }
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
        let follows = |cause| !alone && self.tactics().retries_on(cause);
        let after_silence = (self.order.rerun || reads) && follows(RetryOn::Timeout);
        // A connection that is not made in its share of the time leaves time for others: nothing has left.
        attempt.set_deadlines(share(!follows(RetryOn::Connect)), share(!after_silence), self.deadline);
        self.asks(index);
        Ok(attempt)
    }

    /// One more try begins, at this endpoint.
    fn asks(&mut self, index: usize) {
        self.count += 1;
        self.tried |= bit(index);
        self.last = Some(index);
        self.granted = false;
    }

    /// When a second try may begin beside this one, where the route asks for that. Only of what reads and may run
    /// twice, and once for each operation.
    #[must_use]
    pub fn hedge_at(&self, first: &Attempt) -> Option<Instant> {
        let after = self.tactics().hedge?;
        let Order { access, rerun, uploads, patience, .. } = &self.order;
        let may = *access == Access::Read && *rerun && !uploads && patience.is_zero();
        let once = self.count == 1 && self.tactics().attempts > 1 && self.only.is_none();
        (may && once).then(|| first.began() + after)
    }

    /// A second try beside the one under way, of another endpoint than the one that has the first by now, with all the time
    /// that is left; `None` when no other is asked as a matter of course, or the budget has no retry left. Whichever answers
    /// first goes to [`Tries::settle`], and the other ends as [`Outcome::Void`]; of one that misses while the other runs,
    /// [`Attempt::end`] is told.
    pub fn beside(&mut self, first: &Whereabouts) -> Option<Attempt> {
        let now = Instant::now();
        if self.count >= self.tactics().attempts || now >= self.deadline {
            return None;
        }
        self.has_moved_to(&first.endpoint());
        let moment = clock::at(now);
        let index = choice::choose_beside(&self.service, self.tactics(), &self.order, self.tried, moment)?;
        if !self.service.budget.try_retry(moment, self.service.in_flight()) {
            return None;
        }
        let endpoint = Arc::clone(&self.service.endpoints[index]);
        let mut attempt = Attempt::begin(Arc::clone(&self.service), endpoint, false, now);
        attempt.asked_at(moment);
        attempt.is_beside();
        attempt.set_deadlines(self.deadline, self.deadline, self.deadline);
        self.asks(index);
        self.beside = true;
        self.service.meter.hedge(slot());
        Some(attempt)
    }

    /// Another endpoint has the attempt than the one that was picked, or still the same.
    fn has_moved_to(&mut self, endpoint: &Arc<Endpoint>) {
        let asked = self.service.endpoints.iter().position(|own| Arc::ptr_eq(own, endpoint));
        // The one that was picked was asked nothing. Once a second try runs, nobody knows which of the two that was.
        let picked = self.last.filter(|_| !self.beside);
        self.tried = self.tried & !picked.map_or(0, bit) | asked.map_or(0, bit);
        self.last = asked.or(self.last);
    }

    /// Counts how the attempt ended and says what follows.
    ///
    /// # Errors
    /// The miss's failure, when there is no further try.
    pub fn settle<T>(&mut self, attempt: Attempt, result: Result<T, Miss>) -> Result<Settled<T>, Failure> {
        if attempt.has_moved() {
            self.has_moved_to(attempt.endpoint());
        }
        match result {
            Ok(answer) => {
                // Of two that ran side by side it may have been the first.
                let answered = |own: &Arc<Endpoint>| Arc::ptr_eq(own, attempt.endpoint());
                if self.count > 1 {
                    self.last = self.service.endpoints.iter().position(answered).or(self.last);
                }
                // Of the two that ran, the second was faster.
                if attempt.is_second() {
                    self.service.meter.hedge_won(slot());
                }
                self.beside = false;
                Ok(Settled::Answer(answer, attempt))
            }
            Err(miss) => {
                let Miss { failure, cause, sent, outcome, wants_primary } = miss;
                attempt.end(outcome);
                self.beside = false;
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

    /// Waits until the process before has let go of the engines: that is nobody's failure, and counts as none. Where this
    /// is the process before, there is nothing to wait for.
    async fn wait_for_engines(&self) -> Result<(), Failure> {
        let opened = tokio::time::timeout_at(self.deadline.into(), gate::opened()).await;
        let ours = opened.map_err(|_| {
            let detail = format!(
                "The program before this one has not let go of the engines within {} ms.",
                self.tactics().timeout.as_millis()
            );
            Failure::gateway(Code::Busy, detail)
                .with_retryable(true)
                .with_service(self.service.name.clone())
                .with_retry_after(ROOM_SOON)
        })?;
        if ours { Ok(()) } else { Err(gate::given_away().with_service(self.service.name.clone())) }
    }

    /// Waits in order until one of the requests under way has ended.
    async fn wait_for_room(&self) -> Result<Place, Failure> {
        let Some(room) = &self.service.room else { return Err(self.too_late()) };
        room.enter(self.deadline).await.map_err(|no_room| {
            let (path, Occupancy { most, waiting, .. }) = (self.service.path(), room.occupancy());
            let detail = match no_room {
                NoRoom::Full => format!(
                    "`{path}` takes {most} requests at once, and {waiting} wait already for one of them to end."
                ),
                NoRoom::Late => format!(
                    "`{path}` takes {most} requests at once, and none of them has ended within {} ms.",
                    self.tactics().timeout.as_millis()
                ),
            };
            Failure::gateway(Code::Overloaded, detail)
                .with_service(self.service.name.clone())
                .with_retry_after(ROOM_SOON)
                .with_hint("`limits` of the service says how many it takes, and how many wait.")
        })
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
        let usable = |endpoint: &Arc<Endpoint>| self.service.asks(endpoint, now);
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
        self.route.as_ref().map_or(&self.service.tactics, |route| route.tactics(&self.service))
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
        self.place = None;
        self.service.meter.end(slot(), duration, code, self.count);
        if let Some(route) = &self.route {
            route.meter.end(duration, code, self.count);
        }
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

/// That of an endpoint among those that were asked.
fn bit(index: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(index).unwrap_or(64)).unwrap_or(0)
}

impl Drop for Tries {
    /// Nobody said how it ended: its client went away, or its task was dropped.
    fn drop(&mut self) {
        self.end(Ending::Cancelled, Instant::now());
    }
}

#[cfg(test)]
mod tests;
