//! The further listeners of the traffic door: what their settings may say, what of it fits together, and the door that each
//! of them is.

use std::sync::Arc;

use clusters::{Clusters, Target};
use model::Span;
use model::field::{Field, Shape, field, word};
use model::route::MAIN_LISTENER;
use proxy::{Carrier, Door};
use serde::Deserialize;
use wire::proxy_protocol::{Taken, Version};

use crate::doors::TRAFFIC_ALPN;
use crate::settings::{PORT, Proxy, SECURED, Settings, TLS, Tls};

/// One of `proxy.listeners`. None of its keys has a default that a table could hold: what is left out depends on others.
pub(crate) const LISTENER: &[Field] = &[
    field("name", Shape::Name, "What it is called, by routes too.").required(),
    field("host", Shape::Text, "Address it listens on; 0.0.0.0 when left out."),
    field("port", PORT, "Port it listens on.").required(),
    field(
        "protocol",
        Shape::Choice(&[word("http"), word("tcp")]),
        "`http` takes requests, and is meant when left out; `tcp` carries bytes to one service as they are.",
    ),
    field("cluster", Shape::ClusterId, "With `protocol: tcp`, the cluster of its service."),
    field("service", Shape::Name, "With `protocol: tcp`, the service that bytes are carried to."),
    field(
        "idle_timeout",
        Shape::SpanFrom(1),
        "With `protocol: tcp`, how long nobody may speak; left out, `proxy.limits.stream_timeout`.",
    ),
    PROXY_PROTOCOL,
    field("tls", Shape::Fields(TLS), SECURED),
];

/// `proxy_protocol` of a listener.
pub(crate) const PROXY_PROTOCOL: Field = field(
    "proxy_protocol",
    Shape::Choice(&[word("off"), word("v1"), word("v2"), word("any")]),
    "Whether connections begin with a PROXY header; then only `trusted_proxies` are served. Off when left out.",
);

/// One more address of the traffic door.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Listener {
    pub(crate) name: String,
    #[serde(default = "everywhere")]
    pub(crate) host: String,
    pub(crate) port: u16,
    #[serde(default)]
    protocol: Protocol,
    cluster: Option<String>,
    service: Option<String>,
    idle_timeout: Option<Span>,
    #[serde(default)]
    proxy_protocol: ProxyProtocol,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    #[default]
    Http,
    Tcp,
}

/// Whether connections begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyProtocol {
    #[default]
    Off,
    V1,
    V2,
    Any,
}

impl ProxyProtocol {
    /// What is taken, where one is.
    pub(crate) fn taken(self) -> Option<Taken> {
        match self {
            ProxyProtocol::Off => None,
            ProxyProtocol::V1 => Some(Taken::Only(Version::V1)),
            ProxyProtocol::V2 => Some(Taken::Only(Version::V2)),
            ProxyProtocol::Any => Some(Taken::Any),
        }
    }
}

fn everywhere() -> String {
    "0.0.0.0".to_owned()
}

/// What no table can say of listeners: each fault by its path.
pub(crate) fn faults(proxy: &Proxy) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let believes = [("proxy".to_owned(), proxy.proxy_protocol)].into_iter();
    let further = proxy.listeners.iter().enumerate();
    let of_further =
        further.clone().map(|(at, listener)| (format!("proxy.listeners[{at}]"), listener.proxy_protocol));
    for (path, said) in believes.chain(of_further) {
        if said.taken().is_some() && proxy.trusted_proxies.is_empty() {
            let message = "believes what proxies say of their clients, and `proxy.trusted_proxies` names none; \
                           name the proxies in front, such as `[10.0.0.0/8]`";
            faults.push((format!("{path}.proxy_protocol"), message.to_owned()));
        }
    }
    for (at, listener) in further {
        let mut fault = |key: &str, message: String| {
            faults.push((format!("proxy.listeners[{at}].{key}"), message));
        };
        if listener.name == MAIN_LISTENER {
            fault("name", format!("`{MAIN_LISTENER}` is what the listener of `proxy.port` is called"));
        }
        if proxy.listeners[..at].iter().any(|other| other.name == listener.name) {
            fault("name", format!("another listener is called `{}` too", listener.name));
        }
        let carried = [
            ("cluster", listener.cluster.is_some(), true),
            ("service", listener.service.is_some(), true),
            ("idle_timeout", listener.idle_timeout.is_some(), false),
        ];
        for (key, is_said, is_required) in carried {
            match listener.protocol {
                Protocol::Tcp if is_required && !is_said => {
                    fault(
                        key,
                        "is required with `protocol: tcp`: it says where bytes are carried".to_owned(),
                    );
                }
                Protocol::Http if is_said => {
                    fault(key, "says something only with `protocol: tcp`".to_owned());
                }
                Protocol::Tcp | Protocol::Http => {}
            }
        }
    }
    faults
}

/// What routes may name, and where those lead that carry bytes.
pub(crate) fn known(settings: &Settings) -> clusters::Listeners {
    let mut of_requests = vec![MAIN_LISTENER.to_owned()];
    let mut of_bytes = Vec::new();
    for (at, listener) in settings.proxy.listeners.iter().enumerate() {
        match listener.leads() {
            None => of_requests.push(listener.name.clone()),
            Some((cluster, service)) => {
                let setting = format!("proxy.listeners[{at}]");
                let (cluster, service) = (cluster.to_owned(), service.to_owned());
                of_bytes.push(Arc::new(Target::new(&listener.name, setting, cluster, service)));
            }
        }
    }
    clusters::Listeners { of_requests: of_requests.into(), of_bytes }
}

impl Listener {
    /// Cluster and service, where it carries bytes.
    fn leads(&self) -> Option<(&str, &str)> {
        match (self.protocol, &self.cluster, &self.service) {
            (Protocol::Tcp, Some(cluster), Some(service)) => Some((cluster, service)),
            _ => None,
        }
    }

    /// What is agreed on in a handshake: of bytes nobody knows what they are.
    pub(crate) fn alpn(&self) -> &'static [&'static str] {
        if self.leads().is_some() { &[] } else { TRAFFIC_ALPN }
    }

    /// The door that it is.
    pub(crate) fn door(
        &self,
        clusters: &Clusters,
        known: &clusters::Listeners,
        options: proxy::Options,
    ) -> Door {
        let options = proxy::Options {
            listener: self.name.as_str().into(),
            proxy_protocol: self.proxy_protocol.taken(),
            ..options
        };
        match known.of_bytes.iter().find(|target| *target.listener == *self.name) {
            None => Door::new(clusters.clone(), options),
            Some(target) => {
                let idle_timeout = self.idle_timeout.map_or(options.limits.stream_timeout, |span| span.0);
                Door::carrying(
                    clusters.clone(),
                    options,
                    Carrier { target: Arc::clone(target), idle_timeout },
                )
            }
        }
    }
}
