//! What is run or kept that no cluster asks for: listed, and taken away.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::address::{escape, with_query};
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::clusters::Data;

const ORPHANS: &str = "/api/v1/orphans";

impl Client {
    /// What is run or kept that no cluster asks for.
    #[must_use]
    pub fn orphans(&self) -> Orphans {
        Orphans { client: self.clone(), force: false }
    }
}

/// What is run or kept that no cluster of a gateway asks for.
#[derive(Debug, Clone)]
pub struct Orphans {
    client: Client,
    force: bool,
}

impl Orphans {
    /// The first 1,000, also of what other gateways have made; and who could not be asked.
    pub fn list(&self) -> Call<OrphanList> {
        self.page(None)
    }

    /// The next 1,000 behind [`OrphanList::next_cursor`].
    pub fn list_after(&self, cursor: &str) -> Call<OrphanList> {
        self.page(Some(cursor))
    }

    fn page(&self, cursor: Option<&str>) -> Call<OrphanList> {
        let path = with_query(ORPHANS, &[("limit", Some("1000")), ("cursor", cursor)]);
        self.client.call(Outgoing::get(path, Patience::Management))
    }

    /// Also takes away what another gateway has made, which may use it.
    #[must_use]
    pub fn forced(mut self) -> Orphans {
        self.force = true;
        self
    }

    /// Takes one away, and its data unless they are to be kept.
    pub fn delete(&self, provisioner: &str, cluster: &str, service: &str, data: Data) -> Call<Value> {
        let path = format!("{ORPHANS}/{}/{}/{}", escape(provisioner), escape(cluster), escape(service));
        let keep = (data == Data::Keep).then_some("true");
        let path = with_query(&path, &[("keep_data", keep), ("force", self.force.then_some("true"))]);
        self.client.call(Outgoing::new(Method::DELETE, path, Patience::Provisioning))
    }
}

/// What no cluster asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OrphanList {
    /// By who runs it, then by cluster and service.
    pub orphans: Vec<Orphan>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
    /// Who could not be asked: what is there is not in the list.
    pub unseen: Vec<Unseen>,
}

/// A service, or what is left of one, that no cluster asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Orphan {
    /// Who runs it, or has its data.
    pub provisioner: String,
    /// The cluster that it was made for.
    pub cluster: String,
    /// Its name there.
    pub service: String,
    /// Its kind, where that is known.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// `data kept` where nothing but its data is left; else how it runs, or does not.
    pub state: String,
    /// Whether there are data of it.
    #[serde(default)]
    pub has_data: bool,
    /// The gateway that made it.
    #[serde(default)]
    pub gateway: String,
    /// Whether that is the gateway that was asked.
    #[serde(default)]
    pub own: bool,
    /// The port of the gateway's machine at which it is published.
    #[serde(default)]
    pub port: Option<u16>,
}

/// One who could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Unseen {
    /// Who.
    pub provisioner: String,
    /// Why not.
    #[serde(default)]
    pub detail: String,
}
