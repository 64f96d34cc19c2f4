//! How commands are carried out: as the service's own where it has some, else as those on plain values.

use std::sync::Arc;

use adapters::key_value::Reply;
use bytes::Bytes;
use clusters::{Access, Service};
use model::kind::Ability;
use model::{Failure, Origin};

use super::command::{self, Command, Transaction};
use super::native::{One, Piped, Together, commands_of};
use super::reply::Budget;
use crate::data::ask::{Held, Target};

type Ends = Vec<Result<Reply, Failure>>;

/// One command.
pub(super) async fn one(target: &Target<'_>, words: Vec<Bytes>) -> Result<Reply, Failure> {
    let service = target.service(Ability::KeyValue)?;
    let named = |refusal: Failure| refusal.with_service(Arc::clone(&service.name));
    let reply = match commands_of(&service) {
        Some(commands) => {
            let one = One::of(commands, words).map_err(named)?.of_service(&service);
            target.ask(&one).await?
        }
        None => target.ask(&Command::of(words).map_err(named)?).await?,
    };
    Budget::default().take(reply)
}

/// Whether a command that can be asked here writes.
///
/// # Errors
/// When there is nobody to ask.
pub(super) fn writes(target: &Target<'_>, words: &[Bytes]) -> Result<bool, Failure> {
    let service = target.service(Ability::KeyValue)?;
    let words = words.to_vec();
    let reads = match commands_of(&service) {
        Some(commands) => One::of(commands, words).map(|one| one.reads()),
        None => Command::of(words).map(|command| command.access() == Access::Read),
    };
    Ok(reads.is_ok_and(|reads| !reads))
}

/// Commands one after the other, each with its own end.
pub(super) async fn piped(target: &Target<'_>, list: Vec<Vec<Bytes>>) -> Result<Ends, Failure> {
    // Said once, rather than once for each command.
    let service = target.service(Ability::KeyValue)?;
    match native_piped(&service, list) {
        Ok(piped) if piped.is_empty() => piped.ends(Vec::new()),
        Ok(piped) => {
            let (asked, held) = target.open(&piped).await?;
            settle(held, &asked);
            piped.ends(asked).map(budgeted)
        }
        Err(list) => each(target, list).await,
    }
}

/// The pipeline as the service's own, or the commands again where it has none.
fn native_piped(service: &Service, list: Vec<Vec<Bytes>>) -> Result<Piped, Vec<Vec<Bytes>>> {
    match commands_of(service) {
        Some(commands) => Ok(Piped::of(commands, list).of_service(service)),
        None => Err(list),
    }
}

/// Commands on plain values, each an operation of its own.
async fn each(target: &Target<'_>, list: Vec<Vec<Bytes>>) -> Result<Ends, Failure> {
    let mut budget = Budget::default();
    let mut items: Ends = Vec::with_capacity(list.len());
    let mut broken = None;
    for words in list {
        if let Some(detail) = &broken {
            items.push(Err(command::refusal(format!("ERR not run, since an earlier one failed: {detail}"))));
            continue;
        }
        let item = match Command::of(words) {
            Ok(command) => target.ask(&command).await.and_then(|reply| budget.take(reply)),
            Err(refusal) => Err(refusal),
        };
        if let Err(failure) = &item
            && failure.origin() != Origin::Client
        {
            broken = Some(failure.detail().to_owned());
        }
        match item {
            // Nothing was done yet: the answer as a whole can say so.
            Err(failure) if items.is_empty() && broken.is_some() => return Err(failure),
            item => items.push(item),
        }
    }
    Ok(items)
}

/// Commands at once, or none of them.
pub(super) async fn together(target: &Target<'_>, list: Vec<Vec<Bytes>>) -> Result<Ends, Failure> {
    let service = target.service(Ability::KeyValue)?;
    let named = |refusal: Failure| refusal.with_service(Arc::clone(&service.name));
    let ends = match commands_of(&service) {
        Some(commands) => {
            let together = Together::of(commands, list).map_err(named)?.of_service(&service);
            let (ends, held) = target.open(&together).await?;
            settle(held, &ends);
            ends
        }
        None => target.ask(&Transaction::of(list).map_err(named)?).await?,
    };
    Ok(budgeted(ends))
}

/// Ends the operation. A connection that broke on the way counts against the endpoint, a refusal does not.
fn settle(held: Held, ends: &[Result<Reply, Failure>]) {
    let failures = || ends.iter().filter_map(|end| end.as_ref().err());
    match failures().find(|failure| failure.origin() == Origin::Service) {
        Some(broken) => held.fail(broken),
        None => match failures().next() {
            Some(refusal) => held.partly(refusal),
            None => held.finish(),
        },
    }
}

fn budgeted(ends: Ends) -> Ends {
    let mut budget = Budget::default();
    ends.into_iter().map(|end| end.and_then(|reply| budget.take(reply))).collect()
}
