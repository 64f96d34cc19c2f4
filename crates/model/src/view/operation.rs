//! Long changes as they are shown: their steps, how far each has come, and how it all ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Ref;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum OperationKind {
    /// A cluster is created.
    #[serde(rename = "cluster.create")]
    ClusterCreate,
    /// A cluster is made as another document asks for it.
    #[serde(rename = "cluster.replace")]
    ClusterReplace,
    /// A cluster is deleted.
    #[serde(rename = "cluster.delete")]
    ClusterDelete,
    /// A service is ended and started again.
    #[serde(rename = "service.restart")]
    ServiceRestart,
    /// A service is ended until it is started again.
    #[serde(rename = "service.stop")]
    ServiceStop,
    /// A service that was ended is started.
    #[serde(rename = "service.start")]
    ServiceStart,
    /// What a service holds is written into a file.
    #[serde(rename = "service.backup")]
    ServiceBackup,
    /// What a service holds is replaced by what a file has.
    #[serde(rename = "service.restore")]
    ServiceRestore,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationStatus {
    /// It is being carried out, or undone.
    Running,
    /// All of it is done.
    Succeeded,
    /// It is not done; what it had made is undone as far as that could be.
    Failed,
    /// The same, since somebody has asked for its end.
    Canceled,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Others come first.
    Waiting,
    /// It is being carried out.
    Running,
    /// It is done.
    Done,
    /// It is not done.
    Failed,
    /// It was done, and is undone.
    Undone,
    /// The operation has ended before it.
    Skipped,
}

/// A change that takes a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Unique; later ones sort later.
    pub id: String,
    /// What it does.
    pub kind: OperationKind,
    /// The cluster that it changes.
    pub cluster: String,
    /// The one service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where it stands.
    pub status: OperationStatus,
    /// Its end was asked for, and it has not ended yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceling: bool,
    /// RFC 3339, UTC.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When it had ended; RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
    /// From its beginning to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Who asked for it: `api`, `token:NAME`, `file`, `start`.
    pub actor: String,
    /// The request that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// In the order in which they were planned; steps of different services may run at once.
    pub steps: Vec<OperationStep>,
    /// Why it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = problem_document)]
    pub error: Option<Value>,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationStep {
    /// For people, and unique in its operation: `cache: pull redis:7-alpine`.
    pub name: String,
    /// The service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// One word: `pull`, `start`, `ready`, `save`, `stop`, `remove`, `undo`, …
    pub action: String,
    /// Where it stands.
    pub status: StepStatus,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
    /// From its beginning to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What is being done, what came of it, or why it failed, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Bytes that are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_bytes: Option<u64>,
    /// Bytes in all, as far as that is known by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// The last lines of what has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

fn problem_document() -> Ref {
    Ref::new("#/components/schemas/ProblemDocument")
}

impl OperationKind {
    /// Every one.
    pub const ALL: [OperationKind; 8] = [
        OperationKind::ClusterCreate,
        OperationKind::ClusterReplace,
        OperationKind::ClusterDelete,
        OperationKind::ServiceRestart,
        OperationKind::ServiceStop,
        OperationKind::ServiceStart,
        OperationKind::ServiceBackup,
        OperationKind::ServiceRestore,
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OperationKind::ClusterCreate => "cluster.create",
            OperationKind::ClusterReplace => "cluster.replace",
            OperationKind::ClusterDelete => "cluster.delete",
            OperationKind::ServiceRestart => "service.restart",
            OperationKind::ServiceStop => "service.stop",
            OperationKind::ServiceStart => "service.start",
            OperationKind::ServiceBackup => "service.backup",
            OperationKind::ServiceRestore => "service.restore",
        }
    }
}

impl OperationStatus {
    /// Every one.
    pub const ALL: [OperationStatus; 4] = [
        OperationStatus::Running,
        OperationStatus::Succeeded,
        OperationStatus::Failed,
        OperationStatus::Canceled,
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OperationStatus::Running => "running",
            OperationStatus::Succeeded => "succeeded",
            OperationStatus::Failed => "failed",
            OperationStatus::Canceled => "canceled",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn of(name: &str) -> Option<OperationStatus> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl Operation {
    /// Whether nothing of it changes any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status != OperationStatus::Running
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_the_same_everywhere() {
        for kind in OperationKind::ALL {
            assert_eq!(json!(kind), kind.name());
        }
        for status in OperationStatus::ALL {
            assert_eq!(json!(status), status.name());
            assert_eq!(OperationStatus::of(status.name()), Some(status));
        }
        assert_eq!(OperationStatus::of("done"), None);
    }

    #[test]
    fn what_an_earlier_version_has_kept_can_be_read() {
        let kept = json!({ "id": "1", "kind": "cluster.create", "cluster": "shop", "status": "running",
            "created_at": "2026-01-02T03:04:05Z", "actor": "api",
            "steps": [{ "name": "cache: start", "action": "start", "status": "waiting" }] });
        let operation: Operation = serde_json::from_value(kept.clone()).unwrap();
        assert!(!operation.has_ended() && !operation.canceling);
        assert_eq!(serde_json::to_value(&operation).unwrap(), kept, "what is not known is not said");
    }
}
