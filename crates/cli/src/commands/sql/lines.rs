//! Lines as a person types them: with editing and a history where the terminal can, as they come where not.

use std::path::{Path, PathBuf};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, Config, Editor};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;
use crate::terminal::Terminal;

/// More is not looked for.
const KEPT: usize = 1000;
/// A statement that is longer is a file's work, and not kept.
const LONGEST: usize = 16 * 1024;

pub(super) enum Line {
    Text(String),
    Interrupted,
    End,
}

pub(super) struct Lines {
    editor: Option<Editor<(), DefaultHistory>>,
    history: Option<PathBuf>,
}

impl Lines {
    pub(super) fn open(terminal: &Terminal<'_>) -> Lines {
        if !terminal.edits_lines {
            return Lines { editor: None, history: None };
        }
        let mut lines = Lines { editor: editor(), history: history(terminal.env) };
        if let (Some(editor), Some(path)) = (&mut lines.editor, &lines.history) {
            // Without a history there is still a prompt.
            let _ = private(path).and_then(|()| editor.load_history(path).map_err(std::io::Error::other));
        }
        lines
    }

    pub(super) fn next(&mut self, session: &mut Session<'_>, prompt: &str) -> Result<Line, Fault> {
        session.terminal.flush()?;
        let Some(editor) = &mut self.editor else { return plain(session, prompt) };
        match editor.readline(prompt) {
            Ok(line) => Ok(Line::Text(line)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(unread(&error)),
        }
    }

    /// Keeps a statement for later. What begins with a space is nobody's business.
    pub(super) fn remember(&mut self, statement: &str) {
        if statement.starts_with(' ') || statement.len() > LONGEST || statement.trim().is_empty() {
            return;
        }
        let Some(editor) = &mut self.editor else { return };
        let kept = editor.add_history_entry(statement);
        if let (Ok(true), Some(path)) = (kept, &self.history) {
            let _ = editor.append_history(path);
        }
    }
}

/// Writes and reads at the terminal itself: standard output is data, wherever it leads.
fn editor() -> Option<Editor<(), DefaultHistory>> {
    let config = Config::builder()
        .max_history_size(KEPT)
        .ok()?
        .history_ignore_dups(true)
        .ok()?
        .history_ignore_space(true)
        .behavior(Behavior::PreferTerm)
        .build();
    Editor::with_config(config).ok()
}

fn plain(session: &mut Session<'_>, prompt: &str) -> Result<Line, Fault> {
    session.terminal.talk(prompt);
    let mut line = String::new();
    match session.terminal.input.read_line(&mut line) {
        Ok(0) => Ok(Line::End),
        Ok(_) => Ok(Line::Text(line.trim_end_matches(['\n', '\r']).to_owned())),
        Err(error) => Err(unread(&error)),
    }
}

fn unread(error: &dyn std::error::Error) -> Fault {
    Fault::new(Exit::Failed, "cannot read what is typed").why(error.to_string())
}

/// `throome/sql_history` in the folder for what programs remember.
fn history(env: fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = env("XDG_STATE_HOME")
        .and_then(absolute)
        .or_else(|| env("HOME").and_then(absolute).map(|home| home.join(".local/state")))?;
    Some(folder.join("throome/sql_history"))
}

/// Makes the file where it is not there, for its owner alone: statements may hold what is secret.
fn private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600).open(path)?.set_permissions(std::fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    options.open(path).map(|_| ())
}

#[cfg(test)]
mod tests {
    use rustyline::history::History;

    use super::*;

    #[test]
    fn the_history_is_where_programs_remember() {
        for (env, path) in [
            (
                (|name| (name == "HOME").then(|| "/people/a".to_owned())) as fn(&str) -> Option<String>,
                Some("/people/a/.local/state/throome/sql_history"),
            ),
            (
                |name| Some(if name == "HOME" { "/people/a" } else { "/state" }.to_owned()),
                Some("/state/throome/sql_history"),
            ),
            (
                |name| Some(if name == "HOME" { "/people/a" } else { "not/absolute" }.to_owned()),
                Some("/people/a/.local/state/throome/sql_history"),
            ),
            (|_| None, None),
        ] {
            assert_eq!(history(env), path.map(PathBuf::from));
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_history_is_its_owners_bounded_and_discreet() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/sql_history");
        private(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        private(&path).unwrap();
        let mut lines = Lines { editor: editor(), history: Some(path.clone()) };
        lines.remember("SELECT 'two\nlines';");
        lines.remember(" SELECT 'secret';");
        lines.remember(&format!("SELECT '{}';", "x".repeat(LONGEST)));
        for number in 0..KEPT + 50 {
            lines.remember(&format!("SELECT {number};"));
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut again = editor().unwrap();
        again.load_history(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("secret") && text.lines().count() <= KEPT + 2, "{}", text.lines().count());
        assert_eq!(again.history().len(), KEPT);
        let mut first = Lines { editor: editor(), history: Some(folder.path().join("c")) };
        private(first.history.as_ref().unwrap()).unwrap();
        first.remember("SELECT 'two\nlines';");
        let mut again = editor().unwrap();
        again.load_history(first.history.as_ref().unwrap()).unwrap();
        assert_eq!(again.history().iter().next().map(String::as_str), Some("SELECT 'two\nlines';"));
    }
}
