//! Routes from a path to a URL. What they mean is said in `model`, and where they run is in `clusters`.

use model::url_route::{UrlRoute, UrlRouteSpec};

use crate::db::{Done, Row, cells};
use crate::{Error, Store, moment};

/// The name of their counter.
const COUNTER: &str = "url_routes";

impl Store {
    /// Every one, by number, and the last number that any of them was given.
    pub async fn url_routes(&self) -> Result<(Vec<UrlRoute>, i64), Error> {
        let all = "SELECT id, path, target_url, method, enabled, rate_limit, timeout, created_at, updated_at
                   FROM url_routes ORDER BY id";
        let last = "SELECT value FROM counters WHERE name = ?1";
        self.read(move |s| {
            let routes: Vec<UrlRoute> = s.rows(all, &[], url_route)?;
            let last = s.number(last, cells![COUNTER])?;
            Ok((last.max(routes.last().map_or(0, |route| route.id)), routes))
        })
        .await
        .map(|(last, routes)| (routes, last))
    }

    /// Keeps one, in place of the one of that number if there is one. It is on the disk when this returns.
    pub async fn put_url_route(&self, route: &UrlRoute) -> Result<(), Error> {
        let UrlRoute { id, spec: r, created_at, updated_at } = route.clone();
        let put = "INSERT INTO url_routes
                       (id, path, target_url, method, enabled, rate_limit, timeout, created_at, updated_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (id) DO UPDATE SET
                       path = excluded.path, target_url = excluded.target_url, method = excluded.method,
                       enabled = excluded.enabled, rate_limit = excluded.rate_limit,
                       timeout = excluded.timeout, updated_at = excluded.updated_at";
        let count = "INSERT INTO counters (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value
                     WHERE excluded.value > counters.value";
        self.write(move |s| {
            let times = (created_at.as_microsecond(), updated_at.as_microsecond());
            let (path, target, method) = (&r.path, &r.target_url, &r.method);
            let (enabled, limit, timeout) = (r.enabled, r.rate_limit, r.timeout);
            s.execute(put, cells![id, path, target, method, enabled, limit, timeout, times.0, times.1])?;
            s.execute(count, cells![COUNTER, id])
        })
        .await?;
        Ok(())
    }

    /// Forgets one. Says whether there was one.
    pub async fn delete_url_route(&self, id: i64) -> Result<bool, Error> {
        let delete = "DELETE FROM url_routes WHERE id = ?1";
        Ok(self.write(move |s| s.execute(delete, cells![id])).await? > 0)
    }
}

fn url_route(row: &Row<'_>) -> Done<UrlRoute> {
    let spec = UrlRouteSpec {
        path: row.get(1)?,
        target_url: row.get(2)?,
        method: row.get(3)?,
        enabled: row.get::<i64>(4)? != 0,
        rate_limit: row.count(5)?,
        timeout: row.count(6)?,
    };
    Ok(UrlRoute { id: row.get(0)?, spec, created_at: moment(row.get(7)?), updated_at: moment(row.get(8)?) })
}
