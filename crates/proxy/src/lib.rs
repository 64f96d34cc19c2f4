//! The traffic door: accept, route, forward, relay.
//!
//! The walk of a request is `handle.rs`; read that first. HTTP/2 will enter in `accept.rs` (by preface or
//! ALPN) beside `server.rs`, TLS in `accept.rs` as another `wire::Socket`, gRPC in `respond.rs` as another
//! way to say a failure, and policies (auth, limits, headers) in `admit.rs`.

mod accept;
mod admit;
mod client;
mod door;
mod exchange;
mod forward;
mod handle;
mod relay;
mod respond;
mod server;
mod upgrade;

pub use accept::serve_core;
pub use door::{Door, Limits, Options, TrustedProxies};
