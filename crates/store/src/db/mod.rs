//! Where the tables are, a file of this machine or a PostgreSQL, and the one way in which both are asked.
//!
//! A job is a plain function that asks one [`Session`], within one transaction. Its SQL is what both understand:
//! placeholders are `?1`, numbers are whole or real, and what differs between the two stands in `migrations`.

mod cell;
mod postgres;
mod wanted;

use disk::{Connection, Disk, SqlResult, ToSql};

pub(crate) use cell::{Cell, Row, cells};
pub use postgres::Pool;
pub(crate) use postgres::url;
pub(crate) use postgres::{Link, Postgres, Trouble};
pub(crate) use wanted::Wanted;

use crate::Error;

/// Where the tables are.
pub(crate) enum Db {
    Disk(Disk),
    Postgres(Postgres),
}

/// One transaction of either.
pub(crate) enum Session<'s> {
    Disk(&'s Connection),
    Postgres(&'s Link),
}

/// Why a statement failed.
#[derive(Debug)]
pub(crate) enum Fault {
    Disk(disk::SqlError),
    Postgres(Trouble),
}

/// What a job has come to.
pub(crate) type Done<T> = Result<T, Fault>;

impl Db {
    /// Runs a job that only looks.
    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        match self {
            Db::Disk(disk) => Ok(disk.read(move |c| on_disk(c, job)).await?),
            Db::Postgres(postgres) => postgres.read(job).await,
        }
    }

    /// Runs a job that may change things, and answers when its changes are kept. One that fails has changed nothing.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        match self {
            Db::Disk(disk) => Ok(disk.write(move |c| on_disk(c, job)).await?),
            Db::Postgres(postgres) => postgres.write(job).await,
        }
    }

    /// The same beside which no other such write runs, of whatever gateway.
    pub(crate) async fn write_alone<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        match self {
            Db::Disk(disk) => Ok(disk.write(move |c| on_disk(c, job)).await?),
            Db::Postgres(postgres) => postgres.write_alone(job).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Db::Disk(disk) => disk.close().await,
            Db::Postgres(postgres) => postgres.close(),
        }
    }
}

/// Runs a job on the engine of this process.
pub(crate) fn on_disk<T>(c: &Connection, job: impl FnOnce(&Session<'_>) -> Done<T>) -> SqlResult<T> {
    job(&Session::Disk(c)).map_err(|fault| match fault {
        Fault::Disk(error) => error,
        // No job asks another session than its own.
        Fault::Postgres(_) => disk::SqlError::InvalidQuery,
    })
}

impl Session<'_> {
    /// Runs a statement. Says how many rows it has changed.
    pub(crate) fn execute(&self, sql: &str, cells: &[Cell<'_>]) -> Done<u64> {
        match self {
            Session::Disk(c) => Ok(c.prepare_cached(sql)?.execute(&*bound(cells))? as u64),
            Session::Postgres(link) => link.execute(sql, cells).map_err(Fault::Postgres),
        }
    }

    /// Runs a statement for each of these rows of values. Says how many rows all of them have changed.
    pub(crate) fn execute_all(&self, sql: &str, rows: &[Vec<Cell<'_>>]) -> Done<u64> {
        match self {
            Session::Disk(c) => {
                let mut statement = c.prepare_cached(sql)?;
                let mut changed = 0;
                for cells in rows {
                    changed += statement.execute(&*bound(cells))? as u64;
                }
                Ok(changed)
            }
            Session::Postgres(link) => link.execute_all(sql, rows).map_err(Fault::Postgres),
        }
    }

    /// Lets no other transaction pass this call with the same number at the same time. A file has one writer anyway.
    pub(crate) fn alone(&self, number: i64) -> Done<()> {
        match self {
            Session::Disk(_) => Ok(()),
            Session::Postgres(_) => {
                // It gives nothing, and that as a row.
                let lock = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(?1)) AS l";
                self.rows(lock, cells![number], |_| Ok(())).map(drop)
            }
        }
    }

    /// Runs a query, or a statement that returns something, and reads its rows.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        cells: &[Cell<'_>],
        mut read: impl FnMut(&Row<'_>) -> Done<T>,
    ) -> Done<Vec<T>> {
        match self {
            Session::Disk(c) => {
                let mut statement = c.prepare_cached(sql)?;
                let mut rows = statement.query(&*bound(cells))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Disk(row))?);
                }
                Ok(all)
            }
            Session::Postgres(link) => {
                let rows = link.query(sql, cells).map_err(Fault::Postgres)?;
                rows.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// The same for a query of one row at most.
    pub(crate) fn row<T>(
        &self,
        sql: &str,
        cells: &[Cell<'_>],
        read: impl FnMut(&Row<'_>) -> Done<T>,
    ) -> Done<Option<T>> {
        Ok(self.rows(sql, cells, read)?.into_iter().next())
    }

    /// The same for one that always gives a number.
    pub(crate) fn number(&self, sql: &str, cells: &[Cell<'_>]) -> Done<i64> {
        Ok(self.row(sql, cells, |row| row.get(0))?.unwrap_or(0))
    }

    /// Runs several statements that take nothing and say nothing.
    pub(crate) fn batch(&self, sql: &str) -> Done<()> {
        match self {
            Session::Disk(c) => Ok(c.execute_batch(sql)?),
            Session::Postgres(link) => link.batch(sql).map_err(Fault::Postgres),
        }
    }
}

fn bound<'c>(cells: &'c [Cell<'c>]) -> Vec<&'c dyn ToSql> {
    cells.iter().map(|cell| cell as &dyn ToSql).collect()
}

impl From<disk::SqlError> for Fault {
    fn from(error: disk::SqlError) -> Self {
        Fault::Disk(error)
    }
}
