//! What gRPC says in fields of its own: calls and their deadlines, how they ended, and our own failures.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use clusters::RequestId;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use model::Failure;
use wire::http1::Known;
use wire::http1::fields::Fields;
use wire::http2::Stream;

use super::http2::{REQUEST_ID, response, value_of};
use super::own::{GRPC, Own};

const TYPE: &[u8] = GRPC.as_bytes();
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// Clients take some KiB of fields; a page of HTML is no message.
const LONGEST_MESSAGE: usize = 1024;

/// Whether these are the fields of a call of gRPC, or of an answer to one.
pub(crate) fn is_call(fields: &Fields) -> bool {
    fields.all(Known::ContentType).any(|value| {
        let (kind, rest) = value.split_at(value.len().min(TYPE.len()));
        kind.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// How long the client waits: at most eight digits and a unit.
pub(crate) fn timeout(fields: &Fields) -> Option<Duration> {
    let (unit, digits) = fields.get("grpc-timeout")?.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// How a call ended, by its trailers or, where it had no message, by its head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this status.
    With(u8),
    /// Without a word, which is no way to end.
    Silently,
}

impl Ended {
    pub(crate) fn of(head: &Fields, trailers: &[u8]) -> Self {
        const NAME: &[u8] = b"grpc-status:";
        let of_trailers = trailers.split(|&byte| byte == b'\n').find_map(|line| {
            let name = line.get(..NAME.len())?;
            name.eq_ignore_ascii_case(NAME).then(|| line[NAME.len()..].trim_ascii())
        });
        let status = of_trailers.or_else(|| head.get(STATUS));
        match status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()) {
            Some(status) => Ended::With(status),
            None => Ended::Silently,
        }
    }

    /// Whether it says that the endpoint failed, as a 5xx would: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE,
    /// DATA_LOSS.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Ended::Silently | Ended::With(2 | 4 | 13 | 14 | 15))
    }
}

pub(super) fn refuse(stream: &mut Stream, failure: &Failure, id: &RequestId) {
    let mut response = response(200);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(HeaderName::from_static(STATUS), u16::from(failure.code().row().grpc).into());
    let mut message = String::new();
    escape(failure.detail(), &mut message);
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(HeaderName::from_static(MESSAGE), message);
    }
    headers.insert(REQUEST_ID, value_of(id));
    // A client that has given the stream up hears nothing, as it wished.
    let _ = stream.say_response(response, true);
}

/// What a call is answered where a route has an answer of its own for everybody: its status in the terms of gRPC,
/// its text as the message.
pub(super) fn fixed(status: u16, body: &[u8]) -> Own<'static> {
    let mut own = Own::new(200, Some(GRPC), Bytes::new());
    own.add(STATUS, of_http(status).to_string());
    let mut message = String::new();
    escape(&text(body), &mut message);
    if !message.is_empty() {
        own.add(MESSAGE, message);
    }
    own
}

/// As gRPC's own table has it for answers without a status of gRPC (`http-grpc-status-mapping`).
fn of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// The beginning of a body, as far as it is text and a field has room for it.
fn text(body: &[u8]) -> String {
    let begin = &body[..body.len().min(LONGEST_MESSAGE)];
    String::from_utf8_lossy(begin).trim_end_matches(char::REPLACEMENT_CHARACTER).trim().to_owned()
}

/// Printable ASCII but `%` as it is, every other byte in percent (the gRPC protocol's `Status-Message`).
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        // Writing into a string cannot fail.
        let _ = match byte {
            b' '..=b'~' if byte != b'%' => out.write_char(char::from(byte)),
            other => write!(out, "%{other:02X}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_found_in_trailers_or_in_the_head() {
        let head = Fields::default();
        assert_eq!(Ended::of(&head, b"a: 1\r\nGrpc-Status: 14\r\n"), Ended::With(14));
        assert_eq!(Ended::of(&head, b"grpc-message: 0\r\n"), Ended::Silently);
        assert!(
            Ended::With(13).is_failure() && !Ended::With(12).is_failure() && !Ended::With(0).is_failure()
        );
    }

    #[test]
    fn a_message_is_escaped_as_grpc_reads_it() {
        let mut out = String::new();
        escape("50 % of “it”\n", &mut out);
        assert_eq!(out, "50 %25 of %E2%80%9Cit%E2%80%9D%0A");
    }

    #[test]
    fn a_fixed_answer_is_a_status_and_a_message() {
        let said = |status: u16, body: &[u8]| -> Vec<(String, String)> {
            let own = fixed(status, body);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            own.fields().map(|(name, value)| (text(name), text(&value))).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let kind = pair("content-type", "application/grpc");
        for (http, status) in
            [(200, "2"), (400, "13"), (401, "16"), (403, "7"), (404, "12"), (503, "14"), (501, "2")]
        {
            let said = said(http, b"closed for 5 %\n");
            assert_eq!(
                said,
                [kind.clone(), pair("grpc-status", status), pair("grpc-message", "closed for 5 %25")]
            );
        }
        assert_eq!(said(404, b""), [kind, pair("grpc-status", "12")]);
        // Cut within a character.
        let long = [vec![b'x'; LONGEST_MESSAGE - 1], "ä".into()].concat();
        assert_eq!(said(500, &long)[2].1, "x".repeat(LONGEST_MESSAGE - 1));
    }
}
