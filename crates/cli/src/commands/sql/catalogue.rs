//! What tables there are, and what is in them. Databases say that in different words: each way is tried
//! until one is understood.

use serde_json::{Value, json};

use super::print::print;
use super::runner::Runner;
use super::shell::refused;
use crate::exit::Exit;
use crate::fault::Fault;

pub(super) enum Asked {
    Tables,
    Table(String),
}

/// One way of asking.
struct Way {
    tables: &'static str,
    /// Of the table `$1`.
    columns: &'static str,
    /// Whether there is a table `$1`: one row with a number.
    exists: &'static str,
}

const WAYS: &[Way] = &[
    Way {
        tables: "SELECT name, type FROM sqlite_schema \
            WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
        columns: "SELECT name, type, CASE WHEN \"notnull\" = 0 AND pk = 0 THEN 'yes' ELSE 'no' END AS nullable, \
            dflt_value AS \"default\", CASE WHEN pk > 0 THEN 'primary ' || pk ELSE '' END AS \"key\" \
            FROM pragma_table_info($1) ORDER BY cid",
        exists: "SELECT count(*) AS n FROM sqlite_schema WHERE name = $1",
    },
    // The standard's.
    Way {
        tables: "SELECT table_schema AS \"schema\", table_name AS name, table_type AS type \
            FROM information_schema.tables \
            WHERE table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY 1, 2",
        columns: "SELECT column_name AS name, data_type AS type, is_nullable AS nullable, \
            column_default AS \"default\" FROM information_schema.columns \
            WHERE table_name = $1 ORDER BY ordinal_position",
        exists: "SELECT count(*) AS n FROM information_schema.tables WHERE table_name = $1",
    },
];

/// Shows what was asked for.
pub(super) async fn show(runner: &mut Runner<'_, '_>, asked: &Asked) -> Result<(), Fault> {
    let mut last = Fault::new(Exit::Failed, "this database does not say what tables it has");
    for way in WAYS {
        let (statement, args) = match asked {
            Asked::Tables => (way.tables, vec![]),
            Asked::Table(name) => {
                match runner.rows(way.exists, &[json!(name)]).await {
                    Ok(mut rows) => {
                        let row = rows.next().await?;
                        if row.is_none_or(|row| row["n"] == json!(0)) {
                            return Err(Fault::new(Exit::NotFound, format!("there is no table `{name}`"))
                                .fix("\\dt lists them"));
                        }
                    }
                    Err(error) if refused(&error) => {
                        last = error.into();
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
                (way.columns, vec![json!(name)])
            }
        };
        match ask(runner, statement, &args).await? {
            Ok(()) => return Ok(()),
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

async fn ask(
    runner: &mut Runner<'_, '_>,
    statement: &str,
    args: &[Value],
) -> Result<Result<(), Fault>, Fault> {
    let asked = runner.rows(statement, args).await;
    runner.session.tell_trace();
    match asked {
        Ok(mut rows) => {
            print(runner.session, &mut rows, runner.shape).await?;
            Ok(Ok(()))
        }
        Err(error) if refused(&error) => Ok(Err(error.into())),
        Err(error) => Err(error.into()),
    }
}
