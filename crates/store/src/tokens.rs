//! Tokens: made at random, shown once, known by their hash, and judged in memory.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use disk::{Connection, SqlResult, params};
use model::Secret;

use crate::digest::Digest;
use crate::{Error, Store};

/// The name of the token that a gateway makes for itself.
const ADMIN: &str = "admin";

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
    },
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

/// What the holder of a token may do; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRole {
    /// Looks.
    Viewer,
    /// Looks, and works the running services.
    Operator,
    /// Everything.
    Admin,
}

impl TokenRole {
    const ALL: [TokenRole; 3] = [TokenRole::Viewer, TokenRole::Operator, TokenRole::Admin];

    /// The word for it in the store and for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TokenRole::Viewer => "viewer",
            TokenRole::Operator => "operator",
            TokenRole::Admin => "admin",
        }
    }
}

impl Store {
    /// What a presented token is worth now. Looks in memory alone, and takes no longer for a near miss.
    #[must_use]
    pub fn check_token(&self, presented: &str) -> TokenVerdict {
        match self.keyring().get(&Digest::of(presented)) {
            None => TokenVerdict::Unknown,
            Some(token) => token.verdict(jiff::Timestamp::now().as_millisecond()),
        }
    }

    /// SHA-256 of the admin token in use, in hex.
    #[must_use]
    pub fn admin_token_hash(&self) -> Option<String> {
        let keyring = self.keyring();
        let own = keyring.iter().find(|(_, token)| token.revoked_at.is_none() && &*token.name == ADMIN);
        own.map(|(digest, _)| digest.to_hex())
    }

    /// Makes the admin token if there never was one, and returns it this once. Later calls, also after a
    /// restart or a revocation, return `None`: [`Store::rotate_admin_token`] is the way to another.
    pub async fn ensure_admin_token(&self) -> Result<Option<Secret>, Error> {
        let (secret, digest) = generate()?;
        let made = self.change_tokens(move |c| {
            let any = c.prepare_cached("SELECT 1 FROM tokens WHERE name = ?1")?.exists([ADMIN])?;
            if !any {
                insert_admin(c, digest)?;
            }
            Ok(!any)
        });
        Ok(made.await?.then_some(secret))
    }

    /// Revokes the admin token and makes another, in one step: there is never none and never two.
    pub async fn rotate_admin_token(&self) -> Result<Secret, Error> {
        let (secret, digest) = generate()?;
        let rotated = self.change_tokens(move |c| {
            let revoke = "UPDATE tokens SET revoked_at = ?1 WHERE name = ?2 AND revoked_at IS NULL";
            c.prepare_cached(revoke)?.execute(params![jiff::Timestamp::now().as_millisecond(), ADMIN])?;
            insert_admin(c, digest)
        });
        rotated.await?;
        Ok(secret)
    }

    /// Changes the table, then what is in memory. One change at a time, and carried through even if the
    /// caller leaves: memory never says other than the disk for longer than a commit takes.
    async fn change_tokens<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
    {
        let store = self.clone();
        let task = tokio::spawn(async move {
            let _turn = store.turn().await;
            let (value, rows) = store.disk().write(move |c| Ok((change(c)?, load(c)?))).await?;
            store.set_keyring(keyring(rows)?);
            Ok(value)
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime stops.
                Err(_) => Err(disk::Error::Closed.into()),
            },
        }
    }
}

/// Every token that was ever issued and not deleted, by its digest.
pub(crate) type Keyring = HashMap<Digest, Token>;

/// A token as it is judged.
pub(crate) struct Token {
    name: Arc<str>,
    role: TokenRole,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Token {
    fn verdict(&self, now: i64) -> TokenVerdict {
        if self.revoked_at.is_some() {
            return TokenVerdict::Revoked;
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return TokenVerdict::Expired;
        }
        TokenVerdict::Valid { name: Arc::clone(&self.name), role: self.role }
    }
}

/// A token as the table has it.
pub(crate) struct Row {
    hash: [u8; 32],
    name: String,
    role: String,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

pub(crate) fn load(connection: &Connection) -> SqlResult<Vec<Row>> {
    let mut statement =
        connection.prepare_cached("SELECT hash, name, role, expires_at, revoked_at FROM tokens")?;
    let rows = statement.query_map([], |row| {
        Ok(Row {
            hash: row.get(0)?,
            name: row.get(1)?,
            role: row.get(2)?,
            expires_at: row.get(3)?,
            revoked_at: row.get(4)?,
        })
    })?;
    rows.collect()
}

pub(crate) fn keyring(rows: Vec<Row>) -> Result<Keyring, Error> {
    let mut keyring = Keyring::with_capacity(rows.len());
    for row in rows {
        let Some(role) = TokenRole::ALL.into_iter().find(|role| role.name() == row.role) else {
            return Err(Error::UnknownRole { name: row.name, role: row.role });
        };
        let token =
            Token { name: row.name.into(), role, expires_at: row.expires_at, revoked_at: row.revoked_at };
        keyring.insert(Digest::from_bytes(row.hash), token);
    }
    Ok(keyring)
}

fn insert_admin(connection: &Connection, digest: Digest) -> SqlResult<()> {
    let insert = "INSERT INTO tokens (name, hash, role, created_at) VALUES (?1, ?2, ?3, ?4)";
    let now = jiff::Timestamp::now().as_millisecond();
    let values = params![ADMIN, digest.as_bytes(), TokenRole::Admin.name(), now];
    connection.prepare_cached(insert)?.execute(values).map(drop)
}

/// 256 random bits behind a prefix by which scanners of leaked secrets can tell what it is.
fn generate() -> Result<(Secret, Digest), Error> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    let text = format!("thr_{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = Digest::of(&text);
    Ok((Secret::new(text), digest))
}
