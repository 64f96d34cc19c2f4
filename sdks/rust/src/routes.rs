//! Routes: which requests lead to which service.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::address::escape;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::page::Paged;

impl Client {
    /// The gateway's routes.
    #[must_use]
    pub fn routes(&self) -> Routes {
        Routes { client: self.clone() }
    }
}

/// The routes of a gateway. Those that a cluster's file owns can be read here and not changed.
#[derive(Debug, Clone)]
pub struct Routes {
    client: Client,
}

impl Routes {
    /// All of them.
    pub fn list(&self) -> Paged<Route> {
        Paged::new(self.client.clone(), "/api/v1/routes".to_owned(), "routes", Patience::Management)
    }

    /// One.
    pub fn get(&self, id: &str) -> Call<Route> {
        self.client.call(Outgoing::get(path(id), Patience::Management))
    }

    /// Creates one; its id is made from cluster and path where none is given. A route is a [`Route`], or
    /// JSON of the same fields.
    pub fn create(&self, route: &impl Serialize) -> Call<Route> {
        self.client.call(Outgoing::post("/api/v1/routes".to_owned(), Patience::Management).json(route))
    }

    /// Replaces one.
    pub fn replace(&self, id: &str, route: &impl Serialize) -> Call<Route> {
        self.client.call(Outgoing::new(Method::PUT, path(id), Patience::Management).json(route))
    }

    /// Removes one.
    pub fn delete(&self, id: &str) -> Call<Value> {
        self.client.call(Outgoing::new(Method::DELETE, path(id), Patience::Management))
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/routes/{}", escape(id))
}

/// A route. Begin a new one with [`Route::new`] and set what it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Unique in the gateway; empty, the gateway makes one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The cluster of the service.
    #[serde(default)]
    pub cluster: String,
    /// The service that answers.
    pub service: String,
    /// The host it answers for; left out, every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `/exact`, `/with/:name`, or `/prefix/*`, which also matches `/prefix`.
    pub path: String,
    /// Methods; empty, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Headers that must be there with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it takes part.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// All else: `timeout`, `retry`, `strip_prefix`, `rewrite`, `strategy` and what later versions add.
    /// `owner`, which the gateway adds, is taken out: it is not to be sent back.
    #[serde(flatten, deserialize_with = "without_owner")]
    pub other: Map<String, Value>,
}

impl Route {
    /// A route for every host and method.
    #[must_use]
    pub fn new(cluster: &str, service: &str, path: &str) -> Route {
        Route {
            id: String::new(),
            cluster: cluster.to_owned(),
            service: service.to_owned(),
            host: None,
            path: path.to_owned(),
            methods: Vec::new(),
            headers: BTreeMap::new(),
            enabled: true,
            other: Map::new(),
        }
    }
}

fn yes() -> bool {
    true
}

fn without_owner<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Map<String, Value>, D::Error> {
    let mut other = Map::deserialize(d)?;
    other.shift_remove("owner");
    Ok(other)
}
