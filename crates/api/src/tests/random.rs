//! Requests that nobody would write: whatever comes, the answer is a document and never a fault of ours.

use axum::http::Request;
use serde_json::Value;

use super::{shop, shop_document};
use crate::openapi;

/// The same numbers in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

const WORDS: [&str; 14] =
    ["shop", "cache", "web", "api", "none", "%ff", "%", "..", "a%2Fb", "%00", "", "*", "x{y}", "\u{fc}"];

const BODIES: [&str; 14] = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    "\"x\"",
    "{\"key\": \"a\", \"value\": \"b\"}",
    "{\"key\": {}}",
    "{\"name\": []}",
    "{\"name\": \"x\", \"services\": [1]}",
    "{\"cluster\": \"shop\", \"service\": \"web\", \"path\": \"//\"}",
    "{\"key\": \"a\", \"ttl\": 1e999}",
    "{\"path\": \"\\u0000\"}",
    "{\"yaml\": \"a: [\"}",
];

#[tokio::test]
async fn no_request_is_a_fault_of_the_gateway() {
    let gateway = shop().await;
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    // Streams have no end that this could wait for.
    let endless = ["/api/v1/live", "/api/v1/clusters/{id}/queue/consume"];
    let paths = document["paths"].as_object().unwrap().keys().map(String::as_str);
    let paths: Vec<&str> = paths.filter(|path| !endless.contains(path)).collect();
    let whole = shop_document().to_string();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for _ in 0..10_000 {
        let mut path = numbers.one(&paths).to_owned();
        for name in [
            "{id}",
            "{name}",
            "{key}",
            "{tx}",
            "{topic}",
            "{group}",
            "{command}",
            "{backup}",
            "{provisioner}",
            "{cluster}",
            "{service}",
        ] {
            path = path.replacen(name, numbers.one(&WORDS), 1);
        }
        if numbers.below(3) == 0 {
            let (name, value) =
                (numbers.one(&["limit", "cursor", "key", "match", "ttl", "x"]), numbers.one(&WORDS));
            path = format!("{path}?{name}={value}");
        }
        let method = numbers.one(&["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]);
        let body = if numbers.below(4) == 0 {
            // A good document with one byte changed.
            let mut bytes = whole.clone().into_bytes();
            let at = numbers.below(bytes.len());
            bytes[at] = u8::try_from(numbers.below(256)).unwrap();
            bytes
        } else {
            numbers.one(&BODIES).as_bytes().to_vec()
        };
        let mut request = Request::builder().method(method).uri(&path);
        if request.uri_ref().is_none() {
            continue;
        }
        if numbers.below(4) == 0 {
            request = request.header("if-match", numbers.one(&["*", "\"1\"", "1", "\"", "W/\"x\", \"y\""]));
        }
        let told = String::from_utf8_lossy(&body).into_owned();
        let reply = gateway.send(request, body).await;
        assert!(reply.status.as_u16() < 500 || reply.problem().0 == 503, "{method} {path} {told}: {reply:?}");
        refused += usize::from(reply.status.is_client_error());
    }
    assert!(refused > 5000, "{refused}");
}
