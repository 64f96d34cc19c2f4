//! Commands as requests spell them: in a JSON body, or in a path with the rest in query and body.

use bytes::Bytes;
use http::{Method, Request, Uri};
use model::{Code, Failure};
use serde_json::value::RawValue;

use super::command::refusal;
use crate::percent::{Plus, decode};

/// One command: a list of its words.
///
/// # Errors
/// `invalid_request` for anything else.
pub(super) fn command(body: &[u8]) -> Result<Vec<Bytes>, Failure> {
    words(serde_json::from_slice(body).map_err(|error| no_command(&error))?)
}

/// A list of commands.
///
/// # Errors
/// `invalid_request` for anything else, and for more than may be.
pub(super) fn commands(body: &[u8], most: usize) -> Result<Vec<Vec<Bytes>>, Failure> {
    let lists: Vec<Vec<&RawValue>> = serde_json::from_slice(body).map_err(|error| no_command(&error))?;
    if lists.is_empty() {
        return Err(refusal("ERR empty pipeline request"));
    }
    if lists.len() > most {
        let detail = format!("There are {} commands; at most {most} are taken at once.", lists.len());
        return Err(Failure::client(Code::InvalidRequest, detail));
    }
    lists.into_iter().map(words).collect()
}

/// The command in a path, with the body and then the query as further words.
///
/// # Errors
/// `invalid_request` when it cannot be read.
pub(super) fn in_path(path: &str, request: &Request<Bytes>) -> Result<Vec<Bytes>, Failure> {
    let mut words = path.split('/').map(|word| decoded(word, Plus::Plus)).collect::<Result<Vec<_>, _>>()?;
    if !request.body().is_empty() {
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            let detail = "A body belongs to POST and PUT.";
            return Err(Failure::client(Code::InvalidRequest, detail));
        }
        words.push(request.body().clone());
    }
    for pair in pairs(request.uri()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        words.push(decoded(name, Plus::Space)?);
        if !value.is_empty() {
            words.push(decoded(value, Plus::Space)?);
        }
    }
    Ok(words)
}

/// A token in the query would stand in the logs of everybody on the way.
///
/// # Errors
/// `invalid_request` when there is one.
pub(super) fn refuse_token(uri: &Uri) -> Result<(), Failure> {
    if !pairs(uri).any(|pair| pair.split('=').next() == Some("_token")) {
        return Ok(());
    }
    let detail = "A token is not taken from the query, where logs would keep it.";
    Err(Failure::client(Code::InvalidRequest, detail).with_hint("Send `Authorization: Bearer TOKEN`."))
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn decoded(text: &str, plus: Plus) -> Result<Bytes, Failure> {
    let bytes = decode(text, plus).ok_or_else(|| {
        let detail = "The path or query has a percent sign without two hexadecimal digits.";
        Failure::client(Code::InvalidRequest, detail)
    })?;
    Ok(Bytes::from(bytes.into_owned()))
}

fn words(list: Vec<&RawValue>) -> Result<Vec<Bytes>, Failure> {
    list.into_iter().map(word).collect()
}

/// A word: a text, or a number or truth value as it is written.
fn word(raw: &RawValue) -> Result<Bytes, Failure> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|error| no_command(&error))?;
            Ok(Bytes::from(text))
        }
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Bytes::copy_from_slice(text.as_bytes())),
        _ => Err(no_command(&"an argument is a list, an object or null")),
    }
}

fn no_command(error: &dyn std::fmt::Display) -> Failure {
    let detail = format!("The body is no command, or no list of them: {error}.");
    Failure::client(Code::InvalidRequest, detail)
        .with_hint(r#"A command is a list of texts and numbers, such as `["SET", "key", "value"]`."#)
}
