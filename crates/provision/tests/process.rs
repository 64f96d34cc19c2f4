//! Local processes, with real programs: shell scripts, Redis, PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "process/house.rs"]
mod house;

#[path = "process/dumps.rs"]
mod dumps;
#[path = "process/ends.rs"]
mod ends;
#[path = "process/engines.rs"]
mod engines;
#[path = "process/gateways.rs"]
mod gateways;
#[path = "process/says.rs"]
mod says;
#[path = "process/starts.rs"]
mod starts;
