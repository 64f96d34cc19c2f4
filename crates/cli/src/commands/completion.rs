//! `completion`: a script by which a shell asks this program what may stand where; see `complete`.

use clap_complete::Shell;

use crate::complete;
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
    let program = crate::program(std::env::args_os().next().as_ref());
    let script = complete::script(&args.shell.to_string(), program)?;
    session.terminal.data(&script)?;
    Ok(Exit::Done)
}
