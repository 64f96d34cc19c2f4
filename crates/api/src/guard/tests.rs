//! Host, origin and token, each alone and together.

use std::time::Duration;

use axum::http::Request;
use model::Code;
use serde_json::json;
use store::{LastAdmin, NewToken, Store};

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
async fn pages_of_other_origins_take_no_messages() {
    let (stream, topics) =
        ("/api/v1/clusters/a/queue/consume?topic=t&group=g", "/api/v1/clusters/a/queue/topics");
    let ask = |guard: &GuardOptions, path: &str, headers: &[(&str, &str)]| {
        let headers = [&[("host", "localhost:9000")], headers].concat();
        guard.check(&head("GET", path, &headers), Open::No).map_err(|failure| failure.code())
    };
    let loopback = guard(true, false);
    // An EventSource says its origin; an image, a link and a window only whose page it was.
    let from_others: [&[(&str, &str)]; 4] = [
        &[("origin", "https://example.com")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    for headers in from_others {
        assert_eq!(ask(&loopback, stream, headers), Err(Code::PermissionDenied), "{headers:?}");
        // Looking has no effect, and no page of another origin may read the answer.
        assert_eq!(ask(&loopback, topics, headers), Ok(Caller::Trusted), "{headers:?}");
        // Beyond loopback it is the token that counts, which no page of another site has.
        assert_eq!(ask(&guard(false, true), stream, headers), Err(Code::Unauthenticated), "{headers:?}");
    }
    let own: [&[(&str, &str)]; 4] = [
        &[],
        &[("origin", "http://localhost:9000")],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ];
    for headers in own {
        assert_eq!(ask(&loopback, stream, headers), Ok(Caller::Trusted), "{headers:?}");
    }
}

#[tokio::test]
async fn a_password_is_a_token_where_clients_have_no_other_place_for_one() {
    let guard = guard(false, true);
    let token = guard.store.ensure_admin_token().await.unwrap().unwrap();
    let holder = Ok(Caller::Holder { name: "admin".into(), scope: None });
    let ask = |path: &str, headers: &[(&str, &str)]| {
        guard.check(&head("POST", path, headers), Open::No).map_err(|failure| failure.code())
    };
    let neon = "/api/v1/clusters/a/services/b/sql";
    let header = "neon-connection-string";
    let string = format!("postgresql://app:{}@gateway/db?application_name=x", token.reveal());
    assert_eq!(ask(neon, &[(header, &string)]), holder);
    for elsewhere in
        ["/api/v1/clusters", "/api/v1/clusters/a/db/query", "/api/v1/clusters/a/services/b/sql/x"]
    {
        assert_eq!(ask(elsewhere, &[(header, &string)]), Err(Code::Unauthenticated), "{elsewhere}");
    }
    let unknown = "postgresql://app:thr_unknown@gateway/db";
    for bad in [unknown, "postgresql://app@gateway/db", "nonsense", ""] {
        assert_eq!(ask(neon, &[(header, bad)]), Err(Code::Unauthenticated), "{bad}");
    }
    // What a client says for this counts, and not what it says as well.
    let bearer = format!("Bearer {}", token.reveal());
    assert_eq!(ask(neon, &[("authorization", &bearer), (header, unknown)]), holder);
    let wrong = [("authorization", "Bearer thr_unknown"), (header, &*string)];
    assert_eq!(ask(neon, &wrong), Err(Code::Unauthenticated));
    assert_eq!(ask(neon, &[(header, &string), (header, &string)]), Err(Code::InvalidRequest));
}

#[tokio::test]
async fn tokens_are_judged_at_each_door() {
    let beyond = guard(false, true);
    let token = beyond.store.ensure_admin_token().await.unwrap().unwrap();
    let bearer = format!("Bearer {}", token.reveal());
    let holder = Ok(Caller::Holder { name: "admin".into(), scope: None });
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
        ("POST", "/api/v1/clusters/a/services/b/restart", Operator),
        ("POST", "/api/v1/clusters/a/services/b/stop", Operator),
        ("POST", "/api/v1/clusters/a/services/b/start", Operator),
        ("POST", "/api/v1/clusters", Admin),
        ("POST", "/api/v1/tokens", Admin),
        ("GET", "/api/v1/tokens", Viewer),
        ("DELETE", "/api/v1/tokens/1", Admin),
        ("GET", "/api/v1/orphans", Admin),
        ("DELETE", "/api/v1/orphans/docker/a/b", Admin),
        ("DELETE", "/api/v1/routes/plan-b", Admin),
        // Ids that are words of other paths.
        ("DELETE", "/api/v1/routes/plan", Admin),
        ("PUT", "/api/v1/routes/validate", Admin),
        ("DELETE", "/api/v1/clusters/plan", Admin),
        ("PUT", "/api/v1/clusters/explain", Admin),
        ("DELETE", "/api/v1/clusters/a/plan", Admin),
        ("PUT", "/api/v1/clusters/a/services/drain", Admin),
        ("POST", "/x/services/b/drain", Admin),
        ("PUT", "/api/v1/clusters/a", Admin),
    ] {
        assert_eq!(needed(&method.parse().unwrap(), path), role, "{method} {path}");
    }
}

/// A guard that knows a token for `shop/cache`, and that token.
async fn scoped(loopback: bool, lifetime: Option<Duration>) -> (GuardOptions, String, i64) {
    let guard = guard(loopback, !loopback);
    let new = NewToken {
        name: "web".parse().unwrap(),
        role: TokenRole::Operator,
        scope: Some("shop/cache".parse().unwrap()),
        lifetime,
    };
    let (info, secret) = guard.store.create_token(new).await.unwrap();
    (guard, format!("Bearer {}", secret.reveal()), info.id)
}

#[tokio::test]
async fn a_token_for_a_service_reaches_the_data_of_its_cluster_and_nothing_else() {
    for loopback in [false, true] {
        let (guard, bearer, _) = scoped(loopback, None).await;
        let ask = |method: &str, path: &str, open: Open| {
            guard.check(&head(method, path, &[("host", "localhost"), ("authorization", &bearer)]), open)
        };
        for (method, path) in [
            ("POST", "/api/v1/clusters/shop/cache/get"),
            ("PUT", "/api/v1/clusters/shop/cache/keys/a?service=cache"),
            ("GET", "/api/v1/clusters/sho%70/cache/keys/a%2Fb"),
        ] {
            let caller = ask(method, path, Open::No).unwrap();
            assert_eq!(
                (caller.token().map(|name| &**name), caller.own_service()),
                (Some("web"), Some("cache"))
            );
            assert!(caller.may_use("shop", "cache").is_ok());
            for (cluster, service) in [("shop", "other"), ("blog", "cache"), ("shop", ""), ("shop", "Cache")]
            {
                let refused = caller.may_use(cluster, service).unwrap_err();
                assert_eq!(refused.code(), Code::PermissionDenied, "{cluster}/{service}");
                assert!(
                    refused.detail().contains("`web`") && refused.detail().contains("`shop/cache`"),
                    "{refused}"
                );
            }
        }
        for (method, path) in [
            ("POST", "/api/v1/clusters/blog/cache/get"),
            ("POST", "/api/v1/clusters/shop%2Fcache/cache/get"),
            ("POST", "/api/v1/clusters//cache/get"),
            ("GET", "/api/v1/clusters/shop"),
            ("GET", "/api/v1/clusters/shop/services/cache"),
            ("GET", "/api/v1/clusters"),
            ("GET", "/api/v1/tokens"),
            ("POST", "/api/v1/tokens"),
            ("GET", "/api/v1/activity"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/none"),
            ("DELETE", "/api/v1/clusters/shop"),
        ] {
            let refused = ask(method, path, Open::No).unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{method} {path}");
            assert!(refused.detail().contains("`shop/cache`"), "says what it is for: {refused}");
        }
        assert_eq!(
            ask("GET", "/health", Open::ToAll).unwrap(),
            Caller::Stranger,
            "told what anybody is told"
        );
    }
}

#[tokio::test]
async fn a_token_for_a_service_ends_like_any_other() {
    for loopback in [false, true] {
        let path = "/api/v1/clusters/shop/cache/get";
        let code = |guard: &GuardOptions, bearer: &str| {
            let head = head("POST", path, &[("host", "localhost"), ("authorization", bearer)]);
            guard.check(&head, Open::No).map(drop).map_err(|failure| failure.code())
        };
        let (guard, bearer, id) = scoped(loopback, None).await;
        assert_eq!(code(&guard, &bearer), Ok(()));
        guard.store.revoke_token(id, LastAdmin::Stays).await.unwrap().unwrap();
        assert_eq!(code(&guard, &bearer), Err(Code::Unauthenticated));
        let (guard, bearer, _) = scoped(loopback, Some(Duration::ZERO)).await;
        assert_eq!(code(&guard, &bearer), Err(Code::Unauthenticated));
    }
}

#[test]
fn whoever_is_held_to_no_service_may_use_each() {
    let holder = Caller::Holder { name: "ops".into(), scope: None };
    for caller in [holder, Caller::Trusted] {
        assert!(caller.may_use("shop", "cache").is_ok() && caller.own_service().is_none());
    }
    let stranger = Caller::Stranger.may_use("shop", "cache").unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
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

#[tokio::test]
async fn while_the_store_has_not_come_nobody_says_which_tokens_there_are() {
    let store = Store::at("postgres://nobody@127.0.0.1:1/nowhere", store::Pool::default()).unwrap();
    let guard = GuardOptions { store, ..guard(false, true) };
    let head =
        head("GET", "/api/v1/clusters", &[("host", "gateway.test"), ("authorization", "Bearer thr_x")]);
    let failure = guard.check(&head, Open::No).unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::Busy, true), "it is not refused for good");
    assert_eq!(
        code(&guard, "GET", &[("host", "gateway.test")]),
        Err(Code::Unauthenticated),
        "who brings none is"
    );
    let on_loopback = GuardOptions { loopback: true, token_required: false, ..guard };
    let headers = [("host", "localhost"), ("authorization", "Bearer thr_x")];
    assert_eq!(code(&on_loopback, "GET", &headers), Ok(Caller::Trusted), "as without it");
}
