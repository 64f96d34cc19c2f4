//! `validate`: what is wrong with files, all of it at once, without a gateway.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Host;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(clap::Args, Debug)]
pub(crate) struct Validate {
    /// Gateway files or cluster files; which they are shows by what is in them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Taken for the predecessor's scripts; a file is found by its own path
    #[arg(long, hide = true)]
    pub(crate) clusters_dir: Option<PathBuf>,
}

const COLUMNS: &[Column] = &[
    column("FILE", Cell::At("/file")),
    column("RESULT", Cell::State("/result")),
    column("WHAT", Cell::At("/what")),
    column("CONTENT", Cell::At("/summary")),
];

pub(crate) fn run(args: &Validate, host: &Host, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (mut files, mut exit) = (Vec::new(), Exit::Done);
    for path in &args.files {
        let file = path.display().to_string();
        match (host.validate)(path) {
            Ok(report) => files.push(json!({
                "file": file, "valid": true, "result": "valid", "what": report.what, "summary": report.summary,
                "errors": [],
            })),
            Err(problems) => {
                Fault::invalid(format!("{file} is not valid"), &problems)
                    .show(&mut session.terminal, session.global.color);
                exit = Exit::Invalid;
                let errors = serde_json::to_value(&problems).unwrap_or(Value::Null);
                files.push(json!({ "file": file, "valid": false, "result": "invalid", "errors": errors }));
            }
        }
    }
    let body = json!({ "files": files });
    session.list(&body, &items(&body, "files"), COLUMNS, |file| text(file, "/file"))?;
    Ok(exit)
}
