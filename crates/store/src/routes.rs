//! The routes that the API owns, each kept as the JSON that it was asked in.

use model::RouteSpec;

use crate::db::cells;
use crate::{Error, Store};

impl Store {
    /// Every route, by id.
    pub async fn routes(&self) -> Result<Vec<RouteSpec>, Error> {
        let all = "SELECT id, spec FROM routes ORDER BY id";
        let rows: Vec<(String, String)> =
            self.read(move |s| s.rows(all, &[], |row| Ok((row.get(0)?, row.get(1)?)))).await?;
        let read = |(id, spec): (String, String)| {
            serde_json::from_str(&spec).map_err(|source| Error::Route { id, source })
        };
        rows.into_iter().map(read).collect()
    }

    /// Keeps a route, in place of the one with the same id if there is one. It is on the disk when this returns.
    pub async fn put_route(&self, route: &RouteSpec) -> Result<(), Error> {
        let (id, cluster) = (route.id.clone(), route.cluster.clone());
        if id.is_empty() {
            return Err(Error::NoRouteId);
        }
        let spec = serde_json::to_string(route).map_err(|source| Error::Route { id: id.clone(), source })?;
        let now = jiff::Timestamp::now().as_millisecond();
        let put = "INSERT INTO routes (id, cluster, spec, updated_at) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (id) DO UPDATE SET
                       cluster = excluded.cluster, spec = excluded.spec, updated_at = excluded.updated_at";
        self.write(move |s| s.execute(put, cells![&id, &cluster, &spec, now])).await?;
        Ok(())
    }

    /// Forgets a route. Says whether there was one.
    pub async fn delete_route(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        let delete = "DELETE FROM routes WHERE id = ?1";
        Ok(self.write(move |s| s.execute(delete, cells![&id])).await? > 0)
    }

    /// Forgets the routes of a cluster. Says how many there were.
    pub async fn delete_routes_of(&self, cluster: &str) -> Result<usize, Error> {
        let cluster = cluster.to_owned();
        let delete = "DELETE FROM routes WHERE cluster = ?1";
        let deleted = self.write(move |s| s.execute(delete, cells![&cluster])).await?;
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    }
}
