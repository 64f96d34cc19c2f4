//! The control door as its clients see it: requests through the router, over real clusters in a directory
//! of their own.

mod calls;
mod compat;
mod control;
mod doors;
mod idempotency;
mod legacy;
mod lists;
mod live;
mod neon;
mod operations;
mod queue;
mod random;
mod served;
mod sql;
mod tokens;
mod upstash;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use clusters::Clusters;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{GuardOptions, Limits, Options, router};

/// A control door over clusters of its own.
pub(crate) struct Gateway {
    pub(crate) router: Router,
    pub(crate) clusters: Clusters,
    pub(crate) store: Store,
    _dir: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A door on loopback with its default limits.
pub(crate) async fn gateway() -> Gateway {
    gateway_with(|_| {}).await
}

pub(crate) async fn gateway_with(change: impl FnOnce(&mut Options)) -> Gateway {
    let (options, dir) = options().await;
    let mut options = options;
    change(&mut options);
    let (clusters, store) = (options.clusters.clone(), options.guard.store.clone());
    Gateway { router: router(options), clusters, store, _dir: dir }
}

pub(crate) async fn options() -> (Options, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let clusters = Clusters::open(clusters::Options {
        dir: dir.path().to_owned(),
        store: store.clone(),
        data_dir: dir.path().join(".throome"),
        listeners: Default::default(),
        provisioning: clusters::Provisioning::default(),
    })
    .await
    .unwrap();
    let guard = GuardOptions {
        loopback: true,
        token_required: false,
        public_metrics: false,
        own_origins: vec!["http://localhost:9000".to_owned()],
        store,
    };
    let data = crate::Data::new(clusters.clone(), guard.store.clone(), 504);
    let options = Options {
        clusters,
        data,
        guard,
        limits: Limits::default(),
        metrics_path: Some("/metrics".to_owned()),
        timeout_status: 504,
        version: "1.2.3",
        dashboard_enabled: true,
        tls: None,
    };
    (options, dir)
}

/// A gateway with cluster `shop`: `web` of kind `http`, where nobody listens, and `cache` of kind `memory`.
pub(crate) async fn shop() -> Gateway {
    let gateway = gateway().await;
    gateway.create_shop().await;
    gateway
}

pub(crate) fn shop_document() -> Value {
    json!({
        "name": "Shop", "cluster_id": "shop",
        "services": { "web": { "type": "http", "host": "127.0.0.1", "port": 1 }, "cache": { "type": "memory" } },
        "routes": [{ "id": "api", "path": "/api/*", "service": "web" }],
    })
}

impl Gateway {
    pub(crate) async fn create_shop(&self) {
        let reply = self.post("/api/v1/clusters", &shop_document()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }

    /// Sends a request as it is, with `Host: localhost:9000` where it names none.
    pub(crate) async fn send(&self, request: axum::http::request::Builder, body: impl Into<Body>) -> Reply {
        let mut request: Request<Body> = request.body(body.into()).unwrap();
        request.headers_mut().entry("host").or_insert("localhost:9000".parse().unwrap());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let reply = Reply { status: head.status, headers: head.headers, body };
        reply.has_what_every_answer_has();
        reply
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.send(Request::builder().method(method).uri(path), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.ask("PUT", path, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path, "").await
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        assert_eq!(body["error"], body["detail"], "{body}");
        (self.status.as_u16(), body["code"].as_str().unwrap().to_owned())
    }

    /// The paths of `errors`.
    pub(crate) fn faults(&self) -> Vec<String> {
        let body = self.json();
        body["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap().to_owned()).collect()
    }

    fn has_what_every_answer_has(&self) {
        assert!(!self.header("x-request-id").is_empty(), "no request id: {self:?}");
        assert!(!self.header("cache-control").is_empty(), "may be kept: {self:?}");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert_eq!(self.header("access-control-allow-origin"), "", "no other origin is allowed anything");
        if self.status.is_client_error() || self.status.is_server_error() {
            let kind = self.header("content-type");
            let fine = kind == "application/problem+json"
                || self.text().contains("\"status\":\"unhealthy\"")
                || self.text().starts_with("{\"success\":false,\"error\":\"");
            assert!(fine, "a failure of type {kind}: {}", self.text());
        }
    }
}
