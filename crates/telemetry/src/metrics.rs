//! The series of `/metrics`: every name once, and their text form.
//!
//! Labels are the names of clusters and services that exist, and codes of one table: bounded by what is
//! configured, never by what clients send.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::histogram::{BOUNDS, Counts};
use crate::meter::Reading;

/// Content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The names, without the suffixes that their type adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `throome_requests_total`
    Requests,
    /// `throome_request_duration_seconds`
    RequestDuration,
    /// `throome_errors_total`
    Errors,
    /// `throome_active_connections`
    ActiveConnections,
    /// `throome_cluster_total`
    Clusters,
    /// `throome_service_health`
    ServiceHealth,
    /// `throome_endpoint_health`
    EndpointHealth,
    /// `throome_endpoint_breaker`
    EndpointBreaker,
    /// `throome_client_connections`
    ClientConnections,
    /// `throome_refused_total`
    Refused,
    /// `throome_tls_handshake_failures_total`
    HandshakeFailures,
}

impl Name {
    fn text(self) -> (&'static str, &'static str, MetricType) {
        use MetricType::{Counter, Gauge, Histogram};
        match self {
            Name::Requests => ("throome_requests", "Operations on services that ended", Counter),
            Name::RequestDuration => {
                ("throome_request_duration_seconds", "How long operations took", Histogram)
            }
            Name::Errors => ("throome_errors", "Operations that failed, by code", Counter),
            Name::ActiveConnections => {
                ("throome_active_connections", "Operations under way on a service", Gauge)
            }
            Name::Clusters => ("throome_cluster_total", "Clusters", Gauge),
            Name::ServiceHealth => ("throome_service_health", "1 when the service can be used", Gauge),
            Name::EndpointHealth => ("throome_endpoint_health", "1 when the endpoint is asked", Gauge),
            Name::EndpointBreaker => ("throome_endpoint_breaker", "0 closed, 1 half-open, 2 open", Gauge),
            Name::ClientConnections => {
                ("throome_client_connections", "Connections of clients, by door", Gauge)
            }
            Name::Refused => (
                "throome_refused",
                "Requests that a door answered with a failure of its own words, by code",
                Counter,
            ),
            Name::HandshakeFailures => (
                "throome_tls_handshake_failures",
                "Clients that were not let in by TLS, by door and reason",
                Counter,
            ),
        }
    }
}

/// What one service shows.
#[derive(Debug, Clone)]
pub struct ServiceSample {
    /// Its cluster's id.
    pub cluster: String,
    /// Its name.
    pub service: String,
    /// Its kind.
    pub kind: String,
    /// Whether it can be used.
    pub healthy: bool,
    /// Its meter.
    pub reading: Reading,
    /// Address, whether it is asked, and 0, 1 or 2 for its breaker, of each endpoint.
    pub endpoints: Vec<(String, bool, u8)>,
}

/// What the process shows.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// How many clusters there are.
    pub clusters: usize,
    /// Each service.
    pub services: Vec<ServiceSample>,
    /// Connections of clients, by door.
    pub connections: Vec<(&'static str, u64)>,
    /// Requests that were answered with a problem document, by code.
    pub refused: Vec<(&'static str, u64)>,
    /// Handshakes of TLS that came to nothing, by door and reason.
    pub handshakes_failed: Vec<(&'static str, &'static str, u64)>,
}

/// The sample in OpenMetrics text, which Prometheus reads.
#[must_use]
pub fn render(sample: Sample) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(sample)));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Snapshot(Sample);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sample = &self.0;
        family(&mut encoder, Name::Clusters, |out| gauge(out, &[], sample.clusters as u64))?;
        family(&mut encoder, Name::Requests, |out| {
            each(&sample.services, |s| counter(out, &s.labels(), s.reading.durations.count()))
        })?;
        family(&mut encoder, Name::Errors, |out| {
            each(&sample.services, |s| {
                each(&s.reading.errors, |(code, count)| {
                    let mut labels = s.labels();
                    labels.push(("error_type", code.name()));
                    counter(out, &labels, *count)
                })
            })
        })?;
        family(&mut encoder, Name::RequestDuration, |out| {
            each(&sample.services, |s| histogram(out, &s.labels(), &s.reading.durations))
        })?;
        family(&mut encoder, Name::ActiveConnections, |out| {
            each(&sample.services, |s| gauge(out, &s.labels(), s.reading.active))
        })?;
        family(&mut encoder, Name::ServiceHealth, |out| {
            each(&sample.services, |s| gauge(out, &s.labels(), u64::from(s.healthy)))
        })?;
        family(&mut encoder, Name::EndpointHealth, |out| {
            each(&sample.services, |s| {
                each(&s.endpoints, |(address, asked, _)| {
                    gauge(out, &s.endpoint_labels(address), u64::from(*asked))
                })
            })
        })?;
        family(&mut encoder, Name::EndpointBreaker, |out| {
            each(&sample.services, |s| {
                each(&s.endpoints, |(address, _, state)| {
                    gauge(out, &s.endpoint_labels(address), u64::from(*state))
                })
            })
        })?;
        family(&mut encoder, Name::ClientConnections, |out| {
            each(&sample.connections, |(door, count)| gauge(out, &[("door", door)], *count))
        })?;
        family(&mut encoder, Name::Refused, |out| {
            each(&sample.refused, |(code, count)| counter(out, &[("code", code)], *count))
        })?;
        family(&mut encoder, Name::HandshakeFailures, |out| {
            each(&sample.handshakes_failed, |(door, reason, count)| {
                counter(out, &[("door", door), ("reason", reason)], *count)
            })
        })
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl ServiceSample {
    fn labels(&self) -> Labels<'_> {
        vec![("cluster_id", self.cluster.as_str()), ("service", &self.service), ("type", &self.kind)]
    }

    fn endpoint_labels<'a>(&'a self, address: &'a str) -> Labels<'a> {
        let mut labels = self.labels();
        labels.push(("endpoint", address));
        labels
    }
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: Name,
    fill: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let (text, help, kind) = name.text();
    let mut metric = encoder.encode_descriptor(text, help, None, kind)?;
    fill(&mut metric)
}

fn each<T>(items: &[T], mut show: impl FnMut(&T) -> fmt::Result) -> fmt::Result {
    items.iter().try_for_each(&mut show)
}

fn counter(out: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    out.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], _, u64>(&value, None)
}

fn gauge(out: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    if labels.is_empty() {
        return out.encode_gauge(&value);
    }
    out.encode_family(&labels)?.encode_gauge(&value)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
fn histogram(out: &mut MetricEncoder<'_>, labels: &[(&str, &str)], counts: &Counts) -> fmt::Result {
    let buckets: Vec<(f64, u64)> = counts
        .buckets
        .iter()
        .enumerate()
        .map(|(i, &count)| (BOUNDS.get(i).map_or(f64::INFINITY, |&micros| micros as f64 / 1e6), count))
        .collect();
    let sum = counts.sum_micros as f64 / 1e6;
    out.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(sum, counts.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Code;

    use super::*;
    use crate::meter::Meter;

    #[test]
    fn the_promised_names_are_there() {
        let meter = Meter::new(1);
        meter.begin(0);
        meter.end(0, Duration::from_millis(3), Some(Code::Timeout));
        let service = ServiceSample {
            cluster: "shop".into(),
            service: "web".into(),
            kind: "some".into(),
            healthy: true,
            reading: meter.read(),
            endpoints: vec![("127.0.0.1:1".into(), true, 0)],
        };
        let text = render(Sample { clusters: 1, services: vec![service], ..Sample::default() });
        let labels = r#"{cluster_id="shop",service="web",type="some""#;
        for line in [
            "throome_cluster_total 1".to_owned(),
            format!("throome_requests_total{labels}}} 1"),
            format!("throome_errors_total{labels},error_type=\"timeout\"}} 1"),
            format!("throome_request_duration_seconds_count{labels}}} 1"),
            format!("throome_active_connections{labels}}} 0"),
            format!("throome_service_health{labels}}} 1"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
