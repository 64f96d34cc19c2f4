//! HTTP/1, both sides, strict by RFC 9112: what is ambiguous is refused, never repaired.

pub mod client;
pub mod date;
pub mod fields;
pub mod framing;
pub mod head;
pub mod pump;
pub mod server;
pub mod target;
pub mod tunnel;

pub use fields::{Known, Mask};
pub use framing::{BodyReader, BodyWriter, Framing};
pub use head::{HeadLimits, RequestHead, ResponseHead};
pub use pump::{Pump, PumpError};
