//! One operation on a service: through the same try loop as every other request.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use adapters::{Adapter, Call};
use clusters::{
    Access, Attempt, Clusters, Ending, Endpoint, Miss, Order, Outcome, RequestId, Service, Settled, Shape,
    Tries,
};
use model::kind::Ability;
use model::route::RetryOn;
use model::{Code, Failure, Origin};
use tokio::time::Instant;

use super::room::Room;
use crate::guard::Caller;

/// An adapter that knows its deadline is given this much longer to say so in its own words.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(50);

/// Which service a call is for, for whom, and under which id.
pub(crate) struct Target<'r> {
    pub(crate) clusters: &'r Clusters,
    /// Where whole answers are counted.
    pub(crate) room: &'r Room,
    pub(crate) caller: &'r Caller,
    pub(crate) cluster: &'r str,
    pub(crate) service: Option<&'r str>,
    pub(crate) id: RequestId,
}

/// Something that a service can be asked to do.
pub(crate) trait Operation: Sync {
    /// Who can be asked.
    const ABILITY: Ability;
    /// What comes back.
    type Answer: Send;

    /// As metrics and activity name it.
    fn name(&self) -> &'static str;

    /// Which endpoints may be asked.
    fn access(&self) -> Access;

    /// Whether it may run again once its bytes have left. A write never does.
    fn rerun(&self) -> bool {
        self.access() == Access::Read
    }

    /// How much longer than usual it may take, since what it asks for is to wait.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// What becomes of it when its time is over and nothing was heard: a sentence for its client, with a space
    /// before it. What may run again may be sent again, and nobody need care.
    fn if_late(&self) -> &'static str {
        if self.rerun() { "" } else { " It may have been carried out all the same." }
    }

    /// Which of the servers behind one endpoint is asked, where there are several of which each has a part.
    fn place(&self, _adapter: &dyn Adapter) -> Option<String> {
        None
    }

    /// What may be written down of it.
    fn shape(&self) -> Box<str>;

    /// Asks; `None` when the adapter lacks the ability.
    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Self::Answer>>;
}

/// An endpoint that a later call must be asked of: a transaction lives there.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) service: Arc<Service>,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// An answer that is still under way: its operation ends with its last byte.
pub(crate) struct Held {
    tries: Tries,
    attempt: Attempt,
}

impl Held {
    /// Where the answer comes from.
    pub(crate) fn seat(&self) -> Seat {
        Seat { service: Arc::clone(self.attempt.service()), endpoint: Arc::clone(self.attempt.endpoint()) }
    }

    /// The last byte was sent.
    pub(crate) fn finish(self) {
        let Held { tries, attempt } = self;
        tries.finish_at(Ending::Success(None), attempt.done());
    }

    /// The operation is done, while what it opened lives on: a stream of messages has no duration that says
    /// anything. The attempt counts as in flight until it is dropped.
    pub(crate) fn opened(self) -> Attempt {
        self.tries.finish(Ending::Success(None));
        self.attempt
    }

    /// The service answered, and parts of its answer are failures: `failure` is one of them.
    pub(crate) fn partly(mut self, failure: &Failure) {
        self.attempt.end(Outcome::Good);
        self.tries.fail(failure);
    }

    /// The answer failed on the way.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.attempt.end(broken(failure));
        self.tries.fail(failure);
    }
}

impl Target<'_> {
    /// The service that the call means.
    ///
    /// # Errors
    /// `not_found`, `unsupported_ability`, `ambiguous_service`; `permission_denied` when it is not the caller's.
    pub(crate) fn service(&self, ability: Ability) -> Result<Arc<Service>, Failure> {
        // A token for one service says which is meant.
        let named = self.service.or(self.caller.own_service());
        if let Some(name) = named {
            self.caller.may_use(self.cluster, name)?;
        }
        let snapshot = self.clusters.snapshot();
        let service = snapshot.able(self.cluster, named, ability).map_err(|failure| {
            // Which others have it is not for whoever may use but one.
            if failure.code() == Code::UnsupportedAbility {
                self.caller.of_other_services(failure)
            } else {
                failure
            }
        })?;
        self.caller.may_use(&service.cluster, &service.name)?;
        Ok(Arc::clone(service))
    }

    /// Carries an operation out: endpoint after endpoint, until one answers.
    ///
    /// # Errors
    /// Why nobody answered, or what the service refused with.
    pub(crate) async fn ask<O: Operation>(&self, operation: &O) -> Result<O::Answer, Failure> {
        let service = self.service(O::ABILITY)?;
        let mut tries = self.begin(service, operation);
        match until_answered(&mut tries, operation).await {
            Ok((Ok(answer), attempt)) => {
                tries.finish_at(Ending::Success(None), attempt.done());
                Ok(answer)
            }
            refused => Err(refusal(tries, refused, operation.rerun())),
        }
    }

    /// The same for an answer that goes on after this.
    ///
    /// # Errors
    /// As [`Target::ask`].
    pub(crate) async fn open<O: Operation>(&self, operation: &O) -> Result<(O::Answer, Held), Failure> {
        let service = self.service(O::ABILITY)?;
        let tries = self.begin(service, operation);
        carry_out(tries, operation).await
    }

    /// Carries an operation out where an earlier one was, through the same counts and records.
    ///
    /// # Errors
    /// What the service failed or refused with.
    pub(crate) async fn ask_at<O: Operation>(
        &self,
        seat: &Seat,
        operation: &O,
    ) -> Result<(O::Answer, Held), Failure> {
        let (service, activity) = (Arc::clone(&seat.service), self.clusters.activity().clone());
        let tries = Tries::begin_at(service, &seat.endpoint, self.order(operation), activity);
        carry_out(tries, operation).await
    }

    fn begin<O: Operation>(&self, service: Arc<Service>, operation: &O) -> Tries {
        Tries::begin(service, None, self.order(operation), self.clusters.activity().clone())
    }

    fn order<O: Operation>(&self, operation: &O) -> Order {
        Order {
            operation: operation.name(),
            shape: Shape::Text(operation.shape()),
            access: operation.access(),
            rerun: operation.rerun(),
            uploads: false,
            patience: operation.patience(),
            key: None,
            request_id: self.id,
        }
    }
}

async fn carry_out<O: Operation>(mut tries: Tries, operation: &O) -> Result<(O::Answer, Held), Failure> {
    match until_answered(&mut tries, operation).await {
        Ok((Ok(answer), mut attempt)) => {
            attempt.heard(true);
            Ok((answer, Held { tries, attempt }))
        }
        refused => Err(refusal(tries, refused, operation.rerun())),
    }
}

type Answered<O> = (Result<<O as Operation>::Answer, Failure>, Attempt);

/// The end of an operation that came to nothing.
#[cold]
fn refusal<T>(
    mut tries: Tries,
    refused: Result<(Result<T, Failure>, Attempt), Failure>,
    rerun: bool,
) -> Failure {
    let failure = match refused {
        // A refusal is an answer too: it says nothing against the endpoint.
        Ok((Err(refusal), attempt)) => {
            attempt.done();
            refusal
        }
        // What may run again may be sent again by whoever asked, too.
        Err(failure) if rerun && failure.origin() == Origin::Service => failure.with_retryable(true),
        Err(failure) => failure,
        Ok((Ok(_), _)) => Failure::gateway(Code::Internal, "An answer was taken for a refusal."),
    };
    tries.fail(&failure);
    failure.with_service(Arc::clone(&tries.service().name))
}

/// Try after try. The outer failure is that nobody answered, the inner one a refusal.
async fn until_answered<O: Operation>(tries: &mut Tries, operation: &O) -> Result<Answered<O>, Failure> {
    loop {
        let attempt = tries.next().await?;
        let deadline: Instant = attempt.deadline().into();
        let result = match operation.run(attempt.adapter(), deadline) {
            None => Err(unable(&attempt, O::ABILITY)),
            Some(call) => match answered_by(deadline + LAST_WORDS, call).await {
                None => Err(late(&attempt, operation)),
                Some(Err(failure))
                    if failure.origin() == Origin::Service
                        || failure.wants_primary()
                        || (is_full(&failure) && attempt.service().endpoints.len() > 1) =>
                {
                    Err(miss(failure))
                }
                Some(answer) => Ok(answer),
            },
        };
        if let Settled::Answer(answer, attempt) = tries.settle(attempt, result)? {
            return Ok((answer, attempt));
        }
    }
}

/// The answer, if it comes by then. One that is there at once needs no timer, and those who ask memory have it at
/// once.
async fn answered_by<T>(end: Instant, mut call: Call<'_, T>) -> Option<Result<T, Failure>> {
    match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => Box::pin(tokio::time::timeout_at(end, call)).await.ok(),
    }
}

fn unable(attempt: &Attempt, ability: Ability) -> Miss {
    let (path, ability) = (attempt.service().path(), ability.name());
    let failure = Failure::gateway(Code::UnsupportedAbility, format!("`{path}` lacks `{ability}`."));
    Miss { failure, cause: RetryOn::Connect, sent: true, outcome: Outcome::Void, wants_primary: false }
}

fn late<O: Operation>(attempt: &Attempt, operation: &O) -> Miss {
    let limit = attempt.deadline().saturating_duration_since(attempt.began());
    let place = operation.place(attempt.adapter());
    let who = place.as_deref().unwrap_or(&attempt.endpoint().label);
    let detail = format!("{who} did not answer within {} ms.", limit.as_millis());
    let failure = Failure::service(Code::Timeout, format!("{detail}{}", operation.if_late()));
    let outcome = if place.is_some() { Outcome::Partly(detail) } else { Outcome::Late(detail) };
    Miss { failure, cause: RetryOn::Timeout, sent: true, outcome, wants_primary: false }
}

/// What it means for an endpoint that an answer failed on the way. Only one that breaks its answers is set aside:
/// how long a statement takes and how fast its rows are read is its client's doing.
fn broken(failure: &Failure) -> Outcome {
    let detail = || failure.detail().to_owned();
    match (failure.origin(), failure.code()) {
        (Origin::Service, Code::Timeout) => Outcome::Late(detail()),
        (Origin::Service, _) => Outcome::Broke(detail()),
        (Origin::Client, _) => Outcome::Good,
        (Origin::Gateway, _) => Outcome::Void,
    }
}

/// Whether nothing was asked, since there was no room for it on the way to this endpoint. On the way to another there
/// may be.
fn is_full(failure: &Failure) -> bool {
    failure.origin() == Origin::Gateway && matches!(failure.code(), Code::Busy | Code::Overloaded)
}

/// What a failure of the service means for its endpoint. An adapter calls a failure retryable when nothing
/// of the command has left.
fn miss(failure: Failure) -> Miss {
    let detail = failure.detail().to_owned();
    let sent = !failure.retryable();
    let wants_primary = failure.wants_primary();
    let (cause, outcome) = match failure.code() {
        // It answers as it should.
        _ if wants_primary => (RetryOn::Connect, Outcome::Good),
        _ if is_full(&failure) => (RetryOn::Connect, Outcome::Void),
        Code::Timeout => (RetryOn::Timeout, Outcome::Late(detail)),
        _ if sent => (RetryOn::Reset, Outcome::Bad(detail)),
        _ => (RetryOn::Connect, Outcome::Bad(detail)),
    };
    let outcome = match outcome {
        Outcome::Late(detail) | Outcome::Bad(detail) if failure.is_of_part() => Outcome::Partly(detail),
        outcome => outcome,
    };
    Miss { failure, cause, sent: sent && !wants_primary, outcome, wants_primary }
}

#[cfg(test)]
mod tests {
    use model::route::RetryOn;
    use model::{Code, Failure};

    use super::{Outcome, broken, miss};

    #[test]
    fn a_failure_of_the_service_says_what_may_follow() {
        let timeout = miss(Failure::service(Code::Timeout, "late"));
        assert_eq!(
            (timeout.cause, timeout.sent, timeout.outcome),
            (RetryOn::Timeout, true, Outcome::Late("late".into()))
        );
        let broken = miss(Failure::service(Code::BadGateway, "broke"));
        assert_eq!(
            (broken.cause, broken.sent, broken.outcome),
            (RetryOn::Reset, true, Outcome::Bad("broke".into()))
        );
        let refused = miss(Failure::service(Code::BadGateway, "no").with_retryable(true));
        assert_eq!(
            (refused.cause, refused.sent, refused.outcome),
            (RetryOn::Connect, false, Outcome::Bad("no".into()))
        );
    }

    #[test]
    fn what_concerns_one_node_of_several_says_nothing_against_the_whole() {
        for (failure, cause) in [
            (Failure::service(Code::Timeout, "node"), RetryOn::Timeout),
            (Failure::service(Code::BadGateway, "node"), RetryOn::Reset),
            (Failure::service(Code::Busy, "node"), RetryOn::Connect),
        ] {
            let miss = miss(failure.with_part());
            assert_eq!((miss.cause, miss.outcome), (cause, Outcome::Partly("node".into())));
        }
    }

    #[test]
    fn a_server_that_only_reads_has_done_nothing_and_is_well() {
        let refused = miss(Failure::client(Code::CommandFailed, "it only reads").with_primary_wanted());
        assert!(refused.wants_primary && !refused.sent);
        assert_eq!((refused.cause, refused.outcome), (RetryOn::Connect, Outcome::Good));
    }

    #[test]
    fn no_room_on_the_way_says_nothing_of_the_endpoint() {
        let full = miss(Failure::gateway(Code::Busy, "all in use"));
        assert_eq!((full.cause, full.sent, full.outcome), (RetryOn::Connect, false, Outcome::Void));
    }

    #[test]
    fn only_a_service_that_breaks_its_answers_is_set_aside() {
        for (failure, outcome) in [
            (Failure::service(Code::BadGateway, "broke"), Outcome::Broke("broke".into())),
            (Failure::service(Code::Timeout, "slow"), Outcome::Late("slow".into())),
            (Failure::client(Code::QueryFailed, "wrong"), Outcome::Good),
            (Failure::gateway(Code::Overloaded, "full"), Outcome::Void),
        ] {
            assert_eq!(broken(&failure), outcome);
        }
    }
}
