//! What the gateway runs for a service, as plain data. The driver of a kind writes it, a provisioner runs it, and neither
//! knows the other.

use std::time::Duration;

use crate::secret::Secret;

/// A kind whose services the gateway can run: what is settled of each before it starts, where its document does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// The first port of this machine that is tried.
    pub port: u16,
    /// Who the gateway is to it, where the server has to be told of somebody.
    pub username: Option<&'static str>,
    /// Its database, where it has several by name.
    pub database: Option<&'static str>,
    /// Whether it gets a password.
    pub password: bool,
    /// The keys among `username`, `password` and `database` that its data are made with, and hold from then on.
    pub kept: &'static [&'static str],
}

/// Where a recipe is to run, and how what is there is called by the program that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// In what.
    pub within: Within,
    /// The directory that holds [`Recipe::files`], as the program sees it.
    pub config: String,
    /// The port on this machine at which clients of this machine reach it.
    pub port: u16,
    /// The name by which they do: `localhost`.
    pub host: String,
}

/// What a recipe runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// A container: the program listens on the ports of its kind, and keeps its data where its image does.
    Container {
        /// Its name, by which its network's others reach it.
        name: String,
    },
    /// This machine: the program listens on [`Site::port`] of loopback.
    Process {
        /// The directory of its data, as an absolute path. It is there, empty at first, and its own.
        data: String,
    },
}

/// A program with all that it needs, in the words of one [`Site`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The image, unless the service says another one. Of no meaning outside a container.
    pub image: String,
    /// What is run once, in order, before the first start: in a process's site alone, since images do it by themselves.
    pub prepare: Vec<Preparation>,
    /// What is run for good.
    pub run: Run,
    /// What is written for it, each time it starts, and before what is run once.
    pub files: Vec<File>,
    /// The directory that outlives it, as the program sees it. In a container a volume stands there.
    pub data: String,
    /// The port at which it listens, and clients of this machine are let in.
    pub port: u16,
    /// The port at which it listens for others of its container's network. The same one, unless it tells each client
    /// where it is, as a broker does.
    pub network_port: u16,
    /// How it is asked to end.
    pub stop: Stop,
    /// How what it keeps is written into one file, and read from it again.
    pub dump: Dump,
}

/// How what a service keeps is written into one file, and read from it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dump {
    /// While it serves, by programs that stand beside it.
    Serving {
        /// How the name of such a file ends: `rdb`.
        format: &'static str,
        /// Writes the dump to its standard output.
        save: Run,
        /// Reads a dump from its standard input, and puts all of it in the place of what is there; or changes nothing, and
        /// ends with something else than 0 and a reason on its standard error. One that was killed in the middle leaves
        /// nothing that hinders the next.
        load: Run,
    },
    /// While it stands still: the directory of its data, as an archive.
    AtRest {
        /// How the name of such a file ends: `tar`.
        format: &'static str,
    },
}

impl Dump {
    /// How the name of a dump's file ends.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self {
            Dump::Serving { format, .. } | Dump::AtRest { format } => format,
        }
    }
}

/// A program and its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Its name, or its path.
    pub program: String,
    /// Its arguments. Never a secret: everybody on the machine can read them.
    pub args: Vec<String>,
    /// Its environment, beside what the service says. Never a secret: `docker inspect` shows it.
    pub env: Vec<(String, String)>,
}

/// What is run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// What it does, for people: `make the database cluster`.
    pub what: String,
    /// How.
    pub run: Run,
    /// Its standard input: the name of one of [`Recipe::files`]. Nothing comes from there otherwise.
    pub input: Option<String>,
}

/// A file that is written for the program, for it alone to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in [`Site::config`].
    pub name: String,
    /// What stands in it.
    pub text: Secret,
}

/// How a program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The signal that asks.
    pub signal: Signal,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

/// A signal that asks for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT, by which PostgreSQL ends soon and in good order.
    Int,
}
