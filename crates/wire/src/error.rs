//! What can happen to bytes under way.

use std::io;

use crate::websocket::Broken;

/// Which of two peers did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one we read from.
    Source,
    /// The one we write to.
    Sink,
}

/// Why bytes did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer closed where that is an end and not a break: between two messages.
    #[error("the connection is closed")]
    Closed,
    /// The peer closed in the middle of a message.
    #[error("the connection was closed in the middle of a message")]
    Truncated,
    /// The operating system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not HTTP/1 as RFC 9112 has it.
    #[error("{0}")]
    Malformed(&'static str),
    /// A head of HTTP/1 that has no form in HTTP/2.
    #[error("HTTP/2 cannot carry this head")]
    Unsayable,
    /// The peer has reset the stream, with this code of HTTP/2.
    #[error("the stream was reset: {}", h2::Reason::from(*.0))]
    Reset(u32),
    /// The peer has refused the stream and done nothing of it.
    #[error("the stream was refused")]
    Refused,
    /// A head larger than allowed, in bytes or in fields.
    #[error("the head is larger than allowed")]
    HeadTooLarge,
    /// A body larger than allowed.
    #[error("the body is larger than allowed")]
    BodyTooLarge,
    /// A message of a WebSocket that may not pass.
    #[error("a WebSocket said {}", match .0 { Broken::TooLarge => "more in a message than is allowed", Broken::Malformed => "what is no frame" })]
    Message(Broken),
    /// Waited for longer than allowed.
    #[error("waited too long")]
    TimedOut,
    /// A body of known length came at less than the least rate.
    #[error("the body came too slowly")]
    Trickle,
}

impl From<h2::Error> for Error {
    fn from(error: h2::Error) -> Self {
        let reason = error.reason();
        let is_farewell = error.is_go_away() && error.is_remote() && reason == Some(h2::Reason::NO_ERROR);
        if is_farewell || reason == Some(h2::Reason::REFUSED_STREAM) {
            return Error::Refused;
        }
        match reason {
            Some(reason) if error.is_remote() => Error::Reset(reason.into()),
            Some(_) => Error::Malformed("what the peer says is not HTTP/2"),
            None => match error.into_io() {
                Some(error) => Error::Io(error),
                None => Error::Closed,
            },
        }
    }
}
