//! Dead letters: which messages go to them in a turn, and what they say. A turn takes as much as a few megabytes; the
//! rest stays as it is and goes in the turns after it, so that nobody else waits for long.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use model::{Code, Failure};

use super::super::command::Answer;
use super::super::progress::Millis;
use super::super::token::Ack;
use super::super::{failure, reads};
use super::Broker;
use super::plan::{Place, Plan};
use crate::queue::DEAD_LETTERS;

/// Bytes and messages that are read and moved in one turn for those who asked, and as many for what is due.
const MOST_BYTES: u64 = 8 << 20;
const MOST: usize = 512;

/// A settlement whose tokens were read. It takes several turns when many messages go to the dead letters.
pub(super) struct PlannedSettle {
    pub(super) group: u64,
    pub(super) ack: Vec<Ack>,
    pub(super) nack: Vec<(Ack, Millis)>,
    /// What may go to the dead letters, in order.
    pub(super) letters: VecDeque<Letter>,
    /// How many of these this turn deals with, or tries to.
    pub(super) looked: usize,
    /// Counted in the turns before.
    pub(super) settled: u64,
    pub(super) answer: Answer<u64>,
}

/// A message that may go to the dead letters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) ack: Ack,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its consumer wants it never again.
    Terminated,
    /// It was given back, or not heard of, as often as may be.
    MaxDeliveries,
}

impl Why {
    pub(super) fn text(self) -> &'static str {
        match self {
            Why::Terminated => "terminated",
            Why::MaxDeliveries => "max_deliveries",
        }
    }
}

impl Broker {
    /// Finds the contents of what this turn puts to the dead letters, and makes their topics.
    pub(super) async fn gather_dying(&mut self, plan: &mut Plan, now: Millis) {
        let asked = self.asked_for(plan);
        let lost = self.decide(&asked, plan).await;
        // Who asked for it is told; what is due by itself is tried again later.
        if !lost.is_empty() {
            for settle in std::mem::take(&mut plan.settles) {
                let topic = self.groups.get(&settle.group).map_or(0, |group| group.topic);
                let mut named = settle.letters.iter().take(settle.looked).map(|letter| letter.ack);
                match named.find_map(|ack| lost.get(&(topic, ack.partition, ack.offset))) {
                    None => plan.settles.push(settle),
                    Some(why) => {
                        let detail = format!("A dead letter cannot be kept: {why}");
                        let _ = settle.answer.send(Err(Failure::gateway(Code::Overloaded, detail)));
                    }
                }
            }
        }
        let mut due: Vec<Place> = Vec::new();
        for group in self.due.iter().filter_map(|group| self.groups.get(group)) {
            for (partition, progress) in group.progress.iter().enumerate() {
                let places = progress.dying(now).map(|offset| (group.topic, partition as u32, offset));
                due.extend(places.take(MOST + 1 - due.len()));
            }
        }
        let more = due.len() > MOST;
        due.truncate(MOST);
        let lost = self.decide(&due, plan).await;
        let open = |place: &Place| !plan.dying.contains_key(place);
        plan.unfinished = lost.is_empty() && (more || due.iter().any(open));
    }

    /// A turn has settled so many for a settlement. True when nothing is left to do for it.
    pub(super) fn goes_on(&self, settle: &mut PlannedSettle, settled: u64, plan: &Plan) -> bool {
        settle.settled += settled;
        settle.ack.clear();
        settle.nack.clear();
        let Some(group) = self.groups.get(&settle.group) else { return true };
        let waits = |Letter { ack, .. }: &Letter| {
            let open = group.progress[ack.partition as usize].delivery_of(ack.offset).is_some();
            open && !plan.dying.contains_key(&(group.topic, ack.partition, ack.offset))
        };
        let rest: Vec<Letter> = settle.letters.drain(..settle.looked).filter(waits).collect();
        settle.looked = 0;
        rest.into_iter().rev().for_each(|letter| settle.letters.push_front(letter));
        settle.letters.is_empty()
    }

    /// What settlements want to put there now: the first of each that are still open.
    fn asked_for(&self, plan: &mut Plan) -> Vec<Place> {
        let mut places = Vec::new();
        for settle in &mut plan.settles {
            let Some(group) = self.groups.get(&settle.group) else {
                settle.letters.clear();
                continue;
            };
            while places.len() < MOST
                && let Some(Letter { ack, .. }) = settle.letters.get(settle.looked)
            {
                settle.looked += 1;
                if group.progress[ack.partition as usize].delivery_of(ack.offset).is_some() {
                    places.push((group.topic, ack.partition, ack.offset));
                }
            }
        }
        places
    }

    /// Finds contents up to so many bytes, at least of one message. Gives what cannot be found out, and why.
    async fn decide(&mut self, places: &[Place], plan: &mut Plan) -> HashMap<Place, String> {
        let mut lost = HashMap::new();
        let mut room = MOST_BYTES;
        let mut unread: Vec<((u64, u32), Vec<u64>)> = Vec::new();
        let mut at: HashMap<(u64, u32), usize> = HashMap::new();
        for place @ (topic, partition, offset) in places.iter().copied() {
            let Some(own) = self.topics.get(&topic) else { continue };
            if plan.dying.contains_key(&place) {
                continue;
            }
            // What dies among dead letters stays where it is, settled.
            if own.name.ends_with(DEAD_LETTERS) {
                plan.dying.insert(place, None);
                continue;
            }
            match own.partitions[partition as usize].recent(offset) {
                Some(_) if room == 0 => {}
                Some(stored) => {
                    room = room.saturating_sub(stored.size());
                    plan.dying.insert(place, Some(Arc::clone(stored)));
                }
                None => {
                    let at = *at.entry((topic, partition)).or_insert_with(|| {
                        unread.push(((topic, partition), Vec::new()));
                        unread.len() - 1
                    });
                    unread[at].1.push(offset);
                }
            }
        }
        for ((topic, partition), mut offsets) in unread {
            if room == 0 {
                break;
            }
            offsets.sort_unstable();
            offsets.dedup();
            let runs = reads::runs(&offsets);
            let look = move |connection: &disk::Connection| {
                reads::messages(connection, topic, partition, &runs, room)
            };
            match self.disk.read(look).await {
                Ok(found) => {
                    // Taken out in the meantime: nothing is put there.
                    let missing =
                        found.missing(&offsets).into_iter().map(|own| ((topic, partition, own), None));
                    plan.dying.extend(missing);
                    for (offset, stored) in found.messages {
                        room = room.saturating_sub(stored.size());
                        plan.dying.insert((topic, partition, offset), Some(stored));
                    }
                }
                Err(error) => {
                    let why = failure::of(&error).detail().to_owned();
                    lost.extend(offsets.into_iter().map(|own| ((topic, partition, own), why.clone())));
                }
            }
        }
        self.make_places(places, plan, &mut lost).await;
        lost
    }

    /// Makes the topics that these go to; what has none is lost.
    async fn make_places(&mut self, places: &[Place], plan: &mut Plan, lost: &mut HashMap<Place, String>) {
        let mut made: HashMap<u64, Option<String>> = HashMap::new();
        for place in places {
            if !matches!(plan.dying.get(place), Some(Some(_))) {
                continue;
            }
            let failed = if let Some(known) = made.get(&place.0) {
                known.clone()
            } else {
                let name = format!("{}{DEAD_LETTERS}", self.topics[&place.0].name);
                let failed = self.dead_letters(&name).await.err();
                let failed = failed.map(|failure| failure.detail().to_owned());
                made.insert(place.0, failed.clone());
                failed
            };
            if let Some(why) = failed {
                plan.dying.remove(place);
                lost.insert(*place, why);
            }
        }
    }
}
