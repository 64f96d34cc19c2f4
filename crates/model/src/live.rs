//! The live stream: the state of some topics, then what changes in them. Shapes are a contract; fields may be added,
//! none taken away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::Event;
use crate::view::{ActivityRecord, ClusterMetrics, ClusterSummary, ServiceFacts};

/// What can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Clusters with the status of their services, as in a list; by id.
    Clusters,
    /// The facts of services; by `cluster/service`.
    Services,
    /// Routes; by id.
    Routes,
    /// Changes of state and configuration, as they happen.
    Events,
    /// Operations on services, as they end.
    Activity,
    /// Counts and times of clusters, each second; by id.
    Metrics,
}

impl Topic {
    /// All of them, in the order of the snapshot.
    pub const ALL: [Topic; 6] =
        [Topic::Clusters, Topic::Services, Topic::Routes, Topic::Events, Topic::Activity, Topic::Metrics];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Topic::Clusters => "clusters",
            Topic::Services => "services",
            Topic::Routes => "routes",
            Topic::Events => "events",
            Topic::Activity => "activity",
            Topic::Metrics => "metrics",
        }
    }

    /// The topic of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// What a delta does to its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// The thing of this key is now so.
    Put,
    /// The thing of this key is gone.
    Remove,
    /// One more thing happened.
    Append,
}

/// The data of an event `snapshot`: everything that was asked for, as it is. Topics that were not asked for are
/// left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct LiveSnapshot {
    /// This run of the gateway: numbers of another run say nothing here.
    pub epoch: String,
    /// Deltas up to this number are in it already.
    pub seq: u64,
    /// By id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<BTreeMap<String, ClusterSummary>>,
    /// By `cluster/service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<BTreeMap<String, ServiceFacts>>,
    /// By id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub routes: Option<BTreeMap<String, Value>>,
    /// The latest hundred, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// The latest hundred, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<Vec<ActivityRecord>>,
    /// By id of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, ClusterMetrics>>,
}

/// The data of an event `delta`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LiveDelta {
    /// Rises with each delta of the gateway; those that were not asked for leave gaps.
    pub seq: u64,
    /// What it is about.
    pub topic: Topic,
    /// What it does.
    pub op: Op,
    /// What it does it to, where things of the topic have a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What there is now, or what happened, in the shape that the snapshot has it in; absent when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// Operations before this one that are not on the stream, since there were more than it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}
