//! `tls` of a service: what a document says of it. What is made of that is `wire::tls`; kinds whose client brings a TLS
//! of its own take the files from here and nothing else.

use std::path::PathBuf;

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::{Node, Place, Value};
use model::{Code, Failure, ServiceSpec};
pub(crate) use wire::tls::Trust;
use wire::tls::{Client, Connector, Pair, Stamp};

use crate::options::Said;

/// The key that a service says it under.
pub(crate) const TLS: &str = "tls";

/// The key, for the table of a kind that connects by TLS.
pub(crate) const FIELD: Field =
    field(TLS, Shape::Fields(FIELDS), "How the connection to the service is secured.");

const FIELDS: &[Field] = &[
    field("enabled", Shape::Bool, "Whether it is; what else stands here means yes."),
    field(
        "ca",
        Shape::Text,
        "A PEM file of the authorities that are trusted; left out, those of this machine.",
    )
    .aliases(&["ca_file"]),
    field("cert", Shape::Text, "A PEM file of the certificate that the gateway shows.")
        .aliases(&["cert_file"]),
    field("key", Shape::Text, "A PEM file of its private key.").aliases(&["key_file"]),
    field("sni", Shape::Host, "The name that the service's certificate must have; left out, its host."),
    field("verify", Shape::Bool, "Whether the service's certificate is checked at all.").default("true"),
    field("insecure_skip_verify", Shape::Bool, "The same the other way round, as older files have it.")
        .default("false"),
];

/// What is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whom we trust, and what we show.
    pub(crate) client: Client,
    /// The name that the service's certificate must have, over that of its host.
    pub(crate) sni: Option<String>,
}

/// Whether a document asks for it, as [`of`] will find.
pub(crate) fn is_wanted(service: &Node) -> bool {
    let Some(tls) = service.get(TLS) else { return false };
    match tls.get("enabled").map(Node::to_json) {
        Some(serde_json::Value::Bool(enabled)) => enabled,
        // What is no mapping is wrong, and still wants it.
        _ => !tls.is_null() && (!tls.entries().is_empty() || !matches!(tls.value, Value::Map(_))),
    }
}

/// What the table cannot say.
pub(crate) fn check(service: &Node, problems: &mut Problems) {
    let Some(tls) = service.get(TLS).filter(|tls| !tls.is_null()) else { return };
    if tls.entries().is_empty() {
        problems.add(
            TLS,
            tls.at,
            "says nothing; `enabled: true` secures the connection, by what this machine trusts",
        );
    }
    let said =
        |names: [&str; 2]| names.into_iter().find_map(|name| tls.get(name).filter(|node| !node.is_null()));
    match (said(["cert", "cert_file"]), said(["key", "key_file"])) {
        (Some(cert), None) => problems.add("tls.cert", cert.at, "needs the `key` that belongs to it"),
        (None, Some(key)) => problems.add("tls.key", key.at, "needs the `cert` that it belongs to"),
        _ => return,
    };
}

/// Reads the files that a checked service names, as whoever connects will.
pub(crate) fn check_files(service: &ServiceSpec) -> Result<(), Failure> {
    of(service)?.map_or(Ok(()), |tls| tls.client().map(drop))
}

/// What a checked service says; `None` where it asks for none.
pub(crate) fn of(service: &ServiceSpec) -> Result<Option<Tls>, Failure> {
    let said = Said::within(service, TLS);
    let path = |names: &[&str]| said.first_text(names).map(PathBuf::from);
    let (ca, cert, key) =
        (path(&["ca", "ca_file"]), path(&["cert", "cert_file"]), path(&["key", "key_file"]));
    let verify = said.parsed("verify", true)? && !said.parsed("insecure_skip_verify", false)?;
    let says_more = ca.is_some() || cert.is_some() || !verify || said.has("sni") || said.has("verify");
    if !said.parsed("enabled", says_more)? {
        return Ok(None);
    }
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some(Pair { cert, key }),
        (None, None) => None,
        _ => return Err(wrong("tls: `cert` and `key` belong together")),
    };
    let trust = if verify { Trust::Full } else { Trust::Anyone };
    Ok(Some(Tls { client: Client { ca, pair, trust }, sni: said.text("sni") }))
}

impl Tls {
    /// Reads the files and makes what connections are made with.
    ///
    /// # Errors
    /// `invalid_config`, with every file that cannot be read or has nothing of the kind in it.
    pub(crate) fn client(&self) -> Result<Connector, Failure> {
        self.client_of(&[])
    }

    /// The same for connections on which one of these protocols is agreed on (ALPN), the preferred one first.
    ///
    /// # Errors
    /// As [`Tls::client`].
    pub(crate) fn client_of(&self, protocols: &[&str]) -> Result<Connector, Failure> {
        self.client.connector(protocols).map_err(|faults| {
            let mut problems = Problems::default();
            problems.within(TLS, |problems| {
                for fault in faults {
                    problems.add(&fault.key, Place::default(), fault.message);
                }
            });
            Failure::invalid(Code::InvalidConfig, problems.into_vec())
        })
    }

    /// Its files as they are now.
    pub(crate) fn stamp(&self) -> Stamp {
        self.client.stamp()
    }
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::client(Code::InvalidConfig, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(tls: serde_json::Value) -> ServiceSpec {
        let whole = serde_json::json!({ "type": "http", "host": "localhost", "port": 80, "tls": tls });
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn whoever_says_something_of_it_wants_it() {
        for (tls, trust) in [
            (serde_json::json!({ "enabled": true }), Some(Trust::Full)),
            (serde_json::json!({ "verify": true }), Some(Trust::Full)),
            (serde_json::json!({ "sni": "a.example" }), Some(Trust::Full)),
            (serde_json::json!({ "ca": "ca.pem" }), Some(Trust::Full)),
            (serde_json::json!({ "verify": false }), Some(Trust::Anyone)),
            (serde_json::json!({ "insecure_skip_verify": true }), Some(Trust::Anyone)),
            (serde_json::json!({ "enabled": false, "ca": "ca.pem" }), None),
            (serde_json::json!({ "insecure_skip_verify": false }), None),
        ] {
            assert_eq!(of(&service(tls.clone())).unwrap().map(|tls| tls.client.trust), trust, "{tls}");
        }
    }

    #[test]
    fn every_file_that_is_not_there_is_told_under_its_key() {
        let named = serde_json::json!({ "ca": "/nope/ca", "cert": "/nope/cert", "key": "/nope/key" });
        let failure = check_files(&service(named.clone())).unwrap_err();
        let paths: Vec<&str> = failure.problems().iter().map(|problem| &*problem.path).collect();
        assert_eq!(paths, ["tls.ca", "tls.cert", "tls.key"]);
        assert_eq!(failure.problems()[0].message, "/nope/ca is not there");
        // What is not asked for is not looked at.
        let mut off = named;
        off["enabled"] = false.into();
        check_files(&service(off)).unwrap();
    }

    #[test]
    fn what_says_nothing_is_no_promise() {
        let mut problems = Problems::new(None);
        check(&model::yaml::parse("tls: {}").unwrap(), &mut problems);
        assert_eq!(problems.into_vec().first().map(|problem| problem.path.clone()), Some("tls".to_owned()));
    }
}
