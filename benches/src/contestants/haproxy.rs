//! HAProxy: one process, one thread; many routes are a `map_beg` file.

use std::fmt::Write;
use std::path::Path;

use super::{Launch, Routes, Service, Setup, health_path};
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
    let bind = if setup.front.is_secure() {
        let both = rig.certificate()?.both.display();
        format!("{address} backlog 4096 ssl crt {both} alpn {} ssl-min-ver TLSv1.3", setup.front.alpn())
    } else {
        format!("{address} backlog 4096{}", if setup.front.is_http2() { " proto h2" } else { "" })
    };
    std::fs::write(&file, configuration(&bind, setup, &map))?;
    Ok(Launch {
        name: "HAProxy".to_owned(),
        invocation: Invocation::new("haproxy", ["-db", "-f", &file.display().to_string()]),
        address,
        health: (address, health_path(setup)),
        log: directory.join("log"),
    })
}

/// Its buffers stay at their default of 16 KiB: larger ones and splicing cost it more. It would refuse to start where
/// it cannot reserve two files for each connection; idle clients need one each, hence `no strict-limits`.
fn configuration(bind: &str, setup: &Setup, map: &Path) -> String {
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
  timeout tunnel 300s
{no_delay}frontend clients
  bind {bind}
  monitor-uri /health
  option forwardfor
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  {choose}
backend web
  http-reuse always
  server one {backend}{service}
",
        connections = setup.connections,
        backend = setup.backend,
        scheme = setup.front.scheme(),
        service = if setup.service == Service::Grpc { " proto h2" } else { "" },
        // Each part of an answer that does not end leaves at once; elsewhere this would only make more packets.
        no_delay = if setup.service == Service::Events { "  option http-no-delay\n" } else { "" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::Front;

    #[test]
    fn the_service_of_grpc_speaks_http2_and_others_do_not() {
        let plain = Setup::plain(([127, 0, 0, 1], 1).into());
        let text = configuration("127.0.0.1:2", &plain, Path::new("map"));
        assert!(
            text.contains("  bind 127.0.0.1:2\n") && text.contains("  server one 127.0.0.1:1\n"),
            "{text}"
        );
        let grpc = Setup { front: Front::Http2Tls, service: Service::Grpc, ..plain };
        let text = configuration("127.0.0.1:2 ssl", &grpc, Path::new("map"));
        assert!(
            text.contains("server one 127.0.0.1:1 proto h2\n") && text.contains("-Proto https\n"),
            "{text}"
        );
    }
}
