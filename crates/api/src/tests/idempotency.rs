//! `Idempotency-Key`: what comes twice is done once, and what was not done may come again.

use std::sync::Arc;

use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Gateway, Reply, gateway_with, shop};

const INCR: &str = "/api/v1/clusters/shop/cache/incr";

async fn keyed(gateway: &Gateway, key: &str, method: &str, path: &str, body: &Value) -> Reply {
    let request = Request::builder().method(method).uri(path).header("idempotency-key", key);
    gateway.send(request, body.to_string()).await
}

async fn number(gateway: &Gateway, key: &str) -> Value {
    gateway.post("/api/v1/clusters/shop/cache/get", &json!({ "key": key })).await.json()["value"].take()
}

#[tokio::test]
async fn a_repeat_is_answered_and_not_done() {
    let gateway = shop().await;
    let body = json!({ "key": "n", "by": 5 });
    let first = keyed(&gateway, "k1", "POST", INCR, &body).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, ""));
    for key in ["k1", "\"k1\""] {
        let again = keyed(&gateway, key, "POST", INCR, &body).await;
        assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.header("content-type"), "application/json");
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    }
    assert_eq!(number(&gateway, "n").await, "5");
    // Another key, another path, another query: another request.
    keyed(&gateway, "k2", "POST", INCR, &body).await;
    keyed(&gateway, "k1", "POST", &format!("{INCR}?service=cache"), &body).await;
    assert_eq!(number(&gateway, "n").await, "15");
    let other = keyed(&gateway, "k1", "POST", INCR, &json!({ "key": "n", "by": 6 })).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch".to_owned()));
    assert_eq!(number(&gateway, "n").await, "15");
}

#[tokio::test]
async fn changes_of_the_gateway_are_done_once_too() {
    let gateway = shop().await;
    let route = json!({ "id": "late", "cluster": "shop", "service": "web", "path": "/late" });
    let first = keyed(&gateway, "r", "POST", "/api/v1/routes", &route).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let again = keyed(&gateway, "r", "POST", "/api/v1/routes", &route).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let unkeyed = gateway.post("/api/v1/routes", &route).await;
    assert_eq!(unkeyed.status, 409);
    for expected in ["", "true"] {
        let deleted = keyed(&gateway, "d", "DELETE", "/api/v1/routes/late", &Value::Null).await;
        assert_eq!((deleted.status.as_u16() / 100, deleted.header("idempotency-replayed")), (2, expected));
    }
    // What only looks needs no key, and is not written down.
    for path in ["/api/v1/explain", "/api/v1/validate", "/api/v1/clusters/shop/plan"] {
        for _ in 0..2 {
            let looked = keyed(&gateway, "look", "POST", path, &json!({})).await;
            assert_eq!(looked.header("idempotency-replayed"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn what_was_not_done_may_be_sent_again() {
    let gateway = shop().await;
    // Wrong, then right, with the same key.
    let wrong = keyed(&gateway, "a", "POST", INCR, &json!({ "key": "n", "bye": 1 })).await;
    assert_eq!(wrong.problem().0, 400);
    let right = keyed(&gateway, "a", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(right.status, 200);
    // Out of rotation, then back.
    let drain = "/api/v1/clusters/shop/services/cache/drain";
    gateway.post(drain, &json!({})).await;
    let refused = keyed(&gateway, "b", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    gateway.post("/api/v1/clusters/shop/services/cache/undrain", &json!({})).await;
    let done = keyed(&gateway, "b", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!((done.status.as_u16(), done.json()["value"].clone()), (200, json!(2)));
    // A method that is not known, and a path.
    assert_eq!(keyed(&gateway, "c", "PUT", INCR, &Value::Null).await.status, 405);
    assert_eq!(keyed(&gateway, "c", "PUT", INCR, &json!(1)).await.status, 405, "no mismatch");
    assert_eq!(keyed(&gateway, "c", "POST", "/api/v1/nothing", &Value::Null).await.status, 404);
    assert_eq!(keyed(&gateway, "c", "POST", "/api/v1/nothing", &json!(1)).await.status, 404);
}

#[tokio::test]
async fn what_was_refused_by_the_service_is_an_outcome() {
    let gateway = shop().await;
    gateway.post("/api/v1/clusters/shop/cache/set", &json!({ "key": "n", "value": "text" })).await;
    let refused = keyed(&gateway, "a", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(refused.problem(), (400, "command_failed".to_owned()));
    gateway.post("/api/v1/clusters/shop/cache/set", &json!({ "key": "n", "value": "1" })).await;
    let again = keyed(&gateway, "a", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (400, "true"));
    assert_eq!(again.header("content-type"), "application/problem+json");
    assert_eq!(again.body, refused.body, "to the id of the first request");
    assert_eq!(number(&gateway, "n").await, "1");
}

#[tokio::test]
async fn a_key_is_a_short_visible_text() {
    let gateway = shop().await;
    for key in ["", "\"\"", "a b", "ü", &"k".repeat(256)] {
        let reply = keyed(&gateway, key, "POST", INCR, &json!({ "key": "n" })).await;
        assert_eq!(reply.problem(), (400, "invalid_request".to_owned()), "{key:?}");
        let reply =
            keyed(&gateway, key, "POST", "/api/v1/clusters/shop/services/cache/drain", &json!({})).await;
        assert_eq!(reply.problem(), (400, "invalid_request".to_owned()), "{key:?}");
    }
    let two = Request::builder()
        .method("POST")
        .uri(INCR)
        .header("idempotency-key", "a")
        .header("idempotency-key", "a");
    assert_eq!(gateway.send(two, r#"{"key": "n"}"#).await.problem().0, 400);
    assert_eq!(number(&gateway, "n").await, Value::Null);
    assert_eq!(keyed(&gateway, &"k".repeat(255), "POST", INCR, &json!({ "key": "n" })).await.status, 200);
    // A read has no use for one.
    let read = keyed(&gateway, "a b", "GET", "/api/v1/clusters/shop/cache/ttl?key=n", &Value::Null).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn reads_are_read_again_and_statements_of_transactions_take_no_key() {
    let gateway = shop().await;
    let get = "/api/v1/clusters/shop/cache/get";
    for expected in [Value::Null, json!("1")] {
        let read = keyed(&gateway, "g", "POST", get, &json!({ "key": "n" })).await;
        assert_eq!((read.json()["value"].clone(), read.header("idempotency-replayed")), (expected, ""));
        gateway.post(INCR, &json!({ "key": "n" })).await;
    }
    let statement = "/api/v1/clusters/shop/db/execute?tx=x";
    let refused = keyed(&gateway, "s", "POST", statement, &json!({ "query": "DELETE FROM t" })).await;
    assert_eq!(refused.problem(), (400, "invalid_request".to_owned()));
    assert!(refused.json()["hint"].as_str().unwrap().contains("commit"));
    let begin = "/api/v1/clusters/shop/db/transactions";
    let refused = keyed(&gateway, "b", "POST", begin, &json!({})).await;
    assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "a `tx` is not given twice");
}

#[tokio::test]
async fn a_new_token_is_written_down_nowhere() {
    let gateway = shop().await;
    let body = json!({ "name": "app" });
    let made = keyed(&gateway, "t", "POST", "/api/v1/tokens", &body).await;
    assert_eq!(made.status, 201);
    let again = keyed(&gateway, "t", "POST", "/api/v1/tokens", &body).await;
    assert_eq!(again.problem(), (409, "conflict".to_owned()));
    assert!(again.json()["detail"].as_str().unwrap().contains("201"), "{}", again.text());
    assert_eq!(gateway.get("/api/v1/tokens").await.json()["count"], 1);
}

#[tokio::test]
async fn a_large_answer_is_given_once() {
    let gateway = shop().await;
    let value = "x".repeat(2 << 19);
    gateway.post("/api/v1/clusters/shop/cache/set", &json!({ "key": "large", "value": value })).await;
    let command = "/api/v1/clusters/shop/cache/command";
    let taken = keyed(&gateway, "l", "POST", command, &json!(["GETDEL", "large"])).await;
    assert_eq!((taken.status.as_u16(), taken.body.len()), (200, value.len() + r#"{"result":""}"#.len()));
    let again = keyed(&gateway, "l", "POST", command, &json!(["GETDEL", "large"])).await;
    assert_eq!(again.problem(), (409, "conflict".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_are_one() {
    let gateway = Arc::new(shop().await);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { keyed(&gateway, "race", "POST", INCR, &json!({ "key": "n" })).await })
        })
        .collect();
    for task in tasks {
        let reply = task.await.unwrap();
        match reply.status.as_u16() {
            200 => assert_eq!(reply.json()["value"], 1),
            _ => {
                assert_eq!(reply.problem(), (409, "in_flight".to_owned()));
                assert_eq!((reply.header("retry-after"), &reply.json()["retryable"]), ("1", &json!(true)));
            }
        }
    }
    assert_eq!(number(&gateway, "n").await, "1");
    assert_eq!(keyed(&gateway, "race", "POST", INCR, &json!({ "key": "n" })).await.json()["value"], 1);
}

#[tokio::test]
async fn a_client_that_goes_away_finds_its_answer() {
    let gateway = shop().await;
    let request = || {
        Request::builder()
            .method("POST")
            .uri(INCR)
            .header("idempotency-key", "gone")
            .header("host", "localhost:9000")
    };
    let lost =
        gateway.router.clone().oneshot(request().body(axum::body::Body::from(r#"{"key": "n"}"#)).unwrap());
    // It asks, and hangs up before there can be an answer: the claim alone is a write on another thread.
    assert!(futures_now(lost).is_none(), "it was answered at once");
    let mut tries = 0;
    loop {
        let reply = gateway.send(request(), r#"{"key": "n"}"#).await;
        if reply.status == 200 {
            assert_eq!(reply.json()["value"], 1);
            break;
        }
        assert_eq!(reply.problem().1, "in_flight");
        tries += 1;
        assert!(tries < 1000);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(number(&gateway, "n").await, "1");
}

/// Polls once.
fn futures_now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn after_a_restart_answers_are_known_and_the_rest_is_said_to_be_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        let store = store::Store::open(dir.path()).unwrap();
        let at = store.clone();
        let gateway = gateway_with(|options| {
            options.data = crate::Data::new(options.clusters.clone(), at.clone(), 504);
            options.guard.store = at;
        })
        .await;
        gateway.create_shop().await;
        (gateway, store)
    };
    let (gateway, store) = open().await;
    let first = keyed(&gateway, "done", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(first.status, 200);
    // One that was begun when the process ended: its work never comes to an end.
    let caller = crate::guard::Caller::Trusted;
    let request = Request::builder().method("POST").uri(INCR).header("idempotency-key", "cut");
    let request = request.body(bytes::Bytes::from(json!({ "key": "n" }).to_string())).unwrap();
    let cut = crate::idempotency::Keyed::of(&request, &caller).unwrap().unwrap();
    let (held, (begins, began)) = (store.clone(), tokio::sync::oneshot::channel());
    let work = async move {
        begins.send(()).unwrap();
        std::future::pending().await
    };
    let work =
        tokio::spawn(async move { crate::idempotency::once(&held, cut, Box::pin(work)).await.is_ok() });
    began.await.unwrap();
    let meanwhile = keyed(&gateway, "cut", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(meanwhile.problem().1, "in_flight");
    store.close().await;
    work.abort();
    drop(gateway);

    let (gateway, _store) = open().await;
    let again = keyed(&gateway, "done", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!((again.body, again.status), (first.body, first.status));
    let unknown = keyed(&gateway, "cut", "POST", INCR, &json!({ "key": "n" })).await;
    assert_eq!(unknown.problem(), (409, "conflict".to_owned()));
    assert!(unknown.json()["detail"].as_str().unwrap().contains("outcome of the first request is unknown"));
    assert_eq!(number(&gateway, "n").await, Value::Null, "never twice, not even once more");
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let gateway = gateway_with(|_| {}).await;
    gateway.create_shop().await;
    let admin = gateway.store.ensure_admin_token().await.unwrap().unwrap().reveal().to_owned();
    let request = || Request::builder().method("POST").uri(INCR).header("idempotency-key", "same");
    let trusted = gateway.send(request(), r#"{"key": "n"}"#).await;
    let bearer = request().header("authorization", format!("Bearer {admin}"));
    let holder = gateway.send(bearer, r#"{"key": "n"}"#).await;
    assert_eq!((trusted.json()["value"].clone(), holder.json()["value"].clone()), (json!(1), json!(2)));
}

#[tokio::test]
async fn an_answer_that_comes_in_frames_is_kept_when_it_is_small() {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    struct Pieces(Vec<bytes::Bytes>);
    impl wire::body::Frames for Pieces {
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<bytes::Bytes, wire::Error>>> {
            Poll::Ready(self.0.pop().map(Ok))
        }
    }
    let gateway = shop().await;
    let piece = bytes::Bytes::from(vec![b'x'; 300_000]);
    for (pieces, kept) in [(2, true), (9, false)] {
        let key = format!("frames-{pieces}");
        let request = Request::builder().method("POST").uri("/x").header("idempotency-key", &key);
        let request = request.body(bytes::Bytes::new()).unwrap();
        let ask = async || {
            let keyed =
                crate::idempotency::Keyed::of(&request, &crate::guard::Caller::Trusted).unwrap().unwrap();
            let body = wire::Body::Frames(Box::pin(Pieces(vec![piece.clone(); pieces])), bytes::Bytes::new());
            let work = async move { (http::Response::new(body), crate::idempotency::Fate::Keep) };
            crate::idempotency::once(&gateway.store, keyed, Box::pin(work)).await
        };
        let first = crate::stream::carried(ask().await.unwrap().into_body(), None);
        let first = first.collect().await.unwrap().to_bytes();
        assert_eq!(first.len(), pieces * piece.len(), "every byte of it arrives");
        match ask().await {
            Ok(again) => assert!(kept && again.headers().contains_key("idempotency-replayed")),
            Err(failure) => assert!(!kept && failure.code() == model::Code::Conflict),
        }
    }
}
