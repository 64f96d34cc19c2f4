//! Values on their way into a statement and out of a row, the same for both.

use std::error::Error;

use bytes::BytesMut;
use disk::{FromSql, SqlResult, ToSql, ToSqlOutput, ValueRef};
use tokio_postgres::types as pg;

use super::{Done, Fault, Trouble};

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'c> {
    Null,
    Whole(i64),
    Real(f64),
    Text(&'c str),
    Bytes(&'c [u8]),
}

/// The values of a statement, in order.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Cell::from($value)),*] };
}
pub(crate) use cells;

macro_rules! of {
    ($($from:ty => $cell:ident($value:ident) $make:expr;)*) => {
        $(impl<'c> From<$from> for Cell<'c> {
            fn from($value: $from) -> Self {
                Cell::$cell($make)
            }
        })*
    };
}

of! {
    i64 => Whole(n) n;
    u16 => Whole(n) n.into();
    u32 => Whole(n) n.into();
    u64 => Whole(n) n.cast_signed();
    bool => Whole(yes) yes.into();
    f64 => Real(n) n;
    &'c str => Text(text) text;
    &'c String => Text(text) text;
    &'c [u8] => Bytes(bytes) bytes;
    &'c [u8; 32] => Bytes(bytes) bytes;
    &'c Vec<u8> => Bytes(bytes) bytes;
}

impl<'c, T: Into<Cell<'c>>> From<Option<T>> for Cell<'c> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> SqlResult<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Whole(n) => ValueRef::Integer(*n),
            Cell::Real(n) => ValueRef::Real(*n),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Columns are `BIGINT`, `DOUBLE PRECISION`, `TEXT` and `BYTEA`, and nothing else.
impl pg::ToSql for Cell<'_> {
    fn to_sql(&self, ty: &pg::Type, out: &mut BytesMut) -> Result<pg::IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Cell::Null => Ok(pg::IsNull::Yes),
            Cell::Whole(n) => pg::ToSql::to_sql(n, ty, out),
            Cell::Real(n) => pg::ToSql::to_sql(n, ty, out),
            // PostgreSQL has no text with this character.
            Cell::Text(text) if text.contains('\0') => {
                pg::ToSql::to_sql(&text.replace('\0', "\u{fffd}"), ty, out)
            }
            Cell::Text(text) => pg::ToSql::to_sql(text, ty, out),
            Cell::Bytes(bytes) => pg::ToSql::to_sql(bytes, ty, out),
        }
    }

    fn accepts(ty: &pg::Type) -> bool {
        [pg::Type::INT8, pg::Type::FLOAT8, pg::Type::TEXT, pg::Type::BYTEA].contains(ty)
    }

    fn to_sql_checked(
        &self,
        ty: &pg::Type,
        out: &mut BytesMut,
    ) -> Result<pg::IsNull, Box<dyn Error + Sync + Send>> {
        let fits = match self {
            Cell::Null => true,
            Cell::Whole(_) => *ty == pg::Type::INT8,
            Cell::Real(_) => *ty == pg::Type::FLOAT8,
            Cell::Text(_) => *ty == pg::Type::TEXT,
            Cell::Bytes(_) => *ty == pg::Type::BYTEA,
        };
        if fits { pg::ToSql::to_sql(self, ty, out) } else { Err(format!("{self:?} is no {ty}").into()) }
    }
}

/// A row of either.
pub(crate) enum Row<'r> {
    Disk(&'r disk::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of a column.
    pub(crate) fn get<T>(&self, at: usize) -> Done<T>
    where
        T: FromSql + for<'p> pg::FromSql<'p>,
    {
        match self {
            Row::Disk(row) => row.get(at).map_err(Fault::Disk),
            Row::Postgres(row) => row.try_get(at).map_err(|error| Fault::Postgres(Trouble::of(&error))),
        }
    }

    /// A number that was never negative.
    pub(crate) fn count<T: TryFrom<i64> + Default>(&self, at: usize) -> Done<T> {
        Ok(T::try_from(self.get::<i64>(at)?).unwrap_or_default())
    }

    /// A SHA-256. What is none is the one that nothing has.
    pub(crate) fn digest(&self, at: usize) -> Done<[u8; 32]> {
        Ok(self.get::<Vec<u8>>(at)?.try_into().unwrap_or_default())
    }
}
