//! The decisions: match, pick, admit, retry, trip. No clock, socket, file or random source.
//!
//! Time, seed and state are arguments, so every decision can be told again and simulated. State that
//! outlives a call is held in atomics, since the cores reach it at once.

pub mod time;

// Which route answers.
pub mod routes;

// Which endpoint is asked.
pub mod balance;
pub mod breaker;
pub mod health;
pub mod lead;
pub mod outlier;

// Whether it is asked again.
pub mod retry;

// How many are let through at once.
pub mod gate;
pub mod gradient;
// How much each client may ask.
pub mod limit;

mod seed;
mod window;

pub use balance::{Balancer, Candidates, Load, Shares, balancer, by_key};
pub use breaker::{Admission, Breaker, Proof, State, Transition, TrialKind};
pub use gate::{Entry, Exit, Gate};
pub use gradient::Gradient;
pub use health::{Change, Health, HealthState, Silence, are_doubted, next_interval};
pub use lead::{Lead, Server, leads};
pub use limit::{ClientKey, Clients, Rate, Refused, Remaining, client_address};
pub use outlier::{Ejection, Ejector};
pub use retry::{Budget, Progress, Work, backoff, may_rerun};
pub use routes::{Affinity, Asked, Asker, Conflict, Match, Params, Redirect, Request, Table, rewrite};
pub use seed::fingerprint;
pub use time::Time;
