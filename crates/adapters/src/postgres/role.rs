//! What the server is: primary or standby, of which history, how far behind; and how far it has come.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure, History, Role, Seen};
use tokio::time::{Instant, sleep_until};

use super::conn::{Conn, Trouble};
use super::failure::{self, Circumstances};
use super::lag::{Positions, Received};
use super::types::Catalog;

/// Asked in one turn by each probe. Whoever receives nothing at present does not know how far behind it is: that it
/// has applied all that it has says nothing.
static WHO: LazyLock<Arc<str>> =
    LazyLock::new(|| who("(SELECT system_identifier::text FROM pg_control_system())"));

/// The same where the role may not ask which cluster of databases it is.
static WHO_PLAINLY: LazyLock<Arc<str>> = LazyLock::new(|| who("'database ' || current_database()"));

static IS_STANDBY: LazyLock<Arc<str>> = LazyLock::new(|| "SELECT pg_is_in_recovery()".into());

static POSITION: LazyLock<Arc<str>> = LazyLock::new(|| {
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END".into()
});

static HAS_COME: LazyLock<Arc<str>> = LazyLock::new(|| {
    "SELECT NOT pg_is_in_recovery() OR coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)".into()
});

/// The role may not ask that.
const NOT_ALLOWED: &str = "42501";

/// How long a standby may take to come as far as somebody wants it, at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// Between two looks at how far it has come.
const PAUSE: Duration = Duration::from_millis(4);

fn who(history: &str) -> Arc<str> {
    format!(
        "SELECT pg_is_in_recovery(), \
         CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END, \
         {history}, \
         CASE WHEN pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver) \
         THEN (pg_last_wal_receive_lsn() - '0/0')::bigint END, \
         CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
    )
    .into()
}

/// What is known of the server.
#[derive(Debug)]
pub(super) struct Standpoint {
    seen: Mutex<Option<Seen>>,
    /// What a standby had received when it was looked at.
    received: Mutex<Received>,
    max_lag: Duration,
    /// It is too far behind to be asked.
    behind: AtomicBool,
    /// The role may not ask which cluster of databases it is.
    plainly: AtomicBool,
    /// Promotions that were heard of when it was last asked.
    known: AtomicU32,
}

impl Standpoint {
    pub(super) fn new(max_lag: Duration) -> Self {
        Standpoint {
            seen: Mutex::new(None),
            received: Mutex::default(),
            max_lag,
            behind: AtomicBool::new(false),
            plainly: AtomicBool::new(false),
            known: AtomicU32::new(0),
        }
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was a standby when it was last asked.
    pub(super) fn follows(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().is_some_and(|seen| seen.role == Role::Replica)
    }

    /// Whether it was promoted since it was last asked, after so many promotions in all.
    pub(super) fn is_outdated(&self, promotions: u32) -> bool {
        self.known.load(Ordering::Acquire) != promotions && self.follows()
    }

    /// Refuses to read from a standby that is too far behind.
    ///
    /// # Errors
    /// That a primary is wanted; nothing was asked.
    pub(super) fn is_near(&self) -> Result<(), Failure> {
        if !self.behind.load(Ordering::Relaxed) {
            return Ok(());
        }
        let detail = format!("The standby is {}.", self.too_far());
        Err(Failure::gateway(Code::NoEndpoint, detail).with_primary_wanted())
    }

    /// Why it is asked for nothing, if that is so.
    pub(super) fn set_aside(&self) -> Option<String> {
        self.behind.load(Ordering::Relaxed).then(|| format!("not asked, since it is {}", self.too_far()))
    }

    fn too_far(&self) -> String {
        format!("more than {} ms behind in applying what it received", self.max_lag.as_millis())
    }

    /// Asks the server who it is, when so many promotions were heard of.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn ask(
        &self,
        conn: &mut Conn,
        catalog: &Catalog,
        promotions: u32,
    ) -> Result<(), Failure> {
        let plainly = self.plainly.load(Ordering::Relaxed);
        let asked = conn.look(if plainly { &WHO_PLAINLY } else { &WHO }, &[], catalog).await;
        let cells = match asked {
            Err(Trouble::Refused(error)) if error.code() == NOT_ALLOWED && !plainly => {
                self.plainly.store(true, Ordering::Relaxed);
                conn.look(&WHO_PLAINLY, &[], catalog).await
            }
            asked => asked,
        };
        let cells = cells.map_err(|trouble| failure::of(trouble, Circumstances::default()))?;
        let (mut seen, positions) = read(&cells).ok_or_else(|| {
            Failure::service(
                Code::BadGateway,
                "The server does not say whether it is a primary or a standby.",
            )
        })?;
        seen.lag =
            self.received.lock().unwrap_or_else(PoisonError::into_inner).lag(positions, Instant::now());
        self.set(seen);
        self.known.store(promotions, Ordering::Release);
        Ok(())
    }

    /// It has turned out to be a standby.
    pub(super) fn is_a_standby(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = seen.as_ref().and_then(|seen| seen.lag);
        *seen = Some(Seen { role: Role::Replica, history: None, lag, cut_off: false });
    }

    fn set(&self, seen: Seen) {
        // Once it is behind it must come well within what is allowed, so that it does not go in and out.
        let was = self.behind.load(Ordering::Relaxed);
        let most = if was { self.max_lag / 2 } else { self.max_lag };
        let behind = seen.role == Role::Replica && seen.lag.is_some_and(|lag| lag > most);
        self.behind.store(behind, Ordering::Relaxed);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

/// What the cells of the answer say: what the server is, and how far a standby that receives something has received and
/// applied.
fn read(cells: &[Option<String>]) -> Option<(Seen, Option<Positions>)> {
    let [standby, file, history, received, applied] = cells else { return None };
    if standby.as_deref()? == "t" {
        let number = |cell: &Option<String>| cell.as_deref()?.parse().ok();
        let positions = number(received).zip(number(applied));
        let positions = positions.map(|(received, applied)| Positions { received, applied });
        return Some((Seen { role: Role::Replica, history: None, lag: None, cut_off: false }, positions));
    }
    // A file of the log is named by its timeline first.
    let number = file.as_deref().and_then(|file| u64::from_str_radix(file.get(..8)?, 16).ok());
    let history = history.as_deref().zip(number).map(|(id, number)| History {
        id: id.into(),
        number,
        came_from: None,
        shared: true,
    });
    Some((Seen { role: Role::Primary, history, lag: None, cut_off: false }, None))
}

/// Whether the server is a standby: it says itself that it is none, or is asked. Servers before 14 do not say, and a
/// pooler may go on saying what was so before a promotion.
///
/// # Errors
/// When it cannot be asked.
pub(super) async fn is_standby(conn: &mut Conn, catalog: &Catalog) -> Result<bool, Trouble> {
    if conn.standby() == Some(false) {
        return Ok(false);
    }
    let cells = conn.look(&IS_STANDBY, &[], catalog).await?;
    Ok(cells.first().is_some_and(|cell| cell.as_deref() == Some("t")))
}

/// How far a primary has come.
///
/// # Errors
/// That a primary is wanted, on a standby.
pub(super) async fn position(conn: &mut Conn, catalog: &Catalog) -> Result<Box<str>, Failure> {
    let cells = conn.look(&POSITION, &[], catalog).await;
    let cells = cells.map_err(|trouble| failure::of(trouble, Circumstances::default()))?;
    let position = cells.into_iter().next().flatten().map(String::into_boxed_str);
    position.ok_or_else(|| {
        Failure::client(Code::QueryFailed, "A standby does not know how far its primary has come.")
            .with_primary_wanted()
    })
}

/// Waits a little until the server has come as far as this.
///
/// # Errors
/// That a primary is wanted, when it has not; that it is no position.
pub(super) async fn reach(
    conn: &mut Conn,
    position: &str,
    catalog: &Catalog,
    deadline: Instant,
) -> Result<(), Failure> {
    if !is_position(position) {
        return Err(Failure::client(
            Code::InvalidRequest,
            format!("`{position}` is no position of this database."),
        ));
    }
    if conn.standby() == Some(false) {
        return Ok(());
    }
    let begun = Instant::now();
    let until = begun + PATIENCE.min(deadline.saturating_duration_since(begun) / 2);
    loop {
        let cells = conn.look(&HAS_COME, &[Some(position.as_bytes().to_vec())], catalog).await;
        let cells = cells.map_err(|trouble| failure::of(trouble, Circumstances::default()))?;
        if cells.first().is_some_and(|cell| cell.as_deref() == Some("t")) {
            return Ok(());
        }
        let next = Instant::now() + PAUSE;
        if next >= until {
            return Err(Failure::client(Code::Conflict, "The standby has not come as far as was asked for.")
                .with_retryable(true)
                .with_primary_wanted());
        }
        sleep_until(next).await;
    }
}

/// Two numbers in hexadecimal with a slash between.
fn is_position(text: &str) -> bool {
    let number =
        |text: &str| (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once('/').is_some_and(|(high, low)| number(high) && number(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(cells: [Option<&str>; 5]) -> Vec<Option<String>> {
        cells.map(|cell| cell.map(str::to_owned)).to_vec()
    }

    #[test]
    fn a_primary_names_its_history() {
        let file = Some("0000001A00000000000000FE");
        let (seen, positions) = read(&cells([Some("f"), file, Some("77107"), None, None])).unwrap();
        let history = History { id: "77107".into(), number: 26, came_from: None, shared: true };
        assert_eq!(seen, Seen { role: Role::Primary, history: Some(history), lag: None, cut_off: false });
        assert_eq!(positions, None);
    }

    #[test]
    fn a_standby_says_how_far_it_has_come_if_it_receives_anything() {
        for (received, expected) in [(Some("1500"), Some(1500)), (None, None)] {
            let (seen, positions) =
                read(&cells([Some("t"), None, Some("77107"), received, Some("1400")])).unwrap();
            assert_eq!(seen.role, Role::Replica);
            assert_eq!(positions, expected.map(|received| Positions { received, applied: 1400 }));
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn who_is_behind_must_come_well_near_before_it_is_asked_again() {
        let standpoint = Standpoint::new(Duration::from_secs(10));
        let behind = |millis| {
            let lag = Some(Duration::from_millis(millis));
            standpoint.set(Seen { role: Role::Replica, history: None, lag, cut_off: false });
            standpoint.is_near().is_err()
        };
        assert_eq!(
            [9000, 10_001, 9000, 5001, 4000, 9000].map(behind),
            [false, true, true, true, false, false]
        );
        assert!(behind(20_000));
        standpoint.set(Seen { role: Role::Primary, history: None, lag: None, cut_off: false });
        assert!(standpoint.is_near().is_ok(), "it was promoted");
    }

    #[test]
    fn positions_are_two_numbers() {
        for (text, is) in [
            ("0/0", true),
            ("16/B374D848", true),
            ("", false),
            ("16", false),
            ("x/1", false),
            ("1/1/1", false),
            ("123456789/0", false),
        ] {
            assert_eq!(is_position(text), is, "{text}");
        }
    }
}
