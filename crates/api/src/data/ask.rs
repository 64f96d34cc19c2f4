//! One operation on a service: through the same try loop as every other request.

use std::sync::Arc;
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

use crate::guard::Caller;

/// An adapter that knows its deadline is given this much longer to say so in its own words.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Which service a call is for, for whom, and under which id.
pub(crate) struct Target<'r> {
    pub(crate) clusters: &'r Clusters,
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
        self.attempt.end(Outcome::Good);
        self.tries.finish(Ending::Success(None));
    }

    /// The operation is done, while what it opened lives on: a stream of messages has no duration that says
    /// anything. The attempt counts as in flight until it is dropped.
    pub(crate) fn opened(self) -> Attempt {
        self.tries.finish(Ending::Success(None));
        self.attempt
    }

    /// It failed on the way.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.attempt.end(if failure.origin() == Origin::Service {
            Outcome::Broke(failure.detail().to_owned())
        } else {
            Outcome::Good
        });
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
        let service = snapshot.able(self.cluster, named, ability)?;
        self.caller.may_use(&service.cluster, &service.name)?;
        Ok(Arc::clone(service))
    }

    /// Carries an operation out: endpoint after endpoint, until one answers.
    ///
    /// # Errors
    /// Why nobody answered, or what the service refused with.
    pub(crate) async fn ask<O: Operation>(&self, operation: &O) -> Result<O::Answer, Failure> {
        let (answer, held) = self.open(operation).await?;
        held.finish();
        Ok(answer)
    }

    /// The same for an answer that goes on after this.
    ///
    /// # Errors
    /// As [`Target::ask`].
    pub(crate) async fn open<O: Operation>(&self, operation: &O) -> Result<(O::Answer, Held), Failure> {
        let service = self.service(O::ABILITY)?;
        let tries = Tries::begin(service, None, self.order(operation), self.clusters.activity().clone());
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

    fn order<O: Operation>(&self, operation: &O) -> Order {
        Order {
            operation: operation.name(),
            shape: Shape::Text(operation.shape()),
            access: operation.access(),
            rerun: operation.rerun(),
            uploads: false,
            request_id: self.id,
        }
    }
}

async fn carry_out<O: Operation>(mut tries: Tries, operation: &O) -> Result<(O::Answer, Held), Failure> {
    let answer = match until_answered(&mut tries, operation).await {
        Ok((Ok(answer), attempt)) => return Ok((answer, Held { tries, attempt })),
        // A refusal is an answer too: it says nothing against the endpoint.
        Ok((Err(refusal), attempt)) => {
            attempt.end(Outcome::Good);
            refusal
        }
        Err(failure) => failure,
    };
    tries.fail(&answer);
    Err(answer.with_service(Arc::clone(&tries.service().name)))
}

type Answered<O> = (Result<<O as Operation>::Answer, Failure>, Attempt);

async fn until_answered<O: Operation>(tries: &mut Tries, operation: &O) -> Result<Answered<O>, Failure> {
    loop {
        let mut attempt = tries.next().await?;
        let result = once(&mut attempt, operation).await;
        if let Settled::Answer(answer, attempt) = tries.settle(attempt, result)? {
            return Ok((answer, attempt));
        }
    }
}

/// One try. The outer result is whether there is an answer, the inner one whether it is a refusal.
async fn once<O: Operation>(
    attempt: &mut Attempt,
    operation: &O,
) -> Result<Result<O::Answer, Failure>, Miss> {
    let deadline: Instant = attempt.deadline().into();
    let Some(call) = operation.run(attempt.adapter(), deadline) else {
        let (path, ability) = (attempt.service().path(), O::ABILITY.name());
        let failure = Failure::gateway(Code::UnsupportedAbility, format!("`{path}` lacks `{ability}`."));
        return Err(Miss { failure, cause: RetryOn::Connect, sent: true, outcome: Outcome::Void });
    };
    let Ok(result) = tokio::time::timeout_at(deadline + LAST_WORDS, call).await else {
        let limit = attempt.deadline().saturating_duration_since(attempt.began());
        let detail = format!("{} did not answer within {} ms.", attempt.endpoint().label, limit.as_millis());
        let failure = Failure::service(Code::Timeout, detail.clone());
        return Err(Miss { failure, cause: RetryOn::Timeout, sent: true, outcome: Outcome::Late(detail) });
    };
    match result {
        Err(failure) if failure.origin() == Origin::Service => Err(miss(failure)),
        answer => {
            attempt.heard(true);
            Ok(answer)
        }
    }
}

/// What a failure of the service means for its endpoint. An adapter calls a failure retryable when nothing
/// of the command has left.
fn miss(failure: Failure) -> Miss {
    let detail = failure.detail().to_owned();
    let sent = !failure.retryable();
    let (cause, outcome) = match failure.code() {
        Code::Timeout => (RetryOn::Timeout, Outcome::Late(detail)),
        _ if sent => (RetryOn::Reset, Outcome::Bad(detail)),
        _ => (RetryOn::Connect, Outcome::Bad(detail)),
    };
    Miss { failure, cause, sent, outcome }
}

#[cfg(test)]
mod tests {
    use model::route::RetryOn;
    use model::{Code, Failure};

    use super::{Outcome, miss};

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
}
