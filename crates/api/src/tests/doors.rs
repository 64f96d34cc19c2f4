//! What every request passes: unknown paths and methods, ids, limits, pages.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::json;

use super::{gateway, gateway_with, shop};

#[tokio::test]
async fn what_is_not_there_says_so() {
    let gateway = shop().await;
    for path in [
        "/api",
        "/api/v2/clusters",
        "/api/v1/nothing",
        "/assets/app.js",
        "/clusters",
        "/swagger/none.js",
        "/api/v1/clusters/shop/cache",
        "/api/v1/clusters/shop/cache/nothing",
        "/api/v1/clusters/shop/cache/keys/",
        "/api/v1/clusters/",
    ] {
        assert_eq!(gateway.get(path).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
    for (method, path, allow) in [
        ("PATCH", "/api/v1/clusters/shop", "GET,HEAD,PUT,DELETE"),
        ("DELETE", "/api/v1/clusters", "GET,HEAD,POST"),
        ("POST", "/health", "GET,HEAD"),
        ("GET", "/api/v1/explain", "POST"),
        ("GET", "/api/v1/clusters/shop/cache/get", "POST"),
        ("POST", "/api/v1/clusters/shop/cache/keys/a", "GET,HEAD,PUT,DELETE"),
    ] {
        let refused = gateway.ask(method, path, "").await;
        assert_eq!(refused.problem(), (405, "invalid_request".to_owned()), "{method} {path}");
        assert_eq!(refused.header("allow"), allow, "{method} {path}");
        let options = gateway.ask("OPTIONS", path, "").await;
        assert_eq!((options.status.as_u16(), options.header("allow")), (204, allow), "{path}");
    }
}

#[tokio::test]
async fn what_belongs_to_a_later_stage_says_so() {
    let gateway = shop().await;
    for (method, path) in
        [("POST", "/api/v1/auth/login"), ("GET", "/api/v1/users"), ("GET", "/api/websocket/stats")]
    {
        assert_eq!(
            gateway.ask(method, path, "").await.problem(),
            (422, "not_built".to_owned()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn the_id_of_a_request_is_taken_or_made() {
    let gateway = gateway().await;
    let with = |id: &'static str| gateway.send(Request::get("/health").header("x-request-id", id), "");
    assert_eq!(with("mine-42").await.header("x-request-id"), "mine-42");
    let made = with("not well formed").await;
    assert_ne!(made.header("x-request-id"), "not well formed");
    let other = gateway.get("/health").await;
    assert_ne!(made.header("x-request-id"), other.header("x-request-id"));
    assert_eq!(gateway.get("/none").await.problem().0, 404);
}

#[tokio::test]
async fn a_body_is_bounded_in_size_and_time() {
    let gateway = gateway_with(|options| {
        options.limits.body = 1000;
        options.limits.read_timeout = Duration::from_millis(50);
    })
    .await;
    let large = gateway.ask("POST", "/api/v1/validate", vec![b' '; 1001]).await;
    assert_eq!(large.problem(), (413, "too_large".to_owned()));
    assert_eq!(large.header("connection"), "close");
    // Also when its size is not said beforehand.
    let pieces = Body::new(Pieces { left: 20, then_stall: false });
    assert_eq!(gateway.ask("POST", "/api/v1/validate", pieces).await.problem().0, 413);
    let stalled = Body::new(Pieces { left: 1, then_stall: true });
    assert_eq!(
        gateway.ask("POST", "/api/v1/validate", stalled).await.problem(),
        (408, "request_timeout".to_owned())
    );
    let fits = gateway.ask("POST", "/api/v1/validate", vec![b' '; 1000]).await;
    assert_eq!(fits.problem().1, "invalid_request");
}

/// A body of pieces of 100 bytes, whose size nobody knows; then its end, or nothing more.
struct Pieces {
    left: usize,
    then_stall: bool,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '; 100])))));
        }
        if self.then_stall { Poll::Pending } else { Poll::Ready(None) }
    }
}

#[tokio::test]
async fn the_front_page_is_for_programs_and_browsers() {
    let gateway = gateway().await;
    let facts = gateway.get("/").await.json();
    assert_eq!(facts, json!({ "service": "Throome Gateway", "version": "1.2.3", "status": "running" }));
    let browser = || Request::get("/").header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = gateway.send(browser(), "").await;
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(page.text().contains("href=\"/swagger/\"") && page.text().contains("1.2.3"), "{}", page.text());
    assert!(
        !page.text().contains("http://") && !page.text().contains("https://"),
        "nothing comes from elsewhere"
    );
    let off = gateway_with(|options| options.dashboard_enabled = false).await;
    assert_eq!(off.send(browser(), "").await.json()["status"], "running");
}

#[tokio::test]
async fn the_api_can_be_read_in_a_browser_without_the_internet() {
    let gateway = gateway().await;
    let moved = gateway.get("/swagger").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/swagger/"));
    for path in ["/swagger/", "/swagger/index.html"] {
        let page = gateway.get(path).await;
        assert!(page.text().contains("swagger-ui-bundle.js"), "{}", page.text());
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
    }
    let script = gateway.get("/swagger/swagger-ui-bundle.js").await;
    assert!(script.header("cache-control").contains("max-age"));
    assert!(script.body.len() > 100_000);
    let start = gateway.get("/swagger/swagger-initializer.js").await.text();
    assert!(start.contains("doc.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert_eq!(gateway.get("/swagger/doc.json").await.body, gateway.get("/openapi.json").await.body);
}

#[tokio::test]
async fn a_packed_body_is_refused_and_not_kept() {
    let gateway = shop().await;
    let key = "/api/v1/clusters/shop/cache/keys/packed";
    for (method, path) in
        [("PUT", key), ("POST", "/api/v1/clusters/shop/cache/get"), ("POST", "/api/v1/validate")]
    {
        let request = Request::builder().method(method).uri(path).header("content-encoding", "gzip");
        let refused = gateway.send(request, vec![0x1f, 0x8b, 8]).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{method} {path}");
        assert!(refused.text().contains("gzip"), "{}", refused.text());
    }
    assert_eq!(gateway.get(key).await.status, 404);
    let plain = Request::put(key).header("content-encoding", "identity");
    assert_eq!(gateway.send(plain, "a").await.status, 204);
}

#[tokio::test]
async fn the_data_door_refuses_a_packed_body_by_its_head() {
    let (options, _dir) = super::options().await;
    let door = crate::DataDoor::new(options.data.clone(), options.guard.clone());
    let head = |coding: &str| {
        let request = Request::post("/api/v1/clusters/shop/cache/get").header("host", "127.0.0.1");
        request.header("content-encoding", coding).body(()).unwrap().into_parts().0
    };
    assert!(door.admit(&mut head("identity")).is_ok());
    assert_eq!(door.admit(&mut head("br")).unwrap_err().code(), model::Code::InvalidRequest);
}
