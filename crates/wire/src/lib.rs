//! The bytes: sockets, lent buffers, bodies, our own HTTP/1 codec for both sides, and HTTP/2 in the same words.
//!
//! Knows nothing of routes or services. A future here never needs a particular thread: cores are where
//! things are placed (`cores`), not part of any type.

pub mod alarm;
pub mod body;
pub mod buffer;
pub mod conn;
pub mod cores;
mod error;
pub mod http1;
pub mod http2;
pub mod line;
pub mod socket;

pub use alarm::Alarm;
pub use body::Body;
pub use buffer::Buffer;
pub use conn::Conn;
pub use error::{Error, Side};
pub use line::Line;
pub use socket::Socket;
