//! SQLite's own functions, asked on a connection on which nothing was put in their place.

use std::sync::{Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result, params_from_iter};

use super::Given;

/// Opened when it is first needed, which is rare.
#[derive(Default)]
pub(super) struct Original(Mutex<Option<Connection>>);

impl Original {
    /// The one value of this statement.
    pub(super) fn ask(&self, sql: &str, arguments: &[ValueRef<'_>]) -> Result<Given> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(Connection::open_in_memory()?),
        };
        let mut statement = connection.prepare_cached(sql)?;
        let arguments = arguments.iter().map(|value| ToSqlOutput::Borrowed(*value));
        let given = statement.query_row(params_from_iter(arguments), |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Integer(number) => Given::Number(number),
                ValueRef::Text(text) => Given::Text(text.to_vec()),
                ValueRef::Blob(bytes) => Given::Blob(bytes.to_vec()),
                // None of the functions that are asked gives a real number.
                ValueRef::Null | ValueRef::Real(_) => Given::Null,
            })
        });
        // Its arguments stay bound in the cache, and they may be large.
        statement.clear_bindings();
        given
    }
}
