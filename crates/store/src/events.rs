//! The history of changes, so that a restart does not forget it. What is still only in memory is in `clusters`.

use std::sync::Arc;

use disk::{Connection, Row, SqlResult, params};
use jiff::Timestamp;
use model::event::Event;

use crate::{Error, Store};

/// Changes that are kept, about 6 MB of them: months of a gateway that is left alone.
pub const MOST_EVENTS: u64 = 20_000;

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each matches the field of that name")]
pub struct EventFilter {
    pub cluster: Option<String>,
    pub service: Option<String>,
    /// Only those whose kind begins so.
    pub kind: Option<String>,
    pub actor: Option<String>,
    /// Only those of then or later.
    pub since: Option<Timestamp>,
    /// Only those with a smaller id.
    pub before: Option<u64>,
}

impl EventFilter {
    /// Whether an event is asked for.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let same = |asked: &Option<String>, own: &Option<String>| asked.is_none() || asked == own;
        self.before.is_none_or(|before| event.id < before)
            && same(&self.cluster, &event.cluster)
            && same(&self.service, &event.service)
            && self.kind.as_ref().is_none_or(|kind| event.kind.starts_with(kind.as_str()))
            && self.actor.as_ref().is_none_or(|actor| *actor == event.actor)
            && self.since.is_none_or(|since| event.time >= since)
    }

    /// As for operations: what is not asked for stands as null, what is asked for as a plain comparison.
    fn statement(&self) -> String {
        let mut sql = "SELECT id, time, kind, cluster, service, endpoint, route, actor, message, request_id \
                       FROM events WHERE "
            .to_owned();
        let terms = [
            (self.cluster.is_some(), "cluster = ?1", "?1 IS NULL"),
            (self.service.is_some(), "service = ?2", "?2 IS NULL"),
            (self.kind.is_some(), "substr(kind, 1, length(?3)) = ?3", "?3 IS NULL"),
            (self.actor.is_some(), "actor = ?4", "?4 IS NULL"),
            (self.since.is_some(), "time >= ?5", "?5 IS NULL"),
            (self.before.is_some(), "id < ?6", "?6 IS NULL"),
        ];
        let terms: Vec<&str> = terms.iter().map(|(asked, yes, no)| if *asked { *yes } else { *no }).collect();
        sql.push_str(&terms.join(" AND "));
        sql.push_str(" ORDER BY id DESC LIMIT ?7");
        sql
    }
}

impl Store {
    /// Keeps events, in one write, and forgets the oldest beyond [`MOST_EVENTS`]. One that is kept already stays
    /// as it is, so that a batch whose fate is not known may be sent again.
    pub async fn keep_events(&self, batch: Arc<Vec<Event>>) -> Result<(), Error> {
        self.disk().write(move |c| keep(c, &batch, MOST_EVENTS)).await?;
        Ok(())
    }

    /// The latest events that match, at most `limit`, newest first.
    pub async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>, Error> {
        let found = self.disk().read(move |c| {
            let mut statement = c.prepare_cached(&filter.statement())?;
            let f = &filter;
            let since = f.since.map(Timestamp::as_microsecond);
            // An id counts from one: none reaches beyond what SQLite can hold.
            let before = f.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let wanted = params![f.cluster, f.service, f.kind, f.actor, since, before, limit];
            statement.query_map(wanted, event)?.collect()
        });
        Ok(found.await?)
    }

    /// The greatest id that is kept; 0 when there is none.
    pub async fn last_event(&self) -> Result<u64, Error> {
        let last = "SELECT max(id) FROM events";
        let last: Option<i64> = self.disk().read(move |c| c.query_row(last, [], |row| row.get(0))).await?;
        Ok(last.map_or(0, i64::cast_unsigned))
    }
}

/// Ids have no gaps, so that the oldest are known without being counted.
pub(crate) fn keep(c: &Connection, batch: &[Event], most: u64) -> SqlResult<()> {
    let mut insert = c.prepare_cached(
        "INSERT OR IGNORE INTO events (id, time, kind, cluster, service, endpoint, route, actor, message, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for e in batch {
        insert.execute(params![
            e.id.cast_signed(),
            e.time.as_microsecond(),
            e.kind,
            e.cluster,
            e.service,
            e.endpoint,
            e.route,
            e.actor,
            e.message,
            e.request_id
        ])?;
    }
    let oldest = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1";
    c.prepare_cached(oldest)?.execute([most.cast_signed()])?;
    Ok(())
}

fn event(row: &Row<'_>) -> SqlResult<Event> {
    Ok(Event {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        time: crate::moment(row.get(1)?),
        kind: row.get(2)?,
        cluster: row.get(3)?,
        service: row.get(4)?,
        endpoint: row.get(5)?,
        route: row.get(6)?,
        actor: row.get(7)?,
        message: row.get(8)?,
        request_id: row.get(9)?,
    })
}
