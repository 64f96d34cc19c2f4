//! The latest operations, so that a restart does not forget them. Which of them are worth a write, and what is
//! still only in memory, is decided in `clusters`.

use std::sync::Arc;

use jiff::Timestamp;
use model::view::ActivityRecord;

use crate::db::{Cell, Done, Row, Session, Wanted, cells};
use crate::{Error, Store};

/// Operations that are kept, about 30 MB of them: a day of a quiet gateway, the last minute of a busy one. More
/// would make pages that filter by something rare slow to find.
pub const MOST_OPERATIONS: u64 = 100_000;

/// An operation, with what is asked for and not shown.
#[derive(Debug, Clone)]
pub struct KeptOperation {
    /// What is shown of it.
    pub record: ActivityRecord,
    /// The kind of its service.
    pub kind: &'static str,
    /// Whether it is a request of the traffic door.
    pub routed: bool,
}

impl KeptOperation {
    /// What a filter looks at.
    #[must_use]
    pub fn seen(&self) -> Seen<'_> {
        let KeptOperation { record, kind, routed } = self;
        Seen {
            id: &record.id,
            cluster: &record.cluster,
            service: &record.service,
            kind,
            operation: &record.operation,
            outcome: &record.outcome,
            code: record.code.as_deref(),
            request_id: &record.request_id,
            began: record.time,
            routed: *routed,
        }
    }
}

/// What a filter looks at, wherever an operation is remembered.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is matched by the field of that name")]
pub struct Seen<'o> {
    pub id: &'o str,
    pub cluster: &'o str,
    pub service: &'o str,
    pub kind: &'o str,
    pub operation: &'o str,
    pub outcome: &'o str,
    pub code: Option<&'o str>,
    pub request_id: &'o str,
    pub began: Timestamp,
    pub routed: bool,
}

/// Which operations are asked for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each matches the field of that name")]
pub struct ActivityFilter {
    pub cluster: Option<String>,
    pub service: Option<String>,
    pub service_type: Option<String>,
    pub operation: Option<String>,
    pub outcome: Option<String>,
    pub code: Option<String>,
    pub request_id: Option<String>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
    /// Only those that began before then.
    pub until: Option<Timestamp>,
    /// Only those with a smaller id.
    pub before: Option<String>,
    /// Only requests of the traffic door.
    pub requests_only: bool,
}

impl ActivityFilter {
    /// Whether an operation is asked for. An empty id is one that is not known yet, and stands before every cursor.
    #[must_use]
    pub fn matches(&self, seen: &Seen<'_>) -> bool {
        let same = |asked: &Option<String>, own: &str| asked.as_deref().is_none_or(|asked| asked == own);
        self.before.as_deref().is_none_or(|before| seen.id < before)
            && same(&self.cluster, seen.cluster)
            && same(&self.service, seen.service)
            && same(&self.service_type, seen.kind)
            && same(&self.operation, seen.operation)
            && same(&self.outcome, seen.outcome)
            && (self.code.is_none() || self.code.as_deref() == seen.code)
            && same(&self.request_id, seen.request_id)
            && self.since.is_none_or(|since| seen.began >= since)
            && self.until.is_none_or(|until| seen.began < until)
            && (seen.routed || !self.requests_only)
    }

    /// The id of the moment from which on is asked: none that began since then is below it, and so a page may stop to
    /// look there.
    pub(crate) fn least_id(&self) -> Option<String> {
        self.since.map(|since| format!("{:014x}", since.as_microsecond()))
    }

    /// The statement for what is asked, and its values. Each stands as a plain comparison, since only that lets an
    /// index be used.
    pub(crate) fn statement<'f>(&'f self, least_id: Option<&'f String>) -> (String, Vec<Cell<'f>>) {
        let mut wanted = Wanted::default();
        wanted.term("cluster = ?", self.cluster.as_ref());
        wanted.term("service = ?", self.service.as_ref());
        wanted.term("kind = ?", self.service_type.as_ref());
        wanted.term("operation = ?", self.operation.as_ref());
        wanted.term("outcome = ?", self.outcome.as_ref());
        wanted.term("code = ?", self.code.as_ref());
        wanted.term("request_id = ?", self.request_id.as_ref());
        wanted.term("began >= ?", self.since.map(Timestamp::as_microsecond));
        wanted.term("id >= ?", least_id);
        wanted.term("began < ?", self.until.map(Timestamp::as_microsecond));
        wanted.term("id < ?", self.before.as_ref());
        if self.requests_only {
            wanted.plain("routed = 1");
        }
        if self.looks_for_failures() {
            // Said once more in the words of the index.
            wanted.plain("outcome <> 'success'");
        }
        wanted.select(
            "SELECT id, began, cluster, service, operation, shape, outcome, code, status, duration_ms, tries, endpoint, \
             request_id FROM activity",
            "id DESC",
        )
    }

    fn looks_for_failures(&self) -> bool {
        // Of what did not succeed, only failures have a code.
        self.code.is_some() || self.outcome.as_deref().is_some_and(|outcome| outcome != "success")
    }
}

impl Store {
    /// Keeps operations, in one write, and forgets the oldest beyond [`MOST_OPERATIONS`]. One that is kept already
    /// stays as it is, so that a batch whose fate is not known may be sent again.
    pub async fn keep_operations(&self, batch: Arc<Vec<KeptOperation>>) -> Result<(), Error> {
        let mut kept = self.inner.operations_kept.lock().await;
        // Unknown until the write has succeeded.
        let known = kept.take();
        *kept = Some(self.write(move |s| keep(s, &batch, known, MOST_OPERATIONS)).await?);
        Ok(())
    }

    /// The latest operations that match, at most `limit`, newest first.
    pub async fn activity(&self, filter: ActivityFilter, limit: usize) -> Result<Vec<ActivityRecord>, Error> {
        self.read(move |s| {
            let least_id = filter.least_id();
            let (sql, mut cells) = filter.statement(least_id.as_ref());
            cells.push(Cell::Whole(i64::try_from(limit).unwrap_or(i64::MAX)));
            s.rows(&sql, &cells, record)
        })
        .await
    }

    /// The greatest id that is kept.
    pub async fn last_activity(&self) -> Result<Option<String>, Error> {
        let last = "SELECT max(id) FROM activity";
        Ok(self.read(move |s| s.row(last, &[], |row| row.get(0))).await?.flatten())
    }
}

/// Writes a batch down and says how many are kept now; `known` is how many were before.
pub(crate) fn keep(s: &Session<'_>, batch: &[KeptOperation], known: Option<u64>, most: u64) -> Done<u64> {
    let mut kept = match known {
        Some(known) => known,
        None => s.number("SELECT count(*) FROM activity", &[])?.cast_unsigned(),
    };
    let insert =
        "INSERT INTO activity (id, routed, began, cluster, service, kind, operation, shape, outcome, code,
                                        status, duration_ms, tries, endpoint, request_id)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                  ON CONFLICT (id) DO NOTHING";
    kept += s.execute_all(insert, &batch.iter().map(row).collect::<Vec<_>>())?;
    if kept > most {
        let oldest = "DELETE FROM activity WHERE id IN (SELECT id FROM activity ORDER BY id LIMIT ?1)";
        kept -= s.execute(oldest, cells![kept - most])?;
    }
    Ok(kept)
}

fn row(KeptOperation { record: r, kind, routed }: &KeptOperation) -> Vec<Cell<'_>> {
    let (began, some) = (r.time.as_microsecond(), Option::as_ref);
    cells![
        &r.id,
        *routed,
        began,
        &r.cluster,
        &r.service,
        *kind,
        &r.operation,
        &r.shape,
        &r.outcome,
        some(&r.code),
        r.status,
        r.duration_ms,
        r.tries,
        some(&r.endpoint),
        &r.request_id
    ]
    .to_vec()
}

fn record(row: &Row<'_>) -> Done<ActivityRecord> {
    Ok(ActivityRecord {
        id: row.get(0)?,
        time: crate::moment(row.get(1)?),
        cluster: row.get(2)?,
        service: row.get(3)?,
        operation: row.get(4)?,
        shape: row.get(5)?,
        outcome: row.get(6)?,
        code: row.get(7)?,
        status: row.get::<Option<i64>>(8)?.and_then(|status| u16::try_from(status).ok()),
        duration_ms: row.get(9)?,
        tries: row.count(10)?,
        endpoint: row.get(11)?,
        request_id: row.get(12)?,
    })
}
