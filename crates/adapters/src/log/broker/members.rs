//! Consumers join groups, leave them and come back; partitions move between them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use model::{Code, Failure};
use tokio::sync::{mpsc, watch};

use super::super::assign::assign;
use super::super::command::{Ending, Joined, Stream};
use super::super::limits::{self, MOST_PLACES, invalid};
use super::super::progress::{Millis, Progress};
use super::super::progress_row::{self, Rows};
use super::super::token::Resume;
use super::super::{clock, failure, writes};
use super::Broker;
use super::state::{Group, Member};
use crate::queue::{ConsumeOptions, From};

/// How long a consumer whose stream has ended is waited for, in milliseconds: the time in which it comes back after
/// a broken connection.
const GRACE: Millis = 3000;

impl Broker {
    /// Lets a consumer into its group, which is made if it is not there.
    pub(super) async fn join(&mut self, options: &ConsumeOptions) -> Result<Joined, Failure> {
        limits::group(&options.group)?;
        if options.credit == 0 {
            return Err(invalid("The credit must be at least 1."));
        }
        let topic = self.find_topic(&options.topic)?;
        let known = topic.groups.get(&options.group).copied();
        let resume = self.read_resume(options.resume.as_deref(), known)?;
        let group = match known {
            Some(group) => group,
            None => self.make_group(options).await?,
        };
        let (now, session) = (self.clock.now(), self.next_number());
        let consumer = match resume {
            Some(resume) => resume.consumer,
            None => self.next_number(),
        };
        let (inbox, mail) = mpsc::unbounded_channel();
        let mut member = Member {
            consumer,
            session,
            credit: options.credit,
            lease: clock::millis(options.lease).max(1),
            ready: false,
            fetching: false,
            leaves_at: None,
            partitions: Vec::new(),
            turn: 0,
            fetched: HashMap::new(),
            inbox,
            assignment: watch::Sender::new(Vec::new()),
            idle: Arc::default(),
            ending: Arc::default(),
        };
        let idle = Arc::clone(&member.idle);
        let ending = Arc::clone(&member.ending);
        let assignment = member.assignment.subscribe();
        let Some(own) = self.groups.get_mut(&group) else { return Err(failure::cut_off()) };
        match own.members.iter_mut().find(|old| old.consumer == consumer) {
            Some(old) => {
                old.end(Ending::Superseded);
                member.partitions = std::mem::take(&mut old.partitions);
                member.assignment.send_replace(member.partitions.clone());
                *old = member;
            }
            None => {
                own.members.push(member);
                if let Some(topic) = self.topics.get_mut(&own.topic) {
                    topic.readers += 1;
                }
            }
        }
        if let Some(resume) = resume {
            for progress in &mut own.progress {
                progress.release(consumer, resume.sequence, now);
            }
        }
        own.rebalance();
        self.dirty.insert(group);
        self.set_alarm(group, now);
        let mut assignment = assignment;
        assignment.mark_unchanged();
        let stream = Stream { group, consumer, session };
        Ok(Joined { stream, inbox: mail, assignment, idle, ending, sequence: self.sequence })
    }

    fn read_resume(&self, text: Option<&str>, group: Option<u64>) -> Result<Option<Resume>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let resume = group.and_then(|group| Resume::read(text, group, self.salt));
        resume.map(Some).ok_or_else(|| invalid("This is nothing to resume by in this topic and group."))
    }

    async fn make_group(&mut self, options: &ConsumeOptions) -> Result<u64, Failure> {
        let topic = self.find_topic(&options.topic)?;
        let places: usize = self.groups.values().map(|group| group.progress.len()).sum();
        if places + topic.partitions.len() > MOST_PLACES {
            let detail =
                format!("Groups remember {places} places in partitions; at most {MOST_PLACES} are kept.");
            return Err(
                Failure::client(Code::CommandFailed, detail).with_hint("Delete groups that nobody needs.")
            );
        }
        let id = topic.id;
        let mut progress: Vec<Progress> = topic
            .partitions
            .iter()
            .map(|partition| match options.from {
                From::Earliest => Progress::at(partition.earliest),
                From::Latest => Progress::at(partition.next),
            })
            .collect();
        let rows = rows(&progress);
        let name = options.group.clone();
        let group = self
            .disk
            .write(move |connection| writes::create_group(connection, id, &name, &rows))
            .await
            .map_err(|error| failure::of(&error))?;
        progress.iter_mut().for_each(Progress::wrote);
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.groups.insert(options.group.clone(), group);
        }
        self.groups.insert(group, Group::new(group, id, options.group.clone(), progress));
        Ok(group)
    }

    /// A stream has ended. What was handed to it and never went out to its client comes again at once, and was not
    /// delivered after all; its partitions stay its own for a while.
    pub(super) fn left(&mut self, stream: Stream, seen: u64) {
        let now = self.clock.now();
        let Some(group) = self.groups.get_mut(&stream.group) else { return };
        let Some(member) = group.member(stream.consumer, stream.session) else { return };
        member.ready = false;
        member.fetched = HashMap::new();
        member.leaves_at = Some(now + GRACE);
        for (partition, progress) in group.progress.iter_mut().enumerate() {
            if progress.take_back(stream.consumer, seen, now) {
                self.unwritten.insert((stream.group, partition as u32));
            }
        }
        self.dirty.insert(stream.group);
        self.set_alarm(stream.group, now);
    }

    /// Lets those go whose grace is over, in the groups whose time has come.
    pub(super) fn dismiss(&mut self, now: Millis) {
        for id in &self.due {
            let Some(group) = self.groups.get_mut(id) else { continue };
            let before = group.members.len();
            group.members.retain(|member| member.leaves_at.is_none_or(|at| at > now));
            let gone = before - group.members.len();
            if gone == 0 {
                continue;
            }
            group.rebalance();
            if let Some(topic) = self.topics.get_mut(&group.topic) {
                topic.readers -= gone;
                if topic.readers == 0 {
                    self.recent.clear(topic);
                }
            }
        }
    }
}

impl Group {
    /// Spreads the partitions over the members, and tells those for whom that changes something. One whose stream
    /// has ended keeps its own until somebody else comes or goes: who is there need not wait for who is not.
    fn rebalance(&mut self) {
        let named = |member: &Member| member.consumer;
        let mut members: Vec<u64> =
            self.members.iter().filter(|member| member.leaves_at.is_none()).map(named).collect();
        if members.is_empty() {
            members = self.members.iter().map(named).collect();
        }
        self.owners = assign(&self.owners, &members);
        for member in &mut self.members {
            let own = |(partition, owner): (usize, &Option<u64>)| {
                (*owner == Some(member.consumer)).then_some(partition as u32)
            };
            let partitions: Vec<u32> = self.owners.iter().enumerate().filter_map(own).collect();
            if partitions != member.partitions {
                member.partitions.clone_from(&partitions);
                member.fetched.retain(|(partition, _), _| partitions.contains(partition));
                member.assignment.send_replace(partitions);
            }
        }
    }
}

impl Member {
    /// Tells its stream why it ends. The stream ends when this member is dropped.
    pub(super) fn end(&self, why: Ending) {
        // Set once; the first reason is the one that counts.
        let _ = OnceLock::set(&self.ending, why);
    }
}

/// Places as rows.
pub(super) fn rows(progress: &[Progress]) -> Vec<(u32, Rows)> {
    // Leases and delays are none here, so that the time does not matter.
    let row = |(partition, own): (usize, &Progress)| (partition as u32, progress_row::rows(own, 0));
    progress.iter().enumerate().map(row).collect()
}
