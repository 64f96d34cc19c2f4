//! The control room: the REST API, the data API, metrics, OpenAPI and the front page.
//!
//! `routes_of` below shows every URL on one screen, but for those of the data API, which `data/mod.rs` has on its
//! own. Services are reached only through `clusters`; traffic is not carried here.

mod options;
pub use guard::GuardOptions;
pub use options::{Limits, Options};

// The way in and out.
mod door;
mod guard;
mod idempotency;
mod respond;
mod serve;
mod stream;
pub use serve::serve;

// What stands in a request.
mod accept;
mod body;
mod etag;
mod percent;
mod query;

// What is answered.
mod compat;
mod control;
mod data;
pub mod openapi;
mod page;
mod swagger;
pub use data::{Data, DataDoor};

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::routing::{any, delete, get, post};
use axum::{Router, middleware};

use compat::routes as url_routes;
use control::{
    activity, backups, clusters, events, explain, health, kinds, later, legacy, live, logs, metrics,
    operations, orphans, routes, services, tokens, validate,
};
use door::Door;

/// The control door as a service, for whoever brings the connections.
pub fn router(options: Options) -> Router {
    router_of(&Arc::new(Door::new(options)))
}

/// All of it passes the door. The door stands around the routes as a whole, and not in front of each, since
/// only so does it see what the routes say of methods that they do not know.
fn router_of(door: &Arc<Door>) -> Router {
    Router::new()
        .fallback_service(routes_of(door))
        .layer(middleware::from_fn_with_state(Arc::clone(door), door::pass))
}

#[rustfmt::skip]
fn routes_of(door: &Arc<Door>) -> Router {
    Router::new()
        .route("/", get(page::front))
        .route("/health", get(health::show))
        .route("/openapi.json", get(openapi::show))
        .route("/swagger", get(swagger::redirect))
        .route("/swagger/", get(swagger::index))
        .route("/swagger/{*file}", get(swagger::file))

        .route("/api/v1/health", get(health::show))
        .route("/api/v1/kinds", get(kinds::list))
        .route("/api/v1/validate", post(validate::check))
        .route("/api/v1/explain", post(explain::explain))
        .route("/api/v1/activity", get(activity::list))
        .route("/api/v1/requests", get(activity::requests))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/live", get(live::follow))

        .route("/api/v1/clusters", get(clusters::list).post(clusters::create))
        .route("/api/v1/clusters/{id}", get(clusters::show).put(clusters::replace).delete(clusters::delete))
        .route("/api/v1/clusters/{id}/plan", post(clusters::plan))
        .route("/api/v1/clusters/{id}/health", get(clusters::health))
        .route("/api/v1/clusters/{id}/metrics", get(clusters::metrics))
        .route("/api/v1/clusters/{id}/activity", get(activity::of_cluster))

        .route("/api/v1/clusters/{id}/services/{name}", get(services::show))
        .route("/api/v1/clusters/{id}/services/{name}/activity", get(activity::of_service))
        .route("/api/v1/clusters/{id}/services/{name}/drain", post(services::drain))
        .route("/api/v1/clusters/{id}/services/{name}/undrain", post(services::undrain))
        .route("/api/v1/clusters/{id}/services/{name}/reset-breaker", post(services::reset_breaker))
        .route("/api/v1/clusters/{id}/services/{name}/restart", post(services::restart))
        .route("/api/v1/clusters/{id}/services/{name}/stop", post(services::stop))
        .route("/api/v1/clusters/{id}/services/{name}/start", post(services::start))
        .route("/api/v1/clusters/{id}/services/{name}/logs", get(logs::show))
        .route("/api/v1/clusters/{id}/services/{name}/backups", get(backups::list).post(backups::create))
        .route("/api/v1/clusters/{id}/services/{name}/backups/{backup}", get(backups::show).delete(backups::delete))
        .route("/api/v1/clusters/{id}/services/{name}/backups/{backup}/file", get(backups::download).put(backups::upload))
        .route("/api/v1/clusters/{id}/services/{name}/restore", post(backups::restore))

        .route("/api/v1/operations", get(operations::list))
        .route("/api/v1/operations/{id}", get(operations::show).delete(operations::cancel))
        .route("/api/v1/operations/{id}/events", get(operations::events))

        .route("/api/v1/orphans", get(orphans::list))
        .route("/api/v1/orphans/{provisioner}/{cluster}/{service}", delete(orphans::delete))

        .route("/api/v1/routes", get(routes::list).post(routes::create))
        .route("/api/v1/routes/{id}", get(routes::show).put(routes::replace).delete(routes::delete))

        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", get(tokens::show).delete(tokens::revoke))

        // The data API: `data/mod.rs` has its URLs.
        .route("/api/v1/clusters/{id}/cache/{*call}", any(control::carry))
        .route("/api/v1/clusters/{id}/db/{*call}", any(control::carry))
        .route("/api/v1/clusters/{id}/queue/{*call}", any(control::carry))
        .route("/api/v1/clusters/{id}/services/{name}/sql", any(control::carry))
        .route("/api/v1/clusters/{id}/services/{name}/upstash", any(control::carry))
        .route("/api/v1/clusters/{id}/services/{name}/upstash/{*call}", any(control::carry))

        // What an earlier gateway answered.
        .route("/api/status", get(legacy::status))
        .route("/api/load-balancer/status", get(legacy::load_balancer))
        .route("/api/circuit-breaker/status", get(legacy::circuit_breakers))
        // What earlier clients ask.
        .route("/api/routes", get(url_routes::list).post(url_routes::create))
        .route("/api/routes/{id}", get(url_routes::show).put(url_routes::replace).delete(url_routes::delete))

        // What later stages bring.
        .route("/api/v1/auth/login", post(later::not_built))
        .route("/api/v1/users", get(later::not_built).post(later::not_built))
        .route("/api/v1/users/{id}", get(later::not_built).delete(later::not_built))
        .route("/api/auth/login", post(later::not_built))
        .route("/api/websocket/stats", get(later::not_built))
        .route("/ws", get(later::not_built))

        // `metrics_path`, which a setting names, and nothing else.
        .fallback(metrics::show)
        .with_state(Arc::clone(door))
}
