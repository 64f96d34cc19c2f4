//! Settling deliveries by the process that holds their stream.

use std::sync::Arc;
use std::time::Duration;

use model::Failure;

use super::adapter::Hub;
use super::group::{Group, State};
use super::ledger::{Fate, Millis};
use super::letters::{self, Letter, Why};
use super::token::{Ack, Whose};
use super::{failure, groups, limits};
use crate::queue::Settlement;

/// Settles what this process knows of; says how many deliveries that was.
pub(super) async fn settle(hub: &Arc<Hub>, asked: &Settlement) -> Result<u64, Failure> {
    limits::topic(&asked.topic)?;
    limits::group(&asked.group)?;
    let group = hub.table.find(&asked.topic, &asked.group);
    let tokens = Tokens::read(asked);
    // Tokens of the group show that there is one, or was; without them the brokers are asked.
    if group.is_none() && !tokens.as_ref().is_ok_and(Tokens::are_some) {
        let partitions = hub.desk.partitions(&asked.topic).await?;
        if !groups::is_there(hub, &asked.topic, &asked.group, partitions).await? {
            return Err(failure::no_group(&asked.topic, &asked.group));
        }
    }
    let Tokens { ack, nack, term } = tokens?;
    // Another process holds the stream, or did.
    let Some(group) = group else { return Ok(0) };
    let (mut settled, letters) = apply(&group, &ack, &nack, &term);
    let sent: Vec<_> = letters.into_iter().map(|letter| letters::send(hub, &group, letter)).collect();
    let mut failed = None;
    for letter in sent {
        match letter.await {
            Ok(Ok(())) => settled += 1,
            Ok(Err(failure)) => failed = Some(failure),
            Err(_) => failed = Some(failure::closed()),
        }
    }
    failed.map_or(Ok(settled), Err)
}

/// What is to be settled, and how.
struct Tokens {
    ack: Vec<Ack>,
    nack: Vec<(Ack, Duration)>,
    term: Vec<Ack>,
}

impl Tokens {
    fn read(asked: &Settlement) -> Result<Self, Failure> {
        let whose = Whose::of(&asked.topic, &asked.group);
        let read = |text: &str| {
            Ack::read(text, whose)
                .ok_or_else(|| limits::invalid("This is nothing to settle by in this topic and group."))
        };
        let ack = asked.ack.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
        let nack = asked.nack.iter().map(|(text, delay)| Ok((read(text)?, *delay)));
        let nack = nack.collect::<Result<_, Failure>>()?;
        let term = asked.term.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
        Ok(Tokens { ack, nack, term })
    }

    fn are_some(&self) -> bool {
        !(self.ack.is_empty() && self.nack.is_empty() && self.term.is_empty())
    }
}

fn apply(group: &Group, ack: &[Ack], nack: &[(Ack, Duration)], term: &[Ack]) -> (u64, Vec<Letter>) {
    let now = group.now();
    let mut state = group.lock();
    let (mut settled, mut letters) = (0, Vec::new());
    for own in ack.iter().filter(|own| own.memory == group.memory) {
        // What was done with need not come again should the partition come back; whether it does is not known.
        let Some(part) = state.parts.get_mut(&own.partition) else { continue };
        settled += u64::from(part.ledger.settle(own.offset) && part.owner.is_some());
    }
    for (own, delay) in nack.iter().filter(|(own, _)| own.memory == group.memory) {
        let Some(part) = part(&mut state, own) else { continue };
        let due = now.saturating_add(Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX));
        match part.ledger.give_back(own.offset, own.delivery, due) {
            Fate::Unchanged => {}
            Fate::Again => settled += 1,
            Fate::Dead => letters.extend(letter(&mut state, own, Why::MaxDeliveries)),
        }
    }
    for own in term.iter().filter(|own| own.memory == group.memory) {
        letters.extend(letter(&mut state, own, Why::Terminated));
    }
    tell(group, &mut state);
    (settled, letters)
}

/// The partition of a delivery, while it is one of this process: what others have is theirs to settle.
fn part<'s>(state: &'s mut State, ack: &Ack) -> Option<&'s mut super::group::Part> {
    state.parts.get_mut(&ack.partition).filter(|part| part.owner.is_some())
}

fn letter(state: &mut State, ack: &Ack, why: Why) -> Option<Letter> {
    let (content, deliveries) = part(state, ack)?.ledger.bury(ack.offset)?;
    Some(Letter { partition: ack.partition, offset: ack.offset, deliveries, content, why })
}

/// Tells the broker what is settled, and the streams that they have room again.
fn tell(group: &Group, state: &mut State) {
    let members: Vec<_> = state.members.iter().map(|own| (own.consumer, Arc::clone(&own.link))).collect();
    for (consumer, link) in members {
        link.commit(group, state, consumer);
    }
    state.members.iter().for_each(|own| own.stream.wake.notify_one());
}
