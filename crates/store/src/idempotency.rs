//! Requests that carried an `Idempotency-Key`: claimed on disk before their work begins, kept with their answer
//! after it. Which requests take a key, and which answers are worth keeping, is decided in `api`.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::db::{Done, Session, cells};
use crate::{Error, Store};

/// How long a key is remembered.
const KEPT_MS: i64 = 24 * 3600 * 1000;

/// Keys that are remembered; the oldest go first.
const MOST_KEYS: u64 = 100_000;

/// What they and their answers take together, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What a key is counted as beside its answer.
const ROW: u64 = 256;

/// Requests with keys that are carried out at once.
const MOST_UNDER_WAY: usize = 10_000;

/// Keys whose time is over that one claim takes out: more than it adds, and no long work.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// SHA-256 of several parts, none of which can run into the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these parts.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Fingerprint(bytes)
    }

    /// A number that only the same bytes have, as good as always.
    fn number(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// An answer as it is given again.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// The headers that belong to the answer itself, such as `content-type`.
    pub headers: Vec<(String, String)>,
    /// All of its body.
    pub body: Vec<u8>,
}

/// Says nothing of what was answered: that is no matter for a log.
impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What is known of a key when a request comes with it.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: the work is the caller's, and the claim is on disk.
    First(Claimed),
    /// The same request was answered.
    Done(KeptAnswer),
    /// The same request was answered with this status, and the answer was not kept.
    DoneUnkept(u16),
    /// The same request is being carried out.
    InFlight,
    /// The same request was begun, and nobody knows how it ended.
    Unknown,
    /// Another request had this key.
    Mismatch,
    /// Too many requests with keys are being carried out.
    TooMany,
}

/// The right to do the work of a key. Dropped without a word, what became of it counts as unknown.
pub struct Claimed {
    store: Store,
    mark: Mark,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claimed")
    }
}

/// What is of this process alone: with it gone, nobody knows how the requests ended that it had under way.
#[derive(Default)]
pub(crate) struct UnderWay {
    /// Keys with what was asked. Only the writer's thread adds to it.
    requests: Mutex<HashMap<Fingerprint, Fingerprint>>,
    /// Keys on disk and their bytes, once they were counted. Only the writer's thread looks at it.
    kept: Mutex<Option<Kept>>,
    /// Until when another process may have requests under way too, in milliseconds since 1970.
    shared_until: AtomicI64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    keys: u64,
    bytes: u64,
}

/// That a key is under way, until it goes: also when its transaction fails, or its caller is gone.
struct Mark {
    under_way: Arc<UnderWay>,
    key: Fingerprint,
}

impl Drop for Mark {
    fn drop(&mut self) {
        lock(&self.under_way.requests).remove(&self.key);
    }
}

impl Store {
    /// Claims a key for a request.
    ///
    /// # Errors
    /// When it cannot be written: nothing is claimed.
    pub async fn claim(&self, key: Fingerprint, request: Fingerprint) -> Result<Claim, Error> {
        let under_way = Arc::clone(&self.inner.under_way);
        let now = jiff::Timestamp::now().as_millisecond();
        let found = self.keyed(move |c| claim(c, &under_way, key, request, now)).await?;
        Ok(match found {
            Found::New(mark) => Claim::First(Claimed { store: self.clone(), mark }),
            Found::Other(claim) => claim,
        })
    }

    /// Another process has requests with keys under way: what is not known here is in flight there, and may be asked for
    /// again.
    pub fn shares_keys(&self) {
        self.inner.under_way.shared_until.store(i64::MAX, Relaxed);
    }

    /// The same, for so long from now.
    pub fn shares_keys_for(&self, span: Duration) {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let until = jiff::Timestamp::now().as_millisecond().saturating_add(span);
        self.inner.under_way.shared_until.store(until, Relaxed);
    }

    /// A write whose failure leaves the count of keys unknown.
    async fn keyed<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.write(job).await;
        if done.is_err() {
            *lock(&self.inner.under_way.kept) = None;
        }
        done
    }
}

impl Claimed {
    /// The work is done, with this answer; `None` where it cannot be kept.
    ///
    /// # Errors
    /// When it cannot be written: then what became of the request counts as unknown.
    pub async fn keep(self, status: u16, answer: Option<KeptAnswer>) -> Result<(), Error> {
        let (key, under_way) = (self.mark.key, Arc::clone(&self.mark.under_way));
        self.store.keyed(move |c| keep(c, &under_way, key, status, answer.as_ref())).await
    }

    /// Nothing was done: the key is as if it had never been sent.
    ///
    /// # Errors
    /// As [`Claimed::keep`].
    pub async fn release(self) -> Result<(), Error> {
        let (key, under_way) = (self.mark.key, Arc::clone(&self.mark.under_way));
        self.store.keyed(move |c| remove(c, key, &mut counted(c, &under_way)?)).await
    }
}

enum Found {
    New(Mark),
    Other(Claim),
}

fn claim(
    c: &Session<'_>,
    under_way: &Arc<UnderWay>,
    key: Fingerprint,
    request: Fingerprint,
    now: i64,
) -> Done<Found> {
    // Whoever comes second with a key finds what the first has left.
    c.alone(key.number())?;
    let other = lock(&under_way.requests).get(&key).copied();
    if let Some(other) = other {
        return Ok(Found::Other(if other == request { Claim::InFlight } else { Claim::Mismatch }));
    }
    match known(c, key, request, now)? {
        Some(Claim::Unknown) if now < under_way.shared_until.load(Relaxed) => {
            return Ok(Found::Other(Claim::InFlight));
        }
        Some(claim) => return Ok(Found::Other(claim)),
        None => {}
    }
    if lock(&under_way.requests).len() >= MOST_UNDER_WAY {
        return Ok(Found::Other(Claim::TooMany));
    }
    let mut kept = counted(c, under_way)?;
    // One whose time is over may still stand there.
    remove(c, key, &mut kept)?;
    forget(c, &mut kept, now - KEPT_MS, FORGOTTEN_AT_ONCE)?;
    let insert = "INSERT INTO idempotency (key, request, began_at, size) VALUES (?1, ?2, ?3, ?4)";
    c.execute(insert, cells![&key.0, &request.0, now, ROW])?;
    kept.add(1, ROW);
    make_room(c, &mut kept)?;
    lock(&under_way.requests).insert(key, request);
    Ok(Found::New(Mark { under_way: Arc::clone(under_way), key }))
}

/// What the disk knows of a key whose time is not over.
fn known(c: &Session<'_>, key: Fingerprint, request: Fingerprint, now: i64) -> Done<Option<Claim>> {
    let select = "SELECT request, status, headers, body FROM idempotency WHERE key = ?1 AND began_at > ?2";
    c.row(select, cells![&key.0, now - KEPT_MS], |row| {
        let (headers, body): (Option<String>, Option<Vec<u8>>) = (row.get(2)?, row.get(3)?);
        if row.digest(0)? != request.0 {
            return Ok(Claim::Mismatch);
        }
        let status = row.get::<Option<i64>>(1)?.and_then(|status| u16::try_from(status).ok());
        let headers = headers.and_then(|headers| serde_json::from_str(&headers).ok());
        Ok(match (status, headers, body) {
            (None, ..) => Claim::Unknown,
            (Some(status), Some(headers), Some(body)) => Claim::Done(KeptAnswer { status, headers, body }),
            (Some(status), ..) => Claim::DoneUnkept(status),
        })
    })
}

fn keep(
    c: &Session<'_>,
    under_way: &UnderWay,
    key: Fingerprint,
    status: u16,
    answer: Option<&KeptAnswer>,
) -> Done<()> {
    // Names and values are texts, which JSON can always say.
    let headers = answer.map(|answer| serde_json::to_string(&answer.headers).unwrap_or_default());
    let body = answer.map(|answer| &answer.body);
    let size =
        body.map_or(0, |body| body.len() as u64) + headers.as_ref().map_or(0, |text| text.len() as u64);
    let mut kept = counted(c, under_way)?;
    let update =
        "UPDATE idempotency SET status = ?2, headers = ?3, body = ?4, size = size + ?5 WHERE key = ?1";
    if c.execute(update, cells![&key.0, status, headers.as_ref(), body, size])? > 0 {
        kept.add(0, size);
    }
    make_room(c, &mut kept)
}

/// The count, which is made once and then kept by all that changes it.
fn counted<'u>(c: &Session<'_>, under_way: &'u UnderWay) -> Done<Counted<'u>> {
    let mut known = lock(&under_way.kept);
    if known.is_none() {
        let count = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM idempotency";
        let counted = c.row(count, &[], |row| Ok(Kept { keys: row.count(0)?, bytes: row.count(1)? }))?;
        *known = counted;
    }
    Ok(Counted(known))
}

struct Counted<'u>(MutexGuard<'u, Option<Kept>>);

impl Counted<'_> {
    fn add(&mut self, keys: u64, bytes: u64) {
        if let Some(kept) = &mut *self.0 {
            *kept = Kept { keys: kept.keys + keys, bytes: kept.bytes + bytes };
        }
    }

    fn gone(&mut self, size: i64) {
        if let Some(kept) = &mut *self.0 {
            kept.keys = kept.keys.saturating_sub(1);
            kept.bytes = kept.bytes.saturating_sub(size.cast_unsigned());
        }
    }

    fn is_too_much(&self) -> bool {
        self.0.is_some_and(|kept| kept.keys > MOST_KEYS || kept.bytes > MOST_BYTES)
    }
}

fn remove(c: &Session<'_>, key: Fingerprint, kept: &mut Counted<'_>) -> Done<()> {
    let delete = "DELETE FROM idempotency WHERE key = ?1 RETURNING size";
    let gone: Option<i64> = c.row(delete, cells![&key.0], |row| row.get(0))?;
    gone.into_iter().for_each(|size| kept.gone(size));
    Ok(())
}

/// Takes out the oldest of those that began by then; says how many.
fn forget(c: &Session<'_>, kept: &mut Counted<'_>, by: i64, most: i64) -> Done<usize> {
    let delete = "DELETE FROM idempotency WHERE key IN
                      (SELECT key FROM idempotency WHERE began_at <= ?1 ORDER BY began_at LIMIT ?2) RETURNING size";
    let sizes: Vec<i64> = c.rows(delete, cells![by, most], |row| row.get(0))?;
    sizes.iter().for_each(|size| kept.gone(*size));
    Ok(sizes.len())
}

/// Takes out the oldest of what is too much, one after the other: few are needed for what one request adds.
fn make_room(c: &Session<'_>, kept: &mut Counted<'_>) -> Done<()> {
    while kept.is_too_much() && forget(c, kept, i64::MAX, 1)? > 0 {}
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
