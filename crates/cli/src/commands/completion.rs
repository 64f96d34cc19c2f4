//! `completion`: a script that completes commands and flags in a shell.

use clap_complete::Shell;

use crate::args::command;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Format;
use crate::session::Session;

#[derive(clap::Args, Debug)]
pub(crate) struct Completion {
    /// The shell that it is for
    shell: Shell,
}

pub(crate) fn run(args: &Completion, session: &mut Session<'_>) -> Result<Exit, Fault> {
    if session.global.output != Format::Table {
        return Err(Fault::usage("a completion script has one form only").fix("leave --output out"));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "throome", &mut script);
    session.terminal.data(&script)?;
    Ok(Exit::Done)
}
