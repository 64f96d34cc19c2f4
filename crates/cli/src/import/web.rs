//! A service that Compose goes on running: where the gateway reaches it, when it publishes a port by which HTTP is spoken.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Cluster;
use super::compose::{Service, scalar};
use super::known;
use super::ports::{self, Published};

/// Ports at which something other than HTTP is spoken by custom; 443 is TLS.
const NOT_HTTP: &[u16] = &[
    21, 22, 23, 25, 53, 110, 143, 389, 443, 465, 587, 636, 993, 995, 1025, 1433, 1521, 1883, 2181, 3306,
    4222, 5222, 5432, 5671, 5672, 6379, 6432, 8443, 8883, 9042, 9092, 9093, 11211, 26379, 27017, 33060,
];

/// The service in the words of a cluster file; nothing where it is left out, which is noted.
pub(super) fn make(service: &Service, image: Option<&str>, cluster: &mut Cluster) -> Option<Value> {
    if let Some((image, why)) = image.and_then(|image| Some((image, known::other(image)?))) {
        cluster.note(&service.name, format!("left out: `{image}`: {why}"));
        return None;
    }
    let (published, unread) = ports::of(service);
    for port in unread {
        cluster.note(&service.name, format!("ports: `{port}` is no port that can be read"));
    }
    let asked = asked(service);
    let spoken = |port: &&Published| port.port.is_some() && !NOT_HTTP.contains(&port.target);
    let by_probe = published
        .iter()
        .find(|port| port.port.is_some() && asked.as_ref().is_some_and(|(asked, _)| *asked == port.target));
    let Some(chosen) = by_probe.or_else(|| published.iter().find(spoken)) else {
        cluster.note(&service.name, format!("left out: {}", why_not(service, &published)));
        return None;
    };
    if let Some(others) = ports::told(published.iter().filter(|port| *port != chosen)) {
        cluster.note(
            &service.name,
            format!("ports: {others} of the container is left out; a service has one port"),
        );
    }
    let host = chosen.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    let host = host
        .filter(|address| !address.is_unspecified())
        .map_or("127.0.0.1".to_owned(), |host| host.to_string());
    let mut made = json!({ "type": known::WEB, "host": host, "port": chosen.port });
    if let Some((_, path)) = asked.filter(|(port, path)| *port == chosen.target && is_plain(path)) {
        made["health"] = json!({ "path": path });
    }
    cluster.note(
        &service.name,
        "is run by Compose as before; the gateway stands before it, and leads to it what a route says",
    );
    Some(made)
}

fn why_not(service: &Service, published: &[Published]) -> String {
    let any = ports::told(published.iter()).unwrap_or_default();
    if service.text("network_mode").is_some_and(|mode| mode == "host") {
        return "it is in the machine's own network, and says no port; add it with its `host` and `port`"
            .to_owned();
    }
    if published.is_empty() {
        return "it publishes no port, so that nobody outside reaches it".to_owned();
    }
    if published.iter().all(|port| port.port.is_none()) {
        return format!(
            "its port {any} is published at another one each time; write which, as \"127.0.0.1:3000:{any}\""
        );
    }
    if published.iter().any(|port| matches!(port.target, 443 | 8443)) {
        return format!("its port {any} speaks TLS; add it by hand, with `tls:`");
    }
    format!(
        "its port {any} speaks no HTTP by custom; add it by hand if it does, or as a service that bytes are carried to"
    )
}

/// Port and path that its own health check asks by HTTP.
fn asked(service: &Service) -> Option<(u16, String)> {
    let test = service.node("healthcheck")?.get("test")?;
    let text = test.items().iter().map(scalar).chain([scalar(test)]).collect::<Vec<_>>().join(" ");
    let at = text.find("http://")?;
    let url = text[at + "http://".len()..].split([' ', '"', '\'', '|', ';', ')']).next()?;
    let (authority, path) =
        url.split_once('/').map_or((url, String::new()), |(authority, path)| (authority, path.to_owned()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 80),
    };
    let here = matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0" | "[::1]");
    here.then(|| (port, format!("/{path}")))
}

fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/._~-".contains(c))
}
