//! The history of changes, so that a restart does not forget it. What is still only in memory is in `clusters`.

use std::sync::Arc;

use jiff::Timestamp;
use model::event::Event;

use crate::db::{Cell, Done, Row, Session, Wanted, cells};
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

    /// The statement for what is asked, and its values.
    fn statement(&self) -> (String, Vec<Cell<'_>>) {
        let mut wanted = Wanted::default();
        wanted.term("cluster = ?", self.cluster.as_ref());
        wanted.term("service = ?", self.service.as_ref());
        wanted.term("substr(kind, 1, length(?)) = ?", self.kind.as_ref());
        wanted.term("actor = ?", self.actor.as_ref());
        wanted.term("time >= ?", self.since.map(Timestamp::as_microsecond));
        // An id counts from one: none reaches beyond what SQLite can hold.
        wanted.term("id < ?", self.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX)));
        wanted.select(
            "SELECT id, time, kind, cluster, service, endpoint, route, actor, message, request_id FROM events",
            "id DESC",
        )
    }
}

impl Store {
    /// Keeps events, in one write, and forgets the oldest beyond [`MOST_EVENTS`]. One that is kept already stays
    /// as it is, so that a batch whose fate is not known may be sent again.
    pub async fn keep_events(&self, batch: Arc<Vec<Event>>) -> Result<(), Error> {
        self.write(move |s| keep(s, &batch, MOST_EVENTS)).await
    }

    /// The latest events that match, at most `limit`, newest first.
    pub async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>, Error> {
        self.read(move |s| {
            let (sql, mut cells) = filter.statement();
            cells.push(Cell::Whole(i64::try_from(limit).unwrap_or(i64::MAX)));
            s.rows(&sql, &cells, event)
        })
        .await
    }

    /// The greatest id that is kept; 0 when there is none.
    pub async fn last_event(&self) -> Result<u64, Error> {
        let last = "SELECT coalesce(max(id), 0) FROM events";
        Ok(self.read(move |s| s.number(last, &[])).await?.cast_unsigned())
    }
}

/// Ids have no gaps, so that the oldest are known without being counted.
pub(crate) fn keep(s: &Session<'_>, batch: &[Event], most: u64) -> Done<()> {
    let insert =
        "INSERT INTO events (id, time, kind, cluster, service, endpoint, route, actor, message, request_id)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING";
    s.execute_all(insert, &batch.iter().map(row).collect::<Vec<_>>())?;
    let oldest = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1";
    s.execute(oldest, cells![most])?;
    Ok(())
}

fn row(e: &Event) -> Vec<Cell<'_>> {
    let (time, some) = (e.time.as_microsecond(), Option::as_ref);
    cells![
        e.id,
        time,
        &e.kind,
        some(&e.cluster),
        some(&e.service),
        some(&e.endpoint),
        some(&e.route),
        &e.actor,
        &e.message,
        some(&e.request_id)
    ]
    .to_vec()
}

fn event(row: &Row<'_>) -> Done<Event> {
    Ok(Event {
        id: row.count(0)?,
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
