//! What only a `grpc` service can say.

use model::ServiceSpec;
use model::cluster_fields::LIMITS;
use model::field::{Field, Shape, field};

use crate::tls;

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field("health", Shape::Fields(HEALTH), "How its endpoints are probed, over the cluster's `health`."),
    tls::FIELD,
    field("limits", Shape::Fields(LIMITS), "How much it is asked at once."),
];

const HEALTH: &[Field] = &[
    field(
        "grpc",
        Shape::Text,
        "The name asked by the gRPC health protocol, empty for the whole server; left out, a connection that opens is \
         enough.",
    ),
    field("enabled", Shape::Bool, "Whether endpoints are probed."),
    field("interval", Shape::SpanFrom(100), "Time between two probes of one endpoint."),
    field("timeout", Shape::SpanFrom(1), "Time for one probe."),
    field("threshold", Shape::Integer(1, 100), "Probes in a row that change the verdict, either way."),
    field(
        "panic_threshold",
        Shape::Number(0.0, 1.0),
        "Share of its endpoints below which failed probes alone take none of them out.",
    ),
];

/// The name whose health is asked.
pub(super) fn asked_of(service: &ServiceSpec) -> Option<Box<str>> {
    let name = service.options.get("health")?.get("grpc")?.as_str()?;
    Some(name.into())
}
