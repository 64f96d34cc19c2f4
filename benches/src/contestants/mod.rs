//! The programs that are compared. Each file holds one program and the configuration it runs under: one worker,
//! keep-alive on both sides, the same forwarded headers, no access log.

pub mod haproxy;
pub mod nginx;
pub mod throome;
pub mod webdis;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::client::{Connection, get};
use crate::process::{Invocation, Placement, Process};
use crate::rig::{Rig, wait_for_success};
use crate::{proc, wrk};

/// What a proxy is told to do.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub backend: SocketAddr,
    pub routes: Routes,
    /// Client connections that must fit.
    pub connections: usize,
}

impl Setup {
    /// Everything to one backend, with room for ordinary load.
    #[must_use]
    pub fn plain(backend: SocketAddr) -> Self {
        Self { backend, routes: Routes::All, connections: USUAL_CONNECTIONS }
    }
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
}

impl Proxy {
    /// Writes the configuration; nothing runs yet.
    pub fn prepare(self, rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
        match self {
            Self::Throome => throome::proxy(rig, setup),
            Self::Nginx => nginx::prepare(rig, setup),
            Self::Haproxy => haproxy::prepare(rig, setup),
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
    /// Where a GET succeeds once the program is up, and the path of it.
    pub health: (SocketAddr, &'static str),
    pub log: PathBuf,
}

impl Launch {
    /// Starts it and waits until it is healthy.
    pub fn start(&self, placement: Placement) -> anyhow::Result<Contestant> {
        let mut process = Process::start(&self.invocation, placement, &self.log)?;
        let (address, path) = self.health;
        wait_for_success(&mut process, address, path).with_context(|| self.name.clone())?;
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

    /// Insists that the service sees the client's own Host and the three forwarded headers, so that nobody wins by
    /// leaving work out.
    pub fn check_forwarded_headers(&self) -> anyhow::Result<()> {
        let answer = Connection::open(self.address)?.exchange(&get(self.address, "/headers"))?;
        let head = String::from_utf8_lossy(&answer.body).to_lowercase();
        let wanted = [
            format!("\r\nhost: {}\r\n", self.address),
            format!("\r\nx-forwarded-host: {}\r\n", self.address),
            "\r\nx-forwarded-for: 127.0.0.1\r\n".to_owned(),
            "\r\nx-forwarded-proto: http\r\n".to_owned(),
        ];
        for header in wanted {
            ensure!(
                head.contains(&header),
                "{} does not send {:?}; it sends\n{head}",
                self.name,
                header.trim()
            );
        }
        Ok(())
    }
}
