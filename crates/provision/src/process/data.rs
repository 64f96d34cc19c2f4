//! All data of a service that stands still, out of their directory and into it.

use std::sync::Arc;

use model::Failure;
use tokio::sync::OwnedMutexGuard;

use super::record::Made;
use super::refuse;
use super::unit::Unit;
use super::user::{self, User};
use super::{place, place::Place};
use crate::archive;
use crate::beside;
use crate::{Input, Output, State};

/// Refuses where it runs, or is about to.
pub(super) fn at_rest(unit: &Unit) -> Result<(), Failure> {
    match unit.state() {
        State::Absent | State::Stopped | State::Ended { .. } => Ok(()),
        State::Running | State::Restarting { .. } => Err(beside::runs(&unit.name)),
    }
}

/// An archive of the data. Nobody changes them meanwhile, also where nobody waits for it any more.
pub(super) async fn take(
    unit: &Arc<Unit>,
    gate: OwnedMutexGuard<()>,
    output: Output<'_>,
) -> Result<(), Failure> {
    at_rest(unit)?;
    if !unit.place.has_data() {
        return Err(beside::no_data(&unit.name));
    }
    let (name, data) = (unit.name.clone(), unit.place.data());
    archive::writing(output, move |output| {
        let _gate = gate;
        archive::pack(&data, std::io::BufWriter::with_capacity(256 << 10, output))
            .map_err(|bad| bad.of_data(&name))
    })
    .await
}

/// What is in the archive, in the place of all data: first beside them, then exchanged in one step.
pub(super) async fn put(
    unit: &Arc<Unit>,
    gate: OwnedMutexGuard<()>,
    input: Input<'_>,
    user: Option<User>,
    made: Made,
) -> Result<(), Failure> {
    let place = unit.place.clone();
    let (gate, laid) = archive::reading(input, move |input| {
        let laid = lay_out(&place, input, user.as_ref());
        if laid.is_err() {
            // Should it stay, the next one takes it away.
            let _ = place.remove_other();
        }
        Ok((gate, laid))
    })
    .await?;
    laid?;
    let place = unit.place.clone();
    let exchanged = tokio::task::spawn_blocking(move || {
        let _gate = gate;
        let other = place.other_data();
        place.exchange().map_err(|error| refuse::disk("put in its place", &other, error))?;
        place::save(&place.made(), &made)?;
        place.remove_other().map_err(|error| refuse::disk("remove", &other, error))
    });
    exchanged.await.unwrap_or_else(|error| Err(refuse::disk("exchange", &unit.place.data(), error.into())))
}

fn lay_out(place: &Place, input: archive::Waiting, user: Option<&User>) -> Result<(), Failure> {
    let other = place.other_data();
    let disk = |error| refuse::disk("write into", &other, error);
    place.make_other().map_err(disk)?;
    archive::unpack(input, &other).map_err(|bad| bad.of_input(disk))?;
    user.map_or(Ok(()), |user| user::give(&other, user)).map_err(disk)
}
