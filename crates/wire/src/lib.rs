//! The bytes: sockets, TLS, lent buffers, bodies, our own HTTP/1 codec for both sides, and HTTP/2 in the same words.
//!
//! Knows nothing of routes or services. A future here never needs a particular thread: cores are where
//! things are placed (`cores`), not part of any type.

pub mod alarm;
pub mod body;
pub mod buffer;
pub mod conn;
pub mod cores;
pub mod dial;
mod error;
pub mod http1;
pub mod http2;
pub mod line;
pub mod proxy_protocol;
pub mod seats;
pub mod socket;
pub mod tls;
pub mod websocket;

pub use alarm::Alarm;
pub use body::Body;
pub use buffer::Buffer;
pub use conn::Conn;
pub use dial::Dial;
pub use error::{Error, Side};
pub use line::Line;
pub use seats::Seats;
pub use socket::Socket;
