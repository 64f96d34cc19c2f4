//! The conversation: statements over as many lines as they need, and a few commands of our own.

use sdk::Family;

use super::catalogue::{self, Asked};
use super::lines::{Line, Lines};
use super::print::Shape;
use super::runner::Runner;
use super::split::cut;
use crate::exit::Exit;
use crate::fault::Fault;

const HELP: &str = "\
Statements end with `;` and may take several lines. BEGIN, COMMIT and ROLLBACK make a transaction.
A line that begins with a space is not kept in the history. Ctrl-C gives up what runs or was typed.
  \\dt          tables
  \\d [TABLE]   the columns of a table
  \\x           rows as lines, or as a table again
  \\timing      how long statements take
  \\?           this
  \\q           leave (also Ctrl-D)
";

/// What is done after a line.
enum Next {
    GoOn,
    Leave,
}

/// Asks for statements until there are no more. What fails is told, and is no reason to leave.
pub(super) async fn converse(runner: &mut Runner<'_, '_>, name: &str) -> Result<Exit, Fault> {
    let mut lines = Lines::open(&runner.session.terminal);
    runner.session.say(&format!("statements for `{name}`, each with `;` at its end; \\? for help"));
    let mut pending = String::new();
    loop {
        let prompt = prompt(name, &pending, runner.in_transaction());
        match lines.next(runner.session, &prompt)? {
            Line::Text(line) if pending.is_empty() && is_command(&line) => {
                lines.remember(&line);
                match command(runner, line.trim()).await {
                    Ok(Next::GoOn) => {}
                    Ok(Next::Leave) => break,
                    Err(fault) => tell(runner, &fault)?,
                }
            }
            Line::Text(line) => {
                pending.push_str(&line);
                pending.push('\n');
                take(runner, &mut lines, &mut pending).await?;
            }
            Line::Interrupted => pending.clear(),
            Line::End => break,
        }
    }
    runner.abandon().await;
    Ok(Exit::Done)
}

fn prompt(name: &str, pending: &str, in_transaction: bool) -> String {
    let state = match (pending.is_empty(), in_transaction) {
        (true, false) => "=>",
        (true, true) => "=*>",
        (false, false) => "->",
        (false, true) => "-*>",
    };
    format!("{name}{state} ")
}

/// Runs the statements that are whole. What is left waits for its further lines.
async fn take(runner: &mut Runner<'_, '_>, lines: &mut Lines, pending: &mut String) -> Result<(), Fault> {
    let found = cut(pending);
    if found.rest.is_none() && !found.in_comment {
        lines.remember(pending.trim_end());
    }
    for statement in &found.ended {
        if let Err(fault) = runner.run(statement.text, &[]).await {
            // What stands behind it on the same line was meant to follow it.
            tell(runner, &fault)?;
            pending.clear();
            return Ok(());
        }
    }
    let left = if found.rest.is_some() || found.in_comment { pending[found.done..].trim_start() } else { "" };
    *pending = left.to_owned();
    Ok(())
}

fn is_command(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('\\') || matches!(line, "quit" | "exit" | "help")
}

async fn command(runner: &mut Runner<'_, '_>, line: &str) -> Result<Next, Fault> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim().trim_end_matches(';');
    match (word.trim_end_matches(';'), rest) {
        ("\\q" | "quit" | "exit", "") => return Ok(Next::Leave),
        ("\\?" | "help", "") => runner.session.terminal.talk(HELP),
        ("\\dt" | "\\d", "") => catalogue::show(runner, &Asked::Tables).await?,
        ("\\d", table) => {
            let table = table.trim_matches('"').replace("\"\"", "\"");
            catalogue::show(runner, &Asked::Table(table)).await?;
        }
        ("\\timing", "") => {
            runner.timing = !runner.timing;
            let said = if runner.timing { "times are shown" } else { "times are not shown" };
            runner.session.say(said);
        }
        ("\\x", "") => {
            runner.shape = match runner.shape {
                Shape::Expanded => Shape::Table,
                Shape::Table | Shape::Json | Shape::Csv => Shape::Expanded,
            };
            let lines = runner.shape == Shape::Expanded;
            runner.session.say(if lines { "rows are shown as lines" } else { "rows are shown as a table" });
        }
        _ => {
            return Err(Fault::usage(format!("`{line}` is no command here")).fix("\\? lists them"));
        }
    }
    Ok(Next::GoOn)
}

/// Tells what went wrong; only a reader that has gone away ends the conversation.
fn tell(runner: &mut Runner<'_, '_>, fault: &Fault) -> Result<(), Fault> {
    let color = runner.session.global.color;
    if fault.is_unheard() {
        return Err(Fault::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
    }
    fault.show(&mut runner.session.terminal, color);
    Ok(())
}

/// Whether the database refused a statement, rather than not being reached.
pub(super) fn refused(error: &sdk::Error) -> bool {
    error.family() == Family::Upstream && error.status() == Some(400)
}
