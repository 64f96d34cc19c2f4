//! What the control door is told when it is made.

use std::time::Duration;

use clusters::Clusters;

use crate::data::Data;
use crate::guard::GuardOptions;

/// How the control door works.
pub struct Options {
    /// What it shows and changes.
    pub clusters: Clusters,
    /// Answers data calls; other doors may share it.
    pub data: Data,
    /// Who may ask.
    pub guard: GuardOptions,
    /// How much, and for how long.
    pub limits: Limits,
    /// Where the metrics are; `None` leaves them out.
    pub metrics_path: Option<String>,
    /// HTTP status of code `timeout`: 504, or 408 for clients that expect it.
    pub timeout_status: u16,
    /// The version of the gateway.
    pub version: &'static str,
    /// Whether a browser gets a page at `/`.
    pub dashboard_enabled: bool,
    /// How connections are secured; without, they are in the clear.
    pub tls: Option<wire::tls::Server>,
}

/// How much the control door takes, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body of a request, in bytes; more is 413.
    pub body: usize,
    /// Time for a whole body; more is 408.
    pub body_deadline: Duration,
    /// Time for a head, and for the next piece of a body.
    pub read_timeout: Duration,
    /// Time in which a client must take some of its answer.
    pub write_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 2 << 20,
            body_deadline: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            connections: 1024,
        }
    }
}
