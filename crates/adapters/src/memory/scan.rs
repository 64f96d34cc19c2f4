//! Scans: pages of keys, shard by shard and in order within each, by a cursor that says where to go on.
//!
//! A key's place never changes, so one that stays is seen exactly once. A page is bounded in keys and in
//! the work that it takes to find them, so that it may be short, even empty, with more to come.

use std::ops::ControlFlow;
use std::time::Instant;

use bytes::Bytes;

use super::glob::Glob;
use super::shard::Key;
use super::store::{LOT, Store};
use crate::key_value::Page;

/// The longest page.
const MOST_KEYS: usize = 1000;

/// Work for one page, in bytes of keys that were looked at, [`KEY_WORK`] added for each: about a millisecond.
const WORK: usize = 256 << 10;

/// What a key costs that is short.
const KEY_WORK: usize = 64;

/// Where a walk over all keys goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// In this shard,
    pub(super) shard: usize,
    /// behind this key; `None` is its beginning.
    pub(super) after: Option<Key>,
}

impl Position {
    /// As a cursor: the shard, then nothing or a zero and the key.
    fn to_cursor(&self) -> Bytes {
        let mut cursor = Vec::with_capacity(2 + self.after.as_ref().map_or(0, |key| key.len()));
        cursor.push(u8::try_from(self.shard).expect("there are fewer than 256 shards"));
        if let Some(key) = &self.after {
            cursor.push(0);
            cursor.extend_from_slice(key);
        }
        cursor.into()
    }

    /// From a cursor, which may be anything.
    pub(super) fn from_cursor(cursor: &[u8]) -> Option<Self> {
        match cursor {
            [shard] => Some(Position { shard: usize::from(*shard), after: None }),
            [shard, 0, key @ ..] => Some(Position { shard: usize::from(*shard), after: Some(key.into()) }),
            _ => None,
        }
    }
}

/// The next page from there; `None` when there is no such place.
pub(super) fn page(
    store: &Store,
    glob: &Glob,
    mut position: Position,
    limit: usize,
    now: Instant,
) -> Option<Page> {
    if position.shard >= store.shard_count() {
        return None;
    }
    let limit = limit.clamp(1, MOST_KEYS);
    let mut page = Page::default();
    let mut work = 0;
    while let Some(shard) = store.nth(position.shard) {
        let mut lot = 0;
        let stopped = shard.walk(glob.prefix(), position.after.as_deref(), |key| {
            lot += 1;
            work += KEY_WORK + key.len();
            if glob.matches(key) && shard.is_live(key, now) {
                page.keys.push(Bytes::copy_from_slice(key));
            }
            let full = is_full(&page, limit, work);
            if full || lot == LOT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drop(shard);
        match stopped {
            Some(_) => position.after = stopped,
            None => position = Position { shard: position.shard + 1, after: None },
        }
        if is_full(&page, limit, work) && position.shard < store.shard_count() {
            page.next = Some(position.to_cursor());
            break;
        }
    }
    Some(page)
}

fn is_full(page: &Page, limit: usize, work: usize) -> bool {
    page.keys.len() == limit || work >= WORK
}
