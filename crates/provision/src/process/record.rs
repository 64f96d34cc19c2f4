//! What is known of a service from one gateway to the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::recipe::{self, Signal};
use serde::{Deserialize, Serialize};

use super::programs::Programs;
use super::table::{self, Id};
use super::user::User;
use crate::Work;

/// `run.json`: what runs, or is to. All that is needed to start it again as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) gateway: String,
    pub(super) operation: String,
    /// What is to be.
    pub(super) wanted: Wanted,
    /// What tells one work from another.
    pub(super) print: String,
    pub(super) bind: IpAddr,
    pub(super) port: u16,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) user: Option<User>,
    pub(super) stop: Stop,
    /// Which process it is; none before it was started.
    pub(super) process: Option<Id>,
    /// The machine's start in which that was.
    pub(super) boot: String,
}

/// `made.json`: where data come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) gateway: String,
    pub(super) operation: String,
    pub(super) prepared: Prepared,
}

/// What is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wanted {
    Running,
    Stopped,
}

/// How far data have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Prepared {
    /// There may be halves of them.
    Begun,
    /// They are whole.
    Done,
}

/// How it is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    signal: Word,
    grace_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Term,
    Int,
}

impl Record {
    /// That of a work before its program was started.
    pub(super) fn of(work: &Work, gateway: &str, programs: &Programs, user: Option<User>) -> Record {
        Record {
            gateway: gateway.to_owned(),
            operation: work.operation.clone(),
            wanted: Wanted::Running,
            print: print(work),
            bind: work.bind,
            port: work.port,
            program: programs.path(&work.recipe.run.program).to_owned(),
            args: work.recipe.run.args.clone(),
            env: environment(work, &work.recipe.run, programs),
            user,
            stop: work.recipe.stop.into(),
            process: None,
            boot: table::boot(),
        }
    }
}

impl Stop {
    /// The signal that asks.
    pub(super) fn signal(self) -> Signal {
        match self.signal {
            Word::Term => Signal::Term,
            Word::Int => Signal::Int,
        }
    }

    /// How long it may take.
    pub(super) fn grace(self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

impl From<recipe::Stop> for Stop {
    fn from(stop: recipe::Stop) -> Stop {
        let signal = match stop.signal {
            Signal::Term => Word::Term,
            Signal::Int => Word::Int,
        };
        Stop { signal, grace_ms: u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// All of the environment of a program of this work: the service has the last word.
pub(super) fn environment(work: &Work, run: &recipe::Run, programs: &Programs) -> BTreeMap<String, String> {
    let mut words = programs.environment();
    words.extend(run.env.iter().cloned());
    words.extend(work.env.iter().cloned());
    words
}

/// What tells one work from another: all that the program would notice. It is kept beside the files themselves, and for
/// the same eyes only, so that it need not hide what is in them.
pub(super) fn print(work: &Work) -> String {
    let recipe = &work.recipe;
    let mut sum = Sum::new();
    sum.add(&recipe.run.program);
    sum.all(&recipe.run.args);
    for (name, value) in recipe.run.env.iter().chain(&work.env) {
        sum.all([name, value]);
    }
    for file in &recipe.files {
        sum.all([file.name.as_str(), file.text.reveal()]);
    }
    sum.all([&format!("{:?}", recipe.stop), &work.bind.to_string(), &work.port.to_string(), &recipe.data]);
    format!("{:016x}", sum.0)
}

/// FNV-1a, of 64 bits: it is the same in every version of the gateway, as that of the standard library is not.
struct Sum(u64);

impl Sum {
    fn new() -> Sum {
        Sum(0xcbf2_9ce4_8422_2325)
    }

    fn all<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) {
        texts.into_iter().for_each(|text| self.add(text.as_ref()));
        self.byte(0xfe);
    }

    fn add(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        // Never in UTF-8, so that `ab`, `c` is not `a`, `bc`.
        self.byte(0xff);
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
}
