//! How much of what was answered may wait for its readers: a whole answer stays in memory until its last byte
//! has gone, and a client may take its time. One budget over all calls and doors bounds that.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::Body;

/// Answers up to this size are not counted: a connection holds one of them, and connections are counted.
const FREE: usize = 64 << 10;

/// Answers up to this size share [`SMALLER`], others [`LARGER`].
const LARGE: usize = 1 << 20;

/// Room for the smaller ones, in bytes. It is their own, so that a few large results do not keep the
/// values of a cache from everybody.
const SMALLER: usize = 64 << 20;

/// Room for the larger ones, in bytes: with the smaller ones 256 MB, a share of a small machine's memory that
/// leaves it the rest.
const LARGER: usize = 192 << 20;

/// How many bytes one permit is for.
const UNIT: usize = 1 << 10;

/// How long an answer waits for room. It is in memory meanwhile, so this is short; clients that read make room
/// within it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether an answer takes room. One that streams is counted where it is made.
pub(super) fn counts(body: &Body) -> bool {
    matches!(body, Body::Full(bytes) if bytes.len() > FREE)
}

/// The budget. Clones share it.
#[derive(Clone)]
pub(crate) struct Room {
    smaller: Pool,
    larger: Pool,
}

#[derive(Clone)]
struct Pool {
    free: Arc<Semaphore>,
    units: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room::of(SMALLER, LARGER)
    }
}

impl Room {
    /// Room for so many bytes of smaller answers, and of larger ones.
    pub(crate) fn of(smaller: usize, larger: usize) -> Self {
        Room { smaller: Pool::of(smaller), larger: Pool::of(larger) }
    }

    /// Counts an answer until the last of its bytes is let go of.
    ///
    /// # Errors
    /// As [`Room::hold`].
    pub(crate) async fn hold_one(&self, bytes: Bytes) -> Result<Bytes, Failure> {
        if bytes.len() <= FREE {
            return Ok(bytes);
        }
        Ok(self.hold(vec![bytes]).await?.pop().unwrap_or_default())
    }

    /// Counts the pieces of an answer, each until it is let go of: what was sent makes room again. An answer
    /// that is larger than all of the room takes all of it.
    ///
    /// # Errors
    /// `overloaded` when none is left in time; what was asked has been carried out by then.
    pub(crate) async fn hold(&self, pieces: Vec<Bytes>) -> Result<Vec<Bytes>, Failure> {
        let size = pieces.iter().map(Bytes::len).sum();
        if size <= FREE {
            return Ok(pieces);
        }
        let pool = if size <= LARGE { &self.smaller } else { &self.larger };
        let mut taken = pool.take(size).await?;
        let last = pieces.len() - 1;
        let counted = pieces.into_iter().enumerate().map(|(at, bytes)| {
            let units = if at == last { taken.num_permits() } else { bytes.len() / UNIT };
            match taken.split(units.min(taken.num_permits())) {
                Some(permit) if units > 0 => Bytes::from_owner(Counted { bytes, _permit: permit }),
                _ => bytes,
            }
        });
        Ok(counted.collect())
    }

    /// Bytes of answers that are held now, to a unit each.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        [&self.smaller, &self.larger]
            .iter()
            .map(|pool| pool.units - pool.free.available_permits())
            .sum::<usize>()
            * UNIT
    }
}

impl Pool {
    fn of(bytes: usize) -> Self {
        let units = bytes / UNIT;
        Pool { free: Arc::new(Semaphore::new(units)), units }
    }

    async fn take(&self, size: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let units = size.div_ceil(UNIT).min(self.units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let taking = Arc::clone(&self.free).acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, taking).await {
            Ok(Ok(taken)) => Ok(taken),
            // Nobody closes it; and what is closed has no room either.
            Ok(Err(_)) | Err(_) => Err(no_room(size)),
        }
    }
}

/// It is not said to be worth a second try: whoever knows that the call only looked says so.
fn no_room(size: usize) -> Failure {
    let detail = format!(
        "There is no room for the answer of {size} bytes beside those that other clients have yet to read. \
         What was asked has been carried out."
    );
    Failure::gateway(Code::Overloaded, detail)
        .with_hint("Ask for less at once, and read answers as they come.")
        .with_retryable(false)
}

/// Bytes with their share of the room. The share goes last.
struct Counted {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
