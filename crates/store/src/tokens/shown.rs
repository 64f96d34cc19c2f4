//! What is asked for when a token is made, and what is told of tokens: never the token, never its hash.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{TokenName, TokenRole, TokenScope};

/// What a presented token is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It was never issued here.
    Unknown,
    /// It may be used.
    Valid {
        /// Its name, for the record of who did what.
        name: Arc<str>,
        /// What it may do.
        role: TokenRole,
        /// The one service that it is for; without one, the role holds for all of the gateway.
        scope: Option<Arc<TokenScope>>,
    },
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For people; several may have the same.
    pub name: TokenName,
    /// What it may do.
    pub role: TokenRole,
    /// The one service that it is for.
    pub scope: Option<TokenScope>,
    /// How long it may be used; without it, until it is revoked.
    pub lifetime: Option<Duration>,
}

/// What may be known of a token: everything but the token and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its number; no other ever has it.
    pub id: i64,
    /// For people.
    pub name: Arc<str>,
    /// What it may do.
    pub role: TokenRole,
    /// The one service that it is for.
    pub scope: Option<Arc<TokenScope>>,
    /// Whether it may be used now.
    pub standing: TokenStanding,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it may not be used.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// Its last use, to the second; after a crash up to a minute behind.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// It may.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// What becomes of the last token by which somebody may change everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastAdmin {
    /// It may be revoked: there are other ways in.
    MayGo,
    /// It stays, since nobody could come in after it.
    Stays,
}
