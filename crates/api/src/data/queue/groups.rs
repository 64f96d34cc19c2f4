//! Groups that read topics: where they stand, and putting them elsewhere.

use adapters::queue::{Group, Progress};
use bytes::Bytes;
use http::{Response, StatusCode};
use model::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{Faults, NAME_RULE, ResetBody, is_group, is_topic};
use super::operations::{Ask, DeleteGroup, Groups, ResetGroup};
use super::page;
use super::topics::named;
use crate::body::read;
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::json;

type Whole = Result<Response<Bytes>, Failure>;

#[derive(Serialize, ToSchema)]
#[schema(as = QueueGroup)]
pub(crate) struct GroupView<'g> {
    /// Its topic.
    topic: &'g str,
    /// Its name.
    group: &'g str,
    /// Consumers that read for it now.
    consumers: &'g [Box<str>],
    /// Messages that are not settled, delivered or not; null while a partition has nobody who could be asked.
    lag: Option<u64>,
    /// Where it stands in each partition.
    partitions: Vec<ProgressView>,
    /// Only where it was put elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// Where a group stands in a partition.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueProgress)]
pub(crate) struct ProgressView {
    /// Its number.
    partition: usize,
    /// Everything before this offset is settled; null, as all the others, while nobody who knows can be asked.
    settled: Option<u64>,
    /// The offset that the next message gets.
    next: Option<u64>,
    /// Messages that are not settled, delivered or not.
    lag: Option<u64>,
    /// Of these, those that are delivered.
    delivered: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueueGroups)]
pub(crate) struct GroupList<'g> {
    /// The groups, by topic and name.
    groups: Vec<GroupView<'g>>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueueGroupDeleted)]
pub(crate) struct GroupDeleted<'g> {
    topic: &'g str,
    group: &'g str,
    deleted: bool,
    status: &'static str,
}

/// Lists groups
#[utoipa::path(get, path = "/api/v1/clusters/{id}/queue/groups", operation_id = "queueListGroups", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("topic" = Option<String>, Query, description = "Only of this topic."),
        ("limit" = Option<u32>, Query, description = "Groups in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "A page of groups.", body = GroupList)))]
pub(crate) async fn groups(target: &Target<'_>, mut query: Query<'_>) -> Whole {
    let topic = query.text("topic");
    if topic.as_deref().is_some_and(|topic| !is_topic(topic)) {
        query.fault("topic", NAME_RULE);
    }
    let cursor = query.text("cursor");
    // A slash is in no name.
    let cursor = cursor.as_deref().map(|cursor| cursor.split_once('/'));
    if cursor == Some(None) {
        query.fault("cursor", "is not one that a page of groups gave");
    }
    let limit = query.limit();
    query.done()?;
    let all = target.ask(&Ask(Groups(topic.as_deref()))).await?;
    let behind = |group: &Group| cursor.flatten().is_none_or(|cursor| (&*group.topic, &*group.name) > cursor);
    let (groups, next_cursor) = page(all, limit, behind, |group| format!("{}/{}", group.topic, group.name));
    let groups: Vec<_> = groups.iter().map(|group| view(group, None)).collect();
    Ok(json(StatusCode::OK, &GroupList { count: groups.len(), groups, next_cursor }))
}

/// Puts a group elsewhere
///
/// While nobody reads for it. What it remembered of single messages is forgotten.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/queue/groups/{group}/reset", operation_id = "queueResetGroup",
    tag = "queue",
    params(("id" = String, Path, description = "The cluster."), ("group" = String, Path, description = "The group."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/QueueGroupReset")),
    responses((status = 200, description = "Where it stands now.", body = GroupView),
        (status = 404, description = "`not_found`: there is no such topic or group.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 409, description = "`conflict`: consumers read for it.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn reset_group(target: &Target<'_>, query: Query<'_>, body: &[u8], group: &str) -> Whole {
    query.done()?;
    named("group", group, is_group)?;
    let body: ResetBody<'_> = read(body)?;
    let mut faults = Faults::default();
    faults.topic(&body.topic);
    let to = faults.none_or(body.position())?;
    let group = target.ask(&Ask(ResetGroup { topic: &body.topic, group, to })).await?;
    Ok(json(StatusCode::OK, &view(&group, Some("success"))))
}

/// Deletes a group
///
/// While nobody reads for it. One that joins under its name later begins anew.
#[utoipa::path(delete, path = "/api/v1/clusters/{id}/queue/groups/{group}", operation_id = "queueDeleteGroup",
    tag = "queue",
    params(("id" = String, Path, description = "The cluster."), ("group" = String, Path, description = "The group."),
        ("topic" = String, Query, description = "Its topic."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "It is gone.", body = GroupDeleted),
        (status = 404, description = "`not_found`: there is no such topic or group.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 409, description = "`conflict`: consumers read for it.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn delete_group(target: &Target<'_>, mut query: Query<'_>, group: &str) -> Whole {
    let topic = required(&mut query, "topic", is_topic);
    query.done()?;
    named("group", group, is_group)?;
    target.ask(&Ask(DeleteGroup { topic: &topic, group })).await?;
    Ok(json(StatusCode::OK, &GroupDeleted { topic: &topic, group, deleted: true, status: "success" }))
}

/// A name that the query must have; a fault is noted where it has none.
pub(super) fn required(query: &mut Query<'_>, name: &'static str, fits: fn(&str) -> bool) -> String {
    match query.text(name) {
        Some(text) if fits(&text) => text,
        Some(_) => {
            query.fault(name, NAME_RULE);
            String::new()
        }
        None => {
            query.fault(name, "is required");
            String::new()
        }
    }
}

fn view<'g>(group: &'g Group, status: Option<&'static str>) -> GroupView<'g> {
    let progress = |(partition, own): (usize, &Option<Progress>)| ProgressView {
        partition,
        settled: own.map(|own| own.settled),
        next: own.map(|own| own.next),
        lag: own.map(|own| own.lag),
        delivered: own.map(|own| own.delivered),
    };
    GroupView {
        topic: &group.topic,
        group: &group.name,
        consumers: &group.consumers,
        lag: group.partitions.iter().map(|own| Some(own.as_ref()?.lag)).sum(),
        partitions: group.partitions.iter().enumerate().map(progress).collect(),
        status,
    }
}
