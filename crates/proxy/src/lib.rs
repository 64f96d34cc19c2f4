//! The traffic door: accept, route, forward, relay.
//!
//! The walk of a request is `handle.rs`; read that first. `accept.rs` takes connections, greets them by TLS where the
//! door has it, and finds out what is spoken on them; `http1.rs` and `http2.rs` are the lives of such connections, and
//! `server.rs` is one request of either. Policies (auth, limits, headers) enter in `admit.rs`. A door whose requests
//! are answered and not routed (the data door) takes `answer.rs` instead of the walk, and one that carries bytes
//! `carry.rs`.

mod accept;
mod admit;
mod answer;
mod calls;
mod carry;
mod client;
mod door;
mod exchange;
mod forward;
mod handle;
mod hedge;
mod http1;
mod http2;
mod introduce;
mod mirror;
mod onward;
mod relay;
mod respond;
mod server;
mod turn;
mod upgrade;
mod websocket;

pub use accept::serve_core;
pub use calls::{Answering, Calls};
pub use carry::Carrier;
pub use door::{Door, Limits, Options, TrustedProxies};
