//! Clusters whose deletion has begun, so that a crash in the middle leaves nothing by half.

use crate::db::cells;
use crate::{Error, Store};

/// A deletion that has begun and was not seen to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The id of the cluster.
    pub cluster: String,
    /// Whether the data of its services goes as well.
    pub with_data: bool,
}

impl Store {
    /// Notes that a cluster is about to be deleted. It is on the disk when this returns.
    pub async fn begin_deletion(&self, deletion: &Deletion) -> Result<(), Error> {
        let Deletion { cluster, with_data } = deletion.clone();
        let put = "INSERT INTO deletions (cluster, with_data) VALUES (?1, ?2)
                   ON CONFLICT (cluster) DO UPDATE SET with_data = excluded.with_data";
        self.write(move |s| s.execute(put, cells![&cluster, with_data])).await?;
        Ok(())
    }

    /// What was begun and not ended.
    pub async fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let all = "SELECT cluster, with_data FROM deletions ORDER BY cluster";
        self.read(move |s| {
            s.rows(all, &[], |row| Ok(Deletion { cluster: row.get(0)?, with_data: row.get::<i64>(1)? != 0 }))
        })
        .await
    }

    /// Notes that nothing is left to do, or that the deletion did not take place.
    pub async fn end_deletion(&self, cluster: &str) -> Result<(), Error> {
        let cluster = cluster.to_owned();
        let delete = "DELETE FROM deletions WHERE cluster = ?1";
        self.write(move |s| s.execute(delete, cells![&cluster])).await?;
        Ok(())
    }
}
