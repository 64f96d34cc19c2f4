//! One engine: how it is asked, whether it can be used, and where what it publishes is reached.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::Stream;
use model::{Code, Failure};

use crate::Name;
use crate::docker::dial::{self, Dial};
use crate::docker::{names, wrong};

/// How long an answer may take that has nothing to wait for. An engine with much to do takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API of Docker Engine 20.10, which is the oldest that is used.
const OLDEST: (u32, u32) = (1, 41);

/// What an engine tells for as long as it is listened to.
pub(super) type Told<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// An engine that was looked for, and not asked yet.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    client: Docker,
    dial: Dial,
}

impl Engine {
    /// The engine that is said, or that of the surroundings.
    pub(super) fn found(said: Option<&str>) -> Result<Self, Failure> {
        let dial = dial::find(said, &|name| std::env::var(name).ok())?;
        // Requests go without a version, so that an engine answers in its own: what is asked here has been the same
        // since the oldest one.
        let patience = PATIENCE.as_secs();
        let client = match &dial {
            Dial::Unix(path) => Docker::connect_with_unix(path, patience, API_DEFAULT_VERSION),
            Dial::Tcp { host, port } => {
                let address = format!("http://{}:{port}", dial::bracketed(host));
                Docker::connect_with_http(&address, patience, API_DEFAULT_VERSION)
            }
        };
        match client {
            Ok(client) => Ok(Engine { client, dial }),
            Err(error) => Err(wrong::gone(&dial, error, None)),
        }
    }

    pub(super) fn dial(&self) -> &Dial {
        &self.dial
    }

    /// For what is answered soon.
    pub(super) fn ask(&self) -> &Docker {
        &self.client
    }

    /// For what may take so much longer.
    pub(super) fn wait(&self, longer: Duration) -> Docker {
        self.client.clone().with_timeout(PATIENCE + longer)
    }

    /// Whether it answers, and is not too old.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let version = self.client.version().await.map_err(wrong::asked(self, "say its version"))?;
        let api = version.api_version.unwrap_or_default();
        if is_recent(&api) {
            return Ok(());
        }
        let engine = version.version.unwrap_or_else(|| "of no version".to_owned());
        let (major, minor) = OLDEST;
        let detail = format!(
            "The Docker engine at `{}` is too old: {engine} speaks API {api}, and {major}.{minor} is needed.",
            self.dial
        );
        Err(Failure::gateway(Code::ProvisionFailed, detail).with_hint(
            "Docker Engine 20.10 is the oldest that works. Update it, or run services without one: `provision: process`.",
        ))
    }

    /// The engine's host, where that is another machine than this one.
    fn elsewhere(&self) -> Option<&str> {
        match &self.dial {
            Dial::Unix(_) => None,
            Dial::Tcp { host, .. } => {
                let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
                (!here).then_some(host)
            }
        }
    }

    /// Whether ports of the engine's machine are ports of ours, which we can look at.
    pub(super) fn is_here(&self) -> bool {
        self.elsewhere().is_none()
    }

    /// Refuses to publish where the gateway would never reach it.
    pub(super) fn can_publish(&self, bind: IpAddr, own: Option<&str>) -> Result<(), Failure> {
        match self.elsewhere() {
            Some(host) if own.is_none() && bind.is_loopback() => {
                let detail = format!(
                    "The Docker engine is on another machine, `{host}`: what it publishes at {bind} is reached from there alone."
                );
                Err(Failure::gateway(Code::InvalidConfig, detail)
                    .with_hint("Say an address of that machine in `run.bind`, in a network that you trust."))
            }
            _ => Ok(()),
        }
    }

    /// Where the gateway reaches a container: in its network where it is a container itself, else where it is published.
    pub(super) fn reached(
        &self,
        own: Option<&str>,
        name: &Name,
        bind: IpAddr,
        port: u16,
        network_port: u16,
    ) -> (String, u16) {
        if own.is_some() {
            return (names::container(name), network_port);
        }
        let host = match self.elsewhere() {
            Some(host) if bind.is_unspecified() => host.to_owned(),
            None if bind.is_unspecified() || bind == Ipv4Addr::LOCALHOST => "localhost".to_owned(),
            _ => bind.to_string(),
        };
        (host, port)
    }
}

fn is_recent(api: &str) -> bool {
    let read = || {
        let (major, minor) = api.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    read().is_some_and(|version: (u32, u32)| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (api, recent) in
            [("1.41", true), ("1.100", true), ("2.0", true), ("1.40", false), ("1.9", false), ("", false)]
        {
            assert_eq!(is_recent(api), recent, "{api}");
        }
    }

    #[test]
    fn a_container_is_reached_in_its_network_or_where_it_is_published() {
        let engine = |dial: Dial| Engine {
            client: Docker::connect_with_http("http://x:1", 1, API_DEFAULT_VERSION).expect("made"),
            dial,
        };
        let near = engine(Dial::Unix("/x.sock".to_owned()));
        let far = engine(Dial::Tcp { host: "far".to_owned(), port: 2375 });
        let name = Name { cluster: "shop".into(), service: "cache".into() };
        let reached = |engine: &Engine, own: Option<&str>, bind: &str| {
            let (host, port) = engine.reached(own, &name, bind.parse().expect("an address"), 6380, 6379);
            format!("{host}:{port}")
        };
        assert_eq!(reached(&near, None, "127.0.0.1"), "localhost:6380");
        assert_eq!(reached(&near, None, "0.0.0.0"), "localhost:6380");
        assert_eq!(reached(&near, None, "10.0.0.7"), "10.0.0.7:6380");
        assert_eq!(reached(&near, None, "127.0.0.9"), "127.0.0.9:6380");
        assert_eq!(reached(&near, Some("id"), "127.0.0.1"), "throome-shop-cache:6379");
        assert_eq!(reached(&far, None, "0.0.0.0"), "far:6380");
        let local = "127.0.0.1".parse().expect("an address");
        assert!(near.can_publish(local, None).is_ok());
        assert!(far.can_publish(local, Some("id")).is_ok());
        assert!(far.can_publish(local, None).expect_err("out of reach").detail().contains("`far`"));
    }
}
