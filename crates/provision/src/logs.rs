//! What a program has said, line by line.

use std::pin::Pin;

use futures_util::Stream;
use model::Failure;

/// Which lines are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The last so many of those that there are; all, where nothing is said.
    pub tail: Option<usize>,
    /// Only what was said at this time or later.
    pub since: Option<jiff::Timestamp>,
    /// Whether it goes on with what will be said, until the program ends.
    pub follow: bool,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was said.
    pub time: jiff::Timestamp,
    /// By which way.
    pub source: Source,
    /// What was said; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// By which way a line was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Lines as they come.
pub type Lines = Pin<Box<dyn Stream<Item = Result<Line, Failure>> + Send>>;
