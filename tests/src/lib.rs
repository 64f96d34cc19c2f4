//! End to end: the real binary, real sockets, real servers. Here is what the tests are written with; what they show
//! stands in `tests/it/`, a theme a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

pub mod calls;
pub mod connection;
pub mod counting;
pub mod fixture;
pub mod gateway;
pub mod idle;
pub mod lines;
pub mod load;
pub mod network;
pub mod process;
pub mod reply;
pub mod service;
pub mod turn;

pub use connection::{Broken, Connection};
pub use counting::Counting;
pub use gateway::{Gateway, Layout};
pub use reply::Reply;
pub use service::Service;
