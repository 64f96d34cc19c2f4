//! Backups of a service that the gateway runs: taken, listed, fetched, brought, put back, deleted.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::AsyncRead;

use crate::address::escape;
use crate::call::{Call, Outgoing, Patience, open, upload};
use crate::client::Client;
use crate::error::Error;
use crate::operations::Operation;
use crate::page::Paged;
use crate::stream::{Frames, SILENCE};

/// The backups of a service; from [`Services::backups`](crate::Services::backups).
#[derive(Debug, Clone)]
pub struct Backups {
    client: Client,
    /// `/api/v1/clusters/{id}/services/{name}`
    service: String,
    reason: Option<String>,
}

impl Backups {
    pub(crate) fn new(client: Client, service: String, reason: Option<String>) -> Backups {
        Backups { client, service, reason }
    }

    /// All of them, the newest first; also of a service that is not there any more.
    pub fn list(&self) -> Paged<Backup> {
        let path = format!("{}/backups", self.service);
        Paged::new(self.client.clone(), path, "backups", Patience::Management)
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Call<Backup> {
        self.client.call(Outgoing::get(self.path(id), Patience::Management))
    }

    /// Writes all that the service holds into a file beside the gateway, and waits until it is there; [`Call::started`] does
    /// not. The id of the operation is that of the backup.
    pub fn create(&self) -> Call<Operation> {
        let path = format!("{}/backups", self.service);
        let create = Outgoing::post(path, Patience::Provisioning);
        self.client.call(match &self.reason {
            Some(reason) => create.json(&json!({ "reason": reason })),
            None => create,
        })
    }

    /// Puts what a backup has in place of all that the service holds, or changes nothing. `from` names the service that the
    /// backup is of, as `ID/NAME`, where that is another one.
    pub fn restore(&self, id: &str, from: Option<&str>) -> Call<Operation> {
        let mut body = Map::from_iter([("backup".to_owned(), json!(id))]);
        for (key, value) in [("from", from), ("reason", self.reason.as_deref())] {
            body.extend(value.map(|value| (key.to_owned(), json!(value))));
        }
        let path = format!("{}/restore", self.service);
        self.client.call(Outgoing::post(path, Patience::Provisioning).json(&body))
    }

    /// The file of a backup, as it comes.
    ///
    /// # Errors
    /// The gateway cannot be reached, or has no such backup.
    pub async fn download(&self, id: &str) -> Result<Download, Error> {
        let mut request = Outgoing::get(format!("{}/file", self.path(id)), Patience::Management);
        request.accept = "application/octet-stream, application/problem+json";
        let (head, body) = Box::pin(open(&self.client, &request)).await?;
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let request_id = head.request_id().map(str::to_owned);
        Ok(Download { frames: Frames::new(body, SILENCE), length, request_id })
    }

    /// Brings the file of a backup, for a restore: `id` is 1 to 64 of a to z, 0 to 9 and `-`. It is sent once, and never tried
    /// again.
    ///
    /// # Errors
    /// The file cannot be read; the gateway cannot be reached, does not run the service, or has a backup of this id.
    pub async fn upload(&self, id: &str, file: impl AsyncRead + Send + 'static) -> Result<Backup, Error> {
        // Whoever must not, or asks for what is not there, hears of it before all of a file is on its way.
        self.list().next().await?;
        let request = Outgoing::new(Method::PUT, format!("{}/file", self.path(id)), Patience::Management);
        Box::pin(upload(&self.client, &request, Box::pin(file))).await?.json()
    }

    /// Deletes one.
    pub fn delete(&self, id: &str) -> Call<Value> {
        self.client.call(Outgoing::new(Method::DELETE, self.path(id), Patience::Management))
    }

    fn path(&self, id: &str) -> String {
        format!("{}/backups/{}", self.service, escape(id))
    }
}

/// What a service held, in a file beside the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Backup {
    /// Unique among those of its service.
    pub id: String,
    /// The cluster of the service.
    #[serde(default)]
    pub cluster: String,
    /// The service whose data it has.
    #[serde(default)]
    pub service: String,
    /// The kind of that service.
    #[serde(default)]
    pub kind: String,
    /// The ending of its file.
    #[serde(default)]
    pub format: String,
    /// `backup`, `restore` for what was there before one, or `upload`.
    #[serde(default)]
    pub origin: String,
    /// How large it is.
    #[serde(default)]
    pub bytes: u64,
    /// The SHA-256 of its file, in hexadecimal.
    #[serde(default)]
    pub sha256: String,
    /// When it was whole; RFC 3339, UTC.
    #[serde(default)]
    pub created_at: String,
}

/// A file on its way here; the connection closes when this is dropped.
pub struct Download {
    frames: Frames,
    length: Option<u64>,
    request_id: Option<String>,
}

impl Download {
    /// How many bytes all of it has, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// It was cut off: not all of it has come.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.frames.next().await.map_err(|error| error.with_request_id(self.request_id.as_deref()))
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("length", &self.length).finish_non_exhaustive()
    }
}
