//! The traffic door: accept, route, forward, relay.
//!
//! The walk of a request is `handle.rs`; read that first. HTTP/2 will enter in `accept.rs` (by preface or
//! ALPN) beside `server.rs`, gRPC in `respond.rs` as another
//! way to say a failure, and policies (auth, limits, headers) in `admit.rs`. A door whose requests are answered
//! and not routed (the data door) takes `answer.rs` instead of the walk.

mod accept;
mod admit;
mod answer;
mod calls;
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
pub use calls::{Answering, Calls};
pub use door::{Door, Limits, Options, TrustedProxies};
