//! Groups are shown by what the broker says of them and what this process knows beside, moved, and taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Code, Failure};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::GroupInfo;
use tokio::time::Instant;

use super::adapter::Hub;
use super::desk::{PATIENCE, changing};
use super::group::{Ending, name_of};
use super::making::CLIENT;
use super::places::{self, Places};
use super::{failure, limits, protocol, topics};
use crate::queue::{Extent, Group, Position, Progress, Topic};

/// Between two looks at whether the clients of a group have gone.
const LOOK: Duration = Duration::from_millis(20);

/// Groups whose places are asked for at a time: each takes a client.
const AT_ONCE: usize = 4;

/// The group and its members of which the broker tells.
#[derive(Debug, Clone, Default)]
struct Told {
    /// By what it is called, and which topics it reads.
    members: Vec<(String, BTreeSet<String>)>,
}

/// The groups of a topic, or of all.
pub(super) async fn all(hub: &Arc<Hub>, topic: Option<&str>) -> Result<Vec<Group>, Failure> {
    let topics = match topic {
        Some(name) => vec![topics::one(&hub.desk, name).await?],
        None => topics::all(&hub.desk).await?,
    };
    let mut told = told(hub, None).await?;
    for own in hub.table.all() {
        // One that is about to join is not told of yet.
        if own.lock().reading().next().is_some() {
            told.entry(own.name.to_string()).or_default();
        }
    }
    let mut groups = of(hub, topics, told).await?;
    groups.sort_by(|a, b| (&a.topic, &a.name).cmp(&(&b.topic, &b.name)));
    Ok(groups)
}

/// What these groups have to do with these topics.
async fn of(hub: &Arc<Hub>, topics: Vec<Topic>, told: BTreeMap<String, Told>) -> Result<Vec<Group>, Failure> {
    let topics = Arc::new(topics);
    let mut groups = Vec::new();
    let names: Vec<String> = told.keys().cloned().collect();
    for some in names.chunks(AT_ONCE) {
        let mut asked = tokio::task::JoinSet::new();
        for name in some {
            let (hub, topics, name) = (Arc::clone(hub), Arc::clone(&topics), name.clone());
            asked.spawn(async move { (name.clone(), places::of(&hub.desk, &name, &topics).await) });
        }
        for (name, places) in asked.join_all().await {
            let places = match places {
                // It went while it was looked at, or may not be looked at.
                Err(failure) if matches!(failure.code(), Code::NotFound | Code::PermissionDenied) => continue,
                places => places?,
            };
            let told = &told[&name];
            groups.extend(topics.iter().filter_map(|topic| shown(hub, topic, &name, told, &places)));
        }
    }
    Ok(groups)
}

/// Whether there is such a group of a topic.
pub(super) async fn is_there(
    hub: &Arc<Hub>,
    topic: &str,
    group: &str,
    partitions: u32,
) -> Result<bool, Failure> {
    let told = told(hub, Some(group)).await?;
    if told.values().flat_map(|own| &own.members).any(|(_, topics)| topics.contains(topic)) {
        return Ok(true);
    }
    Ok(!places::of(&hub.desk, group, &[places::bare(topic, partitions as usize)]).await?.is_empty())
}

/// What the broker tells of groups that consumers form.
async fn told(hub: &Arc<Hub>, name: Option<&str>) -> Result<BTreeMap<String, Told>, Failure> {
    let name = name.map(str::to_owned);
    let read = move |clerk: &super::desk::Clerk| -> KafkaResult<BTreeMap<String, Told>> {
        let list = clerk.groups(name.as_deref())?;
        let own = list.groups().iter().filter(|group| matches!(group.protocol_type(), "consumer" | ""));
        Ok(own.map(|group| (group.name().to_owned(), members(group))).collect())
    };
    hub.desk.ask("show groups", read).await
}

fn members(group: &GroupInfo) -> Told {
    let topics = |member: &rdkafka::groups::GroupMemberInfo| {
        let subscribed = member.metadata().and_then(protocol::subscribed).unwrap_or_default();
        let assigned = member.assignment().and_then(protocol::assigned).unwrap_or_default();
        subscribed.into_iter().chain(assigned.into_iter().map(|(topic, _)| topic)).collect()
    };
    let name = |member: &rdkafka::groups::GroupMemberInfo| match member.client_id().strip_prefix(CLIENT) {
        Some(own) => own.to_owned(),
        None => member.id().to_owned(),
    };
    Told { members: group.members().iter().map(|member| (name(member), topics(member))).collect() }
}

/// A group of a topic; `None` where it has nothing to do with it.
fn shown(hub: &Hub, topic: &Topic, name: &str, told: &Told, places: &Places) -> Option<Group> {
    let live = hub.table.find(&topic.name, name);
    let own = told.members.iter().filter(|(_, topics)| topics.contains(&*topic.name));
    let mut consumers: BTreeSet<Box<str>> = own.map(|(name, _)| name.as_str().into()).collect();
    let place = |at: usize| places.get(&(topic.name.to_string(), u32::try_from(at).ok()?)).copied();
    let extents = topic.partitions.iter().enumerate();
    let mut partitions: Vec<Option<Progress>> =
        extents.map(|(at, extent)| extent.map(|extent| progress(place(at), extent))).collect();
    if let Some(live) = live {
        let mut state = live.lock();
        let reading: BTreeSet<u64> = state.reading().map(|own| own.consumer).collect();
        for member in &mut state.members {
            let name: Box<str> = name_of(member.consumer).into();
            // One whose stream is gone reads no more.
            if reading.contains(&member.consumer) {
                consumers.insert(name)
            } else {
                consumers.remove(&name)
            };
        }
        for (partition, part) in state.parts.iter().filter(|(_, part)| part.owner.is_some()) {
            let Some(Some(own)) = partitions.get_mut(*partition as usize) else { continue };
            let (Some(settled), Some(next)) = (part.ledger.settled(), part.ledger.next()) else { continue };
            own.settled = settled.max(own.settled).min(own.next);
            own.delivered = part.ledger.delivered();
            own.lag = part.ledger.owed() + own.next.saturating_sub(next);
        }
    }
    let has_been = places.keys().any(|(own, _)| **own == *topic.name);
    (has_been || !consumers.is_empty()).then(|| Group {
        topic: topic.name.clone(),
        name: name.into(),
        consumers: consumers.into_iter().collect(),
        partitions,
    })
}

/// A place that the broker knows, or none yet.
fn progress(place: Option<u64>, extent: Extent) -> Progress {
    // What is kept no longer need not be read, and nobody has read what is not there.
    let settled = place.unwrap_or(extent.earliest).clamp(extent.earliest.min(extent.next), extent.next);
    Progress { settled, next: extent.next, lag: extent.next - settled, delivered: 0 }
}

/// Puts a group to a place, while nobody reads for it.
pub(super) async fn reset(hub: &Arc<Hub>, topic: &str, group: &str, to: Position) -> Result<Group, Failure> {
    let whole = idle(hub, topic, group).await?;
    let mut wanted = Places::new();
    for (partition, extent) in (0..).zip(&whole.partitions) {
        let extent = extent.ok_or_else(|| failure::no_leader(topic))?;
        let place = match to {
            Position::Earliest => extent.earliest,
            Position::Latest => extent.next,
            Position::Offset(offset) => offset.clamp(extent.earliest.min(extent.next), extent.next),
        };
        wanted.insert((topic.to_owned(), partition), place);
    }
    places::put(&hub.desk, group, wanted, "reset the group").await?;
    hub.table.forget(topic, group, Ending::GroupChanged);
    let told = BTreeMap::from([(group.to_owned(), Told::default())]);
    of(hub, vec![whole], told).await?.pop().ok_or_else(|| failure::no_group(topic, group))
}

/// Takes a group out of a topic, while nobody reads for it.
pub(super) async fn delete(hub: &Arc<Hub>, topic: &str, group: &str) -> Result<(), Failure> {
    const WHAT: &str = "delete the group";
    idle(hub, topic, group).await?;
    // To Kafka a group is one for all its topics, and goes as a whole: its places in the others are put back.
    let topics = places::all_topics(&hub.desk).await?;
    let mut kept = places::of(&hub.desk, group, &topics).await?;
    kept.retain(|(own, _), _| own != topic);
    let answers = hub.desk.change(WHAT, |admin| admin.delete_groups(&[group], &changing())).await?;
    match answers.into_iter().find_map(Result::err) {
        None | Some((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
        Some((_, code)) => return Err(failure::of_code(code, hub.desk.ear(), WHAT)),
    }
    hub.table.forget(topic, group, Ending::GroupChanged);
    if kept.is_empty() { Ok(()) } else { places::put(&hub.desk, group, kept, WHAT).await }
}

/// The topic of a group for which nobody reads. Who has left already, and could come back, goes for good.
async fn idle(hub: &Arc<Hub>, topic: &str, group: &str) -> Result<Topic, Failure> {
    limits::group(group)?;
    let whole = topics::one(&hub.desk, topic).await?;
    if let Some(live) = hub.table.find(topic, group) {
        let reading = live.lock().reading().count();
        if reading > 0 {
            return Err(busy(group, reading));
        }
        live.end(Ending::GroupChanged);
        let until = Instant::now() + PATIENCE;
        while !live.lock().is_empty() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }
    let told = told(hub, Some(group)).await?;
    let reading = told.values().map(|own| own.members.len()).sum();
    if reading > 0 {
        return Err(busy(group, reading));
    }
    if places::of(&hub.desk, group, std::slice::from_ref(&whole)).await?.is_empty() {
        return Err(failure::no_group(topic, group));
    }
    Ok(whole)
}

fn busy(group: &str, reading: usize) -> Failure {
    let detail = format!("{reading} of the group `{group}` are reading.");
    Failure::client(Code::Conflict, detail).with_hint("Stop its consumers first.")
}
