//! How a cluster's requests are routed, tried again and cut off, and how its endpoints' health is judged.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How one of the usable endpoints is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In turn.
    #[default]
    RoundRobin,
    /// In turn, by weight, smoothly.
    Weighted,
    /// The fewest requests in flight.
    LeastConnections,
    /// The better of two drawn at random, by latency and load (peak EWMA).
    TwoChoices,
    /// The shortest wait of all, by latency and load.
    Latency,
    /// By what requests have in common, within a bound of load; those without it as by `two_choices`.
    #[serde(alias = "consistent_hash", alias = "sticky_session")]
    Hash,
}

impl Strategy {
    /// Name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::RoundRobin => "round_robin",
            Strategy::Weighted => "weighted",
            Strategy::LeastConnections => "least_connections",
            Strategy::TwoChoices => "two_choices",
            Strategy::Latency => "latency",
            Strategy::Hash => "hash",
        }
    }
}

/// `routing` of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoutingSpec {
    /// How an endpoint is picked, unless the route says otherwise.
    pub strategy: Strategy,
    /// Whether another endpoint is asked when one fails.
    pub failover_enabled: bool,
    /// Milliseconds for all tries together.
    pub timeout_ms: u64,
    /// Tries in all, the first included.
    pub retry_attempts: u32,
    /// Time for one try; left out, a share of what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try: Option<Span>,
    /// Retries as a share of the last ten seconds' requests, 0 to 1.
    pub retry_budget: f64,
    /// When an endpoint is left alone.
    pub circuit_breaker: BreakerSpec,
}

impl Default for RoutingSpec {
    fn default() -> Self {
        RoutingSpec {
            strategy: Strategy::default(),
            failover_enabled: true,
            timeout_ms: 5000,
            retry_attempts: 3,
            per_try: None,
            retry_budget: 0.2,
            circuit_breaker: BreakerSpec::default(),
        }
    }
}

/// `circuit_breaker`: when an endpoint is left alone, and how it is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerSpec {
    /// Whether there is one.
    pub enabled: bool,
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// How long it stays open before trials are let through.
    pub reset_timeout: Span,
    /// Share of failures within `window` that opens it, 0 to 1.
    pub error_rate: f64,
    /// The window of `error_rate`.
    pub window: Span,
    /// Outcomes in the window below which `error_rate` says nothing.
    pub minimum: u32,
    /// Requests let through at once while half-open; as many successes close it.
    pub trials: u32,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        BreakerSpec {
            enabled: true,
            failure_threshold: 5,
            reset_timeout: Span::secs(60),
            error_rate: 0.5,
            window: Span::secs(10),
            minimum: 20,
            trials: 3,
        }
    }
}

/// `health`: how endpoints are probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSpec {
    /// Whether endpoints are probed at all.
    pub enabled: bool,
    /// Time between two probes of one endpoint.
    pub interval: Span,
    /// Time for one probe.
    pub timeout: Span,
    /// Probes in a row that change the verdict, either way.
    pub threshold: u32,
    /// Share of a service's endpoints that must pass their probes for probes to be believed, 0 to 1.
    pub panic_threshold: f64,
}

impl Default for HealthSpec {
    fn default() -> Self {
        HealthSpec {
            enabled: true,
            interval: Span::secs(10),
            timeout: Span::secs(5),
            threshold: 3,
            panic_threshold: 0.5,
        }
    }
}

/// `outlier`: when an endpoint that stands out from its siblings is set aside for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutlierSpec {
    /// Whether endpoints are set aside.
    pub enabled: bool,
    /// How long the first time; each further time adds as much.
    pub ejection: Span,
    /// The longest time.
    pub max_ejection: Span,
    /// Share of the service's endpoints that may be aside at once, 0 to 1.
    pub max_share: f64,
    /// How long an endpoint may leave several requests unanswered before it is passed over.
    pub silence: Span,
    /// How long an endpoint that joins or comes back takes to get its whole share; 0 for at once.
    pub slow_start: Span,
}

impl Default for OutlierSpec {
    fn default() -> Self {
        OutlierSpec {
            enabled: true,
            ejection: Span::secs(5),
            max_ejection: Span::secs(60),
            max_share: 0.5,
            silence: Span::secs(1),
            slow_start: Span::secs(5),
        }
    }
}

/// `limits` of a service: how much it is asked at once, whatever clients want.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsSpec {
    /// Connections to each endpoint at once; any number when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Requests under way at once; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Requests that wait for one of these to end; left out, as many as may be under way or connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending: Option<u32>,
    /// Whether the gateway finds out how many the service bears, up to `max_requests`.
    pub adaptive: bool,
}
