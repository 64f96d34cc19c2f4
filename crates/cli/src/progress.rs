//! A change that takes a while, as the people at the terminal see it: a picture that is drawn again and again, a line
//! for each thing that has changed where standard error is no terminal, and nothing with `--quiet`.

mod draw;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sdk::{Call, Client, Operation, OperationEvent, OperationEvents};
use serde_json::Value;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;
pub(crate) use draw::seconds;
use draw::{Screen, change, picture};

/// How often times go on where nothing else is told.
const TICK: Duration = Duration::from_secs(1);

/// What a call has come to that may take a while.
pub(crate) enum Outcome {
    /// The gateway has done it before it answered: the body of the answer.
    Answered(Value),
    /// It has begun and ended well: the cluster that it has changed.
    Ended(String),
    /// Somebody has pressed Ctrl-C, and the gateway goes on with it.
    LetGo,
}

/// Makes a call that may take a while, and shows it until it ends. Why it failed is the error, as if the call had.
pub(crate) async fn carried_out<T>(
    session: &mut Session<'_>,
    client: &Client,
    call: Call<T>,
) -> Result<Outcome, sdk::Error> {
    let reply = call.respond_async().reply().await;
    session.tell_trace();
    let reply = reply?;
    let Some(operation) = reply.operation()? else { return Ok(Outcome::Answered(reply.json()?)) };
    match watched(session, client, &operation.id).await? {
        Some(last) => last.ended().map(|last| Outcome::Ended(last.cluster)),
        None => Ok(Outcome::LetGo),
    }
}

/// Makes a call that is an operation, and shows it until it ends, or says how to unless that is waited for.
pub(crate) async fn led(
    session: &mut Session<'_>,
    client: &Client,
    call: Call<Operation>,
    no_wait: bool,
    began: &str,
    ended: &str,
) -> Result<Exit, Fault> {
    let reply = call.respond_async().reply().await;
    session.tell_trace();
    let reply = reply?;
    let begun: Operation = reply.json()?;
    let id = begun.id.clone();
    if no_wait && !begun.has_ended() {
        let said = format!("{began}; `throome operation watch {id}` shows how far");
        session.changed(&said, &reply.json()?, &id)?;
        return Ok(Exit::Done);
    }
    let last = if begun.has_ended() { Some(begun) } else { watched(session, client, &id).await? };
    let Some(last) = last else { return Ok(Exit::Interrupted) };
    told(session, client, &last, ended).await
}

/// Tells how an operation has ended. Whoever asked for a format has the whole of it, also where it has failed.
pub(crate) async fn told(
    session: &mut Session<'_>,
    client: &Client,
    last: &Operation,
    ended: &str,
) -> Result<Exit, Fault> {
    let judged = judged(last);
    if judged.is_err() && !session.shows_bodies() {
        return judged;
    }
    let body = session.send(client.operations().get(&last.id)).await;
    match judged {
        Ok(exit) => session.changed(ended, &body?, &last.id).map(|()| exit),
        // What has failed is worth more than that the rest cannot be told.
        Err(fault) => {
            body.map_or(Ok(()), |body| session.show(&body, &last.id, |_| String::new())).and(Err(fault))
        }
    }
}

/// Shows an operation until it ends; nothing where somebody has pressed Ctrl-C before.
pub(crate) async fn watched(
    session: &mut Session<'_>,
    client: &Client,
    id: &str,
) -> Result<Option<Operation>, sdk::Error> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let operations = client.operations();
    let opened = tokio::select! {
        opened = operations.events(id) => opened,
        _ = &mut interrupt => return Ok(let_go(session, id)),
    };
    session.tell_trace();
    let mut shown = Shown::new(session);
    let mut events: OperationEvents = opened?;
    let mut tick = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tick.tick() => {
                shown.draw(session);
                continue;
            }
            _ = &mut interrupt => return Ok(let_go(session, id)),
        };
        session.tell_trace();
        match event? {
            Some(OperationEvent::Step(step)) => shown.take(|operation| operation.take(step)),
            Some(OperationEvent::Operation(operation)) => shown.operation = Some(operation),
            Some(OperationEvent::End(operation)) => {
                shown.operation = Some(operation.clone());
                shown.draw(session);
                for lines in last_lines(&operation) {
                    session.say(&lines);
                }
                return Ok(Some(operation));
            }
            Some(_) => {}
            None => return operations.get(id).await.map(Some),
        }
        shown.draw(session);
    }
}

fn let_go(session: &mut Session<'_>, id: &str) -> Option<Operation> {
    session.say(&format!(
        "the gateway goes on: `throome operation watch {id}` shows it, `throome operation cancel {id}` ends it"
    ));
    None
}

/// How a command ends whose operation has.
fn judged(operation: &Operation) -> Result<Exit, Fault> {
    if operation.status == "canceled" {
        return Err(Fault::new(Exit::Failed, format!("the operation `{}` was canceled", operation.id)));
    }
    Ok(operation.clone().ended().map(|_| Exit::Done)?)
}

/// What was said of it, and how much of it is on the screen.
struct Shown {
    operation: Option<Operation>,
    way: Way,
    /// When each step was first seen to run: the clock of the gateway may be another.
    since: HashMap<String, Instant>,
    /// What was told of each step last.
    told: HashMap<String, String>,
    /// Lines of the picture that is on the screen.
    drawn: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Picture,
    Lines,
    Nothing,
}

impl Shown {
    fn new(session: &Session<'_>) -> Shown {
        let way = match (session.global.quiet, session.terminal.draws()) {
            (true, _) => Way::Nothing,
            (false, true) => Way::Picture,
            (false, false) => Way::Lines,
        };
        let (since, told) = (HashMap::new(), HashMap::new());
        Shown { operation: None, way, since, told, drawn: 0 }
    }

    fn take(&mut self, change: impl FnOnce(&mut Operation)) {
        if let Some(operation) = &mut self.operation {
            change(operation);
        }
    }

    fn draw(&mut self, session: &mut Session<'_>) {
        let Some(operation) = &self.operation else { return };
        for step in operation.steps.iter().filter(|step| step.status == "running") {
            self.since.entry(step.name.clone()).or_insert_with(Instant::now);
        }
        match self.way {
            Way::Nothing => {}
            Way::Lines => {
                for step in &operation.steps {
                    let before = self.told.insert(step.name.clone(), step.status.clone());
                    if before.as_ref() != Some(&step.status)
                        && let Some(line) = change(step)
                    {
                        session.say(&line);
                    }
                }
            }
            Way::Picture => {
                let (width, height) = session.terminal.size();
                let color = session.terminal.color_of_talk(session.global.color);
                let since = |name: &str| self.since.get(name).map_or(Duration::ZERO, Instant::elapsed);
                let lines = picture(operation, since, Screen { width, height, color });
                // What is there is written over, and what is left below is taken away.
                let up = self.drawn.min(height.saturating_sub(1));
                let mut text = if up > 0 { format!("\u{1b}[{up}A") } else { String::new() };
                for line in &lines {
                    text.push_str(&format!("\r\u{1b}[2K{line}\n"));
                }
                text.push_str("\u{1b}[J");
                session.talk(&text);
                self.drawn = lines.len();
            }
        }
    }
}

/// The last lines of what has failed.
pub(crate) fn last_lines(operation: &Operation) -> Vec<String> {
    let failed = operation.steps.iter().filter(|step| !step.log.is_empty());
    let told = failed.map(|step| {
        let lines: Vec<String> =
            step.log.iter().map(|line| format!("  | {}", line.replace('\n', " "))).collect();
        format!("last lines of `{}`:\n{}", step.name, lines.join("\n"))
    });
    told.collect()
}
