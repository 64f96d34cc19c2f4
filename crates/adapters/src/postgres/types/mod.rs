//! PostgreSQL's types: which there are, their values as JSON, and arguments as the text that the server reads.
//!
//! Everything is text on the wire, in both directions, so that a type that nobody here has heard of is carried as well.
//!
//! What the server writes in text form depends on the session. Connections must set `client_encoding` to `UTF8`,
//! `DateStyle` to `ISO`, and leave `extra_float_digits` at 1 or more; a session that changes the style of dates gets
//! the server's own text for times.
//!
//! A type is named as `pg_type.typname` has it, such as `int4`, `timestamptz`, `varchar`, `bpchar`; an array is its
//! element's name and `[]`, however many dimensions its values have. A domain is told as the type beneath it, as the
//! server itself does for the columns of a result.

mod argument;
mod array;
mod builtin;
mod bytea;
mod catalog;
mod native;
mod times;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use argument::argument;
pub(super) use catalog::Catalog;
pub(super) use native::{tell, verbatim};
pub(super) use write::{NotText, write};

/// How values of a type are told in JSON, and what may be given for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// True and false.
    Bool,
    /// A number where every reader has it exactly, else text.
    Integer,
    /// A number; what JSON has no word for is text.
    Float,
    /// Text, so that no reader rounds it.
    Numeric,
    /// The server's text: also for all that JSON has no better form for.
    Text,
    /// Base64.
    Bytes,
    /// What it says, nested as it is.
    Json,
    /// RFC 3339 without an offset.
    Timestamp,
    /// RFC 3339.
    TimestampTz,
    /// A list of what the elements are, list in list for each dimension.
    Array(Arc<Kind>, Delimiter),
}

/// What stands between the elements of an array in its text form: a comma, but for one type of the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delimiter(pub(super) u8);

/// A type that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its name for people and SDKs.
    pub(super) name: Arc<str>,
    /// How it is told.
    pub(super) kind: Kind,
}

impl Known {
    /// For a type that the server uses and cannot name any more, since somebody dropped it meanwhile.
    pub(super) fn nameless() -> Known {
        Known { name: "unknown".into(), kind: Kind::Text }
    }

    fn array_of(element: &Known, delimiter: Delimiter) -> Known {
        Known {
            name: format!("{}[]", element.name).into(),
            kind: Kind::Array(Arc::new(element.kind.clone()), delimiter),
        }
    }
}
