//! `sql`: statements from the command line, a file, a pipe or a person. What a text consists of is in
//! `split`, what a statement is for in `meaning`, one statement's run in `runner`, the conversation in `shell`.

mod catalogue;
mod csv;
mod draw;
mod lines;
mod meaning;
mod print;
mod runner;
mod shell;
mod split;

use std::io::Read;
use std::time::Duration;

use clap::{Args, ValueHint};
use serde_json::Value;

use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Format;
use crate::session::Session;

use print::Shape;
use runner::Runner;
use split::{Statement, cut};

#[derive(Args, Debug)]
pub(crate) struct Sql {
    /// A file of statements; `-` reads standard input
    #[arg(conflicts_with = "command", value_hint = ValueHint::FilePath)]
    file: Option<String>,
    /// Statements to run; may repeat
    #[arg(short, long, value_name = "STATEMENT")]
    command: Vec<String>,
    /// What stands in for `$1`, `$2`, …: null, true, 5, or text; may repeat
    #[arg(long = "arg", value_name = "VALUE", allow_hyphen_values = true)]
    args: Vec<String>,
    /// Let the database refuse what would change something
    #[arg(long)]
    read_only: bool,
    /// Run all statements in one transaction: all of them, or none
    #[arg(long)]
    single_transaction: bool,
    /// Rows that a result has at most
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    /// The database, where the cluster has several
    #[arg(long, value_name = "NAME", add = complete::services())]
    service: Option<String>,
}

/// The database's own limit is shorter; this is for a gateway that says nothing at all.
const LONGEST_STATEMENT: Duration = Duration::from_secs(3600);
/// A text is held whole, so that a fault in it can be told by its line.
const LONGEST_TEXT: u64 = 256 * 1024 * 1024;

/// Statements and where they came from.
struct Source {
    /// As faults name it.
    name: Option<String>,
    text: String,
}

pub(crate) async fn run(args: Sql, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let shape = match session.global.output {
        Format::Table | Format::Wide => Shape::Table,
        Format::Json => Shape::Json,
        Format::Csv => Shape::Csv,
        Format::Yaml | Format::Name | Format::Raw => {
            return Err(Fault::usage("sql prints tables, JSON or CSV").fix("say -o table, json or csv"));
        }
    };
    let cluster = session.cluster()?;
    let mut db = session.client()?.cluster(&cluster).db().timeout(LONGEST_STATEMENT);
    if let Some(service) = &args.service {
        db = db.service(service);
    }
    if args.read_only {
        db = db.read_only();
    }
    if let Some(rows) = args.max_rows {
        db = db.max_rows(rows);
    }
    let person = session.terminal.people.type_input && !session.global.non_interactive;
    let sources = sources(&args, person, session)?;
    let mut runner = Runner::new(session, db, shape, args.read_only);
    match sources {
        Some(sources) => all(&mut runner, &sources, &args).await,
        None if args.single_transaction || !args.args.is_empty() => {
            Err(Fault::usage("there are no statements for --single-transaction or --arg")
                .fix("give them with -c or as a file"))
        }
        None => shell::converse(&mut runner, &cluster).await,
    }
}

/// What there is to run; `None` where a person will say.
fn sources(args: &Sql, person: bool, session: &mut Session<'_>) -> Result<Option<Vec<Source>>, Fault> {
    if !args.command.is_empty() {
        let source = |text: &String| Source { name: None, text: text.clone() };
        return Ok(Some(args.command.iter().map(source).collect()));
    }
    let (name, mut reader): (String, Box<dyn Read + '_>) = match args.file.as_deref() {
        Some("-") => ("standard input".to_owned(), Box::new(&mut *session.terminal.input)),
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(|error| unread(file, &error))?;
            (file.to_owned(), Box::new(opened))
        }
        None if person => return Ok(None),
        None if session.terminal.people.type_input => {
            return Err(Fault::usage("there are no statements, and nobody to ask").fix("give them with -c"));
        }
        None => ("standard input".to_owned(), Box::new(&mut *session.terminal.input)),
    };
    let mut text = String::new();
    (&mut reader).take(LONGEST_TEXT + 1).read_to_string(&mut text).map_err(|error| unread(&name, &error))?;
    if text.len() as u64 > LONGEST_TEXT {
        return Err(Fault::new(Exit::Invalid, format!("{name} is longer than 256 MiB")).fix("split it"));
    }
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Some(vec![Source { name: Some(name), text }]))
}

fn unread(name: &str, error: &std::io::Error) -> Fault {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Fault::new(exit, format!("cannot read {name}")).why(error.to_string())
}

/// Runs everything up to the first failure. A transaction that is open at the end is undone.
async fn all(runner: &mut Runner<'_, '_>, sources: &[Source], args: &Sql) -> Result<Exit, Fault> {
    let arguments: Vec<Value> = args.args.iter().map(|text| argument(text)).collect();
    let statements: Vec<(&Source, Statement<'_>)> = sources
        .iter()
        .flat_map(|source| {
            let cut = cut(&source.text);
            cut.ended.into_iter().chain(cut.rest).map(move |statement| (source, statement))
        })
        .collect();
    if statements.len() > 1 && !arguments.is_empty() {
        return Err(Fault::usage(format!("--arg is for one statement, and there are {}", statements.len())));
    }
    if args.single_transaction {
        runner.begin_for_all().await?;
    }
    let many = statements.len();
    for (number, (source, statement)) in statements.into_iter().enumerate() {
        let ran = runner.run(statement.text, &arguments).await;
        if let Err(fault) = ran {
            runner.abandon().await;
            return Err(if many > 1 || source.name.is_some() {
                fault.at(&place(number + 1, source, &statement))
            } else {
                fault
            });
        }
    }
    if args.single_transaction {
        return runner.commit().await.map(|()| Exit::Done);
    }
    if runner.abandon().await {
        return Err(Fault::new(Exit::Failed, "the transaction was not committed, so it was undone")
            .fix("end it with COMMIT"));
    }
    Ok(Exit::Done)
}

fn place(number: usize, source: &Source, statement: &Statement<'_>) -> String {
    match &source.name {
        Some(name) => format!("statement {number}, line {} of {name}", statement.line),
        None => format!("statement {number}"),
    }
}

/// JSON's words for no value, truth and numbers; a text in quotes; else the text as it is.
fn argument(text: &str) -> Value {
    let plain = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    serde_json::from_str(text).ok().filter(plain).unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_json_or_text() {
        for (text, value) in [
            ("null", json!(null)),
            ("-5", json!(-5)),
            ("1.5", json!(1.5)),
            ("true", json!(true)),
            ("\"true\"", json!("true")),
            ("", json!("")),
            ("O'Brien; DROP", json!("O'Brien; DROP")),
            ("007", json!("007")),
            ("[1]", json!("[1]")),
        ] {
            assert_eq!(argument(text), value, "{text}");
        }
    }
}
