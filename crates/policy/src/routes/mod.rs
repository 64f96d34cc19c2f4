//! The route table: which route answers a request. Immutable, cheap to copy, cheap to change.
//!
//! What a route leads to is the payload of the caller. Paths that could be read in two ways (dot
//! segments, encoded slashes) were refused before they come here, and those of requests are in their plain form.

mod affinity;
mod conditions;
mod entry;
mod hosts;
mod map;
mod pattern;
mod redirect;
mod request;
mod rewrite;
mod shard;
mod table;
mod trie;

#[cfg(test)]
mod tests;

pub use affinity::{Affinity, Asker};
pub use redirect::{Asked, Redirect};
pub use request::{Match, Params, Request};
pub use rewrite::rewrite;
pub use table::{Conflict, Table};
