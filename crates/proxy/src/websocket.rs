//! What HTTP/1 and HTTP/2 say differently when a WebSocket is asked for (RFC 6455 4, RFC 8441 5).

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clusters::RequestId;
use model::{Code, Failure};
use wire::http1::{RequestHead, ResponseHead};

/// The field by which HTTP/1 makes sure that the service speaks WebSocket.
pub(crate) const KEY: &str = "sec-websocket-key";

/// The field by which a service of HTTP/1 proves it.
pub(crate) const ACCEPT: &str = "sec-websocket-accept";

/// Whether it comes from one origin at most: a service that reads the first and one that reads the last would differ on it.
pub(crate) fn check_origin(head: &RequestHead) -> Result<(), Failure> {
    let origins = all(head, "origin").count();
    if origins > 1 { Err(refused("it has more than one `Origin`")) } else { Ok(()) }
}

/// Whether a client of HTTP/1 has the one key that it must have (RFC 6455 4.2.1), where we answer it: a service of HTTP/2
/// is told none. A service of HTTP/1 sees for itself.
pub(crate) fn check_key(head: &RequestHead) -> Result<(), Failure> {
    let mut keys = all(head, KEY);
    let is_one = |key| STANDARD.decode(key).is_ok_and(|key: Vec<u8>| key.len() == 16);
    match (keys.next(), keys.next()) {
        _ if head.by_http2 => Ok(()),
        (Some(key), None) if is_one(key) => Ok(()),
        _ => Err(refused("a WebSocket is asked for by one `Sec-WebSocket-Key` of 16 bytes in base64")),
    }
}

fn refused(why: &str) -> Failure {
    Failure::client(Code::InvalidRequest, format!("The request is refused: {why}."))
}

fn all<'h>(head: &'h RequestHead, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    let own = move |field: &&[u8]| field.eq_ignore_ascii_case(name.as_bytes());
    head.fields.iter().filter(move |(field, ..)| own(field)).map(|(_, value, _)| value)
}

/// The key for a service of HTTP/1, when the client had no need of one. It differs from request to request, no more.
pub(crate) fn made_key(id: &RequestId) -> String {
    static OURS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&OURS.hash_one((id.as_str(), 1)).to_be_bytes());
    key[8..].copy_from_slice(&OURS.hash_one((id.as_str(), 2)).to_be_bytes());
    STANDARD.encode(key)
}

/// Whether a service of HTTP/1 has understood the key that was made for it. One that the client made is the client's to check.
pub(crate) fn has_understood(request: &RequestHead, response: &ResponseHead, id: &RequestId) -> bool {
    let said = response.fields.get(ACCEPT);
    !request.by_http2
        || request.fields.get(KEY).is_some()
        || said == Some(accept(made_key(id).as_bytes()).as_bytes())
}

/// What a client of HTTP/1 expects in return for its key.
pub(crate) fn accept(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_rfc_6455_says() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let (one, other) = (RequestId::make(), RequestId::make());
        assert_ne!(made_key(&one), made_key(&other));
        assert_eq!(made_key(&one), made_key(&one));
        assert_eq!(STANDARD.decode(made_key(&one)).map(|key| key.len()), Ok(16));
    }
}
