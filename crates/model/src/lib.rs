//! The nouns of Throome: what is asked (specs), what is shown (views), how things fail (failures).
//!
//! Everything above rebuilds when this crate changes, so it stays small, imports nothing of ours and
//! nothing asynchronous. Reading a document is here too, since a spec is only as good as the words in
//! which its faults are told.

// How things fail.
pub mod failure;
pub mod problem;
pub mod secret;
pub mod size;
pub mod span;

// What is asked.
pub mod cluster;
pub mod endpoint;
pub mod id;
pub mod kind;
pub mod path;
pub mod policy;
pub mod provision;
pub mod recipe;
pub mod route;
pub mod service;
pub mod url_route;

// How it is read: a tree with positions, checked whole against a table of fields.
pub mod check;
pub mod cluster_fields;
pub mod edit;
pub mod expand;
pub mod field;
pub mod read;
mod route_fields;
pub mod schema;
pub mod secrets;
pub mod suggest;
pub mod tree;
pub mod write;
pub mod yaml;

#[cfg(test)]
mod testing;

// What is shown.
pub mod event;
pub mod live;
pub mod view;

pub use check::{Problem, Problems};
pub use cluster::ClusterSpec;
pub use endpoint::{Address, EndpointSpec, History, Role, Seen};
pub use failure::{Code, Failure, Origin};
pub use id::ClusterId;
pub use policy::{BreakerSpec, HealthSpec, LimitsSpec, OutlierSpec, RoutingSpec, Strategy};
pub use provision::RunSpec;
pub use route::RouteSpec;
pub use secret::Secret;
pub use service::ServiceSpec;
pub use span::Span;
