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

use crate::flow::Carried;
use crate::format::Format;
use crate::histogram::{BOUNDS, Counts};
use crate::meter::Reading;

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
    /// `throome_endpoint_in_flight`
    EndpointInFlight,
    /// `throome_tries_total`
    Tries,
    /// `throome_hedges_total`
    Hedges,
    /// `throome_hedges_won_total`
    HedgesWon,
    /// `throome_endpoint_connections`
    EndpointConnections,
    /// `throome_endpoint_connection_limit`
    EndpointConnectionLimit,
    /// `throome_endpoint_pending`
    EndpointPending,
    /// `throome_service_limit`
    ServiceLimit,
    /// `throome_service_pending`
    ServicePending,
    /// `throome_route_requests_total`
    RouteRequests,
    /// `throome_route_errors_total`
    RouteErrors,
    /// `throome_route_request_duration_seconds`
    RouteRequestDuration,
    /// `throome_route_tries_total`
    RouteTries,
    /// `throome_route_active_requests`
    RouteActive,
    /// `throome_client_connections`
    ClientConnections,
    /// `throome_refused_total`
    Refused,
    /// `throome_tls_handshake_failures_total`
    HandshakeFailures,
    /// `throome_proxy_protocol_failures_total`
    ProxyProtocolFailures,
    /// `throome_tcp_connections_total`
    TcpConnections,
    /// `throome_tcp_bytes_total`
    TcpBytes,
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
            Name::EndpointInFlight => ("throome_endpoint_in_flight", "Tries under way at an endpoint", Gauge),
            Name::Tries => ("throome_tries", "Tries that operations took which ended", Counter),
            Name::Hedges => ("throome_hedges", "Second tries that were made beside a first", Counter),
            Name::HedgesWon => {
                ("throome_hedges_won", "Second tries beside a first that answered before it", Counter)
            }
            Name::EndpointConnections => {
                ("throome_endpoint_connections", "Connections to an endpoint, where they are limited", Gauge)
            }
            Name::EndpointConnectionLimit => (
                "throome_endpoint_connection_limit",
                "Connections that an endpoint takes at once, where that is limited",
                Gauge,
            ),
            Name::EndpointPending => {
                ("throome_endpoint_pending", "Requests that wait for a connection to an endpoint", Gauge)
            }
            Name::ServiceLimit => (
                "throome_service_limit",
                "Requests that a service takes at once, where that is limited",
                Gauge,
            ),
            Name::ServicePending => {
                ("throome_service_pending", "Requests that wait for room in a service", Gauge)
            }
            Name::RouteRequests => ("throome_route_requests", "Requests of a route that ended", Counter),
            Name::RouteErrors => {
                ("throome_route_errors", "Requests of a route that failed, by code", Counter)
            }
            Name::RouteRequestDuration => {
                ("throome_route_request_duration_seconds", "How long requests of a route took", Histogram)
            }
            Name::RouteTries => {
                ("throome_route_tries", "Tries that requests of a route took which ended", Counter)
            }
            Name::RouteActive => ("throome_route_active_requests", "Requests of a route under way", Gauge),
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
            Name::ProxyProtocolFailures => (
                "throome_proxy_protocol_failures",
                "Connections that were closed for want of a PROXY header that is believed, by door and reason",
                Counter,
            ),
            Name::TcpConnections => (
                "throome_tcp_connections",
                "Connections to a service that listeners with `protocol: tcp` have made",
                Counter,
            ),
            Name::TcpBytes => ("throome_tcp_bytes", "Bytes that they have carried, by direction", Counter),
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
    /// How full it is, where something limits what it is asked at once.
    pub room: Option<RoomSample>,
    /// What listeners have carried to it and back, where they have carried anything.
    pub carried: Option<Carried>,
    /// Each endpoint.
    pub endpoints: Vec<EndpointSample>,
}

/// What one endpoint shows.
#[derive(Debug, Clone)]
pub struct EndpointSample {
    /// Its address.
    pub address: String,
    /// Whether it is asked.
    pub asked: bool,
    /// Its breaker: 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Tries under way.
    pub in_flight: u64,
    /// How its connections stand, where they are limited.
    pub connections: Option<ConnectionSample>,
}

/// How the connections to an endpoint stand.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSample {
    /// Those that there may be.
    pub limit: u64,
    /// Those that there are.
    pub open: u64,
    /// Requests that wait for one.
    pub waiting: u64,
}

/// How full a service is.
#[derive(Debug, Clone, Copy)]
pub struct RoomSample {
    /// Requests that it takes at once.
    pub limit: u64,
    /// Requests that wait.
    pub waiting: u64,
}

/// What one route shows.
#[derive(Debug, Clone)]
pub struct RouteSample {
    /// Its cluster's id.
    pub cluster: String,
    /// Its id.
    pub route: String,
    /// Its meter.
    pub reading: Reading,
}

/// What the process shows.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// How many clusters there are.
    pub clusters: usize,
    /// Each service.
    pub services: Vec<ServiceSample>,
    /// Each route that was asked; those beyond a number under one name.
    pub routes: Vec<RouteSample>,
    /// Connections of clients, by door.
    pub connections: Vec<(&'static str, u64)>,
    /// Requests that were answered with a problem document, by code.
    pub refused: Vec<(&'static str, u64)>,
    /// Handshakes of TLS that came to nothing, by door and reason.
    pub handshakes_failed: Vec<(&'static str, &'static str, u64)>,
    /// Connections without a PROXY header that is believed, by door and reason.
    pub not_introduced: Vec<(&'static str, &'static str, u64)>,
}

/// The sample as text, which Prometheus reads.
#[must_use]
pub fn render(sample: Sample, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(sample)));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    format.tell(text)
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
            each(&sample.services, |s| errors(out, s.labels(), &s.reading))
        })?;
        family(&mut encoder, Name::RequestDuration, |out| {
            each(&sample.services, |s| histogram(out, &s.labels(), &s.reading.durations, Steps::All))
        })?;
        family(&mut encoder, Name::Tries, |out| {
            each(&sample.services, |s| counter(out, &s.labels(), s.reading.tries))
        })?;
        family(&mut encoder, Name::Hedges, |out| {
            each(&sample.services, |s| counter(out, &s.labels(), s.reading.hedges))
        })?;
        family(&mut encoder, Name::HedgesWon, |out| {
            each(&sample.services, |s| counter(out, &s.labels(), s.reading.hedges_won))
        })?;
        family(&mut encoder, Name::ActiveConnections, |out| {
            each(&sample.services, |s| gauge(out, &s.labels(), s.reading.active))
        })?;
        family(&mut encoder, Name::ServiceHealth, |out| {
            each(&sample.services, |s| gauge(out, &s.labels(), u64::from(s.healthy)))
        })?;
        self.endpoints(&mut encoder, Name::EndpointHealth, |endpoint| Some(endpoint.asked.into()))?;
        self.endpoints(&mut encoder, Name::EndpointBreaker, |endpoint| Some(endpoint.breaker.into()))?;
        self.endpoints(&mut encoder, Name::EndpointInFlight, |endpoint| Some(endpoint.in_flight))?;
        self.endpoints(&mut encoder, Name::EndpointConnections, |endpoint| Some(endpoint.connections?.open))?;
        self.endpoints(&mut encoder, Name::EndpointConnectionLimit, |e| Some(e.connections?.limit))?;
        self.endpoints(&mut encoder, Name::EndpointPending, |endpoint| Some(endpoint.connections?.waiting))?;
        self.rooms(&mut encoder, Name::ServiceLimit, |room| room.limit)?;
        self.rooms(&mut encoder, Name::ServicePending, |room| room.waiting)?;
        self.routes(&mut encoder)?;
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
        })?;
        family(&mut encoder, Name::ProxyProtocolFailures, |out| {
            each(&sample.not_introduced, |(door, reason, count)| {
                counter(out, &[("door", door), ("reason", reason)], *count)
            })
        })?;
        self.carried(&mut encoder)
    }
}

impl Snapshot {
    fn endpoints(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: Name,
        of: impl Fn(&EndpointSample) -> Option<u64>,
    ) -> fmt::Result {
        family(encoder, name, |out| {
            each(&self.0.services, |s| {
                each(&s.endpoints, |endpoint| match of(endpoint) {
                    Some(value) => gauge(out, &s.endpoint_labels(&endpoint.address), value),
                    None => Ok(()),
                })
            })
        })
    }

    fn rooms(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: Name,
        of: impl Fn(&RoomSample) -> u64,
    ) -> fmt::Result {
        family(encoder, name, |out| {
            each(&self.0.services, |s| match &s.room {
                Some(room) => gauge(out, &s.labels(), of(room)),
                None => Ok(()),
            })
        })
    }

    fn carried(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let each_carried = |show: &mut dyn FnMut(&ServiceSample, Carried) -> fmt::Result| -> fmt::Result {
            each(&self.0.services, |s| s.carried.map_or(Ok(()), |carried| show(s, carried)))
        };
        family(encoder, Name::TcpConnections, |out| {
            each_carried(&mut |s, carried| counter(out, &s.labels(), carried.connections))
        })?;
        family(encoder, Name::TcpBytes, |out| {
            each_carried(&mut |s, carried| {
                for (direction, bytes) in
                    [("to_service", carried.to_service), ("to_client", carried.to_client)]
                {
                    let mut labels = s.labels();
                    labels.push(("direction", direction));
                    counter(out, &labels, bytes)?;
                }
                Ok(())
            })
        })
    }

    fn routes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = &self.0.routes;
        family(encoder, Name::RouteRequests, |out| {
            each(routes, |r| counter(out, &r.labels(), r.reading.durations.count()))
        })?;
        family(encoder, Name::RouteErrors, |out| each(routes, |r| errors(out, r.labels(), &r.reading)))?;
        family(encoder, Name::RouteRequestDuration, |out| {
            each(routes, |r| histogram(out, &r.labels(), &r.reading.durations, Steps::Few))
        })?;
        family(encoder, Name::RouteTries, |out| {
            each(routes, |r| counter(out, &r.labels(), r.reading.tries))
        })?;
        family(encoder, Name::RouteActive, |out| each(routes, |r| gauge(out, &r.labels(), r.reading.active)))
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

impl RouteSample {
    fn labels(&self) -> Labels<'_> {
        vec![("cluster_id", self.cluster.as_str()), ("route", &self.route)]
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

fn errors<'a>(out: &mut MetricEncoder<'_>, mut labels: Labels<'a>, reading: &'a Reading) -> fmt::Result {
    each(&reading.errors, |(code, count)| {
        labels.push(("error_type", code.name()));
        counter(out, &labels, *count)?;
        labels.pop();
        Ok(())
    })
}

/// Which of the bounds of a histogram are shown.
#[derive(Clone, Copy)]
enum Steps {
    All,
    /// Three to a decade: there may be a thousand of these.
    Few,
}

impl Steps {
    fn shows(self, bucket: usize) -> bool {
        match self {
            Steps::All => true,
            Steps::Few => bucket == BOUNDS.len() || bucket.is_multiple_of(3),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
fn histogram(
    out: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    counts: &Counts,
    steps: Steps,
) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    // What falls into a bucket that is not shown belongs to the next that is.
    let mut below = 0;
    for (bucket, count) in counts.buckets.iter().enumerate() {
        below += count;
        if steps.shows(bucket) {
            let bound = BOUNDS.get(bucket).map_or(f64::INFINITY, |&micros| micros as f64 / 1e6);
            buckets.push((bound, std::mem::take(&mut below)));
        }
    }
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
        meter.end(0, Duration::from_millis(3), Some(Code::Timeout), 3);
        meter.hedge(0);
        meter.hedge(0);
        meter.hedge_won(0);
        let service = ServiceSample {
            cluster: "shop".into(),
            service: "web".into(),
            kind: "some".into(),
            healthy: true,
            reading: meter.read(),
            room: Some(RoomSample { limit: 10, waiting: 2 }),
            carried: Some(Carried { connections: 3, to_service: 5, to_client: 7 }),
            endpoints: vec![EndpointSample {
                address: "127.0.0.1:1".into(),
                asked: true,
                breaker: 0,
                in_flight: 4,
                connections: Some(ConnectionSample { limit: 8, open: 7, waiting: 6 }),
            }],
        };
        let route = RouteSample { cluster: "shop".into(), route: "api".into(), reading: meter.read() };
        let sample =
            Sample { clusters: 1, services: vec![service], routes: vec![route], ..Sample::default() };
        let text = render(sample.clone(), Format::OpenMetrics);
        let of_route = r#"{cluster_id="shop",route="api""#;
        let labels = r#"{cluster_id="shop",service="web",type="some""#;
        for line in [
            "throome_cluster_total 1".to_owned(),
            format!("throome_requests_total{labels}}} 1"),
            format!("throome_errors_total{labels},error_type=\"timeout\"}} 1"),
            format!("throome_request_duration_seconds_count{labels}}} 1"),
            format!("throome_active_connections{labels}}} 0"),
            format!("throome_service_health{labels}}} 1"),
            format!("throome_tries_total{labels}}} 3"),
            format!("throome_service_limit{labels}}} 10"),
            format!("throome_service_pending{labels}}} 2"),
            format!("throome_hedges_total{labels}}} 2"),
            format!("throome_hedges_won_total{labels}}} 1"),
            format!("throome_tcp_connections_total{labels}}} 3"),
            format!("throome_tcp_bytes_total{labels},direction=\"to_service\"}} 5"),
            format!("throome_tcp_bytes_total{labels},direction=\"to_client\"}} 7"),
            format!("throome_endpoint_in_flight{labels},endpoint=\"127.0.0.1:1\"}} 4"),
            format!("throome_endpoint_connection_limit{labels},endpoint=\"127.0.0.1:1\"}} 8"),
            format!("throome_endpoint_connections{labels},endpoint=\"127.0.0.1:1\"}} 7"),
            format!("throome_endpoint_pending{labels},endpoint=\"127.0.0.1:1\"}} 6"),
            format!("throome_route_requests_total{of_route}}} 1"),
            format!("throome_route_errors_total{of_route},error_type=\"timeout\"}} 1"),
            format!("throome_route_tries_total{of_route}}} 3"),
            format!("throome_route_active_requests{of_route}}} 0"),
            format!("throome_route_request_duration_seconds_count{of_route}}} 1"),
            format!("throome_route_request_duration_seconds_bucket{{le=\"0.0025\",{}}} 0", &of_route[1..]),
            format!("throome_route_request_duration_seconds_bucket{{le=\"0.005\",{}}} 1", &of_route[1..]),
            format!("throome_route_request_duration_seconds_bucket{{le=\"+Inf\",{}}} 1", &of_route[1..]),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains("# TYPE throome_requests counter\n") && text.ends_with("# EOF\n"), "{text}");
        let older = render(sample, Format::Prometheus);
        assert!(
            older.contains("# HELP throome_requests_total Operations on services that ended\n"),
            "{older}"
        );
        assert!(
            older.contains("# TYPE throome_requests_total counter\n") && !older.contains("EOF"),
            "{older}"
        );
    }
}
