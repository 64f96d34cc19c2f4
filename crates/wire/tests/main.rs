//! What the codec promises, from outside: the RFCs as tables, properties, hostile requests, and a fuzzer.

mod support;

mod bodies;
mod fields;
mod moving;
mod requests;
mod responses;
mod targets;

#[path = "../../../tests/hostile/runner/mod.rs"]
mod runner;

mod door;
mod hostile;
mod fuzz;
