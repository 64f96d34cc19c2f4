//! Every problem of a document at once: each with its path, line, column and a suggestion.

mod canonical;
pub(crate) mod path;
mod place;
mod provision;
mod scalars;
mod service;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tree::{Node, Place};

pub use canonical::canonical;
pub use place::place;
pub use provision::is_provisioned;
pub(crate) use service::{offered_fields, said, service_fields};
pub(crate) use walk::is_default;
pub use walk::walk;

/// One fault of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where in the document: `services.cache.port`, `routes[2].path`; empty for the whole.
    pub path: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The file, when it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1; absent for a body that was not read as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Set when the thing is known and belongs to a later stage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_built: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "{line}:{column}: ")?,
            _ if self.file.is_some() => f.write_str(" ")?,
            _ => {}
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " ({suggestion})")?;
        }
        Ok(())
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems {
    file: Option<String>,
    found: Vec<Problem>,
    /// The path of the part that is being checked by someone who knows only that part.
    within: String,
}

impl Problems {
    /// None yet; all that follow are of this file.
    #[must_use]
    pub fn new(file: Option<&str>) -> Self {
        Problems { file: file.map(str::to_owned), ..Problems::default() }
    }

    /// Notes a problem; `message` is one sentence that may continue the path: `must be a number`.
    pub fn add(&mut self, path: &str, at: Place, message: impl Into<String>) -> &mut Problem {
        let known = at != Place::default();
        let index = self.found.len();
        self.found.push(Problem {
            path: step(&self.within, path),
            message: message.into(),
            file: self.file.clone(),
            line: known.then_some(at.line),
            column: known.then_some(at.column),
            suggestion: None,
            not_built: false,
        });
        &mut self.found[index]
    }

    /// Notes a problem of this value.
    pub fn at(&mut self, node: &Node, path: &str, message: impl Into<String>) -> &mut Problem {
        self.add(path, node.at, message)
    }

    /// Takes over a problem as it is, such as one that parsing found; it gets this file when it has none.
    pub fn push(&mut self, mut problem: Problem) {
        problem.file = problem.file.or_else(|| self.file.clone());
        self.found.push(problem);
    }

    /// Lets `check` speak of a part without knowing where it stands: its paths begin below `path`.
    pub fn within<T>(&mut self, path: &str, check: impl FnOnce(&mut Problems) -> T) -> T {
        let inner = step(&self.within, path);
        let outer = std::mem::replace(&mut self.within, inner);
        let result = check(self);
        self.within = outer;
        result
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The paths of those after so many.
    pub(crate) fn paths_from(&self, index: usize) -> Vec<String> {
        self.found.iter().skip(index).map(|problem| problem.path.clone()).collect()
    }

    /// Of those after so many, takes back each of these paths.
    pub(crate) fn forget_from(&mut self, index: usize, of: impl Fn(&str) -> bool) {
        let mut at = 0;
        self.found.retain(|problem| {
            at += 1;
            at <= index || !of(&problem.path)
        });
    }

    /// All of them, by line; those without a line in the order in which they were found.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        self.found
    }
}

/// `services` and `cache` as `services.cache`, `routes` and `[0]` as `routes[0]`.
pub(crate) fn step(path: &str, next: &str) -> String {
    match (path, next) {
        ("", next) => next.to_owned(),
        (path, "") => path.to_owned(),
        (path, next) if next.starts_with('[') => format!("{path}{next}"),
        (path, next) => format!("{path}.{next}"),
    }
}
