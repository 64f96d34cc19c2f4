//! Editing a resource in the editor of the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::document;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;

/// What the gateway adds to a body and does not take back.
const SHOWN_ONLY: [&str; 5] = ["id", "created_at", "healthy", "status", "owner"];

/// Opens a body as YAML; what was made of it, or `None` where nothing was changed. The draft is there until
/// it is dropped: whoever cannot send it keeps it.
pub(crate) fn edit(session: &Session<'_>, name: &str, body: &Value) -> Result<Option<(Value, Draft)>, Fault> {
    let editor = editor(session)?;
    let mut editable = body.clone();
    if let Some(fields) = editable.as_object_mut() {
        fields.retain(|field, _| !SHOWN_ONLY.contains(&field.as_str()));
    }
    let before =
        format!("# {name}. Secrets that read *** stay as they are.\n{}", model::yaml::emit(&editable));
    let draft = Draft::new(name, &before)?;
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(&draft.path).status().map_err(|error| {
        Fault::new(Exit::Failed, format!("cannot start the editor `{program}`")).why(error.to_string())
    })?;
    if !status.success() {
        return Err(
            Fault::new(Exit::Failed, "nothing was changed").why(format!("`{program}` ended with {status}"))
        );
    }
    let after = std::fs::read_to_string(&draft.path)
        .map_err(|error| Fault::new(Exit::Failed, "cannot read the draft again").why(error.to_string()))?;
    if after == before {
        return Ok(None);
    }
    match document::parse(name.to_owned(), None, &after) {
        Ok(document) => Ok(Some((document.json(), draft))),
        Err(fault) => Err(draft.keep(fault)),
    }
}

fn editor(session: &Session<'_>) -> Result<String, Fault> {
    let env = session.terminal.env;
    let person = session.terminal.people.type_input && !session.global.non_interactive;
    match env("VISUAL").or_else(|| env("EDITOR")) {
        // An editor may be a program that needs nobody, unless we were told that there is nobody.
        Some(editor) if !session.global.non_interactive => Ok(editor),
        None if person => Ok("vi".to_owned()),
        _ => Err(Fault::usage("there is nobody to edit")
            .fix("change a file and use `throome apply FILE`, or set EDITOR to a program")),
    }
}

/// A file that is gone when it is dropped, and that nobody else can read.
pub(crate) struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn new(name: &str, text: &str) -> Result<Draft, Fault> {
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = std::env::temp_dir().join(format!("throome-{safe}-{}.yaml", std::process::id()));
        let written = private(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(Draft { path, kept: false }),
            Err(error) => {
                Err(Fault::new(Exit::Failed, format!("cannot write {}", path.display()))
                    .why(error.to_string()))
            }
        }
    }

    /// Nobody's work is lost because it was refused.
    pub(crate) fn keep(mut self, fault: Fault) -> Fault {
        self.kept = true;
        fault.fix(format!("your draft is kept in {}", self.path.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A new file: one that is there already may be a trap laid in a shared directory.
fn private(path: &PathBuf) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
