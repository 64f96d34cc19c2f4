//! The client against a server that answers by script and misbehaves on request.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail there")]

mod answers;
mod backups;
mod data;
mod faults;
mod operations;
mod secured;
mod server;
mod services;
