//! Asking before damage: by name, of a person, or not at all.

use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;

/// Whether `--yes` was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct Consent {
    /// Do not ask; needed where nobody can answer
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    pub(crate) fn given(self) -> bool {
        self.yes
    }
}

/// Goes on only if consent was given, or a person types the name of what will be gone. `what` says it with
/// its consequence: "cluster `shop` with its 3 services".
pub(crate) fn before(
    session: &mut Session<'_>,
    consent: Consent,
    what: &str,
    name: &str,
) -> Result<(), Fault> {
    if consent.given() {
        return Ok(());
    }
    if session.global.non_interactive || !session.terminal.people.type_input {
        return Err(Fault::usage(format!("this removes {what}, and there is nobody to ask"))
            .fix("say --yes if that is what you want"));
    }
    session.terminal.talk(&crate::output::clean(&format!(
        "This removes {what}.\nType `{name}` to go on, anything else to leave it: "
    )));
    let mut answer = String::new();
    session
        .terminal
        .input
        .read_line(&mut answer)
        .map_err(|error| Fault::new(Exit::Failed, "nothing was removed").why(error.to_string()))?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(Fault::new(Exit::Failed, "nothing was removed").why(format!("what was typed is not `{name}`")))
}
