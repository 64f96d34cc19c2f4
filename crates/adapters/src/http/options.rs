//! What only an `http` service can say.

use std::ops::RangeInclusive;

use model::check::Problems;
use model::field::{Field, Shape, field, later_word, word};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};

use super::pool::Protocol;
use super::probe::Probe;

const DOOR: &str = "the traffic door in full";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        "protocol",
        Shape::Choice(&[word("http1"), later_word("h2", DOOR), word("h2c"), later_word("auto", DOOR)]),
        "What the service speaks; `h2c` is HTTP/2 in the clear.",
    )
    .default("http1"),
    field("health", Shape::Fields(HEALTH), "How its endpoints are probed, over the cluster's `health`."),
    field("tls", Shape::Any, "How the connection to the service is secured.").later(DOOR),
    field("limits", Shape::Any, "Connections and requests at once.").later(DOOR),
    field("websocket", Shape::Any, "Limits of upgraded connections.").later(DOOR),
];

const HEALTH: &[Field] = &[
    field("path", Shape::Text, "Asked with GET; left out, a connection that opens is enough."),
    field("expect", Shape::Text, "The statuses that pass, as `200` or `200-399`.").default("200-399"),
    field("enabled", Shape::Bool, "Whether endpoints are probed."),
    field("interval", Shape::SpanFrom(100), "Time between two probes of one endpoint."),
    field("timeout", Shape::SpanFrom(1), "Time for one probe."),
    field("threshold", Shape::Integer(1, 100), "Probes in a row that change the verdict, either way."),
];

/// What the table cannot say.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    let Some(health) = service.get("health") else { return };
    if let Some(path) = health.get("path")
        && let Some(text) = path.as_str()
        && !is_path(text)
    {
        problems.add("health.path", path.at, format!("`{text}` is not an absolute path such as `/healthz`"));
    }
    if let Some(expect) = health.get("expect")
        && let Some(text) = expect.as_str()
        && statuses(text).is_none()
    {
        problems.add(
            "health.expect",
            expect.at,
            format!("`{text}` is not a status or a range such as `200-399`"),
        );
    }
}

/// What the service speaks.
pub(super) fn protocol_of(service: &ServiceSpec) -> Protocol {
    match service.options.get("protocol").and_then(|value| value.as_str()) {
        Some("h2c") => Protocol::H2c,
        _ => Protocol::Http1,
    }
}

/// The probe that the options ask for.
pub(super) fn probe_of(service: &ServiceSpec) -> Result<Probe, Failure> {
    let own = service.options.get("health");
    let text = |key: &str| own.and_then(|own| own.get(key)).and_then(|value| value.as_str());
    let expect = text("expect").unwrap_or("200-399");
    let expect = statuses(expect).ok_or_else(|| {
        Failure::client(Code::InvalidConfig, format!("health.expect: `{expect}` is no status"))
    })?;
    Ok(Probe { path: text("path").map(Into::into), expect })
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b > b' ' && b < 0x7f && b != b'#')
}

fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (100 <= low && low <= high && high <= 599).then_some(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_one_or_a_range() {
        assert_eq!(statuses("204"), Some(204..=204));
        assert_eq!(statuses("200-399"), Some(200..=399));
        for bad in ["", "ok", "399-200", "99", "200-600", "200-"] {
            assert_eq!(statuses(bad), None, "{bad}");
        }
    }
}
