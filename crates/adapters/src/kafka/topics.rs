//! Topics are made, shown as they are, and deleted, by the broker's own administration.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use model::{Code, Failure};
use rdkafka::admin::{NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication, TopicResult};
use tokio::time::Instant;

use super::desk::{Desk, PATIENCE, changing, looking};
use super::extents::{self, Shape};
use super::{failure, limits};
use crate::queue::{Topic, TopicSpec};

/// Between two looks at whether a change can be seen.
const LOOK: Duration = Duration::from_millis(20);

/// How long a list waits for topics that are new.
const MOMENT: Duration = Duration::from_millis(300);

/// Topics whose settings are asked for in one question.
const AT_ONCE: usize = 500;

/// Makes a topic as asked; it can be read and published to when this returns.
pub(super) async fn create(desk: &Desk, spec: &TopicSpec) -> Result<Topic, Failure> {
    limits::spec(spec)?;
    new(desk, spec, i32::from(spec.replication_factor)).await?;
    one(desk, &spec.name).await
}

/// Makes a topic for a message that has none, with as many copies as the broker makes of its own. One that another
/// made meanwhile serves as well.
pub(super) async fn make(desk: &Desk, name: &str, partitions: u32) -> Result<(), Failure> {
    let spec = TopicSpec {
        name: name.into(),
        partitions,
        replication_factor: 1,
        retention: None,
        retention_bytes: None,
    };
    match new(desk, &spec, -1).await {
        Err(failure) if failure.code() != Code::AlreadyExists => Err(failure),
        _ => desk.partitions(name).await.map(drop),
    }
}

async fn new(desk: &Desk, spec: &TopicSpec, copies: i32) -> Result<(), Failure> {
    let retention = spec.retention.map(|retention| retention.as_millis().to_string());
    let bytes = spec.retention_bytes.map(|bytes| bytes.min(i64::MAX.unsigned_abs()).to_string());
    let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
    let mut topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(copies));
    if let Some(retention) = &retention {
        topic = topic.set("retention.ms", retention);
    }
    if let Some(bytes) = &bytes {
        topic = topic.set("retention.bytes", bytes);
    }
    let what = "create the topic";
    let answers = desk.change(what, |admin| admin.create_topics([&topic], &changing())).await?;
    changed(desk, answers, what)?;
    let until = Instant::now() + PATIENCE;
    // Each broker hears of it in its own time.
    while desk.partitions(&spec.name).await.ok() != Some(spec.partitions) && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Takes a topic out; nobody sees it any more when this returns.
pub(super) async fn delete(desk: &Desk, name: &str) -> Result<(), Failure> {
    limits::writable(name)?;
    desk.partitions(name).await?;
    desk.forget(name);
    let what = "delete the topic";
    let answers = desk.change(what, |admin| admin.delete_topics(&[name], &changing())).await?;
    changed(desk, answers, what)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        // What was there is no longer to be waited for.
        desk.forget(name);
        match desk.partitions(name).await {
            Err(failure) if failure.code() == Code::NotFound => return Ok(()),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    Err(Failure::service(Code::Timeout, format!("Kafka has not deleted the topic `{name}` in time.")))
}

fn changed(desk: &Desk, answers: Vec<TopicResult>, what: &str) -> Result<(), Failure> {
    let refused = answers.into_iter().find_map(Result::err);
    refused.map_or(Ok(()), |(_, code)| Err(failure::of_code(code, desk.ear(), what)))
}

/// A topic as it is.
pub(super) async fn one(desk: &Desk, name: &str) -> Result<Topic, Failure> {
    limits::topic(name)?;
    let found = grown(desk, Some(name)).await?;
    found.into_iter().next().ok_or_else(|| failure::no_topic(name))
}

/// All topics but Kafka's own, by name.
pub(super) async fn all(desk: &Desk) -> Result<Vec<Topic>, Failure> {
    grown(desk, None).await
}

/// Topics as they are, once what is new of them has its leaders. What has none stays unknown.
async fn grown(desk: &Desk, name: Option<&str>) -> Result<Vec<Topic>, Failure> {
    // One topic is worth waiting for; of all topics one without a leader may be there for days.
    let until = Instant::now() + if name.is_some() { PATIENCE } else { MOMENT };
    loop {
        if let Some(name) = name {
            desk.partitions(name).await?;
        }
        let found = extents::of(desk, name).await?;
        if found.are_young && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        } else {
            return described(desk, found.shapes).await;
        }
    }
}

async fn described(desk: &Desk, found: BTreeMap<String, Shape>) -> Result<Vec<Topic>, Failure> {
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let mut settings = HashMap::new();
    for some in names.chunks(AT_ONCE) {
        settings.extend(retention(desk, some).await?);
    }
    let topics = found.into_iter().map(|(name, Shape { partitions, replication_factor })| {
        let (retention, retention_bytes) = settings.get(&name).copied().unwrap_or_default();
        let name = name.into();
        Topic { name, partitions, replication_factor, retention, retention_bytes, bytes: None }
    });
    Ok(topics.collect())
}

type Retention = (Option<Duration>, Option<u64>);

/// How long, and how much of, each of these topics is kept. One that may not be asked for says nothing.
async fn retention(desk: &Desk, names: &[&str]) -> Result<Vec<(String, Retention)>, Failure> {
    let asked: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let look = || desk.change("show settings of topics", |admin| admin.describe_configs(&asked, &looking()));
    let answers = match look().await {
        // Whoever was asked may have gone meanwhile; another is there.
        Err(_) => look().await,
        answers => answers,
    }?;
    let read = |answer: rdkafka::admin::ConfigResourceResult| {
        let answer = answer.ok()?;
        let OwnedResourceSpecifier::Topic(name) = &answer.specifier else { return None };
        let number = |key| answer.get(key)?.value.as_deref()?.parse::<u64>().ok();
        // Without a limit it is -1, which is no such number.
        let retention = (number("retention.ms").map(Duration::from_millis), number("retention.bytes"));
        Some((name.clone(), retention))
    };
    Ok(answers.into_iter().filter_map(read).collect())
}
