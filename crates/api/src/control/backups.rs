//! Dumps of what services hold: taken, listed, fetched, brought, put back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use bytes::Bytes;
use clusters::{By, Receiving, Source};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use model::field::{Field, Shape, field};
use model::view::{Backup, Operation};
use model::{Code, Failure};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};
use utoipa::ToSchema;

use super::clusters::Gone;
use super::operations::carry;
use super::services::{REASON, Reason};
use super::{cut, json as answer};
use crate::body::{Table, read, read_or_default};
use crate::door::{Answer, Door};
use crate::query::Query;
use crate::respond;

/// How much of a file is sent at once.
const PIECE: usize = 64 << 10;

/// `{backup, from?, reason?}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    backup: String,
    from: Option<String>,
    reason: Option<String>,
}

impl Table for Restore {
    const NAME: &'static str = "Restore";
    const FIELDS: &'static [Field] = &[
        field("backup", Shape::Text, "The id of the backup.").required(),
        field("from", Shape::Text, "`ID/NAME`: the service that it is of; left out, this one."),
        REASON,
    ];
}

/// The backups of a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackupList {
    /// The newest first.
    backups: Vec<Backup>,
    /// How many.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Lists the backups of a service
///
/// Also of one that is not there any more.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/backups", operation_id = "listBackups", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page of them, the newest first.", body = BackupList)))]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    let mut query = Query::of(&uri);
    let (cursor, limit) = (query.text("cursor"), query.limit());
    query.done()?;
    let mut backups = door.clusters().backups(&id, &name)?;
    // As they are sorted: by when they were whole, and by what they are called.
    let place = |backup: &Backup| format!("{:020}-{}", backup.created_at.as_nanosecond(), backup.id);
    if let Some(cursor) = cursor {
        backups.retain(|backup| place(backup) < cursor);
    }
    let (backups, next_cursor) = cut(backups, place, limit);
    Ok(answer(StatusCode::OK, &BackupList { count: backups.len(), backups, next_cursor }))
}

/// Backs up a service that the gateway runs
///
/// What it holds is written into a file beside the gateway; its id is that of the operation. One that can write a dump while
/// it serves does; another is stopped meanwhile. Waits for the end; `Prefer: respond-async` does not.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/backups", operation_id = "createBackup", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: its end is not waited for.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "It is written: the operation.", body = Operation),
        (status = 202, description = "The operation that does so; `Location` is its own.", body = Operation)))]
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((id, name)): Path<(String, String)>,
    head: Parts,
    bytes: Bytes,
) -> Answer {
    Query::of(&head.uri).done()?;
    let Reason { reason } = read_or_default(&bytes)?;
    let clusters = door.clusters().clone();
    carry(&head, Box::pin(async move { clusters.back_up(&id, &name, reason.as_deref(), by).await })).await
}

/// Restores a service from a backup
///
/// All that it holds is replaced by what the backup has, or nothing changes. One that has to stand still for that is stopped,
/// and what was there is kept as a backup of its own first. Waits for the end; `Prefer: respond-async` does not.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/restore", operation_id = "restoreBackup", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: its end is not waited for.")),
    request_body(content = ref("#/components/schemas/Restore")),
    responses((status = 200, description = "It is loaded: the operation.", body = Operation),
        (status = 202, description = "The operation that does so; `Location` is its own.", body = Operation)))]
pub(crate) async fn restore(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((id, name)): Path<(String, String)>,
    head: Parts,
    bytes: Bytes,
) -> Answer {
    Query::of(&head.uri).done()?;
    let Restore { backup, from, reason } = read(&bytes)?;
    let (cluster, service) = match &from {
        None => (id.as_str(), name.as_str()),
        Some(from) => from.split_once('/').ok_or_else(|| {
            let detail = format!("`from` names a service as `ID/NAME`, which `{from}` does not.");
            Failure::client(Code::InvalidRequest, detail)
        })?,
    };
    let source = Source { cluster: cluster.to_owned(), service: service.to_owned(), backup };
    let clusters = door.clusters().clone();
    let begin = async move { clusters.restore(&id, &name, &source, reason.as_deref(), by).await };
    carry(&head, Box::pin(begin)).await
}

/// Shows a backup
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/backups/{backup}", operation_id = "getBackup", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("backup" = String, Path, description = "The backup.")),
    responses((status = 200, description = "What it is.", body = Backup)))]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Path((id, name, backup)): Path<(String, String, String)>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    Ok(answer(StatusCode::OK, &door.clusters().backup(&id, &name, &backup)?))
}

/// Deletes a backup
#[utoipa::path(delete, path = "/api/v1/clusters/{id}/services/{name}/backups/{backup}", operation_id = "deleteBackup", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("backup" = String, Path, description = "The backup.")),
    responses((status = 200, description = "It is gone.", body = Gone)))]
pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    Path((id, name, backup)): Path<(String, String, String)>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    door.clusters().remove_backup(&id, &name, &backup)?;
    let message = format!("The backup `{backup}` of `{id}/{name}` is deleted.");
    Ok(answer(StatusCode::OK, &Gone { id: backup, deleted: true, message }))
}

/// Fetches the file of a backup
///
/// As it is, for the programs of its kind: a `dump` for pg_restore, an `rdb` for redis-server, a `tar` of a directory.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/backups/{backup}/file", operation_id = "downloadBackup",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("backup" = String, Path, description = "The backup.")),
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(crate) async fn download(
    State(door): State<Arc<Door>>,
    Path((id, name, backup)): Path<(String, String, String)>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    let backup = door.clusters().backup(&id, &name, &backup)?;
    let file = door.clusters().open_backup(&backup).await?;
    let kind = HeaderValue::from_static("application/octet-stream");
    let body = Sent { file, left: backup.bytes };
    let mut response = respond::with(StatusCode::OK, kind, Bytes::new()).map(|_| Body::new(body));
    let named = format!("attachment; filename=\"{id}-{name}-{}.{}\"", backup.id, backup.format);
    if let Ok(named) = HeaderValue::try_from(named) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, named);
    }
    Ok(response)
}

/// Brings the file of a backup
///
/// For a service that the gateway runs, in the format of its kind. It is restored by a restore alone.
#[utoipa::path(put, path = "/api/v1/clusters/{id}/services/{name}/backups/{backup}/file", operation_id = "uploadBackup",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("backup" = String, Path, description = "Its id: 1 to 64 of a to z, 0 to 9 and `-`.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, description = "It is kept.", body = Backup)))]
pub(crate) async fn upload(
    State(door): State<Arc<Door>>,
    Path((id, name, backup)): Path<(String, String, String)>,
    head: Parts,
    body: Body,
) -> Answer {
    Query::of(&head.uri).done()?;
    let receiving = door.clusters().receive_backup(&id, &name, &backup).await?;
    let kept = receive(receiving, body, door.options.limits.read_timeout).await?;
    Ok(answer(StatusCode::CREATED, &kept))
}

/// Whether a request brings a file, whose size is bounded by the disk alone and which is never held in memory.
pub(crate) fn is_upload(method: &Method, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    matches!(
        path.as_slice(),
        ["", "api", "v1", "clusters", _, "services", _, "backups", _, "file"] if method == Method::PUT
    )
}

async fn receive(mut receiving: Receiving, mut body: Body, patience: Duration) -> Result<Backup, Failure> {
    loop {
        let Ok(frame) = tokio::time::timeout(patience, body.frame()).await else {
            let detail = "The file did not go on arriving in time.";
            return Err(Failure::client(Code::RequestTimeout, detail));
        };
        let Some(frame) = frame else { return receiving.keep().await };
        let frame = frame.map_err(|error| {
            Failure::client(Code::InvalidRequest, "The file broke off.").with_cause(error)
        })?;
        if let Ok(piece) = frame.into_data() {
            receiving.take(&piece).await?;
        }
    }
}

/// A file on its way out.
struct Sent {
    file: File,
    left: u64,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE];
        let mut into = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut into))?;
        let read = into.filled().len();
        if read == 0 {
            // It must not look whole.
            return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
        }
        piece.truncate(read);
        self.left = self.left.saturating_sub(read as u64);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
