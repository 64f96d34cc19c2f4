//! Tokens: made at random, shown once, known by their hash, judged in memory, taken back by their number.

mod grant;
mod keyring;
mod shown;
mod table;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use model::Secret;

use crate::db::{Done, Session};
use crate::digest::Digest;
use crate::{Error, Store};
use grant::ADMIN;
pub use grant::{TokenName, TokenRole, TokenScope};
pub(crate) use keyring::Keyring;
pub use shown::{LastAdmin, NewToken, TokenInfo, TokenStanding, TokenVerdict};
pub(crate) use table::{Row, load};

/// By this, scanners of leaked secrets can tell what it is.
const PREFIX: &str = "thr_";

/// Tokens in use at once. All are held in memory, and read from the disk with each change.
const MOST: i64 = 10_000;

/// Uses are written down no more often, unless something else is written.
const USES_EVERY: Duration = Duration::from_secs(60);

/// When uses may be written down again, in milliseconds since the store was opened.
pub(crate) struct UsesDue {
    since: Instant,
    at: AtomicU64,
}

impl Store {
    /// What a presented token is worth now. Looks in memory alone, and takes no longer for a near miss.
    #[must_use]
    pub fn check_token(&self, presented: &str) -> TokenVerdict {
        let keyring = self.keyring();
        let Some(token) = keyring.find(&Digest::of(presented)) else { return TokenVerdict::Unknown };
        let now = now();
        let verdict = token.verdict(now);
        if matches!(verdict, TokenVerdict::Valid { .. }) && token.note_use(now) && self.uses_due().pass() {
            self.keep_uses_in_background();
        }
        verdict
    }

    /// Makes a token and returns it this once.
    ///
    /// # Errors
    /// [`Error::TooManyTokens`], or what keeps the disk from it.
    pub async fn create_token(&self, new: NewToken) -> Result<(TokenInfo, Secret), Error> {
        let (secret, digest) = generate()?;
        let id = self.change_tokens(move |c| {
            if table::in_use(c)? >= MOST { Ok(None) } else { table::insert(c, &new, digest).map(Some) }
        });
        let id = id.await?.ok_or(Error::TooManyTokens { most: MOST })?;
        // It is there: what may be used is never forgotten.
        let info = self.token(id).ok_or(Error::Disk(disk::Error::Closed))?;
        Ok((info, secret))
    }

    /// Tokens by id, those after this one, at most so many: those in use, and those that ended in the last 30 days.
    #[must_use]
    pub fn tokens(&self, after: i64, limit: usize) -> Vec<TokenInfo> {
        let now = now();
        self.keyring().after(after).take(limit).map(|token| token.info(now)).collect()
    }

    /// The token of that number.
    #[must_use]
    pub fn token(&self, id: i64) -> Option<TokenInfo> {
        self.keyring().token(id).map(|token| token.info(now()))
    }

    /// Takes a token back: from when this returns, nobody may use it. Says what is known of it, and whether it
    /// was this call that revoked it; `None` when there is no such token.
    ///
    /// # Errors
    /// [`Error::LastAdmin`] where that has to stay, or what keeps the disk from it.
    pub async fn revoke_token(&self, id: i64, last: LastAdmin) -> Result<Option<(TokenInfo, bool)>, Error> {
        let revoked = self.change_tokens(move |c| {
            let stays = last == LastAdmin::Stays && table::is_last_admin(c, id)?;
            if stays { Ok(None) } else { table::revoke(c, id).map(Some) }
        });
        let revoked = revoked.await?.ok_or(Error::LastAdmin)?;
        Ok(self.token(id).map(|info| (info, revoked)))
    }

    /// SHA-256 of the admin token in use, in hex.
    #[must_use]
    pub fn admin_token_hash(&self) -> Option<String> {
        let own = self.keyring().digest_of(|token| token.revoked_at.is_none() && &*token.name == ADMIN);
        own.map(Digest::to_hex)
    }

    /// Makes the admin token if there never was one, and returns it this once. Later calls, also after a
    /// restart or a revocation, return `None`: [`Store::rotate_admin_token`] is the way to another.
    pub async fn ensure_admin_token(&self) -> Result<Option<Secret>, Error> {
        let (secret, digest) = generate()?;
        let made = self.change_tokens(move |c| {
            let any = table::any_named(c, ADMIN)?;
            if !any {
                table::insert(c, &admin(), digest)?;
            }
            Ok(!any)
        });
        Ok(made.await?.then_some(secret))
    }

    /// Revokes the admin token and makes another, in one step: there is never none and never two.
    pub async fn rotate_admin_token(&self) -> Result<Secret, Error> {
        let (secret, digest) = generate()?;
        let rotated = self.change_tokens(move |c| {
            table::revoke_named(c, ADMIN)?;
            table::insert(c, &admin(), digest)
        });
        rotated.await?;
        Ok(secret)
    }

    /// Writes down when tokens were last used, where the disk does not know.
    pub(crate) async fn keep_uses(&self) -> Result<(), Error> {
        let uses = self.keyring().unkept();
        if uses.is_empty() {
            return Ok(());
        }
        let uses = self.write(move |c| table::keep_uses(c, &uses).map(|()| uses)).await?;
        uses.iter().for_each(keyring::Unkept::kept);
        Ok(())
    }

    /// Whoever is asking does not wait for it. Where nothing could carry it out, the next change does.
    fn keep_uses_in_background(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let store = self.clone();
        runtime.spawn(async move {
            if let Err(error) = store.keep_uses().await {
                tracing::warn!(%error, "cannot write down when tokens were last used");
            }
        });
    }

    /// Changes the table, then what is in memory. One change at a time, and carried through even if the
    /// caller leaves: memory never says other than the disk for longer than a commit takes.
    async fn change_tokens<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        let store = self.clone();
        let task = tokio::spawn(async move {
            let _turn = store.turn().await;
            let uses = store.keyring().unkept();
            let changed = store.write_alone(move |c| {
                table::keep_uses(c, &uses)?;
                let value = change(c)?;
                table::forget(c)?;
                Ok((value, load(c)?, uses))
            });
            let (value, rows, uses) = changed.await?;
            uses.iter().for_each(keyring::Unkept::kept);
            let keyring = Keyring::new(rows, &store.keyring())?;
            store.set_keyring(keyring);
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

impl Default for UsesDue {
    fn default() -> Self {
        UsesDue { since: Instant::now(), at: AtomicU64::new(0) }
    }
}

impl UsesDue {
    /// Whether they are due, which is said to one alone.
    fn pass(&self) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, due) = (millis(self.since.elapsed()), self.at.load(Relaxed));
        now >= due && self.at.compare_exchange(due, now + millis(USES_EVERY), Relaxed, Relaxed).is_ok()
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn admin() -> NewToken {
    NewToken { name: TokenName::admin(), role: TokenRole::Admin, scope: None, lifetime: None }
}

/// 256 random bits behind [`PREFIX`].
fn generate() -> Result<(Secret, Digest), Error> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = Digest::of(&text);
    Ok((Secret::new(text), digest))
}

#[cfg(test)]
mod tests;
