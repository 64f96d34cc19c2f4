//! The calls of the data API.

use axum::http::Request;
use bytes::Bytes;
use clusters::RequestId;
use serde_json::{Value, json};

use super::{Gateway, Reply, shop};
use crate::Data;
use crate::guard::Caller;

async fn call(gateway: &Gateway, call: &str, body: Value) -> Reply {
    gateway.post(&format!("/api/v1/clusters/shop/cache/{call}"), &body).await
}

#[tokio::test]
async fn values_come_back_as_they_were_set() {
    let gateway = shop().await;
    let missing = call(&gateway, "get", json!({ "key": "a" })).await;
    assert_eq!(
        (missing.status.as_u16(), missing.json()),
        (200, json!({ "key": "a", "found": false, "value": null }))
    );
    let set = call(&gateway, "set", json!({ "key": "a", "value": "ü \"1\"" })).await;
    assert_eq!(
        (set.status.as_u16(), set.json()),
        (200, json!({ "key": "a", "stored": true, "status": "success" }))
    );
    let found = call(&gateway, "get", json!({ "key": "a" })).await.json();
    assert_eq!(found, json!({ "key": "a", "found": true, "value": "ü \"1\"" }));
    let deleted = call(&gateway, "delete", json!({ "key": "a" })).await.json();
    assert_eq!(deleted, json!({ "key": "a", "deleted": true, "status": "success" }));
    assert_eq!(call(&gateway, "delete", json!({ "key": "a" })).await.json()["deleted"], false);

    let bytes = json!({ "key": "b", "value": "//79", "encoding": "base64" });
    assert_eq!(call(&gateway, "set", bytes).await.status, 200);
    let found = call(&gateway, "get", json!({ "key": "b" })).await.json();
    assert_eq!(found, json!({ "key": "b", "found": true, "value": "//79", "encoding": "base64" }));
    assert_eq!(call(&gateway, "set", json!({ "key": "", "value": "" })).await.status, 200);
    assert_eq!(call(&gateway, "get", json!({ "key": "" })).await.json()["value"], "");

    assert_eq!(call(&gateway, "incr", json!({ "key": "n" })).await.json(), json!({ "key": "n", "value": 1 }));
    assert_eq!(call(&gateway, "incr", json!({ "key": "n", "by": -5 })).await.json()["value"], -4);
}

#[tokio::test]
async fn times_to_live_have_two_names_and_a_fraction() {
    let gateway = shop().await;
    let ttl =
        async |key: &str| gateway.get(&format!("/api/v1/clusters/shop/cache/ttl?key={key}")).await.json();
    assert_eq!(ttl("none").await, json!({ "key": "none", "found": false, "ttl": null }));
    for (body, most) in [
        (json!({ "key": "a", "value": "v", "ttl": 60 }), 60.0),
        (json!({ "key": "a", "value": "v", "expiration": 1.5 }), 1.5),
        (json!({ "key": "a", "value": "v", "ttl": 7, "expiration": 7.0 }), 7.0),
    ] {
        assert_eq!(call(&gateway, "set", body.clone()).await.status, 200, "{body}");
        let left = ttl("a").await["ttl"].as_f64().unwrap();
        assert!(left > most - 1.0 && left <= most, "{body}: {left}");
    }
    for forever in [json!({ "ttl": null }), json!({ "expiration": 0 }), json!({})] {
        call(&gateway, "set", json!({ "key": "a", "value": "v", "ttl": 60 })).await;
        let mut body = json!({ "key": "a", "value": "v" });
        body.as_object_mut().unwrap().extend(forever.as_object().unwrap().clone());
        assert_eq!(call(&gateway, "set", body).await.status, 200, "{forever}");
        assert_eq!(ttl("a").await, json!({ "key": "a", "found": true, "ttl": null }), "{forever}");
    }
    let expire = call(&gateway, "expire", json!({ "key": "a", "ttl": 0.01 })).await.json();
    assert_eq!(expire, json!({ "key": "a", "updated": true }));
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    assert_eq!(call(&gateway, "get", json!({ "key": "a" })).await.json()["found"], false);
    assert_eq!(call(&gateway, "expire", json!({ "key": "a", "ttl": 5 })).await.json()["updated"], false);
    for bad in ["0", "-1", "1e300", "3155760001"] {
        let body = format!("{{\"key\": \"a\", \"value\": \"v\", \"ttl\": {bad}}}");
        let refused = gateway.ask("POST", "/api/v1/clusters/shop/cache/set", body).await;
        assert_eq!((refused.problem().0, refused.faults()), (400, vec!["ttl".to_owned()]), "{bad}");
    }
}

#[tokio::test]
async fn a_bad_body_names_its_fields() {
    let gateway = shop().await;
    for (path, body, faults) in [
        ("get", json!({ "keey": "a" }), vec!["key", "keey"]),
        ("get", json!({ "key": 5 }), vec!["key"]),
        ("get", json!({ "key": null }), vec!["key"]),
        ("get", json!(["key"]), vec![""]),
        ("set", json!({ "key": "a" }), vec!["value"]),
        ("set", json!({ "key": "a", "value": 5 }), vec!["value"]),
        ("set", json!({ "key": "a", "value": "v", "tll": 5 }), vec!["tll"]),
        ("set", json!({ "key": "a", "value": "v", "ttl": "soon" }), vec!["ttl"]),
        ("set", json!({ "key": "a", "value": "v", "ttl": 5, "expiration": 6 }), vec!["expiration"]),
        ("set", json!({ "key": "a", "value": "v", "encoding": "hex" }), vec!["encoding"]),
        ("set", json!({ "key": "a", "value": "?", "encoding": "base64" }), vec!["value"]),
        ("incr", json!({ "key": "a", "by": 1.5 }), vec!["by"]),
        ("expire", json!({ "key": "a" }), vec!["ttl"]),
    ] {
        let refused = call(&gateway, path, body.clone()).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{path} {body}");
        let mut named = refused.faults();
        named.sort();
        let mut faults = faults;
        faults.sort_unstable();
        assert_eq!(named, faults, "{path} {body}: {}", refused.text());
    }
    let refused = gateway.get("/api/v1/clusters/shop/cache/ttl").await;
    assert_eq!((refused.problem().0, refused.faults()), (400, vec!["key".to_owned()]));
    let refused = gateway.post("/api/v1/clusters/shop/cache/get?servce=x", &json!({ "key": "a" })).await;
    assert_eq!(refused.faults(), ["servce"]);
}

#[tokio::test]
async fn the_service_is_the_one_named_or_the_only_one() {
    let gateway = shop().await;
    let key = json!({ "key": "a" });
    let ask = async |path: &str| gateway.post(&format!("/api/v1/clusters/{path}"), &key).await;
    assert_eq!(ask("none/cache/get").await.problem().1, "not_found");
    assert_eq!(ask("shop/cache/get?service=none").await.problem().1, "not_found");
    assert_eq!(ask("shop/cache/get?service=web").await.problem().1, "unsupported_ability");
    assert_eq!(ask("shop/cache/get?service=cache").await.status, 200);
    let two = json!({ "name": "two", "cluster_id": "two",
        "services": { "a": { "type": "memory" }, "b": { "type": "memory" } } });
    assert_eq!(gateway.post("/api/v1/clusters", &two).await.status, 201);
    let ambiguous = ask("two/cache/get").await;
    assert_eq!(ambiguous.problem(), (400, "ambiguous_service".to_owned()));
    assert!(ambiguous.json()["detail"].as_str().unwrap().contains("a, b"));
    assert_eq!(ask("two/cache/get?service=b").await.status, 200);
    for (native, body) in [("command", json!(["HSET", "a"])), ("multi-exec", json!([["HSET", "a"]]))] {
        let refused = gateway.post(&format!("/api/v1/clusters/shop/cache/{native}"), &body).await;
        assert_eq!(refused.problem(), (422, "unsupported_command".to_owned()));
        assert_eq!(refused.json()["service"], "cache");
    }
    let refused = call(&gateway, "incr", json!({ "key": "a", "by": 1 })).await;
    assert_eq!(refused.status, 200);
    call(&gateway, "set", json!({ "key": "a", "value": "x" })).await;
    let refused = call(&gateway, "incr", json!({ "key": "a" })).await;
    assert_eq!(
        (refused.problem(), &refused.json()["service"]),
        ((400, "command_failed".to_owned()), &json!("cache"))
    );
}

#[tokio::test]
async fn a_key_is_a_resource_of_bytes() {
    let gateway = shop().await;
    let at = "/api/v1/clusters/shop/cache/keys/a%2Fb%20%ff+c";
    assert_eq!(gateway.get(at).await.problem(), (404, "not_found".to_owned()));
    let put = Request::put(format!("{at}?ttl=60")).header("content-type", "image/png");
    assert_eq!(gateway.send(put, &b"\x89PNG\xff"[..]).await.status, 204);
    let got = gateway.get(at).await;
    assert_eq!((got.header("content-type"), &got.body[..]), ("image/png", &b"\x89PNG\xff"[..]));
    assert_eq!(got.header("content-security-policy"), "default-src 'none'; sandbox");
    // `+` is itself in a path, and a slash may stand as it is.
    assert_eq!(gateway.get("/api/v1/clusters/shop/cache/keys/a/b%20%FF%2Bc").await.status, 200);

    let only_new = || Request::put(at).header("if-none-match", "*");
    assert_eq!(gateway.send(only_new(), "x").await.problem(), (412, "precondition_failed".to_owned()));
    assert_eq!(gateway.delete(at).await.status, 204);
    assert_eq!(gateway.delete(at).await.problem().0, 404);
    assert_eq!(gateway.send(only_new(), "x").await.status, 201);
    assert_eq!(gateway.get(at).await.header("content-type"), "application/octet-stream");
    let head = gateway.ask("HEAD", at, "").await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "1", 0));

    assert_eq!(gateway.ask("PUT", &format!("{at}?ttl=0"), "x").await.faults(), ["ttl"]);
    assert_eq!(gateway.ask("PUT", &format!("{at}?ttl=x"), "x").await.faults(), ["ttl"]);
    assert_eq!(gateway.get("/api/v1/clusters/shop/cache/keys/a%2").await.problem().0, 400);
    let with_tag = Request::put(at).header("if-match", "\"1\"");
    assert_eq!(gateway.send(with_tag, "x").await.problem().0, 400);
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let gateway = shop().await;
    for n in 0..25 {
        call(&gateway, "set", json!({ "key": format!("user:{n}"), "value": "v" })).await;
    }
    call(&gateway, "set", json!({ "key": "other", "value": "v" })).await;
    let mut found = std::collections::BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/clusters/shop/cache/keys?match=user:*&limit=7&cursor={cursor}");
        let page = gateway.get(&path).await.json();
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 7 && page["count"] == keys.len(), "{page}");
        found.extend(keys.iter().map(|key| key.as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found.len(), 25);
    gateway.ask("PUT", "/api/v1/clusters/shop/cache/keys/%ff", "v").await;
    let page = gateway.get("/api/v1/clusters/shop/cache/keys?limit=1000").await.json();
    assert_eq!(
        (&page["encoding"], page["keys"].as_array().unwrap().contains(&json!("/w=="))),
        (&json!("base64"), true)
    );
    for bad in ["cursor=%21", "cursor=aGVsbG8tdGhlcmU", "limit=0", "mtch=x"] {
        let refused = gateway.get(&format!("/api/v1/clusters/shop/cache/keys?{bad}")).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn another_door_can_carry_the_calls() {
    let gateway = shop().await;
    let data = Data::new(gateway.clusters.clone(), gateway.store.clone(), 504);
    let ask = async |method: &str, path: &str, body: &'static str| {
        let request = http::Request::builder().method(method).uri(path).body(Bytes::from(body)).unwrap();
        data.call(request, Caller::Trusted, RequestId::take(b"own-1").unwrap()).await
    };
    let request = http::Request::builder().body(Bytes::new()).unwrap();
    let size = size_of_val(&data.call(request, Caller::Trusted, RequestId::take(b"own-1").unwrap()));
    assert!(size < 2304, "every call moves a future of {size} bytes");
    let set = ask("POST", "/api/v1/clusters/shop/cache/set", r#"{"key": "a", "value": "v"}"#).await;
    assert_eq!((set.status().as_u16(), set.headers()["x-request-id"].as_bytes()), (200, &b"own-1"[..]));
    assert_eq!(set.headers()["cache-control"], "no-store");
    let wrong = ask("POST", "/api/v1/clusters/shop/cache/set", "{").await;
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["content-type"]),
        (400, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(ask("GET", "/api/v1/clusters", "").await.status(), 404);
    assert!(Data::is_at("/api/v1/clusters/shop/cache/get"));
    for other in [
        "/api/v1/clusters/shop",
        "/api/v1/clusters/shop/health",
        "/health",
        "/api/v1/clusters/shop/cachex/get",
    ] {
        assert!(!Data::is_at(other), "{other}");
    }
}
