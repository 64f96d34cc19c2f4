//! The Rust client of a Throome gateway: asynchronous, small, and careful about what it sends twice.
//!
//! A [`Client`] knows a gateway. From it come a handle on a cluster ([`Client::cluster`]) with its
//! [cache](Cache), its [database](Database), its [queue](Queue) and its [services](Services), and the gateway's own resources: [`Client::clusters`],
//! [`Client::routes`], [`Client::tokens`], [`Client::operations`], [`Client::orphans`], [`Client::activity`], [`Client::events`]. Every request is a [`Call`]: await it
//! for its typed answer, or take its body as it came with [`Call::value`].
//!
//! ```no_run
//! # async fn example() -> Result<(), throome_sdk::Error> {
//! use std::time::Duration;
//! use throome_sdk::Client;
//!
//! let client = Client::new("http://127.0.0.1:9000")?.with_token("thr_…");
//! let cache = client.cluster("shop").cache();
//! cache.set_with_ttl("greeting", "hello", Duration::from_secs(60)).await?;
//! assert_eq!(cache.get_text("greeting").await?.as_deref(), Some("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! **Errors** are one type, [`Error`], with a [`Family`] to branch on and the gateway's code, hint and
//! request id. **Retries**: two by default, with full jitter and `Retry-After`, of calls that are safe to
//! repeat or whose bytes never left. **Cancelling** a call is dropping its future. Fields and words that
//! this version does not know are ignored. Unix sockets are not there yet and are refused by name.

mod call;
mod client;
mod error;
mod problem;
mod reply;

// How a request gets there.
mod address;
mod connection;
mod following;
mod patience;
mod retry;
mod rows;
mod secured;
mod sse;
mod stream;
mod upload;

// What can be asked, a resource a file.
mod backups;
mod cache;
mod cluster;
mod clusters;
mod consume;
mod db;
mod gateway;
mod live;
mod logs;
mod operations;
mod orphans;
mod page;
mod queue;
mod routes;
mod services;
mod tokens;
mod transaction;

pub use backups::{Backup, Backups, Download};
pub use cache::{Cache, TimeToLive};
pub use call::Call;
pub use client::{Attempt, Client, DEFAULT_URL};
pub use cluster::{ClusterHandle, ClusterHealth, ClusterMetrics, Metrics, Quantiles};
pub use clusters::{Cluster, ClusterSummary, Clusters, Data, Plan, PlanStep, ServiceSummary, Validation};
pub use consume::{Consume, Consumer, Delivery};
pub use db::{BatchResult, Database, RowStream, Rows, SqlColumn, Statement, Written};
pub use error::{Error, Family};
pub use gateway::{ActivityRecord, Candidate, Event, Explanation, Filter, Health, KindList};
pub use http::Method;
pub use live::{Change, Delta, Live};
pub use logs::{LogLine, LogLines, LogOptions, Tail};
pub use operations::{
    Operation, OperationEvent, OperationEvents, OperationFilter, OperationStep, Operations, Started,
};
pub use orphans::{Orphan, OrphanList, Orphans, Unseen};
pub use page::Paged;
pub use problem::FieldError;
pub use queue::{
    Group, Message, Nack, Position, Progress, Published, Queue, Receipt, Settlement, Topic, TopicOptions,
};
pub use reply::Reply;
pub use routes::{Route, Routes};
pub use services::{EndpointFacts, ServiceDoor, ServiceFacts, Services};
pub use tokens::{CreatedToken, TokenInfo, TokenRequest, Tokens};
pub use transaction::{Transaction, TransactionOptions};

/// Holds the README to what compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
