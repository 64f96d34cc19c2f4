//! What only an `http` service can say.

use std::ops::RangeInclusive;

use model::check::Problems;
use model::cluster_fields::LIMITS;
use model::field::{Field, Shape, field, word};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};

use super::pool::Protocol;
use super::probe::Probe;
use super::websocket;
use crate::{limits, tls};

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        "protocol",
        Shape::Choice(&[word("http1"), word("h2"), word("h2c"), word("auto")]),
        "What the service speaks; `h2c` is HTTP/2 in the clear, `h2` by TLS, `auto` what is agreed on by TLS.",
    )
    .default("http1"),
    field("health", Shape::Fields(HEALTH), "How its endpoints are probed, over the cluster's `health`."),
    tls::FIELD,
    field("limits", Shape::Fields(LIMITS), "How much it is asked at once."),
    field("websocket", Shape::Fields(websocket::FIELDS), "Who may open WebSockets, and their limits."),
];

const HEALTH: &[Field] = &[
    field("path", Shape::Text, "Asked with GET; left out, a connection that opens is enough."),
    field("expect", Shape::Text, "The statuses that pass, as `200` or `200-399`.").default("200-399"),
    field("expect_body", Shape::Text, "Must stand somewhere in the first 64 KiB of the answer's body."),
    field("host", Shape::Host, "Said in the `Host` header; left out, the endpoint's address."),
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

/// What the table cannot say.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    websocket::check(service, problems);
    tls::check(service, problems);
    if let Some(protocol) = service.get("protocol") {
        match (protocol.as_str(), tls::is_wanted(service)) {
            (Some(word @ ("h2" | "auto")), false) => {
                let message =
                    format!("`{word}` is agreed on by TLS and needs `tls`; in the clear it is `h2c`");
                problems.add("protocol", protocol.at, message);
            }
            (Some("h2c"), true) => {
                problems.add("protocol", protocol.at, "`h2c` is in the clear; with `tls` it is `h2`");
            }
            _ => {}
        }
    }
    limits::check(service, problems);
    let Some(health) = service.get("health") else { return };
    for key in ["expect", "expect_body", "host"] {
        if let Some(said) = health.get(key)
            && health.get("path").is_none()
        {
            let message = "says something only of a probe that asks for a `path`, such as `/healthz`";
            problems.add(&format!("health.{key}"), said.at, message);
        }
    }
    if let Some(path) = health.get("path")
        && let Some(text) = path.as_text()
        && !is_path(&text)
    {
        problems.add("health.path", path.at, format!("`{text}` is not an absolute path such as `/healthz`"));
    }
    if let Some(wanted) = health.get("expect_body")
        && wanted.as_text().is_some_and(|text| text.is_empty())
    {
        problems.add("health.expect_body", wanted.at, "must not be empty: every body holds nothing");
    }
    if let Some(expect) = health.get("expect")
        && let Some(text) = expect.as_text()
        && statuses(&text).is_none()
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
        Some("h2") => Protocol::H2,
        Some("h2c") => Protocol::H2c,
        Some("auto") => Protocol::Auto,
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
    Ok(Probe {
        path: text("path").map(Into::into),
        expect,
        expect_body: text("expect_body").map(Into::into),
        host: text("host").map(Into::into),
    })
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
    fn every_problem_is_told_at_once() {
        let told = |service: &str| {
            let node = model::yaml::parse(&format!("services:\n  web: {service}\n")).unwrap();
            let mut problems = Problems::new(None);
            model::check::walk(&node, model::cluster_fields::CLUSTER, &crate::Registry, "", &mut problems);
            let paths = problems.into_vec().into_iter();
            paths
                .map(|problem| problem.path.trim_start_matches("services.web.").to_owned())
                .collect::<Vec<_>>()
        };
        let web = "type: http, host: a, port: 80";
        for (said, paths) in [
            ("protocol: h2, colour: red", &["protocol", "colour"][..]),
            (
                "protocol: h2, health: { interval: soon, expect: 200 }",
                &["protocol", "health.interval", "health.expect"],
            ),
            // Of what is malformed that is all, and it is there.
            ("protocol: h2, tls: 5", &["tls"]),
            ("protocol: h2, tls: { sin: a }", &["tls.sin"]),
            ("tls: { cert: [1] }", &["tls.cert"]),
            ("health: { expect: [200], path: x }", &["health.expect", "health.path"]),
            // A number stands for a text here, which is looked at all the same.
            ("health: { path: 5 }", &["health.path"]),
            ("health: { path: /, expect: 99 }", &["health.expect"]),
        ] {
            assert_eq!(told(&format!("{{ {web}, {said} }}")), paths, "{said}");
        }
        assert_eq!(told("{ type: http, host: a, port: ninety, protocol: h2 }"), ["port", "protocol"]);
        assert_eq!(
            told("{ type: http, port: 80, colour: red }"),
            ["services.web", "colour"].map(str::to_owned),
            "without an address"
        );
    }

    #[test]
    fn statuses_are_one_or_a_range() {
        assert_eq!(statuses("204"), Some(204..=204));
        assert_eq!(statuses("200-399"), Some(200..=399));
        for bad in ["", "ok", "399-200", "99", "200-600", "200-"] {
            assert_eq!(statuses(bad), None, "{bad}");
        }
    }
}
