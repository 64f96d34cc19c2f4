//! HAProxy: one process, one thread; many routes are a `map_beg` file.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{Launch, Routes, Setup};
use crate::process::Invocation;
use crate::rig::Rig;

/// Writes `haproxy.cfg`, the map, and the command that runs it in the foreground.
pub fn prepare(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let directory = rig.directory_for("haproxy")?;
    let address = rig.free_address()?;
    let map = directory.join("routes.map");
    let mut lines = String::new();
    for prefix in setup.routes.prefixes() {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{prefix} web");
    }
    std::fs::write(&map, lines)?;
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, configuration(address, setup, &map))?;
    Ok(Launch {
        name: "HAProxy".to_owned(),
        invocation: Invocation::new("haproxy", ["-db", "-f", &file.display().to_string()]),
        address,
        health: (address, "/health"),
        log: directory.join("log"),
    })
}

/// Its buffers stay at their default of 16 KiB: larger ones and splicing cost it more. It would refuse to start where
/// it cannot reserve two files for each connection; idle clients need one each, hence `no strict-limits`.
fn configuration(address: SocketAddr, setup: &Setup, map: &Path) -> String {
    let choose = match setup.routes {
        Routes::All => "default_backend web".to_owned(),
        Routes::Prefixes(_) => format!("use_backend %[path,map_beg({})]", map.display()),
    };
    format!(
        "global
  nbthread 1
  maxconn {connections}
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
frontend clients
  bind {address} backlog 4096
  monitor-uri /health
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  {choose}
backend web
  http-reuse always
  server one {backend}
",
        connections = setup.connections,
        backend = setup.backend,
    )
}
