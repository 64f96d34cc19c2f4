//! What an engine refuses, in the words that Neon's client reads: its own, with the status that makes the client read
//! them. Any other failure stays the problem document that it is everywhere.

use bytes::Bytes;
use clusters::RequestId;
use http::{HeaderValue, Response, StatusCode};
use model::{Failure, Origin, problem};
use serde_json::{Map, Value, json};

use crate::idempotency::Fate;
use crate::respond::{self, Refused};

/// The client reads the words of a refusal with this status, and of no other.
const STATUS: StatusCode = StatusCode::BAD_REQUEST;

/// The refusal as an answer.
///
/// # Errors
/// The failure, where it is no refusal of the engine.
pub(super) fn told(failure: Failure, several: bool, id: RequestId) -> Result<Response<Bytes>, Failure> {
    let Some((_, native)) = failure.native().filter(|_| failure.origin() == Origin::Client) else {
        return Err(failure);
    };
    let mut document = match problem::document(&failure, STATUS.as_u16(), id.as_str()) {
        Value::Object(document) => document,
        _ => Map::new(),
    };
    // These are the problem's as well as the engine's, and the engine's are what the client shows.
    document.insert("code".to_owned(), json!(native));
    document.insert("detail".to_owned(), Value::Null);
    document.insert("hint".to_owned(), failure.hint().into());
    document.insert("message".to_owned(), message(failure.detail(), several).into());
    for (name, word) in failure.engine_words() {
        document.insert((*name).to_owned(), word.as_str().into());
    }
    let body = Value::Object(document).to_string();
    let mut response = respond::with(STATUS, HeaderValue::from_static(problem::CONTENT_TYPE), body);
    response.extensions_mut().insert(Refused(failure.code()));
    response.extensions_mut().insert(Fate::of(&failure));
    Ok(response)
}

/// What stands for the engine's own sentence where it is not among its words: of several statements the failure names
/// the one.
fn message(detail: &str, several: bool) -> &str {
    let behind = || {
        let (number, rest) = detail.strip_prefix("statement ")?.split_once(": ")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
    };
    if several { behind().unwrap_or(detail) } else { detail }
}
