//! Who says the name of a kind: only its own folder in `crates/adapters`, and the few places named here.
//!
//! With that, a kind is added by one folder and one line, and everything else draws from the list.

use std::path::Path;

use crate::source::{Piece, Token, code, tokens};
use crate::{files, root, shown};

/// Files outside `crates/adapters` that may, and why.
pub const MAY: &[(&str, &str)] = &[
    ("crates/model/src/kind.rs", "the names of abilities, one of which is spelt like a kind"),
    ("crates/model/src/cluster_fields.rs", "the keys of `run`, one of which is spelt like a kind"),
    ("crates/model/src/route/parts.rs", "the schemes of an address, one of which is spelt like a kind"),
    (
        "crates/provision/src/docker/dial.rs",
        "the schemes of an engine's address, two of which are spelt like kinds",
    ),
    ("crates/throome/src/listeners.rs", "what a listener takes, two words that are spelt like kinds"),
    ("crates/cli/src/import/engine.rs", "a key of limits, spelt like a kind"),
    ("crates/cli/src/import/known.rs", "which images of a Compose file are of which kind"),
    ("crates/cli/src/import/ports.rs", "a protocol of published ports, spelt like a kind"),
    ("crates/provision/src/process/place.rs", "a directory of a service, spelt like a kind"),
    ("crates/throome/src/dev.rs", "writes the sample cluster and the lines to try"),
];

/// A place where a kind is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// The kind.
    pub kind: String,
    /// Its line.
    pub line: usize,
}

/// The names of all kinds, built and to come, read from the list in `crates/adapters`.
///
/// # Panics
/// When the sources cannot be read.
#[must_use]
pub fn names() -> Vec<String> {
    let list = read(&root().join("crates/adapters/src/lib.rs"));
    let mut names = of_later(&tokens(&list));
    for file in files(&["crates/adapters/src"], "mod.rs") {
        names.extend(of_driver(&tokens(&read(&file))));
    }
    names.sort();
    names.dedup();
    names
}

/// Every place in the code of the workspace that names a kind and may not, as `file:line`.
///
/// # Panics
/// When the sources cannot be read.
#[must_use]
pub fn wrong(names: &[String]) -> Vec<String> {
    let may = |path: &Path| {
        let path = shown(path);
        path.starts_with("crates/adapters/")
            || path.ends_with("/tests.rs")
            || path.contains("/tests/")
            || MAY.iter().any(|(file, _)| *file == path)
    };
    let sources = files(&["crates", "sdks/rust"], ".rs").into_iter().filter(|path| !may(path));
    sources
        .flat_map(|path| {
            let say = |saying: Saying| {
                format!("{}:{}: names the kind `{}`", shown(&path), saying.line, saying.kind)
            };
            sayings(&read(&path), names).into_iter().map(say).collect::<Vec<_>>()
        })
        .collect()
}

/// The kinds that a file's code names: a text that is a kind's name and nothing else, or one that holds
/// `type: NAME` as documents spell it.
///
/// Byte strings are left alone: they are words of a protocol, such as the scheme of a URL.
#[must_use]
pub fn sayings(source: &str, names: &[String]) -> Vec<Saying> {
    let saying = |token: Token| {
        let Piece::Text(text) = token.piece else { return None };
        let kind = names.iter().find(|name| is_named(&text, name))?;
        Some(Saying { kind: kind.clone(), line: token.line })
    };
    code(&tokens(source)).into_iter().filter_map(saying).collect()
}

fn is_named(text: &str, name: &str) -> bool {
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let in_document = plain.split("type:").skip(1).any(|rest| {
        rest.strip_prefix(name).is_some_and(|behind| !behind.starts_with(|c: char| c.is_alphanumeric()))
    });
    text == name || in_document
}

/// The first text of each line of the table `LATER`.
fn of_later(list: &[Token]) -> Vec<String> {
    let begin = list.iter().position(|token| token.piece == Piece::Word("LATER".to_owned()));
    let table = begin.map_or(&[][..], |begin| &list[begin..]);
    let end = table.iter().position(|token| token.piece == Piece::Mark(';')).unwrap_or(table.len());
    let first = |pair: &[Token]| match (&pair[0].piece, &pair[1].piece) {
        (Piece::Mark('('), Piece::Text(name)) => Some(name.clone()),
        _ => None,
    };
    table[..end].windows(2).filter_map(first).collect()
}

/// What `fn name` of a driver returns.
fn of_driver(file: &[Token]) -> Option<String> {
    let is = |token: &Token, word: &str| token.piece == Piece::Word(word.to_owned());
    let at = file.windows(2).position(|pair| is(&pair[0], "fn") && is(&pair[1], "name"))?;
    file[at..].iter().find_map(|token| match &token.piece {
        Piece::Text(name) => Some(name.clone()),
        _ => None,
    })
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
