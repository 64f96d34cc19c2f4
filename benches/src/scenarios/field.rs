//! Who takes part in a comparison. A program that does not start, answers wrongly or fails under load leaves it, with
//! the reason in the table; the others go on.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;

use super::Lineup;
use crate::ask;
use crate::backend::grpc::Call;
use crate::contestants::{Contestant, Front, Setup};
use crate::crowd::wire::Secure;
use crate::report::Table;
use crate::rig::Rig;
use crate::speak::{Script, Speech};

/// For routes to be there once a program takes connections.
const PATIENCE: Duration = Duration::from_secs(15);

/// One that does not take part, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Absent {
    pub(super) name: String,
    pub(super) reason: String,
}

/// Running programs, the subject first if it is there.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) contestants: Vec<Contestant>,
    pub(super) absent: Vec<Absent>,
    subject: &'static str,
}

impl Field {
    /// Starts all of the line-up and lets those in that pass the check.
    pub(super) fn start(
        rig: &Rig,
        lineup: &Lineup,
        setup: &Setup,
        check: impl Fn(&Contestant) -> anyhow::Result<()>,
    ) -> Self {
        let mut field = Self { contestants: Vec::new(), absent: Vec::new(), subject: lineup.subject.name() };
        for proxy in lineup.all() {
            let started = proxy.start(rig, setup).and_then(|contestant| {
                patiently(|| check(&contestant))?;
                Ok(contestant)
            });
            match started {
                Ok(contestant) => field.contestants.push(contestant),
                Err(error) => field.leave(proxy.name(), &error),
            }
        }
        field
    }

    fn leave(&mut self, name: &str, error: &anyhow::Error) {
        self.absent.push(absent(name, error));
    }

    /// Runs `A B C`, then `A B C` again. Who fails once does not take part in this comparison.
    pub(super) fn interleave<T>(
        &self,
        rounds: usize,
        mut take: impl FnMut(&Contestant, usize) -> anyhow::Result<T>,
    ) -> Taken<T> {
        let mut outcomes: Vec<anyhow::Result<Vec<T>>> =
            self.contestants.iter().map(|_| Ok(Vec::new())).collect();
        for round in 0..rounds {
            for (contestant, outcome) in self.contestants.iter().zip(&mut outcomes) {
                let Ok(its) = outcome else { continue };
                match take(contestant, round) {
                    Ok(figure) => its.push(figure),
                    Err(error) => *outcome = Err(error),
                }
            }
        }
        let mut taken = Taken {
            names: Vec::new(),
            figures: Vec::new(),
            absent: self.absent.clone(),
            subject: self.subject,
        };
        for (contestant, outcome) in self.contestants.iter().zip(outcomes) {
            match outcome {
                Ok(figures) => {
                    taken.names.push(contestant.name.clone());
                    taken.figures.push(figures);
                }
                Err(error) => taken.absent.push(absent(&contestant.name, &error)),
            }
        }
        taken
    }
}

/// What came of a comparison, by those who were in it to the end.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) names: Vec<String>,
    pub(super) figures: Vec<Vec<T>>,
    pub(super) absent: Vec<Absent>,
    subject: &'static str,
}

impl<T> Taken<T> {
    /// How many of them are compared: none where the one is missing that is judged.
    pub(super) fn compared(&self) -> usize {
        if self.names.first().is_some_and(|name| name == self.subject) { self.names.len() } else { 0 }
    }

    /// A row for each of those who are missing, and a line with the reason.
    pub(super) fn tell_absent(&self, table: &mut Table) {
        tell_absent(&self.absent, table);
    }
}

pub(super) fn tell_absent(absent: &[Absent], table: &mut Table) {
    for Absent { name, reason } in absent {
        let mut row = vec![name.clone()];
        row.resize(table.head.len(), "–".to_owned());
        table.rows.push(row);
        table.notes.push(format!("{name} could not take part: {reason}."));
    }
}

fn absent(name: &str, error: &anyhow::Error) -> Absent {
    eprintln!("{name} leaves: {error:#}");
    // What the load program printed may end with where in it the error was made.
    let said = format!("{error:#}");
    let said = said.split("Stack backtrace").next().unwrap_or_default();
    let reason = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Absent { name: name.to_owned(), reason: reason.trim_end_matches('.').to_owned() }
}

fn patiently(check: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match check() {
            Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}

/// How a front is spoken to.
pub(super) fn secure(rig: &Rig, front: Front) -> anyhow::Result<Option<Secure>> {
    if !front.is_secure() {
        return Ok(None);
    }
    Secure::new(&rig.certificate()?.certificate, front.alpn().as_bytes()).map(Some)
}

/// What is said to a contestant in that way.
pub(super) fn script(
    contestant: &Contestant,
    speech: Speech,
    path: &str,
    size: usize,
    front: Front,
) -> Script {
    Script {
        speech,
        host: contestant.address.to_string(),
        path: path.to_owned(),
        size,
        is_secure: front.is_secure(),
    }
}

/// Insists that the service sees the client's own Host and the three forwarded headers, by HTTP/1.1 whatever the client
/// speaks.
pub(super) fn check_forwarded(
    contestant: &Contestant,
    front: Front,
    secure: Option<&Secure>,
) -> anyhow::Result<()> {
    let address = contestant.address;
    let seen = if front.is_http2() {
        let whole = ask::http2(address, secure, "/headers", None)?;
        ensure!(whole.status == 200, "{}: /headers answers {}", contestant.name, whole.status);
        whole.body
    } else {
        ask::http1(address, secure, "/headers")?
    };
    let head = String::from_utf8_lossy(&seen).to_lowercase();
    let wanted = [
        " http/1.1\r\n".to_owned(),
        format!("\r\nhost: {address}\r\n"),
        format!("\r\nx-forwarded-host: {address}\r\n"),
        // Envoy says an address of its machine for a client on loopback.
        "\r\nx-forwarded-for: ".to_owned(),
        format!("\r\nx-forwarded-proto: {}\r\n", front.scheme()),
    ];
    for words in wanted {
        let name = &contestant.name;
        ensure!(head.contains(&words), "{name} does not send {:?}; it sends\n{head}", words.trim());
    }
    Ok(())
}

/// Insists on the message and on the status of gRPC behind it.
pub(super) fn check_call(contestant: &Contestant) -> anyhow::Result<()> {
    let message = Call::Unary.message();
    let body = Some(Bytes::from(message.clone()));
    let whole = ask::http2(contestant.address, None, Call::Unary.path(), body)?;
    let status = whole.trailers.get("grpc-status").context("no grpc-status in trailers")?;
    let kind = whole.headers.get("content-type").context("no content-type")?;
    ensure!(
        whole.status == 200 && status == "0" && kind == "application/grpc" && whole.body == message,
        "{} answers a call with {whole:?}",
        contestant.name
    );
    Ok(())
}
