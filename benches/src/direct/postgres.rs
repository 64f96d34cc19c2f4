//! PostgreSQL through tokio-postgres in this process: one connection for each caller, statements prepared once, every
//! cell read into a value of its own.

use anyhow::{Context, ensure};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::sqlite::{ROWS, person};
use super::{Remote, on_tasks};
use crate::timings::Timings;

/// The table that is read, and its content; what is there already stays.
const PREPARE: &str = "CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, \
     email TEXT NOT NULL, balance DOUBLE PRECISION NOT NULL, note TEXT); \
     INSERT INTO people SELECT i, 'Person ' || i, 'person' || i || '@example.org', i * 1.25, \
     'knows ' || (i * 7919 % 10000) FROM generate_series(1, 10000) AS i ON CONFLICT DO NOTHING; \
     ANALYZE people";
/// For the gateway as well: both sides do the same.
pub const SELECT_ONE: &str = "SELECT id, name, email, balance, note FROM people WHERE id = $1";
pub const SELECT_ALL: &str = "SELECT id, name, email, balance, note FROM people";

/// A row as an application has it.
#[expect(dead_code, reason = "made so that each cell is read, as an application that goes on to use it must")]
struct Person {
    id: i32,
    name: String,
    email: String,
    balance: f64,
    note: Option<String>,
}

/// The table, filled once.
pub fn prepare(server: &str) -> anyhow::Result<()> {
    super::runtime()?.block_on(async {
        let client = connect(server).await?;
        Ok(client.batch_execute(PREPARE).await?)
    })
}

/// One row by its primary key.
pub fn select(job: &Remote) -> anyhow::Result<Timings> {
    each_on_its_own(job, SELECT_ONE, async |(client, statement), at| {
        let id = i32::try_from(person(at))?;
        let (person, bytes) = read(&client.query_one(statement, &[&id]).await?)?;
        ensure!(person.id == id, "another row came back");
        Ok(bytes)
    })
}

/// All rows.
pub fn rows(job: &Remote) -> anyhow::Result<Timings> {
    each_on_its_own(job, SELECT_ALL, async |(client, statement), _| {
        let rows = client.query(statement, &[]).await?;
        let read = rows.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(read.len() == ROWS, "{} rows came back", read.len());
        Ok(read.iter().map(|(_, bytes)| bytes).sum())
    })
}

fn each_on_its_own<F>(job: &Remote, statement: &'static str, call: F) -> anyhow::Result<Timings>
where
    F: AsyncFn(&mut (Client, Statement), usize) -> anyhow::Result<usize> + 'static,
{
    let open = async || {
        let client = connect(&job.server).await?;
        let statement = client.prepare(statement).await?;
        Ok((client, statement))
    };
    on_tasks(job, open, call)
}

async fn connect(server: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(server, NoTls).await.context("cannot connect to PostgreSQL")?;
    // Whoever waits for an answer on it learns why it ended.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// The row, and how many bytes its cells have.
fn read(row: &Row) -> anyhow::Result<(Person, usize)> {
    let person = Person {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        email: row.try_get(2)?,
        balance: row.try_get(3)?,
        note: row.try_get(4)?,
    };
    let texts = person.name.len() + person.email.len() + person.note.as_ref().map_or(0, String::len);
    Ok((person, texts + size_of::<i32>() + size_of::<f64>()))
}
