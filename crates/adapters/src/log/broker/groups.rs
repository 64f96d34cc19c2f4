//! Groups are shown, moved and taken out.

use model::{Code, Failure};

use super::super::command::Ending;
use super::super::progress::Progress;
use super::super::{consumer, failure, limits, writes};
use super::Broker;
use super::members::rows;
use super::state::{Group, Topic};
use crate::queue::{self, Position};

impl Broker {
    pub(super) fn find_group(&self, topic: &str, group: &str) -> Result<(&Topic, &Group), Failure> {
        let own = self.find_topic(topic)?;
        limits::group(group)?;
        let found = own.groups.get(group).and_then(|id| self.groups.get(id));
        let missing = || {
            Failure::client(Code::NotFound, format!("There is no group `{group}` of the topic `{topic}`."))
        };
        Ok((own, found.ok_or_else(missing)?))
    }

    pub(super) fn shown_groups(&self, topic: Option<&str>) -> Result<Vec<queue::Group>, Failure> {
        let topics: Vec<&Topic> = match topic {
            Some(name) => vec![self.find_topic(name)?],
            None => self.names.values().filter_map(|id| self.topics.get(id)).collect(),
        };
        let groups = topics.into_iter().flat_map(|topic| {
            let groups = topic.groups.values().filter_map(|id| self.groups.get(id));
            groups.map(|group| shown(topic, group))
        });
        Ok(groups.collect())
    }

    pub(super) async fn reset_group(
        &mut self,
        topic: &str,
        group: &str,
        to: Position,
    ) -> Result<queue::Group, Failure> {
        let (own, found) = self.find_group(topic, group)?;
        idle(found)?;
        let id = found.id;
        let mut progress: Vec<Progress> = own
            .partitions
            .iter()
            .map(|partition| match to {
                Position::Earliest => Progress::at(partition.earliest),
                Position::Latest => Progress::at(partition.next),
                Position::Offset(offset) => Progress::at(offset.clamp(partition.earliest, partition.next)),
            })
            .collect();
        let rows = rows(&progress);
        self.disk
            .write(move |connection| writes::reset_group(connection, id, &rows))
            .await
            .map_err(|error| failure::of(&error))?;
        progress.iter_mut().for_each(Progress::wrote);
        if let Some(group) = self.groups.get_mut(&id) {
            group.progress = progress;
        }
        self.dismiss_all(id);
        let (own, found) = self.find_group(topic, group)?;
        Ok(shown(own, found))
    }

    pub(super) async fn delete_group(&mut self, topic: &str, group: &str) -> Result<(), Failure> {
        let (own, found) = self.find_group(topic, group)?;
        idle(found)?;
        let (topic, id) = (own.id, found.id);
        self.disk
            .write(move |connection| writes::delete_group(connection, id))
            .await
            .map_err(|error| failure::of(&error))?;
        self.dismiss_all(id);
        self.groups.remove(&id);
        if let Some(topic) = self.topics.get_mut(&topic) {
            topic.groups.remove(group);
        }
        Ok(())
    }

    /// Lets those go who have left already and could come back.
    fn dismiss_all(&mut self, group: u64) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        let gone = group.members.len();
        group.members.iter().for_each(|member| member.end(Ending::GroupChanged));
        group.members.clear();
        group.owners.fill(None);
        if let Some(topic) = self.topics.get_mut(&group.topic) {
            topic.readers -= gone;
            if topic.readers == 0 {
                self.recent.clear(topic);
            }
        }
    }
}

/// Refused while consumers read: they would be sent what they do not expect.
fn idle(group: &Group) -> Result<(), Failure> {
    let reading = group.members.iter().filter(|member| member.leaves_at.is_none()).count();
    if reading == 0 {
        return Ok(());
    }
    let detail = format!("{reading} of the group `{}` are reading.", group.name);
    Err(Failure::client(Code::Conflict, detail).with_hint("Stop its consumers first."))
}

fn shown(topic: &Topic, group: &Group) -> queue::Group {
    let reading = group.members.iter().filter(|member| member.leaves_at.is_none());
    let partitions =
        group.progress.iter().zip(&topic.partitions).map(|(progress, partition)| queue::Progress {
            settled: progress.settled(),
            next: partition.next,
            lag: progress.owed() + partition.next.saturating_sub(progress.next()),
            delivered: progress.delivered(),
        });
    // What is here is known.
    let partitions = partitions.map(Some);
    queue::Group {
        topic: topic.name.clone(),
        name: group.name.clone(),
        consumers: reading.map(|member| consumer::name(member.consumer)).collect(),
        partitions: partitions.collect(),
    }
}
