//! Host, origin and token, each alone and together.

use axum::http::Request;
use model::Code;
use serde_json::json;
use store::Store;

use super::*;
use crate::tests::{gateway, gateway_with};

fn guard(loopback: bool, token_required: bool) -> GuardOptions {
    let own_origins = vec!["http://localhost:9000".to_owned()];
    let store = Store::in_memory().unwrap();
    GuardOptions { loopback, token_required, public_metrics: false, own_origins, store }
}

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn code(guard: &GuardOptions, method: &str, headers: &[(&str, &str)]) -> Result<Caller, Code> {
    guard.check(&head(method, "/api/v1/clusters", headers), Open::No).map_err(|failure| failure.code())
}

#[tokio::test]
async fn loopback_answers_to_its_own_names_only() {
    let guard = guard(true, false);
    for good in
        ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.1.2.3:1", "[::1]", "[::1]:9000", "localhost:65535"]
    {
        assert_eq!(code(&guard, "GET", &[("host", good)]), Ok(Caller::Trusted), "{good}");
    }
    for bad in [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "localhost@example.com",
        "0.0.0.0",
        "128.0.0.1",
        "127.1",
        "2130706433",
        "[::2]",
        "[::1",
        "::1",
        "localhost:",
        "localhost:x",
        "localhost:+1",
        "localhost:99999",
        "",
        "[::1]x",
        "192.168.0.1",
        "xlocalhost",
    ] {
        assert_eq!(code(&guard, "GET", &[("host", bad)]), Err(Code::PermissionDenied), "{bad}");
    }
    assert_eq!(code(&guard, "GET", &[]), Err(Code::InvalidRequest));
    assert_eq!(
        code(&guard, "GET", &[("host", "localhost"), ("host", "localhost")]),
        Err(Code::InvalidRequest)
    );
    let absolute =
        |uri: &str| guard.check(&head("GET", uri, &[("host", "localhost")]), Open::No).map_err(|f| f.code());
    assert_eq!(absolute("http://example.com/health"), Err(Code::PermissionDenied));
    assert_eq!(absolute("http://localhost:9000/health"), Ok(Caller::Trusted));
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let guard = guard(true, false);
    let from =
        |method: &str, host: &str, origin: &str| code(&guard, method, &[("host", host), ("origin", origin)]);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(code(&guard, method, &[("host", "localhost")]), Ok(Caller::Trusted));
        assert_eq!(from(method, "127.0.0.1:9000", "http://127.0.0.1:9000"), Ok(Caller::Trusted));
        assert_eq!(from(method, "127.0.0.1:9000", "http://localhost:9000"), Ok(Caller::Trusted));
        for bad in ["https://example.com", "null", "http://localhost:3000", "http://127.0.0.1", "file://", ""]
        {
            assert_eq!(from(method, "127.0.0.1:9000", bad), Err(Code::PermissionDenied), "{method} {bad}");
        }
    }
    assert_eq!(from("GET", "localhost", "https://example.com"), Ok(Caller::Trusted));
    // Without a token beyond loopback, an origin must be the host that was asked.
    let open = self::guard(false, false);
    let from = |origin: &str| code(&open, "POST", &[("host", "gw.example"), ("origin", origin)]);
    assert_eq!(from("https://gw.example"), Ok(Caller::Trusted));
    assert_eq!(from("https://evil.example"), Err(Code::PermissionDenied));
}

#[tokio::test]
async fn tokens_are_judged_at_each_door() {
    let beyond = guard(false, true);
    let token = beyond.store.ensure_admin_token().await.unwrap().unwrap();
    let bearer = format!("Bearer {}", token.reveal());
    let holder = Ok(Caller::Holder("admin".into()));
    assert_eq!(code(&beyond, "POST", &[("authorization", &bearer)]), holder);
    assert_eq!(code(&beyond, "POST", &[("authorization", &bearer.replace("Bearer", "bearer"))]), holder);
    for bad in ["", "Bearer", "Bearer ", "Bearer thr_unknown", "Basic YTpi", token.reveal()] {
        assert_eq!(code(&beyond, "GET", &[("authorization", bad)]), Err(Code::Unauthenticated), "{bad}");
    }
    assert_eq!(code(&beyond, "GET", &[]), Err(Code::Unauthenticated));
    let twice = [("authorization", bearer.as_str()), ("authorization", &bearer)];
    assert_eq!(code(&beyond, "GET", &twice), Err(Code::InvalidRequest));
    let open = |headers: &[(&str, &str)]| {
        beyond.check(&head("GET", "/health", headers), Open::ToAll).map_err(|f| f.code())
    };
    assert_eq!(open(&[]), Ok(Caller::Stranger));
    assert_eq!(open(&[("authorization", &bearer)]), holder);

    // On loopback a token is not needed, and counts where it is known.
    let loopback = GuardOptions { loopback: true, token_required: false, ..beyond.clone() };
    let with = |token: &str| code(&loopback, "GET", &[("host", "localhost"), ("authorization", token)]);
    assert_eq!(with(&bearer), holder);
    assert_eq!(with("Bearer never-issued"), Ok(Caller::Trusted));
    assert_eq!(with("Basic YTpi"), Ok(Caller::Trusted));
    beyond.store.rotate_admin_token().await.unwrap();
    assert_eq!(with(&bearer), Err(Code::Unauthenticated));
    assert_eq!(code(&beyond, "GET", &[("authorization", &bearer)]), Err(Code::Unauthenticated));
}

#[test]
fn each_request_needs_a_role() {
    use TokenRole::{Admin, Operator, Viewer};
    for (method, path, role) in [
        ("GET", "/api/v1/clusters", Viewer),
        ("HEAD", "/metrics", Viewer),
        ("POST", "/api/v1/clusters/a/plan", Viewer),
        ("POST", "/api/v1/validate", Viewer),
        ("POST", "/api/v1/explain", Viewer),
        ("GET", "/api/v1/clusters/a/cache/keys/b", Operator),
        ("POST", "/api/v1/clusters/a/cache/get", Operator),
        ("POST", "/api/v1/clusters/a/services/b/drain", Operator),
        ("POST", "/api/v1/clusters/a/services/b/reset-breaker", Operator),
        ("POST", "/api/v1/clusters", Admin),
        ("DELETE", "/api/v1/routes/plan-b", Admin),
        ("PUT", "/api/v1/clusters/a", Admin),
    ] {
        assert_eq!(needed(&method.parse().unwrap(), path), role, "{method} {path}");
    }
}

#[test]
fn a_role_includes_those_before_it() {
    use TokenRole::{Admin, Operator, Viewer};
    for (role, needed, allowed) in [
        (Viewer, Viewer, true),
        (Viewer, Operator, false),
        (Operator, Viewer, true),
        (Operator, Admin, false),
        (Admin, Admin, true),
    ] {
        let judged = holds("ci", role, needed).map_err(|failure| failure.code());
        assert_eq!(judged, if allowed { Ok(()) } else { Err(Code::PermissionDenied) }, "{role:?} {needed:?}");
    }
}

#[tokio::test]
async fn beyond_loopback_only_health_answers_a_stranger() {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
    })
    .await;
    let token = gateway.store.ensure_admin_token().await.unwrap().unwrap();
    for path in ["/health", "/api/v1/health"] {
        assert_eq!(gateway.get(path).await.json(), json!({ "status": "healthy" }));
    }
    for path in [
        "/",
        "/metrics",
        "/openapi.json",
        "/swagger/",
        "/api/v1/clusters",
        "/api/v1/kinds",
        "/none",
        "/api/v1/live",
    ] {
        let refused = gateway.get(path).await;
        assert_eq!(refused.problem(), (401, "unauthenticated".to_owned()), "{path}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    assert_eq!(gateway.ask("POST", "/api/v1/clusters", vec![b' '; 10]).await.problem().0, 401);
    let with = |path: &str| {
        let bearer = format!("Bearer {}", token.reveal());
        gateway.send(Request::get(path).header("authorization", bearer).header("host", "gw.example"), "")
    };
    assert_eq!(with("/api/v1/clusters").await.status, 200);
    assert_eq!(with("/health").await.json()["checks"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn metrics_may_be_public() {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
        options.guard.public_metrics = true;
    })
    .await;
    assert_eq!(gateway.get("/metrics").await.status, 200);
    assert_eq!(gateway.get("/api/v1/clusters").await.status, 401);
}

#[tokio::test]
async fn a_refused_request_is_a_problem_and_is_counted() {
    let gateway = gateway().await;
    let evil = Request::post("/api/v1/clusters").header("origin", "https://example.com");
    let refused = gateway.send(evil, json!({ "name": "x", "services": {} }).to_string()).await;
    assert_eq!(refused.problem(), (403, "permission_denied".to_owned()));
    assert!(gateway.clusters.list().is_empty());
    let rebound = Request::get("/api/v1/clusters").header("host", "evil.example");
    assert_eq!(gateway.send(rebound, "").await.problem().0, 403);
    assert_eq!(gateway.clusters.control().refused(), [("permission_denied", 2)]);
}
