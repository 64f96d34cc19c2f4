//! What the codec promises, from outside: the RFCs as tables, properties, hostile requests, and a fuzzer. And TLS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod support;

mod bodies;
mod fields;
mod moving;
mod reading;
mod requests;
mod responses;
mod targets;
mod tls;

#[path = "../../../tests/hostile/runner/mod.rs"]
mod runner;

mod door;
mod fuzz;
mod hostile;
