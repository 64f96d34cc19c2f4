//! A dump of what a service holds, as it is shown: the file itself is not in here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A dump that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Its id, of its service alone: that of the operation that wrote it, or what whoever uploaded it chose.
    pub id: String,
    /// The cluster of the service.
    pub cluster: String,
    /// The service whose data it has.
    pub service: String,
    /// The kind of that service.
    pub kind: String,
    /// The ending of its file: `dump` is for pg_restore, `rdb` for redis-server, `tar` for whoever unpacks archives.
    pub format: String,
    /// How it came to be.
    pub origin: BackupOrigin,
    /// How large it is.
    pub bytes: u64,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// When it was whole; RFC 3339, UTC.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
}

/// How a dump came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupOrigin {
    /// Somebody asked for it.
    Backup,
    /// It is what was there before a restore.
    Restore,
    /// Somebody brought it.
    Upload,
}
