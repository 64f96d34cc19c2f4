//! A program beside the one of a container: Docker's `exec`, with a word of where it is, so that it can be ended.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt;
use model::recipe::Run;
use model::{Code, Failure};
use tokio::time::sleep;

use crate::beside::{self, Sink, Words, fed_until, feed};
use crate::docker::container::{self, Seen};
use crate::docker::engine::{Engine, Told};
use crate::docker::names;
use crate::docker::wrong::Asked;
use crate::{Input, Name, Output};

/// Says which process it is, and becomes the program.
const FOUND: &str = r#"echo "$$" >&2; exec "$@""#;

/// Ends a program with all that it has started, which is a group of its own: it is asked to, and has ten seconds.
const END: &str = "kill -TERM -$0 || exit 0; n=0
while [ $n -lt 100 ] && kill -0 -$0 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -KILL -$0";

/// How long an engine may take to know what it has just told.
const TOLD: u32 = 100;

/// The container of a service that runs.
pub(super) async fn running(engine: &Engine, name: &Name) -> Result<Seen, Failure> {
    let seen = container::look(engine, name).await?;
    let runs = |seen: &Seen| {
        let state = &seen.state;
        state.running == Some(true) && state.paused != Some(true) && state.restarting != Some(true)
    };
    seen.filter(runs).ok_or_else(|| beside::rests(name))
}

/// Runs it to its end.
pub(super) async fn run(
    engine: &Engine,
    seen: &Seen,
    run: &Run,
    input: Option<Input<'_>>,
    output: Option<Output<'_>>,
) -> Result<(), Failure> {
    let name = &seen.owner.name;
    let what = format!("run `{}` in the container `{}`", run.program, names::container(name));
    let asked = Asked::new(engine, what);
    let mut words = vec!["sh".to_owned(), "-c".to_owned(), FOUND.to_owned(), "sh".to_owned()];
    words.push(run.program.clone());
    words.extend(run.args.iter().cloned());
    let options = CreateExecOptions {
        attach_stdin: Some(input.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(run.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        cmd: Some(words),
        ..CreateExecOptions::default()
    };
    let made = engine.ask().create_exec(&seen.id, options).await;
    let id = made.map_err(|error| asked.clone().failed(error))?.id;
    let begun = engine.ask().start_exec(&id, None::<StartExecOptions>).await;
    let StartExecResults::Attached { output: frames, input: stdin } =
        begun.map_err(|error| asked.clone().failed(error))?
    else {
        return Err(Failure::gateway(Code::Internal, "A program that was to be listened to is not."));
    };
    let mut guard = Guard { engine: engine.clone(), container: seen.id.clone(), pid: None };
    let drained = drain(name, frames, output, &mut guard, &asked);
    let said = fed_until(feed(name, input, Some(stdin)), drained).await?;
    let code = ended(engine, &id, &asked).await?;
    guard.pid = None;
    said.judge(name, &run.program, Some(code))
}

/// All that it says, until it says no more.
async fn drain(
    name: &Name,
    mut frames: Told<LogOutput>,
    output: Option<Output<'_>>,
    guard: &mut Guard,
    asked: &Asked,
) -> Result<Words, Failure> {
    let (mut sink, mut words, mut first) = (Sink::new(name, output), Words::default(), Some(Vec::new()));
    while let Some(frame) = frames.next().await {
        match frame.map_err(|error| asked.failed(error))? {
            LogOutput::StdOut { message } => sink.take(&message).await?,
            LogOutput::StdErr { message } => match &mut first {
                None => words.take(&message),
                Some(line) => {
                    line.extend_from_slice(&message);
                    if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                        guard.pid = std::str::from_utf8(&line[..end]).ok().and_then(|text| text.parse().ok());
                        // What was said where there is no shell is for people.
                        words.take(if guard.pid.is_some() { &line[end + 1..] } else { line });
                        first = None;
                    }
                }
            },
            LogOutput::StdIn { .. } => {}
            // The rest of a frame that was cut off.
            LogOutput::Console { .. } => return Err(asked.broke_off()),
        }
    }
    if let Some(line) = first {
        words.take(&line);
    }
    sink.end().await?;
    Ok(words)
}

/// With what it has ended.
async fn ended(engine: &Engine, id: &str, asked: &Asked) -> Result<i64, Failure> {
    for _ in 0..TOLD {
        let seen = engine.ask().inspect_exec(id).await.map_err(|error| asked.failed(error))?;
        if let (Some(false), Some(code)) = (seen.running, seen.exit_code) {
            return Ok(code);
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(asked.broke_off())
}

/// A program that nobody waits for any more is ended.
struct Guard {
    engine: Engine,
    container: String,
    pid: Option<u64>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(pid), Ok(runtime)) = (self.pid, tokio::runtime::Handle::try_current()) else { return };
        let (client, container) = (self.engine.ask().clone(), std::mem::take(&mut self.container));
        runtime.spawn(async move {
            let words = ["sh", "-c", END, &pid.to_string()].map(str::to_owned).into();
            let options = CreateExecOptions { cmd: Some(words), ..CreateExecOptions::default() };
            let detached = Some(StartExecOptions { detach: true, ..StartExecOptions::default() });
            let ended = match client.create_exec(&container, options).await {
                Ok(made) => client.start_exec(&made.id, detached).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(container, pid, %error, "a program beside it is not ended");
            }
        });
    }
}
