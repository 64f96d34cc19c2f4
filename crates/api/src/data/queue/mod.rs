//! Calls on topics, on messages, and on the groups that read them.

// What is asked, and how a service is asked it.
pub(crate) mod bodies;
mod content;
mod operations;

// The calls.
pub(crate) mod consume;
pub(crate) mod groups;
pub(crate) mod publish;
pub(crate) mod settle;
pub(crate) mod topics;

// A stream of messages.
mod deliver;
mod events;
mod frames;

pub(crate) use consume::consume;
pub(crate) use groups::{delete_group, groups, reset_group};
pub(crate) use publish::publish;
pub(crate) use settle::ack;
pub(crate) use topics::{create_topic, delete_topic, topic, topics};

/// One page of a list that the engine has sorted, and the cursor of the next; `behind` says whether an item
/// stands behind the cursor, `cursor` writes the one of an item.
fn page<T>(
    mut items: Vec<T>,
    limit: usize,
    behind: impl Fn(&T) -> bool,
    cursor: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    items.retain(behind);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    (items, next)
}
