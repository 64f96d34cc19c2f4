//! The latest operations, so that a restart does not forget them. Which of them are worth a write, and what is
//! still only in memory, is decided in `clusters`.

use std::sync::Arc;

use disk::{Connection, Row, SqlResult, params};
use jiff::Timestamp;
use model::view::ActivityRecord;

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

    /// The statement for what is asked. A parameter that is not asked for stands in it too, as null, so that their
    /// numbers stay; what is asked for stands as a plain comparison, since only that lets an index be used.
    pub(crate) fn statement(&self) -> String {
        let mut sql =
            "SELECT id, began, cluster, service, operation, shape, outcome, code, status, duration_ms, \
                              tries, endpoint, request_id FROM activity WHERE "
                .to_owned();
        let terms = [
            (self.cluster.is_some(), "cluster = ?1", "?1 IS NULL"),
            (self.service.is_some(), "service = ?2", "?2 IS NULL"),
            (self.service_type.is_some(), "kind = ?3", "?3 IS NULL"),
            (self.operation.is_some(), "operation = ?4", "?4 IS NULL"),
            (self.outcome.is_some(), "outcome = ?5", "?5 IS NULL"),
            (self.code.is_some(), "code = ?6", "?6 IS NULL"),
            (self.request_id.is_some(), "request_id = ?7", "?7 IS NULL"),
            // An id is not below the moment of the beginning, which is where a page may stop to look.
            (self.since.is_some(), "began >= ?8 AND id >= printf('%014x', ?8)", "?8 IS NULL"),
            (self.until.is_some(), "began < ?9", "?9 IS NULL"),
            (self.before.is_some(), "id < ?10", "?10 IS NULL"),
            (self.requests_only, "routed = 1", "TRUE"),
            // Said once more in the words of the index.
            (self.looks_for_failures(), "outcome <> 'success'", "TRUE"),
        ];
        let terms: Vec<&str> = terms.iter().map(|(asked, yes, no)| if *asked { *yes } else { *no }).collect();
        sql.push_str(&terms.join(" AND "));
        sql.push_str(" ORDER BY id DESC LIMIT ?11");
        sql
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
        *kept = Some(self.disk().write(move |c| keep(c, &batch, known, MOST_OPERATIONS)).await?);
        Ok(())
    }

    /// The latest operations that match, at most `limit`, newest first.
    pub async fn operations(
        &self,
        filter: ActivityFilter,
        limit: usize,
    ) -> Result<Vec<ActivityRecord>, Error> {
        let found = self.disk().read(move |c| {
            let mut statement = c.prepare_cached(&filter.statement())?;
            let f = &filter;
            let (since, until) =
                (f.since.map(Timestamp::as_microsecond), f.until.map(Timestamp::as_microsecond));
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let wanted = params![
                f.cluster,
                f.service,
                f.service_type,
                f.operation,
                f.outcome,
                f.code,
                f.request_id,
                since,
                until,
                f.before,
                limit
            ];
            statement.query_map(wanted, record)?.collect()
        });
        Ok(found.await?)
    }

    /// The greatest id that is kept.
    pub async fn last_operation(&self) -> Result<Option<String>, Error> {
        let last = "SELECT max(id) FROM activity";
        Ok(self.disk().read(move |c| c.query_row(last, [], |row| row.get(0))).await?)
    }
}

/// Writes a batch down and says how many are kept now; `known` is how many were before.
pub(crate) fn keep(c: &Connection, batch: &[KeptOperation], known: Option<u64>, most: u64) -> SqlResult<u64> {
    let mut kept = match known {
        Some(known) => known,
        None => c.query_row("SELECT count(*) FROM activity", [], |row| row.get::<_, i64>(0))?.cast_unsigned(),
    };
    let mut insert = c.prepare_cached(
        "INSERT OR IGNORE INTO activity (id, routed, began, cluster, service, kind, operation, shape, outcome, code,
                                         status, duration_ms, tries, endpoint, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    for KeptOperation { record: r, kind, routed } in batch {
        let began = r.time.as_microsecond();
        kept += insert.execute(params![
            r.id,
            routed,
            began,
            r.cluster,
            r.service,
            kind,
            r.operation,
            r.shape,
            r.outcome,
            r.code,
            r.status,
            r.duration_ms,
            r.tries,
            r.endpoint,
            r.request_id
        ])? as u64;
    }
    if kept > most {
        let oldest = "DELETE FROM activity WHERE id IN (SELECT id FROM activity ORDER BY id LIMIT ?1)";
        kept -= c.prepare_cached(oldest)?.execute([(kept - most).cast_signed()])? as u64;
    }
    Ok(kept)
}

fn record(row: &Row<'_>) -> SqlResult<ActivityRecord> {
    Ok(ActivityRecord {
        id: row.get(0)?,
        time: crate::moment(row.get(1)?),
        cluster: row.get(2)?,
        service: row.get(3)?,
        operation: row.get(4)?,
        shape: row.get(5)?,
        outcome: row.get(6)?,
        code: row.get(7)?,
        status: row.get(8)?,
        duration_ms: row.get(9)?,
        tries: row.get(10)?,
        endpoint: row.get(11)?,
        request_id: row.get(12)?,
    })
}
