//! What the product promises, shown on the real binary. One file a theme.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod auth;
mod cli;
mod config;
mod crash;
mod failover;
mod first_minute;
mod limits;
mod protocol;
mod routing;
mod samples;
mod secrets;
mod stop;
