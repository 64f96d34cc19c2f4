//! Routes from a path to a URL. What they mean is said in `model`, and where they run is in `clusters`.

use disk::{OptionalExtension, Row, SqlResult, params};
use model::url_route::{UrlRoute, UrlRouteSpec};

use crate::{Error, Store, moment};

/// The name of their counter.
const COUNTER: &str = "url_routes";

impl Store {
    /// Every one, by number, and the last number that any of them was given.
    pub async fn url_routes(&self) -> Result<(Vec<UrlRoute>, i64), Error> {
        let all = self.disk().read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT id, path, target_url, method, enabled, rate_limit, timeout, created_at, updated_at
                 FROM url_routes ORDER BY id",
            )?;
            let routes: Vec<UrlRoute> = statement.query_map([], url_route)?.collect::<SqlResult<_>>()?;
            let last = "SELECT value FROM counters WHERE name = ?1";
            let last: Option<i64> = c.query_row(last, [COUNTER], |row| row.get(0)).optional()?;
            let last = last.unwrap_or(0).max(routes.last().map_or(0, |route| route.id));
            Ok((routes, last))
        });
        Ok(all.await?)
    }

    /// Keeps one, in place of the one of that number if there is one. It is on the disk when this returns.
    pub async fn put_url_route(&self, route: &UrlRoute) -> Result<(), Error> {
        let UrlRoute { id, spec: s, created_at, updated_at } = route.clone();
        let put = "INSERT INTO url_routes
                       (id, path, target_url, method, enabled, rate_limit, timeout, created_at, updated_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (id) DO UPDATE SET
                       path = excluded.path, target_url = excluded.target_url, method = excluded.method,
                       enabled = excluded.enabled, rate_limit = excluded.rate_limit,
                       timeout = excluded.timeout, updated_at = excluded.updated_at";
        let count = "INSERT INTO counters (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > counters.value";
        let write = self.disk().write(move |c| {
            let (created_at, updated_at) = (created_at.as_microsecond(), updated_at.as_microsecond());
            c.prepare_cached(put)?.execute(params![
                id,
                s.path,
                s.target_url,
                s.method,
                s.enabled,
                s.rate_limit,
                s.timeout,
                created_at,
                updated_at
            ])?;
            c.prepare_cached(count)?.execute(params![COUNTER, id])
        });
        write.await?;
        Ok(())
    }

    /// Forgets one. Says whether there was one.
    pub async fn delete_url_route(&self, id: i64) -> Result<bool, Error> {
        let delete = "DELETE FROM url_routes WHERE id = ?1";
        let deleted = self.disk().write(move |c| c.prepare_cached(delete)?.execute([id])).await?;
        Ok(deleted > 0)
    }
}

fn url_route(row: &Row<'_>) -> SqlResult<UrlRoute> {
    let spec = UrlRouteSpec {
        path: row.get(1)?,
        target_url: row.get(2)?,
        method: row.get(3)?,
        enabled: row.get(4)?,
        rate_limit: row.get(5)?,
        timeout: row.get(6)?,
    };
    Ok(UrlRoute { id: row.get(0)?, spec, created_at: moment(row.get(7)?), updated_at: moment(row.get(8)?) })
}
