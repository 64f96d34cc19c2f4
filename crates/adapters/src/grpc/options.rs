//! What only a `grpc` service can say.

use model::ServiceSpec;
use model::field::{Field, Shape, field};

const DOOR: &str = "the traffic door in full";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field("health", Shape::Fields(HEALTH), "How its endpoints are probed, over the cluster's `health`."),
    field("tls", Shape::Any, "How the connection to the service is secured.").later(DOOR),
    field("limits", Shape::Any, "Connections and requests at once.").later(DOOR),
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
];

/// The name whose health is asked.
pub(super) fn asked_of(service: &ServiceSpec) -> Option<Box<str>> {
    let name = service.options.get("health")?.get("grpc")?.as_str()?;
    Some(name.into())
}
