//! Every token in memory as it was when last changed, and the last use of each, which the disk learns later.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use jiff::Timestamp;

use super::table::Row;
use super::{TokenInfo, TokenRole, TokenScope, TokenStanding, TokenVerdict};
use crate::Error;
use crate::digest::Digest;

/// A use within this many milliseconds of the noted one is not noted: a busy token is judged on every core,
/// and a number that all of them write would pass from one to the next with each request.
const SAME: i64 = 1000;

/// Every token that was issued and is not forgotten.
#[derive(Default)]
pub(crate) struct Keyring {
    by_digest: HashMap<Digest, Arc<Token>>,
    by_id: BTreeMap<i64, Arc<Token>>,
}

/// A token as it is judged and shown.
pub(crate) struct Token {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    pub(super) role: TokenRole,
    scope: Option<Arc<TokenScope>>,
    created_at: i64,
    expires_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    used: Arc<Use>,
}

/// The last use of a token, in milliseconds of the clock on the wall; 0 is never. The next keyring shares it.
#[derive(Default)]
struct Use {
    at: AtomicI64,
    /// What the disk has of it.
    kept: AtomicI64,
}

/// A use that the disk does not have.
pub(super) struct Unkept {
    pub(super) id: i64,
    pub(super) at: i64,
    used: Arc<Use>,
}

impl Keyring {
    /// The keyring of these rows. Uses that `before` has noted are kept in mind.
    pub(crate) fn new(rows: Vec<Row>, before: &Keyring) -> Result<Keyring, Error> {
        let mut keyring = Keyring::default();
        for row in rows {
            let Some(role) = TokenRole::of_name(&row.role) else {
                return Err(Error::UnknownRole { name: row.name, role: row.role });
            };
            let used = before.by_id.get(&row.id).map_or_else(Arc::default, |token| Arc::clone(&token.used));
            let kept = row.last_used_at.unwrap_or(0);
            used.at.fetch_max(kept, Relaxed);
            used.kept.fetch_max(kept, Relaxed);
            let token = Arc::new(Token {
                id: row.id,
                name: row.name.into(),
                role,
                scope: row.scope.map(Arc::new),
                created_at: row.created_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                used,
            });
            keyring.by_id.insert(token.id, Arc::clone(&token));
            keyring.by_digest.insert(Digest::from_bytes(row.hash), token);
        }
        Ok(keyring)
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<&Arc<Token>> {
        self.by_digest.get(digest)
    }

    pub(super) fn token(&self, id: i64) -> Option<&Arc<Token>> {
        self.by_id.get(&id)
    }

    /// By id, those after this one.
    pub(super) fn after(&self, id: i64) -> impl Iterator<Item = &Arc<Token>> {
        self.by_id.range((Bound::Excluded(id), Bound::Unbounded)).map(|(_, token)| token)
    }

    pub(super) fn digest_of(&self, wanted: impl Fn(&Token) -> bool) -> Option<Digest> {
        self.by_digest.iter().find(|(_, token)| wanted(token)).map(|(digest, _)| *digest)
    }

    /// The uses that the disk does not have.
    pub(super) fn unkept(&self) -> Vec<Unkept> {
        let unkept = |token: &Arc<Token>| {
            let at = token.used.at.load(Relaxed);
            let unkept = || Unkept { id: token.id, at, used: Arc::clone(&token.used) };
            (at > token.used.kept.load(Relaxed)).then(unkept)
        };
        self.by_id.values().filter_map(unkept).collect()
    }
}

impl Token {
    pub(super) fn verdict(&self, now: i64) -> TokenVerdict {
        match self.standing(now) {
            TokenStanding::Revoked => TokenVerdict::Revoked,
            TokenStanding::Expired => TokenVerdict::Expired,
            TokenStanding::Active => TokenVerdict::Valid {
                name: Arc::clone(&self.name),
                role: self.role,
                scope: self.scope.clone(),
            },
        }
    }

    fn standing(&self, now: i64) -> TokenStanding {
        if self.revoked_at.is_some() {
            TokenStanding::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenStanding::Expired
        } else {
            TokenStanding::Active
        }
    }

    /// Notes that it was used. Says whether that is news.
    pub(super) fn note_use(&self, now: i64) -> bool {
        let news = now - self.used.at.load(Relaxed) >= SAME;
        if news {
            self.used.at.fetch_max(now, Relaxed);
        }
        news
    }

    pub(super) fn info(&self, now: i64) -> TokenInfo {
        let used = self.used.at.load(Relaxed);
        TokenInfo {
            id: self.id,
            name: Arc::clone(&self.name),
            role: self.role,
            scope: self.scope.clone(),
            standing: self.standing(now),
            created_at: time(self.created_at),
            expires_at: self.expires_at.map(time),
            revoked_at: self.revoked_at.map(time),
            last_used_at: (used > 0).then(|| time(used)),
        }
    }
}

impl Unkept {
    /// The disk has it now.
    pub(super) fn kept(&self) {
        self.used.kept.fetch_max(self.at, Relaxed);
    }
}

/// A number in the file that is no time of the calendar is shown as the end of it.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}
