//! The doors as the settings have them: what listens where, for whom, within which limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::anyhow;
use api::DataDoor;
use bytes::Bytes;
use clusters::{Clusters, RequestId};
use model::Failure;
use proxy::{Answering, Calls, Door, TrustedProxies};
use store::Store;
use wire::http1::HeadLimits;

use crate::certificates::{DATA_DOOR, Watch};
use crate::settings::Settings;
use crate::traffic::{self, Listening};

/// What the doors speak above TLS, the preferred one first.
pub(crate) const TRAFFIC_ALPN: &[&str] = &["h2", "http/1.1"];
const CONTROL_ALPN: &[&str] = &["http/1.1"];

/// The doors of the cores: traffic first, with its further listeners, then data where it is asked for.
pub(crate) fn of_cores(
    settings: &Settings,
    clusters: &Clusters,
    store: &Store,
    calls: &api::Data,
    listeners: &clusters::Listeners,
    certificates: &mut Watch,
) -> anyhow::Result<Vec<Listening>> {
    let options = traffic(settings)?;
    let mut secured = |name: &str, tls, alpn: &[&str]| -> anyhow::Result<proxy::Options> {
        let tls = certificates.secure(name, tls, alpn)?;
        Ok(proxy::Options { tls, ..options.clone() })
    };
    let mut doors = vec![Listening {
        door: Door::new(
            clusters.clone(),
            proxy::Options {
                proxy_protocol: settings.proxy.proxy_protocol.taken(),
                ..secured("traffic door", settings.proxy.tls.as_ref(), TRAFFIC_ALPN)?
            },
        ),
        address: address(&settings.proxy.host, settings.proxy.port)?,
        name: "traffic door".to_owned(),
        setting: "proxy.port".to_owned(),
    }];
    for (at, listener) in settings.proxy.listeners.iter().enumerate() {
        let name = format!("listener `{}`", listener.name);
        let options = secured(&name, listener.tls.as_ref(), listener.alpn())?;
        doors.push(Listening {
            door: listener.door(clusters, listeners, options),
            address: address(&listener.host, listener.port)?,
            name,
            setting: format!("proxy.listeners[{at}].port"),
        });
    }
    if let Some(port) = settings.data.port {
        let calls = DataDoor::new(calls.clone(), guard(settings, &settings.data.host, store));
        let mut options = secured(DATA_DOOR, settings.data.tls.as_ref(), TRAFFIC_ALPN)?;
        options.limits.body = settings.server.max_body as u64;
        options.body_setting = "server.max_body";
        doors.push(Listening {
            door: Door::answering(clusters.clone(), options, Arc::new(OfData(calls))),
            address: address(&settings.data.host, port)?,
            name: DATA_DOOR.to_owned(),
            setting: traffic::DATA.to_owned(),
        });
    }
    Ok(doors)
}

/// The data API as a door of the cores asks it.
struct OfData(DataDoor);

impl Calls for OfData {
    fn admit(&self, head: &mut http::request::Parts) -> Result<(), Failure> {
        self.0.admit(head)
    }

    fn call(&self, request: http::Request<Bytes>, id: RequestId) -> Answering<'_> {
        Box::pin(self.0.call(request, id))
    }
}

fn traffic(settings: &Settings) -> anyhow::Result<proxy::Options> {
    let limits = &settings.proxy.limits;
    Ok(proxy::Options {
        limits: proxy::Limits {
            head: HeadLimits { bytes: limits.head, fields: limits.headers },
            body: limits.body,
            connections: limits.connections,
            streams: limits.streams,
            head_timeout: limits.head_timeout.0,
            body_timeout: limits.body_timeout.0,
            write_timeout: limits.write_timeout.0,
            idle_timeout: limits.idle_timeout.0,
            stream_timeout: limits.stream_timeout.0,
        },
        trusted_proxies: TrustedProxies::parse(settings.proxy.trusted_proxies.iter().map(String::as_str))
            .map_err(|why| anyhow!(why))?,
        timeout_status: settings.errors.timeout_status,
        ..proxy::Options::default()
    })
}

/// The control door.
pub(crate) fn control(
    settings: &Settings,
    clusters: &Clusters,
    store: &Store,
    calls: &api::Data,
    certificates: &mut Watch,
) -> anyhow::Result<api::Options> {
    Ok(api::Options {
        clusters: clusters.clone(),
        data: calls.clone(),
        guard: guard(settings, &settings.server.host, store),
        limits: api::Limits {
            body: settings.server.max_body,
            read_timeout: settings.server.read_timeout.0,
            write_timeout: settings.server.write_timeout.0,
            ..api::Limits::default()
        },
        metrics_path: settings.monitoring.enabled.then(|| settings.monitoring.metrics_path.clone()),
        timeout_status: settings.errors.timeout_status,
        version: env!("CARGO_PKG_VERSION"),
        dashboard_enabled: settings.dashboard.enabled,
        tls: certificates.secure("control door", settings.server.tls.as_ref(), CONTROL_ALPN)?,
    })
}

/// Each door decides by its own address who must bring a token.
fn guard(settings: &Settings, host: &str, store: &Store) -> api::GuardOptions {
    let loopback = is_loopback(host);
    api::GuardOptions {
        loopback,
        token_required: !loopback && settings.auth.mode == "auto",
        public_metrics: settings.monitoring.public,
        own_origins: Vec::new(),
        store: store.clone(),
    }
}

/// The same when the store has come, should it be late: until then nobody is let in.
pub(crate) async fn ensure_token_in_time(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    if store.is_ready() {
        return ensure_token(settings, store).await;
    }
    let (settings, store) = (settings.clone(), store.clone());
    tokio::spawn(async move {
        store.ready().await;
        if let Err(error) = ensure_token(&settings, &store).await {
            tracing::error!(%error, "the token of the administrator cannot be made");
        }
    });
    Ok(())
}

/// A door beyond loopback asks for a token: made at the first such start, and printed this once.
async fn ensure_token(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    let data = settings.data.port.map(|_| ("data", settings.data.host.as_str()));
    let hosts = [Some(("control", settings.server.host.as_str())), data];
    let beyond: Vec<_> = hosts.into_iter().flatten().filter(|(_, host)| !is_loopback(host)).collect();
    if settings.auth.mode == "auto" {
        if !beyond.is_empty()
            && let Some(token) = store.ensure_admin_token().await?
        {
            show_token(token.reveal());
        }
        return Ok(());
    }
    for (door, host) in beyond {
        tracing::warn!(door, host, "the door lets anybody in who can reach it");
    }
    Ok(())
}

/// Whether a host is reached from this machine only.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Where to listen.
pub(crate) fn address(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let ip: IpAddr = host.parse().map_err(|_| anyhow!("`{host}` is not an address to listen on"))?;
    Ok(SocketAddr::new(ip, port))
}

/// The one time that the token is seen. Standard error, as the log: whoever reads it may use it.
fn show_token(token: &str) {
    eprintln!("\nThe gateway's token, shown this once:\n\n    {token}\n");
    eprintln!("Clients send it as `Authorization: Bearer …`; the CLI reads THROOME_TOKEN.\n");
}
