//! The traffic door: accept, route, forward, relay.
//!
//! The walk of a request is `handle.rs`; read that first. `accept.rs` takes connections and finds out what is spoken
//! on them; `http1.rs` and `http2.rs` are the lives of such connections, and `server.rs` is one request of either.
//! TLS enters in `accept.rs` as another `wire::Socket`, policies (auth, limits, headers) in `admit.rs`. A door
//! whose requests are answered and not routed (the data door) takes `answer.rs` instead of the walk.

mod accept;
mod admit;
mod answer;
mod calls;
mod client;
mod door;
mod exchange;
mod forward;
mod handle;
mod http1;
mod http2;
mod relay;
mod respond;
mod server;
mod upgrade;
mod websocket;

pub use accept::serve_core;
pub use calls::{Answering, Calls};
pub use door::{Door, Limits, Options, TrustedProxies};
