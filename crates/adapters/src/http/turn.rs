//! Connections within a limit: who takes one that is idle, who opens one, who shares one, and who waits.
//!
//! In this order: a stream on a connection of this core, a new connection, a stream on one of another core, and the place
//! of a connection that is idle, wherever it is, the longest idle first: that is closed. Who finds none of these waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use model::LimitsSpec;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::seats::{Full, Given, Occupancy, Seat, Word};
use wire::{Line, Seats};

use super::pool::{Pool, Unreached};
use super::streams::Streams;

/// A connection that was used so lately is good for any request.
const FRESH: Duration = Duration::from_secs(2);

/// The limit of one endpoint.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) seats: Arc<Seats>,
    making: Arc<Making>,
}

/// Whether a connection is being made that many streams will share.
#[derive(Debug, Default)]
struct Making {
    is_made: AtomicBool,
    over: Notify,
}

/// The one who makes it, until this is dropped.
#[derive(Debug)]
struct Maker(Arc<Making>);

/// What is to be done for a line: nothing more, or to connect, or to wait for one who does.
#[derive(Debug)]
pub struct Turn(Way);

#[derive(Debug)]
enum Way {
    /// Here it is; whether it has carried something before.
    Line(Box<Line>, bool),
    Connect(Seat, Option<Maker>),
    Join(Arc<Making>),
}

impl Bounds {
    pub(super) fn of(limits: &LimitsSpec) -> Option<Bounds> {
        let most = limits.max_connections?;
        let most_waiting = limits.max_pending.unwrap_or(most);
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let seats = Seats::new(number(most), number(most_waiting));
        Some(Bounds { seats, making: Arc::default() })
    }
}

/// The connections of an endpoint where they are limited.
#[derive(Debug, Clone, Copy)]
pub struct Limited<'p> {
    pool: &'p Pool,
    bounds: &'p Bounds,
}

impl Pool {
    /// Its connections as they are had where they are limited: by [`Limited::turn_at_once`] or [`Limited::turn`], and then
    /// [`Limited::taken`].
    #[must_use]
    pub fn limited(&self) -> Option<Limited<'_>> {
        Some(Limited { pool: self, bounds: self.bounds.as_ref()? })
    }

    /// A line, unless others have to end for it first.
    ///
    /// # Errors
    /// [`Unreached`], as [`Pool::line`].
    pub async fn line_at_once(&self) -> Result<Option<Line>, Unreached> {
        let Some(limited) = self.limited() else { return self.line().await.map(Some) };
        while let Some(turn) = limited.turn_at_once() {
            if let Some((line, _)) = limited.taken(turn).await? {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

impl Limited<'_> {
    /// How they stand.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        self.bounds.seats.occupancy()
    }

    /// A turn that needs no waiting for others to end, if there is one.
    #[must_use]
    pub fn turn_at_once(&self) -> Option<Turn> {
        // Whoever comes now goes before nobody who waits.
        self.look(!self.bounds.seats.is_waited_for())
    }

    /// A turn, in the order in which they were asked for. Dropped at any point, it leaves nothing.
    ///
    /// # Errors
    /// When as many wait as may.
    pub async fn turn(&self) -> Result<Turn, Full> {
        if let Some(turn) = self.turn_at_once() {
            return Ok(turn);
        }
        let mut waiting = self.bounds.seats.queue_up()?;
        if let Some(turn) = self.look(true) {
            return Ok(turn);
        }
        loop {
            let turn = match waiting.given().await {
                Given::Seat(seat) => return Ok(Turn(Way::Connect(seat, None))),
                Given::Conn(conn) => return Ok(Turn(Way::Line(Box::new(Line::Http1(*conn)), true))),
                Given::Word(word) => self.heed(word),
            };
            if let Some(turn) = turn {
                return Ok(turn);
            }
            waiting.again();
            // What came between the word and now was nobody's.
            if let Some(turn) = self.look(true) {
                return Ok(turn);
            }
        }
    }

    /// What is to be had without waiting for others to end.
    fn look(&self, may_share: bool) -> Option<Turn> {
        let Limited { pool, bounds } = self;
        if let Some(streams) = pool.streams.as_ref().filter(|streams| !streams.is_http1()) {
            if may_share && let Some(line) = streams.share_here() {
                return Some(Turn::of_stream(line));
            }
            // One connection carries many: whoever comes while one is made waits for that.
            let Some(maker) = Maker::begin(&bounds.making) else {
                return Some(Turn(Way::Join(Arc::clone(&bounds.making))));
            };
            if let Some(seat) = bounds.seats.take() {
                return Some(Turn(Way::Connect(seat, Some(maker))));
            }
            if may_share && let Some(turn) = self.share() {
                return Some(turn);
            }
        }
        // Whoever looks for a line of another endpoint than his own has not looked there yet.
        if let Some(conn) = pool.reuse(FRESH, Instant::now()) {
            return Some(Turn(Way::Line(Box::new(Line::Http1(conn)), true)));
        }
        let seat = bounds.seats.take().or_else(|| pool.close_idle());
        seat.map(|seat| Turn(Way::Connect(seat, None)))
    }

    /// A word that there may be room on a connection. What room there is beyond one stream is for those behind.
    fn heed(&self, word: Word) -> Option<Turn> {
        let turn = self.share();
        if turn.is_none() {
            word.forget();
        }
        turn
    }

    /// A stream on any connection that has room.
    fn share(&self) -> Option<Turn> {
        self.pool.streams.as_ref().and_then(Streams::share).map(Turn::of_stream)
    }

    /// Does what the turn says; whether the line has carried something before. `None` when another look is needed.
    ///
    /// # Errors
    /// [`Unreached`], with the last address's error, or with what is wrong about the handshake.
    pub async fn taken(&self, turn: Turn) -> Result<Option<(Line, bool)>, Unreached> {
        let (seat, _maker) = match turn.0 {
            Way::Line(line, was_used) => return Ok(Some((*line, was_used))),
            Way::Join(making) => {
                making.ended().await;
                return Ok(None);
            }
            Way::Connect(seat, maker) => (seat, maker),
        };
        let mut conn = self.pool.connect().await.map_err(Unreached)?;
        conn.seat = Some(seat);
        let Some(streams) = &self.pool.streams else { return Ok(Some((Line::Http1(conn), false))) };
        let line = streams.begin_on(conn).await.map_err(Unreached)?;
        if matches!(line, None | Some(Line::Http2(_))) {
            // It has room for those who wait, too.
            self.bounds.seats.stir();
        }
        Ok(line.map(|line| (line, false)))
    }
}

impl Turn {
    fn of_stream(line: Line) -> Self {
        Turn(Way::Line(Box::new(line), false))
    }
}

impl Making {
    async fn ended(&self) {
        let mut over = std::pin::pin!(self.over.notified());
        over.as_mut().enable();
        if self.is_made.load(SeqCst) {
            over.await;
        }
    }
}

impl Maker {
    fn begin(making: &Arc<Making>) -> Option<Maker> {
        let began = making.is_made.compare_exchange(false, true, SeqCst, SeqCst).is_ok();
        began.then(|| Maker(Arc::clone(making)))
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.0.is_made.store(false, SeqCst);
        self.0.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
