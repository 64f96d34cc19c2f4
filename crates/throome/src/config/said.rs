//! Where each setting was said, so that what is wrong with it is told there: with file, line and column, or with the flag or
//! the name in the environment that it came from.

use std::fmt;

use adapters::Registry;
use model::Problem;
use model::check::place;
use model::tree::{Node, Value};

use crate::settings::FIELDS;

/// The layer that a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(String),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(name) => write!(f, "file {name}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The gateway's file, where there is one.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) tree: Node,
}

impl File {
    /// No file at all.
    pub(super) fn none() -> Self {
        File { name: String::new(), tree: Node::new(Value::Null) }
    }
}

/// The file, and the source of each setting that has a value.
#[derive(Debug)]
pub(crate) struct Said {
    file: File,
    sources: Vec<(String, Source)>,
}

impl Said {
    pub(super) fn new(file: File) -> Self {
        Said { file, sources: Vec::new() }
    }

    /// Notes where the value of a setting came from.
    pub(super) fn note(&mut self, path: &str, source: Source) {
        self.sources.push((path.to_owned(), source));
    }

    /// What is wrong with the setting of this path.
    pub(super) fn problem(&self, path: &str, message: String) -> Problem {
        self.locate(Problem { path: path.to_owned(), message, ..Problem::default() })
    }

    /// Gives a problem of a setting its place. One that is of some other file has its own.
    pub(crate) fn locate(&self, mut problem: Problem) -> Problem {
        if problem.file.is_some() {
            return problem;
        }
        match self.source(&problem.path) {
            Some((rest, source @ (Source::Environment(_) | Source::Flag(_)))) => {
                problem.path = format!("{source}{rest}");
            }
            _ => {
                if let Some(at) = place(&self.file.tree, FIELDS, &Registry, &problem.path) {
                    problem.file = Some(self.file.name.clone());
                    (problem.line, problem.column) = (Some(at.line), Some(at.column));
                }
            }
        }
        problem
    }

    /// Whether nobody has said it.
    pub(super) fn is_default(&self, path: &str) -> bool {
        !matches!(self.source(path), Some((_, Source::File(_) | Source::Environment(_) | Source::Flag(_))))
    }

    /// Where a setting came from, or the one that it is a part of, and which part.
    fn source<'p>(&self, path: &'p str) -> Option<(&'p str, &Source)> {
        self.sources.iter().find_map(|(own, source)| {
            let rest = path.strip_prefix(own.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some((rest, source))
        })
    }
}
