//! What HTTP/1 and HTTP/2 say differently when a WebSocket is asked for (RFC 6455 4, RFC 8441 5).

use std::hash::{BuildHasher, RandomState};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The field by which HTTP/1 makes sure that the service speaks WebSocket.
pub(crate) const KEY: &str = "sec-websocket-key";

/// The field by which a service of HTTP/1 proves it.
pub(crate) const ACCEPT: &str = "sec-websocket-accept";

/// A key for a service of HTTP/1, when the client had no need of one. It must differ from time to time, no more.
pub(crate) fn made_key() -> String {
    let halves = [RandomState::new().hash_one(1), RandomState::new().hash_one(2)];
    let mut key = [0; 16];
    key[..8].copy_from_slice(&halves[0].to_be_bytes());
    key[8..].copy_from_slice(&halves[1].to_be_bytes());
    STANDARD.encode(key)
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
        assert_ne!(made_key(), made_key());
        assert_eq!(STANDARD.decode(made_key()).map(|key| key.len()), Ok(16));
    }
}
