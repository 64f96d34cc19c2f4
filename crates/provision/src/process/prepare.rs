//! What is done once, before the first start. Data are whole or not there: a preparation that fails, or that a crash cut
//! off, is begun again from nothing.

use std::sync::Arc;
use std::time::Duration;

use model::Failure;
use model::recipe::{Preparation, Signal};
use tokio::time::timeout;

use super::awaited::Awaited;
use super::child::{Running, Spawn};
use super::place;
use super::programs::Programs;
use super::record::{Made, Prepared, environment};
use super::unit::Unit;
use super::user::User;
use super::{keep, refuse};
use crate::{Progress, Tell, Work};

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How many of its last lines are told when it fails.
const LAST: usize = 10;

/// Sees to it that the data are there. What is there and was not begun by us is somebody's, and whole.
pub(super) async fn prepare(
    unit: &Arc<Unit>,
    work: &Work,
    gateway: &str,
    programs: &Programs,
    user: Option<&User>,
    tell: &Tell<'_>,
) -> Result<(), Failure> {
    let place = &unit.place;
    let note = |prepared| {
        let (gateway, operation) = (gateway.to_owned(), work.operation.clone());
        place::save(&place.made(), &Made { gateway, operation, prepared })
    };
    match place::read::<Made>(&place.made()).map(|made| made.prepared) {
        Some(Prepared::Done) => return Ok(()),
        None if work.recipe.prepare.is_empty() || place.has_data() => return note(Prepared::Done),
        None => note(Prepared::Begun)?,
        Some(Prepared::Begun) => {}
    }
    place.empty(user)?;
    for preparation in &work.recipe.prepare {
        tell(Progress::Says(preparation.what.clone()));
        if let Err(failure) = run(unit, work, preparation, programs, user).await {
            place.empty(user)?;
            return Err(failure);
        }
    }
    note(Prepared::Done)
}

async fn run(
    unit: &Arc<Unit>,
    work: &Work,
    preparation: &Preparation,
    programs: &Programs,
    user: Option<&User>,
) -> Result<(), Failure> {
    let program = programs.path(&preparation.run.program);
    let no_start = |error| refuse::no_start(&unit.name, program, error);
    let (_, before) = unit.log.since(u64::MAX).map_err(no_start)?;
    let said = unit.log.open().map_err(no_start)?;
    let input = preparation.input.as_ref().map(|name| unit.place.config().join(name));
    let spawn = Spawn {
        program,
        args: &preparation.run.args,
        env: &environment(work, &preparation.run, programs),
        lock: &unit.place.lock(),
        dir: &unit.place.data(),
        user,
    };
    let running = Running::spawn(spawn, input.as_deref(), said).map_err(no_start)?;
    let begun = Awaited::new(running, Duration::ZERO);
    let ended = timeout(LIMIT, keep::listen(unit, &begun)).await;
    let code = match ended {
        Ok(()) => begun.finish().await.flatten(),
        Err(_) => begun.end(Signal::Term, Duration::ZERO).await.flatten(),
    };
    begun.over();
    unit.close_log().await;
    let how = match (ended, code) {
        (Ok(()), Some(0)) => return Ok(()),
        (Ok(()), Some(code)) => format!("has ended with {code}"),
        (Ok(()), None) => "has ended".to_owned(),
        (Err(_), _) => format!("was not done in {} s", LIMIT.as_secs()),
    };
    let (lines, _) = unit.log.since(before).map_err(no_start)?;
    let said = lines.iter().filter_map(|line| Some(line.splitn(3, ' ').nth(2)?.to_owned()));
    let said: Vec<String> =
        said.filter(|text| !text.trim().is_empty()).map(|text| work.masked(text)).collect();
    let last = &said[said.len().saturating_sub(LAST)..];
    Err(refuse::not_prepared(&unit.name, &preparation.what, &preparation.run.program, &how, last))
}
