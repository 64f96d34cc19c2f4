//! Completion in a shell: the shell runs the program with the words so far, and is answered with what may
//! stand there. Names come from the running gateway, or from what it said last; a failure is silence.

mod names;

use std::ffi::OsString;
use std::io::Write;

use clap_complete::CompleteEnv;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::Shells;

use crate::args::{self, command, command_alone};
use crate::exit::Exit;
use crate::fault::Fault;
use names::{Kind, Names};

/// Set by the script that a shell has of us.
const ASKED: &str = "THROOME_COMPLETE";

/// Answers a shell, if one asks; whether it did.
pub(crate) fn answered(words: &[OsString], program: &'static str) -> bool {
    if std::env::var_os(ASKED).is_none() {
        return false;
    }
    let factory = || if program == args::CLI_ALONE { command_alone() } else { command() }.bin_name(program);
    let folder = std::env::current_dir().ok();
    // A shell that is not known, or has gone away: there is nobody to tell.
    CompleteEnv::with_factory(factory)
        .var(ASKED)
        .bin(program)
        .completer(program)
        .try_complete(words.to_vec(), folder.as_deref())
        .unwrap_or(true)
}

/// The script for a shell.
pub(crate) fn script(shell: &str, program: &str) -> Result<Vec<u8>, Fault> {
    let mut script = Vec::new();
    let written = match Shells::builtins().completer(shell) {
        Some(shell) => shell.write_registration(ASKED, program, program, program, &mut script),
        None => Err(std::io::Error::other("no such shell")),
    };
    written.and_then(|()| script.flush()).map_err(|error| {
        Fault::new(Exit::Failed, format!("no completion for `{shell}`")).why(error.to_string())
    })?;
    Ok(script)
}

/// Ids of clusters.
pub(crate) fn clusters() -> ArgValueCompleter {
    completer(Kind::Clusters)
}

/// `ID/NAME` of services, and `NAME` in the named cluster.
pub(crate) fn services_of_all() -> ArgValueCompleter {
    completer(Kind::ServicesOfAll)
}

/// Names of services in the named cluster.
pub(crate) fn services() -> ArgValueCompleter {
    completer(Kind::Services)
}

/// Ids of routes.
pub(crate) fn routes() -> ArgValueCompleter {
    completer(Kind::Routes)
}

/// `PROVISIONER/CLUSTER/SERVICE` of what no cluster asks for.
pub(crate) fn orphans() -> ArgValueCompleter {
    completer(Kind::Orphans)
}

/// Topics in the named cluster.
pub(crate) fn topics() -> ArgValueCompleter {
    completer(Kind::Topics)
}

/// Groups in the named cluster.
pub(crate) fn groups() -> ArgValueCompleter {
    completer(Kind::Groups)
}

fn completer(kind: Kind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |begun: &std::ffi::OsStr| {
        let begun = begun.to_string_lossy();
        Names::of_process()
            .find(kind)
            .into_iter()
            .filter(|name| name.starts_with(&*begun))
            .map(Into::into)
            .collect()
    })
}
