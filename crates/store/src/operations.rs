//! Changes that take a while, so that they are found again: the newest of them for whoever asks, and those that have
//! begun and not ended for whoever starts after a crash.

use model::view::{Operation, OperationStatus};
use serde::{Deserialize, Serialize};

use crate::db::{Cell, Done, Session, Wanted, cells};
use crate::{Error, Store};

/// Operations that are kept; those that have not ended stay however old they are.
const MOST: u64 = 1000;

/// What an operation may have made, written down before it does: after a crash it is known what to look for, and what
/// was there before and has to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The word of what makes it.
    pub provisioner: String,
    /// The service that it is for.
    pub service: String,
    /// There were data of it before.
    pub had_data: bool,
    /// There was more of it before than data.
    pub had_it: bool,
}

/// An operation that has begun and was not seen to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// As it was when it was last noted.
    pub operation: Operation,
    /// What it may have made until then.
    pub touched: Vec<Touched>,
}

/// Which operations are asked for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each matches the field of that name")]
pub struct OperationFilter {
    pub cluster: Option<String>,
    pub status: Option<OperationStatus>,
    /// Only those with a smaller id.
    pub before: Option<String>,
}

impl OperationFilter {
    /// Whether an operation is asked for.
    #[must_use]
    pub fn matches(&self, operation: &Operation) -> bool {
        self.before.as_ref().is_none_or(|before| operation.id < *before)
            && self.cluster.as_ref().is_none_or(|cluster| operation.cluster == *cluster)
            && self.status.is_none_or(|status| operation.status == status)
    }

    /// The statement for what is asked, and its values.
    fn statement(&self) -> (String, Vec<Cell<'_>>) {
        let mut wanted = Wanted::default();
        wanted.term("cluster = ?", self.cluster.as_ref());
        wanted.term("status = ?", self.status.map(OperationStatus::name));
        wanted.term("id < ?", self.before.as_ref());
        wanted.select("SELECT id, body FROM operations", "id DESC")
    }
}

impl Store {
    /// Notes that this gateway begins an operation, and forgets the oldest that are too many. It is on the disk when
    /// this returns.
    pub async fn begin_operation(&self, gateway: &str, operation: &Operation) -> Result<(), Error> {
        let (gateway, row) = (gateway.to_owned(), Row::of(operation)?);
        self.write(move |s| begin(s, &gateway, &row, MOST)).await
    }

    /// Notes how it is, and all that it may have made until now. What is noted later and arrives earlier stays, since
    /// what may have been made only ever becomes more.
    pub async fn note_operation(&self, operation: &Operation, touched: &[Touched]) -> Result<(), Error> {
        let row = Row::of(operation)?;
        let unwritable = |source| Error::Operation { id: row.id.clone(), source };
        let touched = serde_json::to_string(touched).map_err(unwritable)?;
        let note = "UPDATE operations SET body = ?2, touched = ?3
                    WHERE id = ?1 AND ended IS NULL AND length(touched) <= length(?3)";
        self.write(move |s| s.execute(note, cells![&row.id, &row.body, &touched])).await?;
        Ok(())
    }

    /// Notes how it has ended.
    pub async fn end_operation(&self, operation: &Operation) -> Result<(), Error> {
        let row = Row::of(operation)?;
        let end = "UPDATE operations SET status = ?2, ended = ?3, body = ?4 WHERE id = ?1";
        self.write(move |s| s.execute(end, cells![&row.id, row.status, row.ended, &row.body])).await?;
        Ok(())
    }

    /// One operation.
    pub async fn operation(&self, id: &str) -> Result<Option<Operation>, Error> {
        let id = id.to_owned();
        let one = "SELECT id, body FROM operations WHERE id = ?1";
        let row = self.read(move |s| s.row(one, cells![&id], |row| Ok((row.get(0)?, row.get(1)?)))).await?;
        row.map(parsed).transpose()
    }

    /// The latest operations that match, at most `limit`, newest first.
    pub async fn operations(&self, filter: OperationFilter, limit: usize) -> Result<Vec<Operation>, Error> {
        let rows = self.read(move |s| {
            let (sql, mut cells) = filter.statement();
            cells.push(Cell::Whole(i64::try_from(limit).unwrap_or(i64::MAX)));
            s.rows(&sql, &cells, |row| Ok((row.get(0)?, row.get(1)?)))
        });
        rows.await?.into_iter().map(parsed).collect()
    }

    /// What this gateway has begun and was not seen to end, the oldest first.
    pub async fn unfinished_operations(&self, gateway: &str) -> Result<Vec<Unfinished>, Error> {
        let gateway = gateway.to_owned();
        let all = "SELECT id, body, touched FROM operations WHERE ended IS NULL AND gateway = ?1 ORDER BY id";
        let rows: Vec<(String, String, String)> = self
            .read(move |s| s.rows(all, cells![&gateway], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
            .await?;
        let read = |(id, body, touched): (String, String, String)| {
            let touched = serde_json::from_str(&touched)
                .map_err(|source| Error::Operation { id: id.clone(), source })?;
            Ok(Unfinished { operation: parsed((id, body))?, touched })
        };
        rows.into_iter().map(read).collect()
    }

    /// The greatest id that is kept.
    pub async fn last_operation(&self) -> Result<Option<String>, Error> {
        let last = "SELECT max(id) FROM operations";
        Ok(self.read(move |s| s.row(last, &[], |row| row.get(0))).await?.flatten())
    }
}

/// What stands in the table of an operation.
struct Row {
    id: String,
    cluster: String,
    kind: &'static str,
    status: &'static str,
    started: i64,
    ended: Option<i64>,
    body: String,
}

impl Row {
    fn of(operation: &Operation) -> Result<Row, Error> {
        let id = operation.id.clone();
        let body = serde_json::to_string(operation);
        Ok(Row {
            body: body.map_err(|source| Error::Operation { id: id.clone(), source })?,
            id,
            cluster: operation.cluster.clone(),
            kind: operation.kind.name(),
            status: operation.status.name(),
            started: operation.created_at.as_microsecond(),
            ended: operation.ended_at.map(jiff::Timestamp::as_microsecond),
        })
    }
}

fn begin(s: &Session<'_>, gateway: &str, row: &Row, most: u64) -> Done<()> {
    let insert = "INSERT INTO operations (id, gateway, cluster, kind, status, started, ended, body, touched)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '[]')";
    let Row { id, cluster, kind, status, started, ended, body } = row;
    s.execute(insert, cells![id, gateway, cluster, *kind, *status, *started, *ended, body])?;
    let oldest = "DELETE FROM operations WHERE ended IS NOT NULL
                  AND id < (SELECT id FROM operations ORDER BY id DESC LIMIT 1 OFFSET ?1)";
    s.execute(oldest, cells![most.saturating_sub(1)])?;
    Ok(())
}

fn parsed((id, body): (String, String)) -> Result<Operation, Error> {
    serde_json::from_str(&body).map_err(|source| Error::Operation { id, source })
}

#[cfg(test)]
mod tests {
    use model::view::{OperationKind, OperationStep, StepStatus};
    use serde_json::json;

    use super::*;
    use crate::tests::home::{Home, on_both};

    const NOW: i64 = 1_790_000_000_000_000;

    /// The `n`-th of a series: every third of another cluster.
    fn operation(n: i64) -> Operation {
        let time = |n| jiff::Timestamp::from_microsecond(NOW + n).unwrap();
        let step = |name: &str, status| OperationStep {
            name: name.to_owned(),
            service: Some("cache".to_owned()),
            action: "pull".to_owned(),
            status,
            started_at: Some(time(n)),
            ended_at: None,
            duration_ms: None,
            detail: Some("von Ångström \"7\"".to_owned()),
            done_bytes: Some(1 << 40),
            total_bytes: None,
            log: vec!["a line".to_owned()],
        };
        Operation {
            id: format!("{:014x}-0000", NOW + n),
            kind: OperationKind::ServiceRestart,
            cluster: if n % 3 == 0 { "blog" } else { "shop" }.to_owned(),
            service: Some("cache".to_owned()),
            status: OperationStatus::Running,
            canceling: false,
            created_at: time(n),
            ended_at: None,
            duration_ms: None,
            actor: "api".to_owned(),
            request_id: Some("r-1".to_owned()),
            steps: vec![step("one", StepStatus::Running), step("two", StepStatus::Waiting)],
            error: None,
        }
    }

    fn ended(n: i64, status: OperationStatus) -> Operation {
        let ended_at = Some(jiff::Timestamp::from_microsecond(NOW + n + 1).unwrap());
        Operation { status, ended_at, error: Some(json!({ "code": "busy" })), ..operation(n) }
    }

    fn touched(service: &str, had_it: bool) -> Touched {
        let provisioner = "docker".to_owned();
        Touched { provisioner, service: service.to_owned(), had_data: true, had_it }
    }

    fn ids(operations: &[Operation]) -> Vec<&str> {
        operations.iter().map(|operation| operation.id.as_str()).collect()
    }

    on_both! {
        what_has_begun_is_found_until_it_has_ended
        what_is_noted_late_takes_nothing_away
        every_filter_means_in_the_store_what_it_means_in_memory
        the_oldest_go_and_what_has_not_ended_stays
    }

    async fn what_has_begun_is_found_until_it_has_ended(home: Home) {
        let store = home.open().await;
        assert_eq!(store.last_operation().await.unwrap(), None);
        for n in 1..=3 {
            store.begin_operation("mine", &operation(n)).await.unwrap();
        }
        store.begin_operation("theirs", &operation(4)).await.unwrap();
        let mut noted = operation(1);
        noted.steps[0].status = StepStatus::Done;
        store.note_operation(&noted, &[touched("cache", false)]).await.unwrap();
        let done = ended(2, OperationStatus::Failed);
        store.end_operation(&done).await.unwrap();
        store.close().await;

        let store = home.open().await;
        let unfinished = store.unfinished_operations("mine").await.unwrap();
        let first = Unfinished { operation: noted, touched: vec![touched("cache", false)] };
        assert_eq!(unfinished, [first, Unfinished { operation: operation(3), touched: Vec::new() }]);
        assert_eq!(store.operation(&done.id).await.unwrap(), Some(done), "all of it");
        assert_eq!(store.operation("none").await.unwrap(), None);
        assert_eq!(store.last_operation().await.unwrap(), Some(operation(4).id));
        assert!(store.begin_operation("mine", &operation(3)).await.is_err(), "ids are given once");
    }

    async fn what_is_noted_late_takes_nothing_away(home: Home) {
        let store = home.open().await;
        store.begin_operation("g", &operation(1)).await.unwrap();
        let both = [touched("cache", true), touched("db", false)];
        store.note_operation(&operation(1), &both).await.unwrap();
        store.note_operation(&operation(1), &both[..1]).await.unwrap();
        assert_eq!(store.unfinished_operations("g").await.unwrap()[0].touched, both);
        let end = ended(1, OperationStatus::Succeeded);
        store.end_operation(&end).await.unwrap();
        store.note_operation(&operation(1), &both).await.unwrap();
        assert_eq!(store.operation(&end.id).await.unwrap(), Some(end), "an end is an end");
        assert!(store.unfinished_operations("g").await.unwrap().is_empty());
    }

    async fn every_filter_means_in_the_store_what_it_means_in_memory(home: Home) {
        let store = home.open().await;
        let mut all = Vec::new();
        for n in 0..12 {
            store.begin_operation("g", &operation(n)).await.unwrap();
            let one = match n % 4 {
                0 => operation(n),
                1 => ended(n, OperationStatus::Succeeded),
                2 => ended(n, OperationStatus::Failed),
                _ => ended(n, OperationStatus::Canceled),
            };
            store.end_operation(&one).await.unwrap();
            all.insert(0, one);
        }
        let none = OperationFilter::default;
        let text = |text: &str| Some(text.to_owned());
        for (filter, count) in [
            (none(), 12),
            (OperationFilter { cluster: text("blog"), ..none() }, 4),
            (OperationFilter { status: Some(OperationStatus::Canceled), ..none() }, 3),
            (OperationFilter { status: Some(OperationStatus::Running), cluster: text("shop"), ..none() }, 2),
            (OperationFilter { before: text(&operation(5).id), ..none() }, 5),
        ] {
            let kept = store.operations(filter.clone(), 100).await.unwrap();
            let matching: Vec<Operation> = all.iter().filter(|one| filter.matches(one)).cloned().collect();
            assert_eq!((kept.len(), ids(&kept)), (count, ids(&matching)), "{filter:?}");
            assert_eq!(store.operations(filter, 2).await.unwrap(), matching[..2], "the newest");
        }
    }

    async fn the_oldest_go_and_what_has_not_ended_stays(home: Home) {
        let store = home.open().await;
        let begun = async |n: i64| {
            let row = Row::of(&operation(n)).unwrap();
            store.write(move |s| begin(s, "g", &row, 3)).await.unwrap();
        };
        begun(0).await;
        for n in 1..6 {
            begun(n).await;
            store.end_operation(&ended(n, OperationStatus::Succeeded)).await.unwrap();
        }
        begun(6).await;
        let kept = store.operations(OperationFilter::default(), 100).await.unwrap();
        let expected = [6, 5, 4, 0].map(|n| operation(n).id);
        assert_eq!(ids(&kept), expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
