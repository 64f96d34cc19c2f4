//! What each call sends, and what it makes of the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use throome_sdk::{Data, Error, Family, Filter, Method, Route, TimeToLive, TokenRequest};

use crate::server::{Server, Then};

fn ok(body: &'static str) -> Then {
    Then::Answer(200, "", body)
}

#[tokio::test]
async fn the_cache_speaks_the_documented_bodies() {
    let server = Server::new([
        ok(r#"{"key":"k","found":false,"value":null}"#),
        ok(r#"{"key":"k","found":true,"value":"/w==","encoding":"base64"}"#),
        ok(r#"{"key":"k","stored":true}"#),
        ok(r#"{"key":"k","stored":true}"#),
        ok(r#"{"key":"k","deleted":true}"#),
        ok(r#"{"key":"n","value":42}"#),
        ok(r#"{"key":"k","updated":false}"#),
        ok(r#"{"key":"k","found":true,"ttl":1.5}"#),
        ok(r#"{"key":"k","found":true,"ttl":null}"#),
        ok(r#"{"key":"k","found":false,"ttl":null}"#),
    ]);
    let cache = server.client().cluster("shop").cache().service("hot");
    assert_eq!(cache.get("k").await.unwrap(), None);
    assert_eq!(cache.get("k").await.unwrap().as_deref(), Some(&[255_u8][..]));
    cache.set_with_ttl("k", "text", Duration::from_secs(60)).await.unwrap();
    cache.set_with_ttl("k", [255_u8], Duration::from_millis(1500)).await.unwrap();
    assert!(cache.delete("k").await.unwrap());
    assert_eq!(cache.incr("n", 2).await.unwrap(), 42);
    assert!(!cache.expire("k", Duration::from_secs(5)).await.unwrap());
    assert_eq!(cache.ttl("a b").await.unwrap(), TimeToLive::Left(Duration::from_millis(1500)));
    assert_eq!(cache.ttl("k").await.unwrap(), TimeToLive::Unlimited);
    assert_eq!(cache.ttl("k").await.unwrap(), TimeToLive::Missing);

    let seen = server.seen();
    let base = "POST /api/v1/clusters/shop/cache";
    assert_eq!(seen[0].line, format!("{base}/get?service=hot"));
    assert_eq!(seen[2].body, r#"{"key":"k","value":"text","ttl":60}"#);
    assert_eq!(seen[3].body, r#"{"key":"k","value":"/w==","encoding":"base64","ttl":1.5}"#);
    assert_eq!(seen[5].body, r#"{"key":"n","by":2}"#);
    assert_eq!(seen[7].line, "GET /api/v1/clusters/shop/cache/ttl?service=hot&key=a%20b");
    assert!(seen.iter().all(|seen| seen.connection == 0), "one connection is enough for one caller");
}

#[tokio::test]
async fn a_scan_reads_on_past_an_empty_page() {
    let server = Server::new([
        ok(r#"{"keys":["a","b"],"next_cursor":"7"}"#),
        ok(r#"{"keys":[],"next_cursor":"9"}"#),
        ok(r#"{"keys":["c"],"next_cursor":null}"#),
    ]);
    let keys = server.client().cluster("shop").cache().scan("u:*").collect(100).await.unwrap();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(server.lines()[1], "GET /api/v1/clusters/shop/cache/keys?match=u%3A%2A&cursor=7");
}

#[tokio::test]
async fn clusters_and_services_are_found_where_the_api_has_them() {
    const CLUSTER: &str = r#"{"id":"shop","cluster_id":"shop","name":"Shop","status":"HEALTHY","healthy":true,
        "services":{"web":{"type":"of_tomorrow","host":"h","port":1}},"routes":[],"of_tomorrow":1}"#;
    const FACTS: &str =
        r#"{"name":"web","type":"of_tomorrow","status":"HEALTHY","verdict":"serving","of_tomorrow":[]}"#;
    let server = Server::new([
        ok(
            r#"{"clusters":[{"id":"shop","name":"Shop","status":"OF_TOMORROW","services":[{"name":"web","type":"of_tomorrow","status":"UNKNOWN"}]}],"count":1}"#,
        ),
        ok(CLUSTER),
        Then::Answer(201, "", CLUSTER),
        ok(CLUSTER),
        ok(
            r#"{"cluster_id":"shop","changes":true,"steps":[{"action":"create","what":"service","name":"db","detail":""}]}"#,
        ),
        Then::Answer(204, "", ""),
        ok(FACTS),
        ok(FACTS),
        ok(
            r#"{"cluster_id":"shop","requests":3,"errors":1,"active":0,"latency_ms":{"p50":1.0,"p95":2.0,"p99":3.0},"services":{}}"#,
        ),
    ]);
    let client = server.client();
    let clusters = client.clusters();
    assert_eq!(clusters.list().all().await.unwrap()[0].status, "OF_TOMORROW");
    let shop = clusters.get("shop").await.unwrap();
    assert_eq!(
        (shop.services["web"]["type"].as_str(), &shop.other["of_tomorrow"]),
        (Some("of_tomorrow"), &json!(1))
    );
    clusters.create(&json!({ "name": "Shop" })).await.unwrap();
    clusters.replace("shop", &(&shop).into()).if_match("\"3\"").await.unwrap();
    assert!(clusters.plan("shop", &json!({})).await.unwrap().changes);
    clusters.delete("shop", Data::Keep).await.unwrap();
    let services = client.cluster("a/b").services();
    assert_eq!(services.get("web").await.unwrap().verdict, "serving");
    services.drain("web").await.unwrap();
    assert_eq!(client.cluster("shop").metrics().await.unwrap().total.requests, 3);

    let seen = server.seen();
    assert_eq!(seen[3].header("if-match"), Some("\"3\""));
    assert_eq!(seen[5].line, "DELETE /api/v1/clusters/shop?keep_data=true");
    assert_eq!(seen[7].line, "POST /api/v1/clusters/a%2Fb/services/web/drain");
}

#[tokio::test]
async fn a_route_comes_back_as_it_was_but_for_its_owner() {
    let server = Server::new([
        ok(
            r#"{"id":"api","cluster":"shop","service":"web","path":"/api/*","timeout":"10s","enabled":true,"owner":"api"}"#,
        ),
        ok(r#"{"id":"api","cluster":"shop","service":"web","path":"/api/*","enabled":false}"#),
        Then::Answer(201, "", r#"{"id":"new","cluster":"shop","service":"web","path":"/"}"#),
    ]);
    let routes = server.client().routes();
    let mut route = routes.get("api").await.unwrap();
    route.enabled = false;
    routes.replace("api", &route).await.unwrap();
    assert_eq!(routes.create(&Route::new("shop", "web", "/")).await.unwrap().id, "new");
    let sent =
        r#"{"id":"api","cluster":"shop","service":"web","path":"/api/*","enabled":false,"timeout":"10s"}"#;
    assert_eq!(server.seen()[1].body, sent);
}

#[tokio::test]
async fn the_rest_of_the_gateway() {
    let server = Server::new([
        Then::Raw(
            "HTTP/1.1 503 X\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n{\"status\":\"starting\"}",
        ),
        ok(r#"{"activities":[{"id":"1","time":"2026-01-01T00:00:00Z","outcome":"error"}],"count":1}"#),
        ok(
            r#"{"route":null,"service":null,"endpoint":null,"policies":[],"candidates":[],"reason":"nothing matches"}"#,
        ),
        ok(r#"{"of_tomorrow":1}"#),
    ]);
    let client = server.client();
    assert_eq!(client.health().await.unwrap().status, "starting");
    let mut filter = Filter::default();
    (filter.outcome, filter.limit) = (Some("error".to_owned()), Some(5));
    assert_eq!(client.activity(&filter).collect(9).await.unwrap()[0].outcome, "error");
    let explained = client.explain("GET", "shop.local", "/x?y=1", &BTreeMap::new()).await.unwrap();
    assert_eq!(explained.reason.as_deref(), Some("nothing matches"));
    assert_eq!(
        client.request(Method::GET, "/api/v1/of_tomorrow", None).await.unwrap(),
        json!({ "of_tomorrow": 1 })
    );
    assert_eq!(server.lines()[1], "GET /api/v1/activity?outcome=error&limit=5");
}

#[tokio::test]
async fn a_token_is_shown_to_its_maker_and_to_no_log() {
    const INFO: &str = r#"{"id":"3","name":"cache","role":"operator","service":"shop/cache","status":"active",
        "created_at":"2026-01-01T00:00:00Z","expires_at":null,"revoked_at":null,"last_used_at":null,"of_tomorrow":1}"#;
    let server = Server::new([
        ok(
            r#"{"token":"thr_canary","id":"3","name":"cache","role":"operator","service":"shop/cache","created_at":"2026-01-01T00:00:00Z"}"#,
        ),
        ok(INFO),
        // Revoking twice is as good as once, so an answer that was lost is asked for again.
        Then::Raw(""),
        ok(INFO),
        ok(
            r#"{"tokens":[{"id":"1","name":"admin","role":"admin","created_at":"2026-01-01T00:00:00Z"}],"next_cursor":null}"#,
        ),
    ]);
    let tokens = server.client().tokens();
    let request =
        TokenRequest { expires_in: Some("30d".to_owned()), ..TokenRequest::for_service("shop", "cache") };
    let made = tokens.create(&request).await.unwrap();
    assert_eq!((made.token.as_str(), made.info.id.as_str()), ("thr_canary", "3"));
    assert!(!format!("{made:?}").contains("canary"), "{made:?}");
    assert_eq!(tokens.get("3").await.unwrap().service.as_deref(), Some("shop/cache"));
    assert_eq!(tokens.revoke("3").await.unwrap().status, "active");
    assert_eq!(tokens.list().all().await.unwrap()[0].name, "admin");
    assert_eq!(server.seen()[0].body, r#"{"service":"shop/cache","expires_in":"30d"}"#);
    let lines = [
        "POST /api/v1/tokens",
        "GET /api/v1/tokens/3",
        "DELETE /api/v1/tokens/3",
        "DELETE /api/v1/tokens/3",
        "GET /api/v1/tokens",
    ];
    assert_eq!(server.lines(), lines);
}

#[tokio::test]
async fn a_problem_document_arrives_whole() {
    let server = Server::new([
        Then::Answer(
            400,
            "x-request-id: from-header\r\n",
            r#"{"type":"docs/errors/invalid_config","title":"The document is not valid","status":400,"error":"x","code":"invalid_config","detail":"Two faults.",
                "hint":"Correct them.","retryable":false,"service":"db","sqlstate":"42P01",
                "errors":[{"path":"services.db.port","message":"is no port","line":3,"column":9}]}"#,
        ),
        Then::Answer(500, "", "<html>"),
        ok("not json"),
    ]);
    let client = server.client();
    let error: Error = client.clusters().create(&json!({})).await.unwrap_err();
    assert_eq!((error.family(), error.code()), (Family::Validation, Some("invalid_config")));
    assert_eq!((error.hint(), error.service()), (Some("Correct them."), Some("db")));
    assert_eq!(error.native(), Some(("sqlstate", "42P01".to_owned())));
    assert_eq!((error.fields()[0].path.as_str(), error.fields()[0].line), ("services.db.port", Some(3)));
    assert_eq!(error.to_string(), "Two faults. (invalid_config, request from-header)");

    let error = client.clusters().list().all().await.unwrap_err();
    assert_eq!((error.family(), error.detail()), (Family::Internal, "the gateway answered with status 500"));
    let error = client.clusters().list().all().await.unwrap_err();
    assert_eq!(
        (error.family(), error.detail()),
        (Family::Protocol, "the answer is not what this call expects")
    );
}
