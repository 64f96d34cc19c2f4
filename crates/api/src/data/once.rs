//! Which data calls take an `Idempotency-Key`, and how they are carried out with one.

use bytes::Bytes;
use clusters::RequestId;
use http::Request;
use model::{Code, Failure};
use serde::Deserialize;
use wire::Body;

use super::place::Place;
use super::{Answer, CALLS, Call, Data};
use crate::guard::{Caller, changes};
use crate::idempotency::{Fate, Keyed, once};
use crate::query::Query;

impl Data {
    /// Carries a call that brings a key out once.
    pub(super) async fn once(&self, request: Request<Bytes>, caller: &Caller, id: RequestId) -> Answer {
        let keyed = if takes_a_key(&request)? { Keyed::of(&request, caller)? } else { None };
        let Some(keyed) = keyed else { return self.dispatch(&request, caller, id).await };
        let (data, caller) = (self.clone(), caller.clone());
        let work = async move {
            match data.dispatch(&request, &caller, id).await {
                Ok(response) => {
                    let fate = Fate::of_answer(&response);
                    (response, fate)
                }
                Err(failure) => (data.telling.problem(&failure, &id).map(Body::Full), Fate::of(&failure)),
            }
        };
        once(&self.store, keyed, Box::pin(work)).await
    }
}

/// Whether there is a key, and it counts for this call. A read needs none, and a publish hands it to the engine, which keeps it with
/// the messages.
fn takes_a_key(request: &Request<Bytes>) -> Result<bool, Failure> {
    let found = Place::of(request.uri().path()).and_then(|place| place.find(CALLS));
    let Some((call, ..)) = found.filter(|_| changes(request.method())) else { return Ok(false) };
    match call {
        Call::Get | Call::Publish => Ok(false),
        Call::Query | Call::Execute | Call::Batch if Query::of(request.uri()).bytes("tx").is_some() => {
            let detail = "A statement of a transaction takes no `Idempotency-Key`: its effect ends with the transaction.";
            Err(Failure::client(Code::InvalidRequest, detail).with_hint("Send the key with the commit."))
        }
        Call::Begin => {
            let detail = "The beginning of a transaction takes no `Idempotency-Key`: its `tx` would be given again when it is long over.";
            Err(Failure::client(Code::InvalidRequest, detail)
                .with_hint("Send the key with the commit. What was begun and is not used is rolled back."))
        }
        Call::Query => Ok(!only_reads(request.body())),
        _ => Ok(true),
    }
}

/// Whether a query says that it only reads. What cannot be read is refused later.
fn only_reads(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        read_only: bool,
    }
    serde_json::from_slice(body).is_ok_and(|said: Said| said.read_only)
}
