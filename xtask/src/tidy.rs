//! Tidiness: how long files and functions are, how files begin, and words that must not be there.

use std::path::Path;

use crate::source::{Piece, Token, end_of_item, tokens};

/// A source file may have so many lines; a longer one is two ideas.
pub const FILE: usize = 600;
/// A function may have so many lines without saying why.
pub const FUNCTION: usize = 100;

/// Places of somebody's own machine.
const MACHINES: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/t", "mp/")];

/// What is untidy in one file of Rust: a sentence each.
#[must_use]
pub fn untidy(path: &Path, source: &str) -> Vec<String> {
    let name = crate::shown(path);
    let is_test = name.ends_with("tests.rs") || name.contains("/tests/") || name.starts_with("tests/");
    let mut found = Vec::new();
    if !source.starts_with("//!") {
        found.push(format!("{name}: does not begin with `//!`, what it is and what it leaves to others"));
    }
    let lines = source.lines().count();
    if lines > FILE && name.contains("/src/") {
        found.push(format!("{name}: {lines} lines, more than {FILE}"));
    }
    let tokens = tokens(source);
    for (line, length) in long_functions(&tokens) {
        found.push(format!(
            "{name}:{line}: a function of {length} lines, more than {FUNCTION}, without a reason"
        ));
    }
    if !is_test {
        found.extend(machine_words(&tokens).map(|(line, word)| format!("{name}:{line}: says {word}")));
    }
    found
}

/// Functions longer than [`FUNCTION`] without `#[expect(clippy::too_many_lines, reason = …)]`.
fn long_functions(tokens: &[Token]) -> Vec<(usize, usize)> {
    let plain: Vec<Token> =
        tokens.iter().filter(|token| !matches!(token.piece, Piece::Comment(_))).cloned().collect();
    let is = |token: &Token, word: &str| token.piece == Piece::Word(word.to_owned());
    let mut found = Vec::new();
    for at in 0..plain.len().saturating_sub(1) {
        // `fn` before anything but a name is a type.
        if !is(&plain[at], "fn") || !matches!(plain[at + 1].piece, Piece::Word(_)) {
            continue;
        }
        let item = &plain[at..at + end_of_item(&plain[at..])];
        let (first, last) = (item[0].line, item[item.len() - 1].line);
        let length = last - first + 1;
        let before = &plain[at.saturating_sub(40)..at];
        let excused = before.iter().rposition(|token| is(token, "too_many_lines")).is_some_and(|from| {
            let between = &before[from..];
            between.iter().any(|token| is(token, "reason")) && !between.iter().any(|token| is(token, "fn"))
        });
        if length > FUNCTION && !excused {
            found.push((first, length));
        }
    }
    found
}

fn machine_words(tokens: &[Token]) -> impl Iterator<Item = (usize, &'static str)> {
    tokens.iter().filter_map(|token| {
        let (Piece::Text(text) | Piece::Bytes(text) | Piece::Comment(text)) = &token.piece else {
            return None;
        };
        let word = MACHINES.iter().find(|word| text.contains(**word))?;
        Some((token.line, *word))
    })
}

/// Links of a Markdown file that lead to no file: the paths, as they are written.
#[must_use]
pub fn dead_links(path: &Path, text: &str) -> Vec<String> {
    let home = path.parent().unwrap_or(Path::new("."));
    let mut dead = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !home.join(file).exists() {
                dead.push(target.to_owned());
            }
        }
    }
    dead
}
