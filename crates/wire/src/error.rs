//! What can happen to bytes under way.

use std::io;

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
    /// A head larger than allowed, in bytes or in fields.
    #[error("the head is larger than allowed")]
    HeadTooLarge,
    /// A body larger than allowed.
    #[error("the body is larger than allowed")]
    BodyTooLarge,
    /// Waited for longer than allowed.
    #[error("waited too long")]
    TimedOut,
    /// A body of known length came at less than the least rate.
    #[error("the body came too slowly")]
    Trickle,
}
