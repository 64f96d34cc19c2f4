//! What is run or kept that no cluster asks for: listed, and taken away.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use clusters::{By, Data, OrphanPlace};
use model::view::{Orphan, OrphanList};

use super::clusters::Gone;
use super::{carried_through, cut, json as answer};
use crate::door::{Answer, Door};
use crate::query::Query;

/// Lists what no cluster asks for
///
/// Services that were run for clusters which are gone, and data that were kept (`data kept`). What other gateways have made on the
/// same engine is listed too: whether they use it is not known here.
#[utoipa::path(get, path = "/api/v1/orphans", operation_id = "listOrphans", tag = "orphans",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page of it.", body = OrphanList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let (cursor, limit) = (query.text("cursor"), query.limit());
    query.done()?;
    let mut list = door.clusters().orphans().await?;
    // As they are sorted.
    if let Some(cursor) = cursor {
        list.orphans.retain(|one| one.name() > cursor);
    }
    (list.orphans, list.next_cursor) = cut(list.orphans, Orphan::name, limit);
    list.count = list.orphans.len();
    Ok(answer(StatusCode::OK, &list))
}

/// Takes away what no cluster asks for
///
/// 409 `conflict` for what a cluster asks for, and for what another gateway has made unless it is forced.
#[utoipa::path(delete, path = "/api/v1/orphans/{provisioner}/{cluster}/{service}", operation_id = "deleteOrphan",
    tag = "orphans",
    params(("provisioner" = String, Path, description = "Who runs it, or has its data."),
        ("cluster" = String, Path, description = "The cluster that it was made for."),
        ("service" = String, Path, description = "Its name there."),
        ("keep_data" = Option<bool>, Query, description = "`true` keeps its data, for a service of the same name; else \
            they go too."),
        ("force" = Option<bool>, Query, description = "`true` also takes away what another gateway has made, which may \
            use it.")),
    responses((status = 200, description = "It is gone.", body = Gone)))]
pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((provisioner, cluster, service)): Path<(String, String, String)>,
    uri: Uri,
) -> Answer {
    let mut query = Query::of(&uri);
    let keep: Option<bool> = query.parse("keep_data", "`true` or `false`");
    let force: Option<bool> = query.parse("force", "`true` or `false`");
    query.done()?;
    let data = if keep == Some(true) { Data::Keep } else { Data::Remove };
    let clusters = door.clusters().clone();
    let place = OrphanPlace { provisioner, cluster, service };
    let id = place.to_string();
    carried_through(async move { clusters.remove_orphan(&place, data, force == Some(true), by).await })
        .await?;
    let message = match data {
        Data::Keep => "It was taken away; its data are kept.",
        Data::Remove => "It was taken away with its data.",
    };
    Ok(answer(StatusCode::OK, &Gone { id, deleted: true, message: message.to_owned() }))
}
