//! The commands: a client of the API, and the door to what only the binary can do.
//!
//! Standard output is data, standard error is talk. Commands reach a gateway through its API alone;
//! starting one, and reading its files, is handed in by the binary as a [`Host`].

mod args;
mod commands;
mod examples;
mod exit;
mod import;
mod mix;

// What commands are made of.
mod ask;
mod complete;
mod document;
mod edit;
mod fault;
mod output;
mod progress;
mod session;
mod table;
mod terminal;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Cli, Command};
pub use crate::args::{ServeArgs, command};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;
use crate::terminal::Terminal;

/// What only the binary can do.
#[derive(Clone, Copy)]
pub struct Host {
    /// Runs the gateway until it is stopped.
    pub serve: fn(ServeArgs) -> ExitCode,
    /// The same with a ready cluster to try things on.
    pub dev: fn(ServeArgs) -> ExitCode,
    /// Checks a gateway file or a cluster file; which of them it is shows by its content.
    pub validate: fn(&Path) -> Result<Report, Vec<model::Problem>>,
    /// Every setting with its value, secrets masked, and where the value came from.
    pub config: fn(&ServeArgs) -> Result<Vec<Setting>, Vec<model::Problem>>,
    /// Of the program.
    pub version: &'static str,
}

/// A file that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is: `gateway file`, `cluster file`.
    pub what: String,
    /// What is in it, in a few words: `cluster shop: 3 services, 2 routes`.
    pub summary: String,
}

/// A setting of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `server.port`
    pub path: String,
    /// As it would be written; a secret is `***`.
    pub value: String,
    /// `flag --port`, `env THROOME_PORT`, `file throome.yaml:3`, `default`.
    pub source: String,
}

/// Carries out a command line, of which the first word is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, host: Host) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if complete::answered(&args, program(args.first())) {
        return Exit::Done.code();
    }
    let (mut input, mut out, mut err) =
        (std::io::stdin().lock(), std::io::stdout().lock(), std::io::stderr().lock());
    let mut terminal = Terminal::of_process(&mut input, &mut out, &mut err);
    let ready = match prepare(args, &host, &mut terminal) {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    // A gateway logs from many threads: nobody may hold its standard streams.
    match ready {
        Ready::Serve(args) => {
            drop((input, out, err));
            (host.serve)(args)
        }
        Ready::Dev(args) => {
            drop((input, out, err));
            (host.dev)(args)
        }
        Ready::Client(cli) => carry_out(*cli, &host, terminal),
    }
}

/// A command line that can be carried out.
enum Ready {
    Serve(ServeArgs),
    Dev(ServeArgs),
    Client(Box<Cli>),
}

/// Reads the command line; help, version and faults of usage end here.
fn prepare(args: Vec<OsString>, host: &Host, terminal: &mut Terminal<'_>) -> Result<Ready, ExitCode> {
    let program = program(args.first());
    let alone = program == args::CLI_ALONE;
    let command = if alone { args::command_alone() } else { command() };
    let mut command = command.version(host.version).bin_name(program);
    let parsed = command
        .try_get_matches_from_mut(args)
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Err(terminal.show_clap(&error)),
    };
    let refuse = |fault: Fault, terminal: &mut Terminal<'_>| fault.show(terminal, cli.global.color).code();
    if let Err(fault) = mix::check_mix(&cli, &matches) {
        return Err(refuse(fault, terminal));
    }
    match cli.command.take() {
        None if alone => {
            let help = command.render_help();
            terminal.talk(&help.to_string());
            Err(Exit::Usage.code())
        }
        Some(Command::Serve(_) | Command::Dev(_)) if alone => {
            let fault = Fault::usage(format!("`{program}` has no gateway in it"))
                .fix("run `throome serve`, which is the other program of this package");
            Err(refuse(fault, terminal))
        }
        None => Ok(Ready::Serve(cli.serve)),
        Some(Command::Serve(args)) => Ok(Ready::Serve(args)),
        Some(Command::Dev(args)) => Ok(Ready::Dev(args)),
        Some(other) => {
            cli.command = Some(other);
            Ok(Ready::Client(Box::new(cli)))
        }
    }
}

/// `throome`, or `throome-cli` when the program is called so.
fn program(first: Option<&OsString>) -> &'static str {
    let stem = first.map(PathBuf::from).and_then(|path| path.file_stem().map(OsString::from));
    if stem.is_some_and(|stem| stem == args::CLI_ALONE) { args::CLI_ALONE } else { "throome" }
}

fn carry_out(cli: Cli, host: &Host, terminal: Terminal<'_>) -> ExitCode {
    let note = cli.note();
    let Cli { global, command, .. } = cli;
    let color = global.color;
    let mut session = Session::new(global, terminal);
    if let Some(note) = note {
        session.say(note);
    }
    let ended = match command {
        Some(command) => commands::run(command, host, &mut session),
        None => Ok(Exit::Done),
    };
    let ended = ended.and_then(|exit| session.terminal.flush().map(|()| exit));
    match ended {
        Ok(exit) => exit.code(),
        Err(fault) => fault.show(&mut session.terminal, color).code(),
    }
}
