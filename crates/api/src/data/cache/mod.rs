//! Calls on keys and values.

pub(crate) mod bodies;
pub(crate) mod calls;
pub(crate) mod keys;
pub(crate) mod operations;

pub(crate) use calls::{delete, expire, get, incr, set, ttl};
