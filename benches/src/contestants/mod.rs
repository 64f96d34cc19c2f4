//! The programs that are compared. Each file holds one program and the configuration it runs under: one worker,
//! keep-alive on both sides, the same forwarded headers, no access log.

pub mod caddy;
pub mod envoy;
pub mod haproxy;
pub mod nginx;
pub mod throome;
pub mod traefik;
pub mod webdis;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::client::{Connection, get};
use crate::process::{Invocation, Placement, Process};
use crate::rig::{Rig, wait_for_connection, wait_for_success};
use crate::{proc, wrk};

/// What a proxy is told to do.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub backend: SocketAddr,
    pub routes: Routes,
    /// Client connections that must fit.
    pub connections: usize,
    pub front: Front,
    pub service: Service,
}

impl Setup {
    /// Everything to one backend, with room for ordinary load.
    #[must_use]
    pub fn plain(backend: SocketAddr) -> Self {
        Self {
            backend,
            routes: Routes::All,
            connections: USUAL_CONNECTIONS,
            front: Front::Http1,
            service: Service::Web,
        }
    }
}

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    Http1,
    /// HTTP/1.1 by TLS 1.3.
    Tls,
    /// HTTP/2 in the clear, by prior knowledge.
    Http2,
    /// HTTP/2 by TLS 1.3.
    Http2Tls,
}

impl Front {
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Http2Tls)
    }

    #[must_use]
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2Tls)
    }

    /// As it is said in `X-Forwarded-Proto`.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        if self.is_secure() { "https" } else { "http" }
    }

    /// What is agreed on by TLS.
    #[must_use]
    pub fn alpn(self) -> &'static str {
        if self.is_http2() { "h2" } else { "http/1.1" }
    }
}

/// What the service behind is; what some programs must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Whole answers over HTTP/1.1.
    Web,
    /// The same, where connections become WebSockets.
    WebSocket,
    /// Answers over HTTP/1.1 that do not end, of which each part goes on at once.
    Events,
    /// gRPC, over HTTP/2 in the clear.
    Grpc,
}

/// Room for client connections where a scenario asks for no more.
pub const USUAL_CONNECTIONS: usize = 1_000;

/// Which paths are routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routes {
    /// One route for every path.
    All,
    /// This many routes, each for one prefix, all to the same service; other paths are refused.
    Prefixes(usize),
}

impl Routes {
    /// The prefixes, none for the catch-all.
    pub fn prefixes(self) -> impl Iterator<Item = String> {
        let count = match self {
            Self::All => 0,
            Self::Prefixes(count) => count,
        };
        (0..count).map(wrk::route_prefix)
    }
}

/// The proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    Throome,
    Nginx,
    Haproxy,
    Envoy,
    Traefik,
    Caddy,
}

impl Proxy {
    /// As reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throome => "throome",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
        }
    }

    /// Writes the configuration; nothing runs yet.
    pub fn prepare(self, rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
        match self {
            Self::Throome => throome::proxy(rig, setup),
            Self::Nginx => nginx::prepare(rig, setup),
            Self::Haproxy => haproxy::prepare(rig, setup),
            Self::Envoy => envoy::prepare(rig, setup),
            Self::Traefik => traefik::prepare(rig, setup),
            Self::Caddy => caddy::prepare(rig, setup),
        }
    }

    /// Writes the configuration, starts the program on the contestants' core and waits until it is healthy.
    pub fn start(self, rig: &Rig, setup: &Setup) -> anyhow::Result<Contestant> {
        self.prepare(rig, setup)?.start(rig.contestant_core())
    }
}

/// A program with its files written, ready to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: String,
    pub invocation: Invocation,
    /// Where load goes.
    pub address: SocketAddr,
    /// Where a GET succeeds once the program is up, and the path of it. Where it speaks something else, the address takes
    /// connections then.
    pub health: (SocketAddr, &'static str),
    pub log: PathBuf,
}

impl Launch {
    /// Starts it and waits until it is healthy.
    pub fn start(&self, placement: Placement) -> anyhow::Result<Contestant> {
        let mut process = Process::start(&self.invocation, placement, &self.log)?;
        let (address, path) = self.health;
        let is_up = if path.is_empty() {
            wait_for_connection(&mut process, address)
        } else {
            wait_for_success(&mut process, address, path)
        };
        is_up.with_context(|| self.name.clone())?;
        Ok(Contestant { name: self.name.clone(), address: self.address, process })
    }
}

/// A running program; ends when dropped.
#[derive(Debug)]
pub struct Contestant {
    pub name: String,
    pub address: SocketAddr,
    process: Process,
}

/// The binary of a peer that no package has.
fn fetched<'a>(path: Option<&'a PathBuf>, name: &str) -> anyhow::Result<&'a PathBuf> {
    path.with_context(|| {
        format!("nobody has said where {name} is; `eval \"$(scripts/bench-peers.sh)\"` fetches it and says")
    })
}

/// A path that every route configuration leads to the service, for those who cannot answer for their own health; empty
/// where nobody can be asked so.
fn service_path(setup: &Setup) -> &'static str {
    if setup.front == Front::Http1 && setup.service != Service::Grpc { "/r0/200b" } else { "" }
}

/// The same for those who can.
fn health_path(setup: &Setup) -> &'static str {
    if setup.front == Front::Http1 { "/health" } else { "" }
}

impl Contestant {
    /// All its processes.
    pub fn pids(&self) -> anyhow::Result<Vec<u32>> {
        proc::tree(self.process.pid())
    }

    /// Asks once and insists on a success with a body of this size.
    pub fn check_answer(&self, path: &str, size: usize) -> anyhow::Result<()> {
        let answer = Connection::open(self.address)?.exchange(&get(self.address, path))?;
        let got = (answer.status, answer.body.len());
        ensure!(got == (200, size), "{}: {path} answers {got:?} instead of (200, {size})", self.name);
        Ok(())
    }
}
