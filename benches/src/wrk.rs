//! Closed-loop load by wrk: writes the script that builds the requests, runs it on the load core, reads the one line
//! of figures that the script prints at the end.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::client;
use crate::process::{Invocation, Placement};

/// What wrk sends. Every request is built before the load begins, so that building costs nothing during it.
#[derive(Debug, Clone)]
pub enum Requests {
    /// The same GET again and again.
    Get { path: String },
    /// The same request with a body again and again.
    Body { method: &'static str, path: String, content_type: &'static str, body: String },
    /// A POST of each of these JSON bodies in turn; there must be one.
    Bodies { path: String, bodies: Vec<String> },
    /// The same again and again, so many sent at once on each connection before their answers are read.
    Pipelined { request: Box<Requests>, depth: usize },
    /// A GET of each route's path in turn, in a scattered order.
    Routes { count: usize },
}

/// The path under which route number `index` answers; the route itself matches everything below.
#[must_use]
pub fn route_prefix(index: usize) -> String {
    format!("/r{index}/")
}

/// What wrk counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub requests: u64,
    pub seconds: f64,
    /// Answers of 400 and above, failed connects, reads and writes, and timeouts.
    pub errors: u64,
}

/// How wrk is run.
#[derive(Debug, Clone, Copy)]
pub struct Wrk<'a> {
    /// Where the script may be written.
    pub directory: &'a Path,
    pub core: usize,
    pub connections: usize,
}

impl Wrk<'_> {
    /// Loads `address` for the whole seconds given, from one thread.
    pub fn run(&self, address: SocketAddr, requests: &Requests, seconds: u64) -> anyhow::Result<Outcome> {
        let script = self.directory.join("load.lua");
        std::fs::write(&script, requests.script())?;
        let wrk = Invocation::new(
            "wrk",
            [
                "--threads=1".to_owned(),
                format!("--connections={}", self.connections),
                format!("--duration={seconds}s"),
                format!("--script={}", script.display()),
                format!("http://{address}/"),
            ],
        );
        let output = wrk.output(Placement::Core(self.core))?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).with_context(|| format!("wrk printed no figures:\n{text}"))
    }
}

impl Requests {
    /// One such request as bytes, for asking once before the load begins.
    #[must_use]
    pub fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        match self {
            Self::Get { path } => client::get(address, path),
            Self::Pipelined { request, .. } => request.bytes(address),
            Self::Routes { .. } => client::get(address, &route_prefix(0)),
            Self::Bodies { path, bodies } => client::post(address, path, &bodies[0]),
            Self::Body { method, path, content_type, body } => format!(
                "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        }
    }

    fn script(&self) -> String {
        format!("{}{DONE}", self.requests_script())
    }

    fn requests_script(&self) -> String {
        match self {
            Self::Get { path } => format!("wrk.path = {}\n", quoted(path)),
            Self::Body { method, path, content_type, body } => format!(
                "wrk.method = {}\nwrk.path = {}\nwrk.headers['Content-Type'] = {}\nwrk.body = {}\n",
                quoted(method),
                quoted(path),
                quoted(content_type),
                quoted(body)
            ),
            Self::Routes { count } => route_script(*count),
            Self::Bodies { path, bodies } => bodies_script(path, bodies),
            // wrk takes a text that holds several requests for what it is, and waits for as many answers.
            Self::Pipelined { request, depth } => format!(
                "{}local together\n\
                 function init(args) together = string.rep(wrk.format(), {depth}) end\n\
                 function request() return together end\n",
                request.requests_script()
            ),
        }
    }
}

/// A stride that has no factor in common with the counts used visits every route before it repeats one, far enough
/// apart that neighbours in a sorted table do not follow each other.
fn route_script(count: usize) -> String {
    format!(
        "local count, at, built = {count}, 0, {{}}\n\
         function init(args)\n\
           for i = 0, count - 1 do built[i] = wrk.format('GET', '/r' .. i .. '/200b') end\n\
         end\n\
         function request()\n\
           at = (at + 7919) % count\n\
           return built[at]\n\
         end\n"
    )
}

fn bodies_script(path: &str, bodies: &[String]) -> String {
    let bodies: Vec<String> = bodies.iter().map(|body| quoted(body)).collect();
    format!(
        "local bodies, at, built = {{\n{}\n}}, 0, {{}}\n\
         wrk.headers['Content-Type'] = 'application/json'\n\
         function init(args)\n\
           for i, body in ipairs(bodies) do built[i] = wrk.format('POST', {}, nil, body) end\n\
         end\n\
         function request()\n\
           at = at % #built + 1\n\
           return built[at]\n\
         end\n",
        bodies.join(",\n"),
        quoted(path)
    )
}

const DONE: &str = "function done(summary, latency, requests)\n\
    local e = summary.errors\n\
    io.write(string.format('FIGURES %d %d %d\\n', summary.requests, summary.duration,\n\
      e.connect + e.read + e.write + e.status + e.timeout))\n\
    end\n";

/// A Lua long string takes everything but its own closing bracket, which nothing here contains.
fn quoted(text: &str) -> String {
    format!("[==[{text}]==]")
}

fn parse(text: &str) -> Option<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "))?;
    let figures: Vec<u64> = line.split(' ').map_while(|figure| figure.parse().ok()).collect();
    let [requests, microseconds, errors] = figures[..] else { return None };
    Some(Outcome { requests, seconds: microseconds as f64 / 1e6, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_figures_is_found_among_what_wrk_prints() {
        let text = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 50 connections\n\
            Requests/sec:  50000.00\nFIGURES 100000 2000123 7\n";
        assert_eq!(parse(text), Some(Outcome { requests: 100_000, seconds: 2.000_123, errors: 7 }));
        assert_eq!(parse("Requests/sec:  50000.00\n"), None);
    }

    #[test]
    fn scripts_carry_what_is_sent() {
        let body = Requests::Body {
            method: "POST",
            path: "/set".to_owned(),
            content_type: "application/json",
            body: "{\"key\":\"a\"}".to_owned(),
        };
        let script = body.script();
        assert!(script.contains("wrk.body = [==[{\"key\":\"a\"}]==]"), "{script}");
        assert!(script.contains("wrk.method = [==[POST]==]") && script.contains("function done"));
        let bodies = Requests::Bodies { path: "/get".to_owned(), bodies: vec!["1".into(), "2".into()] };
        assert!(bodies.script().contains("{\n[==[1]==],\n[==[2]==]\n}"), "{}", bodies.script());
        assert!(bodies.script().contains("wrk.format('POST', [==[/get]==], nil, body)"));
        let pipelined = Requests::Pipelined { request: Box::new(body), depth: 10 }.script();
        assert!(pipelined.contains("wrk.body = [==[{\"key\":\"a\"}]==]"), "{pipelined}");
        assert!(pipelined.contains("string.rep(wrk.format(), 10)"), "{pipelined}");
        assert!(Requests::Routes { count: 500 }.script().contains("count - 1 do built[i]"));
    }

    #[test]
    fn the_stride_visits_every_route() {
        for count in [1, 500, 5_000, 50_000] {
            let mut seen = vec![false; count];
            let mut at = 0;
            for _ in 0..count {
                at = (at + 7919) % count;
                seen[at] = true;
            }
            assert!(seen.iter().all(|visited| *visited), "{count}");
        }
    }
}
