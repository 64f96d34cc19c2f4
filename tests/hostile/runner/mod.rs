//! Runs the hostile corpus against a door: each case as it is, in single bytes, and behind a good request.
//! Knows neither how the door was started nor what it is made of: its address, and the service behind it.

mod case;
mod client;
mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use case::Case;
pub(crate) use service::{Seen, Service};

use case::Expect;
use client::{Client, Method};

/// The way in which a case's bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In one write.
    Whole,
    /// A write for each byte of the first [`SPLIT`], the rest in one.
    Bytes,
    /// In one write together with a good request before it.
    Behind,
}

/// Bytes that are sent one by one.
const SPLIT: usize = 2048;
const BEFORE: &[u8] = b"GET /before HTTP/1.1\r\nHost: app.test\r\n\r\n";
const AFTER: &[u8] = b"GET /after HTTP/1.1\r\nHost: app.test\r\n\r\n";
/// What should not be sent on is looked for after this; what comes later still is held against the next case.
const SOON: Duration = Duration::from_millis(1);
/// After the last case.
const LATE: Duration = Duration::from_millis(200);

/// All cases together take ten seconds, unless many are wrong.
const ENOUGH: Duration = Duration::from_secs(180);

/// Reads all cases below `folder`, in the order of their names.
pub(crate) fn load(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for class in std::fs::read_dir(folder).expect("the corpus is there") {
        let class = class.unwrap().path();
        for file in std::fs::read_dir(&class).into_iter().flatten() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "http") {
                let text = std::fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(folder).unwrap().with_extension("").display().to_string();
                cases.push(Case::read(&name, &text).unwrap_or_else(|problem| panic!("{name}: {problem}")));
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Runs every case in every way, and says what went wrong. Those that may be cut come last: what is left of
/// one reaches the service at any time, and before them nothing may reach it in part.
pub(crate) fn run(door: SocketAddr, service: &Service, cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    let begin = Instant::now();
    let (cut, whole): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.may_be_cut());
    for case in whole.into_iter().chain(cut) {
        if begin.elapsed() > ENOUGH {
            wrong.push(format!("stopped before {}: a case that is right does not wait", case.name));
            break;
        }
        for mode in [Mode::Whole, Mode::Bytes, Mode::Behind] {
            if let Err(problem) = play(door, service, case, mode) {
                wrong.push(format!("{} ({mode:?}): {problem}", case.name));
            }
            // What one case left behind is not the next one's.
            service.take();
        }
    }
    std::thread::sleep(LATE);
    for late in service.take().into_iter().filter(|seen| seen.whole) {
        wrong.push(format!("after all was over the service saw {late}"));
    }
    wrong
}

fn play(door: SocketAddr, service: &Service, case: &Case, mode: Mode) -> Result<(), String> {
    let mut client = Client::connect(door);
    match mode {
        Mode::Whole => client.send(&case.bytes),
        Mode::Bytes => {
            let (first, rest) = case.bytes.split_at(SPLIT.min(case.bytes.len()));
            first.chunks(1).for_each(|byte| client.send(byte));
            client.send(rest);
        }
        Mode::Behind => client.send(&[BEFORE, &case.bytes].concat()),
    }
    if case.then_close {
        client.close();
    }
    let mut wanted = Vec::new();
    if mode == Mode::Behind {
        expect_status(&mut client, Method::Other, &[200])?;
        wanted.push(plain("GET /before HTTP/1.1"));
    }
    let method = if case.bytes.starts_with(b"HEAD ") { Method::Head } else { Method::Other };
    let mut forwards = case.forwarded.iter();
    for expect in &case.expect {
        match expect {
            Expect::Forwarded => {
                expect_status(&mut client, method, &[200])?;
                wanted.push(forwards.next().expect("there are as many as were read").clone());
            }
            Expect::Answered(statuses) | Expect::Refused(statuses) => {
                expect_status(&mut client, method, statuses)?
            }
            Expect::Cut(statuses) => {
                match client.status(method) {
                    Ok(status) if statuses.contains(&status) => {}
                    Ok(status) => return Err(format!("was answered {status}, not {statuses:?}")),
                    // The answer may be lost with the connection.
                    Err(_) => {}
                }
            }
        }
    }
    if case.open && !case.then_close {
        client.send(AFTER);
        expect_status(&mut client, Method::Other, &[200])
            .map_err(|problem| format!("a request after it {problem}"))?;
        wanted.push(plain("GET /after HTTP/1.1"));
    } else if case.closed {
        client.expect_end()?;
    }
    if wanted.is_empty() {
        std::thread::sleep(SOON);
    }
    let mut seen = service.take();
    seen.retain(|seen| seen.whole || !case.may_be_cut());
    compare(&seen, &wanted)
}

fn plain(line: &str) -> Seen {
    Seen::read(format!("{line}\r\nHost: app.test\r\n\r\n").as_bytes())
}

fn expect_status(client: &mut Client, method: Method, statuses: &[u16]) -> Result<(), String> {
    match client.status(method) {
        Ok(status) if statuses.contains(&status) => Ok(()),
        Ok(status) => Err(format!("was answered {status}, not {statuses:?}")),
        Err(problem) => Err(format!("was not answered: {problem}")),
    }
}

fn compare(seen: &[Seen], wanted: &[Seen]) -> Result<(), String> {
    if seen.len() != wanted.len() {
        let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
        return Err(format!("the service saw {} requests, not {}: {seen:?}", seen.len(), wanted.len()));
    }
    for (seen, wanted) in seen.iter().zip(wanted) {
        if !seen.whole {
            return Err(format!("the service saw only a part: {seen}"));
        }
        let (rest, own) = seen.clone().without_own();
        if rest != *wanted {
            return Err(format!("the service saw {rest}, not {wanted}"));
        }
        own.check(&rest)?;
    }
    Ok(())
}
