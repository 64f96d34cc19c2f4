//! One operation on a cache: through the same try loop as every other request.

use std::sync::Arc;

use adapters::KeyValue;
use clusters::{
    Access, Attempt, Clusters, Ending, Miss, Order, Outcome, RequestId, Service, Settled, Shape, Tries,
};
use model::kind::Ability;
use model::route::RetryOn;
use model::{Code, Failure, Origin};

/// Which service a call is for, and under which id.
pub(crate) struct Target<'r> {
    pub(crate) clusters: &'r Clusters,
    pub(crate) cluster: &'r str,
    pub(crate) service: Option<&'r str>,
    pub(crate) id: RequestId,
}

/// Something that a cache can be asked to do.
pub(crate) trait Operation: Sync {
    /// As metrics and activity name it.
    const NAME: &'static str;
    /// Which endpoints may be asked.
    const ACCESS: Access;
    /// What comes back.
    type Answer: Send;

    /// The key, or the pattern, for its shape.
    fn key(&self) -> &[u8];

    /// Asks.
    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> adapters::Call<'a, Self::Answer>;
}

impl Target<'_> {
    /// The cache that the call means.
    ///
    /// # Errors
    /// `not_found`, `unsupported_ability`, `ambiguous_service`.
    pub(crate) fn service(&self) -> Result<Arc<Service>, Failure> {
        let snapshot = self.clusters.snapshot();
        snapshot.able(self.cluster, self.service, Ability::KeyValue).map(Arc::clone)
    }

    /// Carries an operation out: endpoint after endpoint, until one answers.
    ///
    /// # Errors
    /// Why nobody answered, or what the cache refused with.
    pub(crate) async fn ask<O: Operation>(&self, operation: &O) -> Result<O::Answer, Failure> {
        let service = self.service()?;
        let name = Arc::clone(&service.name);
        let order = Order {
            operation: O::NAME,
            shape: Shape::Text(shape(operation.key())),
            access: O::ACCESS,
            // What only looks may run again; a write whose bytes have left never does.
            rerun: O::ACCESS == Access::Read,
            uploads: false,
            request_id: self.id,
        };
        let mut tries = Tries::begin(service, None, order, self.clusters.activity().clone());
        let answer = self.until_answered(&mut tries, operation).await;
        match answer {
            Ok(answer) => {
                tries.finish(Ending::Success(None));
                Ok(answer)
            }
            Err(failure) => {
                tries.fail(&failure);
                Err(failure.with_service(name))
            }
        }
    }

    async fn until_answered<O: Operation>(
        &self,
        tries: &mut Tries,
        operation: &O,
    ) -> Result<O::Answer, Failure> {
        loop {
            let attempt = tries.next().await?;
            let result = once(&attempt, operation).await;
            if let Settled::Answer(answer, attempt) = tries.settle(attempt, result)? {
                // A refusal is an answer too: it says nothing against the endpoint.
                attempt.end(Outcome::Good);
                return answer;
            }
        }
    }
}

/// One try. The outer result is whether there is an answer, the inner one whether it is a refusal.
async fn once<O: Operation>(attempt: &Attempt, operation: &O) -> Result<Result<O::Answer, Failure>, Miss> {
    let Some(cache) = attempt.adapter().key_value() else {
        let detail = format!("`{}` keeps no keys.", attempt.service().path());
        let failure = Failure::gateway(Code::UnsupportedAbility, detail);
        return Err(Miss { failure, cause: RetryOn::Connect, sent: true, outcome: Outcome::Void });
    };
    let asked = tokio::time::timeout_at(attempt.deadline().into(), operation.run(cache)).await;
    let Ok(result) = asked else {
        let limit = attempt.deadline().saturating_duration_since(attempt.began());
        let detail = format!("{} did not answer within {} ms.", attempt.endpoint().label, limit.as_millis());
        let failure = Failure::service(Code::Timeout, detail.clone());
        return Err(Miss { failure, cause: RetryOn::Timeout, sent: true, outcome: Outcome::Late(detail) });
    };
    match result {
        Err(failure) if failure.origin() == Origin::Service => Err(miss(failure)),
        answer => Ok(answer),
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

/// What may be written down of a key: what stands before its first colon, which names a kind of thing.
fn shape(key: &[u8]) -> Box<str> {
    /// A longer prefix is hardly the name of a kind of thing.
    const LONGEST: usize = 64;
    let end = key.iter().take(LONGEST).position(|byte| *byte == b':');
    match end.and_then(|end| std::str::from_utf8(&key[..=end]).ok()) {
        Some(prefix) if !prefix.contains(|c: char| c.is_control() || "*?[\\".contains(c)) => {
            let mut shape = String::with_capacity(prefix.len() + 1);
            shape.push_str(prefix);
            shape.push('*');
            shape.into()
        }
        _ => "*".into(),
    }
}

#[cfg(test)]
mod tests {
    use model::route::RetryOn;
    use model::{Code, Failure};

    use super::{Outcome, miss, shape};

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
    fn a_shape_never_holds_what_tells_one_key_from_another() {
        for (key, expected) in [
            (&b"user:42"[..], "user:*"),
            (b"user:42:name", "user:*"),
            (b"secret", "*"),
            (b"", "*"),
            (b":x", ":*"),
            (b"us\ner:1", "*"),
            (b"\xff:1", "*"),
            (b"us?r:*", "*"),
            (&[b'a'; 100], "*"),
        ] {
            assert_eq!(&*shape(key), expected, "{key:?}");
        }
    }
}
