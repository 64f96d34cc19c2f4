//! Topics as resources.

use adapters::queue::{Extent, Topic};
use bytes::Bytes;
use http::{Response, StatusCode};
use model::{Code, Failure};
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{NAME_RULE, TopicBody, is_topic};
use super::operations::{Ask, CreateTopic, DeleteTopic, OneTopic, Topics};
use super::page;
use crate::body::read;
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::json;

type Whole = Result<Response<Bytes>, Failure>;

#[derive(Serialize, ToSchema)]
#[schema(as = QueueTopic)]
pub(crate) struct TopicView<'t> {
    /// Its name.
    topic: &'t str,
    /// The same.
    name: &'t str,
    /// Its partitions.
    num_partitions: usize,
    /// Copies that are kept.
    replication_factor: u16,
    /// How long messages stay, in milliseconds; null is for ever.
    retention_ms: Option<u64>,
    /// How many bytes of messages stay; null is any number.
    retention_bytes: Option<u64>,
    /// Messages that it holds; null while a partition has nobody who could be asked.
    messages: Option<u64>,
    /// Bytes of messages that it holds; null where the engine does not know.
    bytes: Option<u64>,
}

/// What a partition holds.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueExtent)]
pub(crate) struct ExtentView {
    /// Its number.
    partition: usize,
    /// The offset of the oldest message that is kept; null while nobody who knows can be asked.
    earliest: Option<u64>,
    /// The offset that the next message gets; null as `earliest`.
    next: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueueTopicDetails)]
pub(crate) struct Details<'t> {
    #[serde(flatten)]
    topic: TopicView<'t>,
    /// Where each partition begins and ends.
    partitions: Vec<ExtentView>,
    /// What earlier clients look for when they make a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueueTopics)]
pub(crate) struct TopicList<'t> {
    /// The topics, by name.
    topics: Vec<TopicView<'t>>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueueTopicDeleted)]
pub(crate) struct TopicDeleted<'t> {
    topic: &'t str,
    deleted: bool,
    /// What earlier clients look for.
    status: &'static str,
}

/// Lists topics
#[utoipa::path(get, path = "/api/v1/clusters/{id}/queue/topics", operation_id = "queueListTopics", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("limit" = Option<u32>, Query, description = "Topics in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "A page of topics.", body = TopicList)))]
pub(crate) async fn topics(target: &Target<'_>, mut query: Query<'_>) -> Whole {
    let cursor = query.text("cursor");
    let limit = query.limit();
    query.done()?;
    let all = target.ask(&Ask(Topics)).await?;
    let behind = |topic: &Topic| cursor.as_deref().is_none_or(|cursor| &*topic.name > cursor);
    let (topics, next_cursor) = page(all, limit, behind, |topic| topic.name.to_string());
    let topics: Vec<_> = topics.iter().map(view).collect();
    Ok(json(StatusCode::OK, &TopicList { count: topics.len(), topics, next_cursor }))
}

/// Makes a topic
#[utoipa::path(post, path = "/api/v1/clusters/{id}/queue/topics", operation_id = "queueCreateTopic", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/QueueTopicCreate")),
    responses((status = 201, description = "It is made.", body = Details),
        (status = 409, description = "`already_exists`: there is one of that name.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn create_topic(target: &Target<'_>, query: Query<'_>, body: &[u8]) -> Whole {
    query.done()?;
    let spec = read::<TopicBody<'_>>(body)?.spec()?;
    let topic = target.ask(&Ask(CreateTopic(spec))).await?;
    Ok(json(StatusCode::CREATED, &details(&topic, Some("success"))))
}

/// Shows a topic
#[utoipa::path(get, path = "/api/v1/clusters/{id}/queue/topics/{topic}", operation_id = "queueShowTopic",
    tag = "queue",
    params(("id" = String, Path, description = "The cluster."), ("topic" = String, Path, description = "The topic."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "The topic with its partitions.", body = Details),
        (status = 404, description = "`not_found`: there is no such topic.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn topic(target: &Target<'_>, query: Query<'_>, topic: &str) -> Whole {
    query.done()?;
    named("topic", topic, is_topic)?;
    let topic = target.ask(&Ask(OneTopic(topic))).await?;
    Ok(json(StatusCode::OK, &details(&topic, None)))
}

/// Deletes a topic
///
/// With its messages, and with what its groups remember. Consumers of it end.
#[utoipa::path(delete, path = "/api/v1/clusters/{id}/queue/topics/{topic}", operation_id = "queueDeleteTopic",
    tag = "queue",
    params(("id" = String, Path, description = "The cluster."), ("topic" = String, Path, description = "The topic."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "It is gone.", body = TopicDeleted),
        (status = 404, description = "`not_found`: there is no such topic.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn delete_topic(target: &Target<'_>, query: Query<'_>, topic: &str) -> Whole {
    query.done()?;
    named("topic", topic, is_topic)?;
    target.ask(&Ask(DeleteTopic(topic))).await?;
    Ok(json(StatusCode::OK, &TopicDeleted { topic, deleted: true, status: "success" }))
}

/// A name in a path: what cannot be one names nothing.
pub(super) fn named(what: &str, name: &str, fits: fn(&str) -> bool) -> Result<(), Failure> {
    if fits(name) {
        return Ok(());
    }
    Err(Failure::client(Code::InvalidRequest, format!("The name of the {what} in the path {NAME_RULE}.")))
}

fn details<'t>(topic: &'t Topic, status: Option<&'static str>) -> Details<'t> {
    let extent = |(partition, own): (usize, &Option<Extent>)| ExtentView {
        partition,
        earliest: own.map(|own| own.earliest),
        next: own.map(|own| own.next),
    };
    Details {
        topic: view(topic),
        partitions: topic.partitions.iter().enumerate().map(extent).collect(),
        status,
    }
}

fn view(topic: &Topic) -> TopicView<'_> {
    TopicView {
        topic: &topic.name,
        name: &topic.name,
        num_partitions: topic.partitions.len(),
        replication_factor: topic.replication_factor,
        retention_ms: topic.retention.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        retention_bytes: topic.retention_bytes,
        messages: topic.partitions.iter().map(|own| Some(own.as_ref()?.messages())).sum(),
        bytes: topic.bytes,
    }
}
