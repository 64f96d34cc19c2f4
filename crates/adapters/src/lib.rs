//! The languages: one folder per kind of service, and the list of them.
//!
//! A driver knows one kind: its options, how to connect. An adapter is a live connection to one endpoint;
//! it can be probed, and offers the abilities it has. Adding a kind is one folder and one line of `DRIVERS`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::kind::{Ability, KindCheck, Kinds};
use model::{EndpointSpec, Failure, ServiceSpec};

pub mod http;
pub mod key_value;
pub mod memory;

pub use key_value::KeyValue;

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

    /// HTTP requests, if it can carry them.
    fn http(&self) -> Option<&http::Pool> {
        None
    }

    /// Keys and values, if it keeps them.
    fn key_value(&self) -> Option<&dyn KeyValue> {
        None
    }

    /// Lets go of idle connections that are too old or closed by the peer. Called now and then on each core.
    fn sweep(&self) {}
}

/// Knows one kind.
pub trait Driver: KindCheck {
    /// One sentence for people.
    fn about(&self) -> &'static str;

    /// What its services can be asked.
    fn abilities(&self) -> &'static [Ability];

    /// Makes the adapter of one endpoint. Does not wait for the endpoint: health will say.
    ///
    /// # Errors
    /// When the options contradict each other, which the check should have found.
    fn connect(&self, endpoint: &EndpointSpec, service: &ServiceSpec) -> Result<Arc<dyn Adapter>, Failure>;
}

/// Every kind there is: the registry.
pub static DRIVERS: &[&dyn Driver] = &[&http::HTTP, &memory::MEMORY];

/// Kinds that are known and not built yet, and what each waits for.
const LATER: &[(&str, &str)] = &[
    ("sqlite", "the data API on embedded engines"),
    ("log", "the data API on embedded engines"),
    ("redis", "real engines"),
    ("postgres", "real engines"),
    ("kafka", "real engines"),
    ("grpc", "the traffic door in full"),
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

    fn later(&self, name: &str) -> Option<&'static str> {
        LATER.iter().find(|(own, _)| *own == name).map(|(_, waits_for)| *waits_for)
    }
}
