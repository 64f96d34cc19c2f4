//! What is run or kept that no cluster of this gateway asks for, as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanList {
    /// By who runs it, then by cluster and service.
    pub orphans: Vec<Orphan>,
    /// How many.
    pub count: usize,
    /// `cursor` of the next page; null at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Who could not be asked: what is there is not in the list.
    pub unseen: Vec<Unseen>,
}

/// A service, or what is left of one, that no cluster of this gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// Who runs it, or has its data: `docker`, `process`.
    pub provisioner: String,
    /// The cluster that it was made for.
    pub cluster: String,
    /// Its name there.
    pub service: String,
    /// Its kind, where that is known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `data kept` where nothing but its data is left; else `running`, `restarting`, `ended`, `stopped` or `absent`.
    pub state: String,
    /// Whether there are data of it.
    pub has_data: bool,
    /// The gateway that made it.
    pub gateway: String,
    /// Whether that is this one. Another one may use it.
    pub own: bool,
    /// The port of this machine at which it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Orphan {
    /// What it is called among all of them: who runs it, its cluster and its name there.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.provisioner, self.cluster, self.service)
    }
}

/// One who could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unseen {
    /// Who.
    pub provisioner: String,
    /// Why not.
    pub detail: String,
}
