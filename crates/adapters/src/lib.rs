//! The languages: one folder per kind of service, and the list of them.
//!
//! A driver knows one kind: its options, how to connect. An adapter is a live connection to one endpoint;
//! it can be probed, and offers the abilities it has. Adding a kind is one folder and one line of `DRIVERS`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::kind::{Ability, KindCheck, Kinds};
use model::recipe::{Recipe, Site};
use model::{EndpointSpec, Failure, Seen, ServiceSpec};
use wire::proxy_protocol::Version;

// The abilities, each with the suite of its contract.
pub mod key_value;
pub mod queue;
pub mod sql;

// The kinds.
mod embedded;
#[cfg(test)]
mod facts;
pub mod grpc;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod limits;
pub mod log;
pub mod memory;
mod options;
pub mod postgres;
mod recipe;
pub mod redis;
mod size;
pub mod sqlite;
pub mod tcp;
mod tls;

pub use embedded::gate;
pub use key_value::KeyValue;
pub use model::provision::settle;
pub use queue::Queue;
pub use sql::Sql;

/// What an ability's call returns: traits that are stored as objects box their futures.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A live connection to one endpoint. Shared by all cores; what is of one core is found by the thread.
pub trait Adapter: Send + Sync {
    /// Asks the endpoint whether it is well, by its own protocol, within this time.
    fn probe(&self, timeout: Duration) -> Call<'_, ()>;

    /// Whether a probe that passes proves that requests are answered. A connection that opens proves less:
    /// the kernel of a frozen process opens it too.
    fn probe_is_an_answer(&self) -> bool {
        true
    }

    /// What the server said of itself when it was last asked, where its protocol has words for it: a probe asks, and
    /// a refusal of a server that only reads tells as well.
    fn seen(&self) -> Option<Seen> {
        None
    }

    /// Why the server is asked for nothing at present though it is well, such as that it is too far behind: a part of a
    /// sentence.
    fn set_aside(&self) -> Option<String> {
        None
    }

    /// Whether the server has said unasked that it is not what [`Adapter::seen`] tells any more, so that it is to be
    /// asked at once. Looked at with every answer, so that it costs nothing.
    fn has_news(&self) -> bool {
        false
    }

    /// Whether a probe that passes finds out what the server is, as [`Adapter::seen`] then tells. Until that was tried
    /// nobody knows whether what was asked for still holds.
    fn says_its_role(&self) -> bool {
        false
    }

    /// What is wrong with a part of the endpoint, such as one node of several, while the others serve on: as a probe
    /// that passed found it.
    fn lacks(&self) -> Option<String> {
        None
    }

    /// How it is told whose connection it is given, where a client's bytes are passed on as they are.
    fn introduces(&self) -> Option<Version> {
        None
    }

    /// HTTP requests, if it can carry them.
    fn http(&self) -> Option<&http::Pool> {
        None
    }

    /// Keys and values, if it keeps them.
    fn key_value(&self) -> Option<&dyn KeyValue> {
        None
    }

    /// Statements, if it runs SQL.
    fn sql(&self) -> Option<&dyn Sql> {
        None
    }

    /// Topics, if it keeps messages.
    fn queue(&self) -> Option<&dyn Queue> {
        None
    }

    /// Lets go of files in good order, for good: when the gateway stops, or the service is deleted. Later calls
    /// fail. Nothing that was acknowledged depends on it.
    fn close(&self) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Leaves in this file what would end with the process, for the one that takes its place. Called before
    /// [`Adapter::close`]; what is asked from then on is refused. What takes longer than `until` is given up, and it may be
    /// done without a pause: the caller's thread is one that may wait.
    fn leave(&self, _file: &Path, _until: Instant) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Takes what the process before has left in this file, in the same way. Called before anybody asks for anything.
    fn take_up(&self, _file: &Path, _until: Instant) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Lets go of idle connections that are too old or closed by the peer. Called now and then on each core.
    fn sweep(&self) {}
}

/// Where a service is at home, for kinds that keep something on this machine.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its name.
    pub service: Arc<str>,
    /// A directory of its own, which may not be there yet.
    pub dir: PathBuf,
}

/// Something in which kinds differ by nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, in `snake_case`; the same for every kind that says something of it.
    pub name: &'static str,
    /// How it is with this kind, in a sentence or two.
    pub says: &'static str,
}

/// Knows one kind.
pub trait Driver: KindCheck {
    /// One sentence for people.
    fn about(&self) -> &'static str;

    /// What its services can be asked.
    fn abilities(&self) -> &'static [Ability];

    /// What a user of its services should know that other kinds with the same abilities do otherwise.
    fn facts(&self) -> &'static [Fact] {
        &[]
    }

    /// Whether the endpoints of such a service are nodes of one thing, of which the client chooses by itself: then it
    /// has one adapter, which finds all of them in the service.
    fn chooses_nodes(&self, _service: &ServiceSpec) -> bool {
        false
    }

    /// What runs such a service at this site, once it is settled. `None` for a kind that the gateway does not run, and for
    /// a service that is not settled.
    fn recipe(&self, _service: &ServiceSpec, _site: &Site) -> Option<Recipe> {
        None
    }

    /// Reads the files that such a service names, as [`Driver::connect`] will, and keeps nothing of them.
    ///
    /// # Errors
    /// `invalid_config`, with every file that cannot be used, by its path below the service.
    fn check_files(&self, service: &ServiceSpec) -> Result<(), Failure> {
        tls::check_files(service)
    }

    /// Makes the adapter of one endpoint. Does not wait for the endpoint: health will say.
    ///
    /// # Errors
    /// When the options contradict each other, which the check should have found.
    fn connect(
        &self,
        endpoint: &EndpointSpec,
        service: &ServiceSpec,
        home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure>;
}

/// Every kind there is: the registry.
pub static DRIVERS: &[&dyn Driver] = &[
    &http::HTTP,
    &grpc::GRPC,
    #[cfg(feature = "kafka")]
    &kafka::KAFKA,
    &log::LOG,
    &memory::MEMORY,
    &postgres::POSTGRES,
    &redis::REDIS,
    &sqlite::SQLITE,
    &tcp::TCP,
];

/// Kinds that are known and not built yet, and what each waits for.
const LATER: &[(&str, &str)] = &[
    #[cfg(not(feature = "kafka"))]
    ("kafka", "a program that was built with the feature `kafka`; this one was built without it"),
    ("mysql", "more engines"),
    ("mongodb", "more engines"),
    ("rabbitmq", "more engines"),
    ("elasticsearch", "more engines"),
];

/// The driver of that name.
#[must_use]
pub fn driver(name: &str) -> Option<&'static dyn Driver> {
    DRIVERS.iter().copied().find(|driver| driver.name() == name)
}

/// The kind of a service of which only a URL is known.
#[must_use]
pub fn of_urls() -> &'static dyn Driver {
    &http::HTTP
}

/// The list, as document checks see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

impl Kinds for Registry {
    fn find(&self, name: &str) -> Option<&'static dyn KindCheck> {
        driver(name).map(|driver| driver as &dyn KindCheck)
    }

    fn names(&self) -> Vec<&'static str> {
        DRIVERS.iter().map(|driver| driver.name()).collect()
    }

    fn can(&self, name: &str, ability: Ability) -> bool {
        driver(name).is_some_and(|driver| driver.abilities().contains(&ability))
    }

    fn later(&self, name: &str) -> Option<&'static str> {
        LATER.iter().find(|(own, _)| *own == name).map(|(_, waits_for)| *waits_for)
    }
}
