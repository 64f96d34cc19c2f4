//! A gateway of recorded bodies: the same request always has the same answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Ran, ran, ran_by};
use crate::terminal::People;

/// A request line with status and body of its answer.
pub(super) type Recorded = (&'static str, u16, &'static str);

pub(super) struct Gateway {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    pub(super) fn new(recorded: &'static [Recorded]) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.unwrap());
                    while let Some((line, body)) = read(&mut reader) {
                        answer(reader.get_mut(), recorded, &line);
                        log.lock().unwrap().push(format!("{line} {body}").trim().to_owned());
                    }
                });
            }
        });
        Gateway { url, seen }
    }

    /// `throome --url … line`, with nobody at the terminal.
    pub(super) fn ran(&self, line: &[&str]) -> Ran {
        let mut whole = vec!["throome", "--url", &self.url];
        whole.extend(line);
        self.anonymous(ran(&whole))
    }

    /// The same with this input typed by a person, or piped.
    pub(super) fn ran_by(&self, line: &[&str], input: &str, people: People) -> Ran {
        let mut whole = vec!["throome", "--url", &self.url];
        whole.extend(line);
        self.anonymous(ran_by(&whole, input, people))
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Request lines with their bodies.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The port differs from run to run, which no snapshot can know.
    fn anonymous(&self, ran: Ran) -> Ran {
        let hide = |text: String| text.replace(&self.url, "http://gateway");
        Ran { out: hide(ran.out), err: hide(ran.err), ..ran }
    }
}

fn answer(stream: &mut TcpStream, recorded: &[Recorded], line: &str) {
    const MISSING: &str = r#"{"title":"Not found","status":404,"code":"not_found","detail":"There is no such thing.",
        "hint":"`throome cluster list` shows what there is.","retryable":false,"request_id":"r-404"}"#;
    let found = recorded.iter().find(|(known, ..)| *known == line);
    let (status, body) = found.map_or((404, MISSING), |(_, status, body)| (*status, *body));
    // That a gateway is not well is an answer and no failure, which has a code.
    let is_problem = status >= 400 && body.contains("\"code\"");
    let kind = if is_problem { "application/problem+json" } else { "application/json" };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-request-id: r-1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        first.get_or_insert_with(|| line.trim_end_matches(" HTTP/1.1").to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first?, String::from_utf8(body).unwrap()))
}

pub(super) const SHOP: &[Recorded] = &[
    ("GET /api/v1/health", 200, r#"{"status":"healthy","timestamp":1}"#),
    (
        "GET /api/v1/kinds",
        200,
        r#"{"kinds":[{"name":"alpha","about":"Speaks first","place":"network","default_port":80,"abilities":["http"],
            "facts":[]},{"name":"beta","about":"Keeps what it is told","place":"embedded","default_port":null,
            "abilities":["key_value","sql"],"facts":[{"name":"durability","says":"None."},
            {"name":"media_type","says":"Kept."}]}],"count":2,"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/clusters/shop/services/hot",
        200,
        r#"{"name":"hot","type":"beta","healthy":true,"status":"HEALTHY","verdict":"serving","reason":"","since":"x",
            "lifecycle":"external","health":"healthy","rotation":"in","breaker":"closed","endpoints":[
            {"address":"10.0.0.1:1","role":"primary","health":"healthy","rotation":"in","breaker":"closed","since":"x",
            "reason":"takes writes"},{"address":"10.0.0.2:1","role":"replaced","health":"healthy","rotation":"maintenance",
            "breaker":"closed","since":"x","reason":"another was promoted in its place"}],
            "doors":[{"name":"cache","path":"/api/v1/clusters/shop/cache"},
            {"name":"upstash","path":"/api/v1/clusters/shop/services/hot/upstash"}]}"#,
    ),
    (
        "GET /api/v1/clusters",
        200,
        r#"{"clusters":[{"id":"shop","cluster_id":"shop","name":"The \u001b[31mshop","created_at":"2026-01-02T03:04:05Z",
            "healthy":false,"status":"DEGRADED","services":[{"name":"web","type":"alpha"},{"name":"hot","type":"beta"}]}],
            "count":1,"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/clusters/shop",
        200,
        r#"{"id":"shop","cluster_id":"shop","name":"Shop","created_at":"2026-01-02T03:04:05Z","healthy":false,
            "status":"DEGRADED","services":{"web":{"type":"alpha","endpoints":[{"host":"10.0.0.1","port":80},
            {"host":"10.0.0.2","port":80}]},"hot":{"type":"beta","password":"***"}},"routes":[{"id":"api"}],
            "routing":{"strategy":"round_robin"}}"#,
    ),
    (
        "GET /api/v1/clusters/shop/health",
        200,
        r#"{"cluster_id":"shop","healthy":false,"status":"DEGRADED","services":{
            "hot":{"name":"hot","type":"beta","healthy":true,"status":"HEALTHY","verdict":"serving","reason":"all endpoints answer",
                "since":"x1","lifecycle":"embedded","health":"healthy","rotation":"in","breaker":"closed","endpoints":[]},
            "web":{"name":"web","type":"alpha","healthy":false,"status":"UNHEALTHY","verdict":"not_serving","reason":"breaker open",
                "since":"x2","lifecycle":"external","health":"unhealthy","rotation":"in","breaker":"open","endpoints":[]}}}"#,
    ),
    (
        "GET /api/v1/clusters/shop/services/web",
        200,
        r#"{"name":"web","type":"alpha","healthy":false,"status":"UNHEALTHY","verdict":"not_serving","reason":"breaker open",
            "since":"x2","lifecycle":"external","health":"unhealthy","rotation":"in","breaker":"open","endpoints":[
            {"address":"10.0.0.1:80","role":"primary","weight":1,"healthy":false,"reason":"5 of 5 failed","since":"x3",
             "health":"unhealthy","rotation":"ejected","breaker":"open","in_flight":2,"latency_ms":12.34}]}"#,
    ),
    ("POST /api/v1/clusters/shop/services/web/drain", 200, r#"{"name":"web","rotation":"draining"}"#),
    ("PUT /api/v1/clusters/shop", 200, r#"{"id":"shop"}"#),
    ("DELETE /api/v1/clusters/shop", 200, r#"{"message":"removed"}"#),
    ("DELETE /api/v1/clusters/shop?keep_data=true", 200, r#"{"message":"removed"}"#),
    ("POST /api/v1/clusters", 201, r#"{"id":"new-1","cluster_id":"new-1","name":"New","services":{}}"#),
    (
        "GET /api/v1/routes",
        200,
        r#"{"routes":[{"id":"api","cluster":"shop","service":"web","path":"/api/*","methods":["GET","POST"],"enabled":true,"owner":"api"},
            {"id":"off","cluster":"other","service":"web","host":"x.local","path":"/","enabled":false,"owner":"file"}],"count":2}"#,
    ),
    (
        "GET /api/v1/routes/api",
        200,
        r#"{"id":"api","cluster":"shop","service":"web","path":"/api/*","timeout":"10s","enabled":true,"owner":"api"}"#,
    ),
    ("DELETE /api/v1/routes/api", 204, ""),
    (
        "POST /api/v1/routes",
        201,
        r#"{"id":"made","cluster":"shop","service":"web","path":"/x","enabled":true,"owner":"api"}"#,
    ),
    (
        "PUT /api/v1/routes/api",
        200,
        r#"{"id":"api","cluster":"shop","service":"web","path":"/api/v2/*","enabled":true,"owner":"api"}"#,
    ),
    (
        "POST /api/v1/explain",
        200,
        r#"{"route":{"id":"api","cluster":"shop","service":"web","path":"/api/*"},"service":"shop/web","endpoint":"10.0.0.2:80",
            "policies":[{"timeout":"10s"},{"strategy":"round_robin","tries":3}],"candidates":[
            {"endpoint":"10.0.0.1:80","chosen":false,"reason":"breaker open"},{"endpoint":"10.0.0.2:80","chosen":true,"reason":"next in turn"}]}"#,
    ),
    ("POST /api/v1/clusters/shop/cache/get?service=hot", 200, r#"{"key":"k","found":true,"value":"v"}"#),
    ("POST /api/v1/clusters/shop/cache/get", 200, r#"{"key":"k","found":false,"value":null}"#),
    ("POST /api/v1/clusters/shop/cache/set", 200, r#"{"key":"k","stored":true}"#),
    ("POST /api/v1/clusters/shop/cache/delete", 200, r#"{"key":"k","deleted":false}"#),
    ("POST /api/v1/clusters/shop/cache/incr", 200, r#"{"key":"n","value":7}"#),
    ("GET /api/v1/clusters/shop/cache/ttl?key=k", 200, r#"{"key":"k","found":true,"ttl":59.5}"#),
    (
        "GET /api/v1/clusters/shop/cache/keys?match=u%3A%2A",
        200,
        r#"{"keys":["u:1","u:2"],"next_cursor":"c"}"#,
    ),
    (
        "GET /api/v1/clusters/shop/cache/keys?match=u%3A%2A&cursor=c",
        200,
        r#"{"keys":["u:3"],"next_cursor":null}"#,
    ),
];
