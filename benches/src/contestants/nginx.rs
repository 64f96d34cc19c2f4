//! nginx: one worker under its master, as packages run it.

use std::fmt::Write;

use super::{Launch, Routes, Service, Setup, health_path};
use crate::process::Invocation;
use crate::rig::Rig;

/// Writes `nginx.conf` and the command that runs it in the foreground.
pub fn prepare(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let directory = rig.directory_for("nginx")?;
    let address = rig.free_address()?;
    let file = directory.join("nginx.conf");
    let listen = if setup.front.is_secure() {
        let made = rig.certificate()?;
        let (certificate, key) = (made.certificate.display(), made.key.display());
        format!(
            "listen {address} backlog=4096 ssl{http2};
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;",
            http2 = if setup.front.is_http2() { " http2" } else { "" }
        )
    } else {
        format!("listen {address} backlog=4096{};", if setup.front.is_http2() { " http2" } else { "" })
    };
    std::fs::write(&file, configuration(&listen, setup))?;
    let place = directory.display().to_string();
    Ok(Launch {
        name: "nginx".to_owned(),
        invocation: Invocation::new("nginx", ["-p", &place, "-c", "nginx.conf", "-e", "stderr"]),
        address,
        health: (address, health_path(setup)),
        log: directory.join("log"),
    })
}

/// A client and a service connection for each request under way, and some for its own use.
fn worker_connections(setup: &Setup) -> usize {
    setup.connections * 2 + 200
}

/// The buffers are what serves nginx best: with its defaults of 4 KiB an answer of 64 KiB costs it twice as much.
fn configuration(listen: &str, setup: &Setup) -> String {
    let pass = if setup.service == Service::Grpc { "grpc_pass grpc://web" } else { "proxy_pass http://web" };
    let mut locations = String::new();
    match setup.routes {
        Routes::All => locations = format!("    location / {{ {pass}; }}\n"),
        Routes::Prefixes(_) => {
            for prefix in setup.routes.prefixes() {
                // Writing to a String cannot fail.
                let _ = writeln!(locations, "    location {prefix} {{ {pass}; }}");
            }
        }
    }
    format!(
        "daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream web {{
    server {backend};
    keepalive 400;
    keepalive_requests 1000000000;
  }}
  proxy_buffer_size 32k;
  proxy_buffers 8 32k;
  proxy_busy_buffers_size 128k;
  proxy_http_version 1.1;
  {connection}
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  grpc_set_header Host $http_host;
  grpc_set_header X-Forwarded-For $remote_addr;
  grpc_set_header X-Forwarded-Proto $scheme;
  grpc_set_header X-Forwarded-Host $http_host;
  client_max_body_size 0;
  server {{
    {listen}
    location = /health {{ return 200; }}
{locations}  }}
}}
",
        connections = worker_connections(setup),
        connection = if setup.service == Service::WebSocket {
            "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;"
        } else {
            "proxy_set_header Connection \"\";"
        },
        backend = setup.backend,
    )
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn each_prefix_has_its_location_and_nothing_else_is_routed() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let text =
            configuration("listen 1;", &Setup { routes: Routes::Prefixes(3), ..Setup::plain(address) });
        assert_eq!(text.matches("proxy_pass").count(), 3);
        assert!(text.contains("location /r2/ ") && !text.contains("location / "));
    }
}
