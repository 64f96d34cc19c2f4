//! A program beside the one that runs: by the same user, where its data are, on the path of its own programs.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use model::Failure;
use model::recipe::Run;
use tokio::net::unix::pipe;

use super::awaited::Awaited;
use super::child::{Running, Spawn};
use super::programs::Programs;
use super::record::environment;
use super::refuse;
use super::unit::Unit;
use crate::beside::{self, Sink, Words, fed_until, feed};
use crate::{Input, Output, State, Work};

/// How long one may take to end that nobody waits for any more.
const GRACE: Duration = Duration::from_secs(10);

/// Runs it to its end.
pub(super) async fn run(
    unit: &Arc<Unit>,
    work: &Work,
    run: &Run,
    programs: &Programs,
    (input, output): (Option<Input<'_>>, Option<Output<'_>>),
) -> Result<(), Failure> {
    if unit.state() != State::Running {
        return Err(beside::rests(&unit.name));
    }
    let program = programs.beside(&run.program)?;
    let no_start = |error| refuse::no_start(&unit.name, &program, error);
    let mut env = environment(work, &work.recipe.run, programs);
    env.extend(run.env.iter().cloned());
    let user = unit.user();
    let spawn = Spawn {
        program: &program,
        args: &run.args,
        env: &env,
        lock: &unit.place.lock(),
        dir: &unit.place.data(),
        user: user.as_ref(),
    };
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let ways = [stdin, Stdio::piped(), Stdio::piped()];
    let (running, mut child) = Running::begin(spawn, ways).map_err(no_start)?;
    let begun = Awaited::new(running, GRACE);
    let reader = |way: Option<OwnedFd>| way.map(pipe::Receiver::from_owned_fd).transpose().map_err(no_start);
    let out = reader(child.stdout.take().map(OwnedFd::from))?;
    let err = reader(child.stderr.take().map(OwnedFd::from))?;
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdin = stdin.map(pipe::Sender::from_owned_fd).transpose().map_err(no_start)?;
    let feeding = feed(&unit.name, input, stdin);
    let drained = async {
        let (mut sink, mut words) = (Sink::new(&unit.name, output), Words::default());
        let outs = async {
            match out {
                Some(out) => sink.drain(out).await,
                None => Ok(()),
            }
        };
        let errs = async {
            match err {
                Some(err) => words.drain(&unit.name, err).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(outs, errs)?;
        sink.end().await?;
        Ok(words)
    };
    let words = fed_until(feeding, drained).await?;
    // It may have said its last and not be at its end.
    begun.ended().await;
    let code = begun.finish().await.flatten();
    begun.over();
    words.judge(&unit.name, &run.program, code)
}
