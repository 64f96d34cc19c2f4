//! The data door: the same calls behind the same guard, nothing else, and streams that survive being slow.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::lines::{Line, Lines};
use throome_e2e::process::{free_port, gateway_binary};
use throome_e2e::{Connection, Gateway, Layout, Reply, turn};

const CLUSTER: &str = "name: Shop\nservices:\n  cache: { type: memory }\n  other: { type: memory }\n  \
                       db: { type: sqlite }\n  queue: { type: log }\n";

/// A gateway with a data door on this host, and where that is.
fn with_data_door(host: &str) -> (Gateway, SocketAddr) {
    let port = free_port();
    let layout = Layout::default();
    layout.write_cluster("shop", CLUSTER);
    let file = format!("data: {{ host: {host}, port: {port} }}\n");
    let gateway = layout.with_file(&file).with_args(&["--config", "throome.yaml"]).start();
    (gateway, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn ask(to: SocketAddr, method: &str, path: &str, body: Option<&Value>, token: Option<&str>) -> Reply {
    let text = request(to, method, path, body.map(Value::to_string).as_deref());
    let token = token.map(|token| format!("\r\nAuthorization: Bearer {token}")).unwrap_or_default();
    Connection::open(to).ask(text.replacen("\r\n", &format!("{token}\r\n"), 1))
}

#[track_caller]
fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn set(key: &str) -> Value {
    json!({ "key": key, "value": "v" })
}

#[test]
fn it_answers_data_calls_and_nothing_else() {
    let _turn = turn::together();
    let (gateway, door) = with_data_door("127.0.0.1");
    let cache = "/api/v1/clusters/shop/cache/set?service=cache";
    assert_eq!(ask(door, "POST", cache, Some(&set("a")), None).status, 200);
    // The same world behind both doors; a transaction that began here goes on there.
    let get = json!({ "key": "a" });
    let got = gateway.call("POST", "/api/v1/clusters/shop/cache/get?service=cache", Some(&get)).expect(200);
    assert_eq!(got.json()["value"], "v");
    let create = json!({ "query": "CREATE TABLE t (id INTEGER)" });
    assert_eq!(ask(door, "POST", "/api/v1/clusters/shop/db/execute", Some(&create), None).status, 200);
    let tx = ask(door, "POST", "/api/v1/clusters/shop/db/transactions", Some(&json!({})), None).json();
    let tx = tx["tx"].as_str().unwrap();
    let insert = json!({ "query": "INSERT INTO t VALUES ($1)", "args": [1] });
    let inside = format!("/api/v1/clusters/shop/db/execute?tx={tx}");
    let _ = gateway.call("POST", &inside, Some(&insert)).expect(200);
    let commit = format!("/api/v1/clusters/shop/db/transactions/{tx}/commit");
    assert_eq!(ask(door, "POST", &commit, Some(&json!({})), None).status, 200);
    for other in ["/", "/health", "/metrics", "/api/v1/clusters", "/api/v1/clusters/shop", "/api/v1/live"] {
        assert_eq!(code(&ask(door, "GET", other, None, None)), (404, "not_found".to_owned()), "{other}");
    }
    let foreign = format!("POST {cache} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(code(&Connection::open(door).ask(foreign)), (403, "permission_denied".to_owned()));
    let pages = format!(
        "POST {cache} HTTP/1.1\r\nHost: {door}\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(code(&Connection::open(door).ask(pages)), (403, "permission_denied".to_owned()));
    let head = Connection::open(door).ask_head(format!(
        "HEAD /api/v1/clusters/shop/cache/keys/a?service=cache HTTP/1.1\r\nHost: {door}\r\n\r\n"
    ));
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("1")), "{head}");
    let metrics = gateway.call("GET", "/metrics", None).text();
    assert!(metrics.contains("throome_client_connections{door=\"data\"}"), "{metrics}");
}

#[test]
fn beyond_loopback_it_asks_for_a_token_and_a_token_opens_what_it_says() {
    let _turn = turn::together();
    let (gateway, door) = with_data_door("0.0.0.0");
    let path = |service: &str| format!("/api/v1/clusters/shop/cache/set?service={service}");
    let stranger = ask(door, "POST", &path("cache"), Some(&set("a")), None);
    assert_eq!(code(&stranger), (401, "unauthenticated".to_owned()));
    assert_eq!(stranger.field("WWW-Authenticate"), Some("Bearer"));
    // Each door decides by its own address: the control door is on loopback and asks for none.
    let made = Command::new(gateway_binary())
        .args(["token", "create", "--service", "shop/cache"])
        .env("THROOME_URL", format!("http://{}", gateway.control))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("thr_"), "{token}");
    let secret = token.clone();
    let token = Some(token.as_str());
    assert_eq!(ask(door, "POST", &path("cache"), Some(&set("a")), token).status, 200);
    assert_eq!(ask(door, "POST", "/api/v1/clusters/shop/cache/set", Some(&set("a")), token).status, 200);
    let denied = (403, "permission_denied".to_owned());
    assert_eq!(code(&ask(door, "POST", &path("other"), Some(&set("a")), token)), denied);
    let query = json!({ "query": "SELECT 1" });
    let sql = ask(door, "POST", "/api/v1/clusters/shop/db/query?service=db", Some(&query), token);
    assert_eq!(code(&sql), denied);
    for upstash in
        ["/api/v1/clusters/shop/services/other/upstash", "/api/v1/clusters/shop/services/%6fther/upstash"]
    {
        assert_eq!(code(&ask(door, "POST", upstash, Some(&json!(["GET", "a"])), token)), denied, "{upstash}");
    }
    let own =
        ask(door, "POST", "/api/v1/clusters/shop/services/cache/upstash", Some(&json!(["GET", "a"])), token);
    assert_eq!(own.expect(200).json(), json!({ "result": "v" }));
    // At the control door it is as narrow.
    for (method, path) in
        [("GET", "/api/v1/clusters"), ("GET", "/api/v1/tokens"), ("DELETE", "/api/v1/clusters/shop")]
    {
        assert_eq!(code(&ask(gateway.control, method, path, None, token)), denied, "{method} {path}");
    }
    let listed = gateway.show("/api/v1/tokens");
    assert!(!listed.to_string().contains(&secret), "{listed}");
    let id =
        listed["tokens"].as_array().unwrap().iter().find(|t| t["service"] == "shop/cache").unwrap()["id"]
            .clone();
    // A stream that it opened ends with it.
    let made = Command::new(gateway_binary())
        .args(["token", "create", "--service", "shop/queue"])
        .env("THROOME_URL", format!("http://{}", gateway.control))
        .output()
        .unwrap();
    let reader = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let publish = json!({ "topic": "t", "message": "one" });
    let queue = "/api/v1/clusters/shop/queue";
    assert_eq!(ask(door, "POST", &format!("{queue}/publish"), Some(&publish), Some(&reader)).status, 200);
    let fields = format!("Authorization: Bearer {reader}\r\n");
    let mut stream = Lines::open(door, &format!("{queue}/consume?topic=t&group=g"), &fields).unwrap();
    assert!(stream.head().starts_with("HTTP/1.1 200"), "{}", stream.head());
    let listed_now = gateway.show("/api/v1/tokens");
    let tokens = listed_now["tokens"].as_array().unwrap();
    let own = tokens.iter().find(|token| token["service"] == "shop/queue").unwrap()["id"].clone();
    let own = own.as_str().map_or_else(|| own.to_string(), str::to_owned);
    let _ = gateway.call("DELETE", &format!("/api/v1/tokens/{own}"), None).expect(200);
    let end = Instant::now() + Duration::from_secs(15);
    while stream.next(Duration::from_secs(1)) != Line::Over {
        assert!(Instant::now() < end, "a revoked token goes on reading");
    }
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let _ = gateway.call("DELETE", &format!("/api/v1/tokens/{id}"), None).expect(200);
    let revoked = ask(door, "POST", &path("cache"), Some(&set("a")), token);
    assert_eq!(code(&revoked), (401, "unauthenticated".to_owned()));
    assert!(!gateway.log().contains(&secret), "the token stands in the log");
}

#[test]
fn streams_end_with_the_gateway_and_with_their_client() {
    let _turn = turn::together();
    let (mut gateway, door) = with_data_door("127.0.0.1");
    let publish = |number: u64| {
        let body = json!({ "topic": "t", "message": format!("{number}") });
        assert_eq!(ask(door, "POST", "/api/v1/clusters/shop/queue/publish", Some(&body), None).status, 200);
    };
    publish(1);
    let path = "/api/v1/clusters/shop/queue/consume?topic=t&group=g";
    let mut stream = Lines::open(door, path, "").unwrap();
    assert!(
        stream.head().contains("text/event-stream") && stream.head().contains("chunked"),
        "{}",
        stream.head()
    );
    while !matches!(stream.next(Duration::from_secs(5)), Line::Text(line) if line.starts_with("event: message"))
    {
    }
    let consumers =
        || gateway.show("/api/v1/clusters/shop/queue/groups?topic=t")["groups"][0]["consumers"].clone();
    assert_eq!(consumers().as_array().unwrap().len(), 1);
    drop(stream);
    let end = Instant::now() + Duration::from_secs(5);
    while !consumers().as_array().unwrap().is_empty() {
        assert!(Instant::now() < end, "a consumer stays when its client has gone");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut stream = Lines::open(door, path, "").unwrap();
    let live = Lines::open(gateway.control, "/api/v1/live", "").unwrap();
    gateway.signal("TERM");
    let began = Instant::now();
    assert_eq!(gateway.wait(Duration::from_secs(10)), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "streams held the stop for {:?}", began.elapsed());
    while stream.next(Duration::from_secs(1)) != Line::Over {}
    assert!(stream.ended, "a stream that is ended in good order ends as one");
    drop(live);
}

/// A client that reads a large result slowly, on a small window, gets all of it; one that is cut is told.
#[test]
fn a_slow_reader_gets_a_large_result_whole() {
    let _turn = turn::together();
    let (_gateway, door) = with_data_door("127.0.0.1");
    let query =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n";
    let body = json!({ "query": query }).to_string();
    let mut connection = Connection::open(door);
    connection.send(request(door, "POST", "/api/v1/clusters/shop/db/query", Some(&body)));
    let mut read = 0;
    let mut piece = [0; 4096];
    for _ in 0..100 {
        read += connection.stream.read(&mut piece).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    let mut all = Vec::new();
    connection.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let _ = connection.stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all);
    assert!(read > 0 && text.contains("\"row_count\":200000"), "{}", &text[text.len().saturating_sub(300)..]);
    assert!(text.ends_with("0\r\n\r\n"));
}
