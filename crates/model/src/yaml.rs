//! YAML text to a tree with positions, and a value back to text.
//!
//! YAML 1.2 with its core schema, one document, plain data only: anchors, aliases, merge keys and tags are
//! refused, since a configuration that says one thing in two places is read wrongly by people. Documents of other programs
//! are read with them.

mod emit;
mod fault;
mod load;
mod scalar;
mod shared;
mod spans;

#[cfg(test)]
pub(crate) mod tests;

pub use emit::emit;
pub(crate) use emit::{Context, block, double_quoted, entry, inline, is_inline, text};
pub(crate) use scalar::resolve;

use crate::check::{Problem, Problems};
use crate::tree::{Node, Place};

/// The largest document.
pub const MAX_BYTES: usize = 4 << 20;

/// The deepest nesting of mappings and lists. No table of fields goes beyond a dozen.
pub const MAX_DEPTH: usize = 64;

/// The tree of a document. An empty document is `null`.
///
/// # Errors
/// Every fault that could be found: all repeated keys, anchors and tags, up to the first fault of syntax.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    load(text, |loader| loader)
}

/// The tree of a document that another program reads too: as [`parse`], but anchors, aliases and merge keys are followed,
/// and any scalar is a key. It cannot be edited by where its values stand.
///
/// # Errors
/// As those of [`parse`]; and when aliases make it larger than any document.
pub fn parse_foreign(text: &str) -> Result<Node, Vec<Problem>> {
    load(text, |loader| loader.foreign())
}

fn load(
    text: &str,
    reading: impl for<'t> FnOnce(load::Loader<'t>) -> load::Loader<'t>,
) -> Result<Node, Vec<Problem>> {
    let mut problems = Problems::new(None);
    if text.len() > MAX_BYTES {
        let start = Place { line: 1, column: 1 };
        problems.add("", start, format!("is {} bytes long; at most {MAX_BYTES} are read", text.len()));
        return Err(problems.into_vec());
    }
    let root = reading(load::Loader::new(text, &mut problems)).document();
    match root {
        Some(node) if problems.is_empty() => Ok(node),
        _ => Err(problems.into_vec()),
    }
}
