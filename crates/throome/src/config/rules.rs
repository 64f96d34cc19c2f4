//! What no table can say of settings: which values fit the gateway, and which fit each other.

use cli::ServeArgs;
use model::Problem;

use super::said::Said;
use crate::settings::Settings;
use crate::{certificates, listeners};

/// What is found, by the path of its setting.
type Fault = (String, String);

/// Every fault, at the place where its setting was said.
pub(super) fn faults(settings: &Settings, args: &ServeArgs, said: &Said) -> Vec<Problem> {
    let mut faults = hosts(settings);
    faults.extend(nobody_is_let_in_unasked(settings, args));
    faults.extend(store(settings));
    faults.extend(words(settings));
    faults.extend(trusted_proxies(settings));
    faults.extend(tls(settings));
    faults.extend(listeners::faults(&settings.proxy));
    faults.extend(addresses(settings, said));
    faults.into_iter().map(|(path, message)| said.problem(&path, message)).collect()
}

fn fault(path: &str, message: impl Into<String>) -> Fault {
    (path.to_owned(), message.into())
}

/// Where doors listen.
fn hosts(settings: &Settings) -> Vec<Fault> {
    let hosts = [
        ("server.host", &settings.server.host),
        ("proxy.host", &settings.proxy.host),
        ("data.host", &settings.data.host),
    ];
    let further = settings.proxy.listeners.iter().enumerate();
    let further = further.map(|(at, listener)| (format!("proxy.listeners[{at}].host"), &listener.host));
    let all = hosts.map(|(path, host)| (path.to_owned(), host)).into_iter().chain(further);
    all.filter(|(_, host)| host.parse::<std::net::IpAddr>().is_err() && *host != "localhost")
        .map(|(path, host)| {
            (path, format!("`{host}` is not an address to listen on, such as 127.0.0.1 or 0.0.0.0"))
        })
        .collect()
}

fn nobody_is_let_in_unasked(settings: &Settings, args: &ServeArgs) -> Vec<Fault> {
    let asked_for = settings.data.port.map(|_| ("data.host", &settings.data.host));
    let doors = [Some(("server.host", &settings.server.host)), asked_for].into_iter().flatten();
    doors
        .filter(|(_, host)| settings.auth.mode == "off" && !crate::doors::is_loopback(host) && !args.insecure)
        .map(|(path, host)| {
            fault(
                "auth.mode",
                format!("`off` with {path} {host} lets anybody in; say it twice, with --insecure"),
            )
        })
        .collect()
}

fn store(settings: &Settings) -> Vec<Fault> {
    let in_a_file = match store::place(settings.store.url.reveal()) {
        Ok(place) => place.is_none(),
        Err(why) => return vec![fault("store.url", why)],
    };
    let pool = &settings.store.pool;
    [("store.pool.max", pool.max), ("store.pool.idle", pool.idle)]
        .into_iter()
        .filter(|(_, set)| in_a_file && set.is_some())
        .map(|(path, _)| fault(path, "is of a PostgreSQL, and `store.url` names none"))
        .collect()
}

/// Single words.
fn words(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(host) = settings.provision.docker.host.as_deref().filter(|host| !is_engine(host)) {
        let message = format!("`{host}` is not where an engine is, such as unix:///var/run/docker.sock");
        faults.push(fault("provision.docker.host", message));
    }
    if !settings.monitoring.metrics_path.starts_with('/') {
        faults.push(fault("monitoring.metrics_path", "it must begin with `/`"));
    }
    if !matches!(settings.errors.timeout_status, 408 | 504) {
        faults.push(fault("errors.timeout_status", "it is 504, or 408 for clients that expect it"));
    }
    faults
}

/// Whether an engine may be there.
fn is_engine(host: &str) -> bool {
    host.strip_prefix("unix://").is_some_and(|path| path.starts_with('/'))
        || ["tcp://", "http://"]
            .iter()
            .any(|scheme| host.strip_prefix(scheme).is_some_and(|at| !at.is_empty()))
}

fn trusted_proxies(settings: &Settings) -> Vec<Fault> {
    let networks = settings.proxy.trusted_proxies.iter().enumerate();
    networks
        .filter_map(|(at, network)| {
            let why = proxy::TrustedProxies::parse([network.as_str()]).err()?;
            Some((format!("proxy.trusted_proxies[{at}]"), why))
        })
        .collect()
}

fn tls(settings: &Settings) -> Vec<Fault> {
    let said = certificates::said(settings).into_iter();
    let mut faults: Vec<Fault> = said
        .filter_map(|(path, tls)| {
            let found = certificates::check(tls).err()?;
            Some((certificates::below(&path, &found.key), found.message))
        })
        .collect();
    if settings.data.tls.is_some() && settings.data.port.is_none() {
        faults
            .push(fault("data.tls", "secures a door that does not open: `data.port` says where it listens"));
    }
    faults
}

/// That two doors would listen at one address. Told of the later one, or of the one that somebody has said.
fn addresses(settings: &Settings, said: &Said) -> Vec<Fault> {
    let listeners = settings.proxy.listeners.iter().enumerate();
    let further =
        listeners.map(|(at, own)| (format!("proxy.listeners[{at}].port"), own.host.as_str(), own.port));
    let data = settings.data.port.map(|port| ("data.port".to_owned(), settings.data.host.as_str(), port));
    let doors = [
        ("server.port".to_owned(), settings.server.host.as_str(), settings.server.port),
        ("proxy.port".to_owned(), settings.proxy.host.as_str(), settings.proxy.port),
    ];
    let doors: Vec<_> = doors.into_iter().chain(further).chain(data).collect();
    let mut faults = Vec::new();
    for (at, (path, host, port)) in doors.iter().enumerate() {
        let same = doors[..at].iter().find(|(_, other, of)| meet((other, *of), (host, *port)));
        let Some((first, ..)) = same else { continue };
        let (told, other) =
            if said.is_default(path) && !said.is_default(first) { (first, path) } else { (path, first) };
        let message = format!("two doors would listen on port {port}: `{other}` is the same");
        faults.push(fault(told, message));
    }
    faults
}

/// Whether two doors would listen on one address.
fn meet((a, of_a): (&str, u16), (b, of_b): (&str, u16)) -> bool {
    let all = |host: &str| host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    of_a == of_b && (a == b || all(a) || all(b))
}
