//! Functions of SQL whose own form takes time by the product of its arguments' lengths, inside one instruction of
//! SQLite's machine where nothing can end it. Ours mean the same and take time by the sum, or refuse what is too much.

mod original;
mod texts;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::functions::{Context, FunctionFlags, SubType};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};

use original::Original;
use texts::Ends;

/// The mark that SQLite puts on a text that is JSON, so that other functions take it for that.
const JSON: u32 = b'J' as u32;

/// The product of lengths up to which SQLite's own form is asked: about a second of work.
const PRODUCT: usize = 1 << 30;

/// What a function gives.
enum Given {
    Null,
    Number(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl ToSql for Given {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let value = match self {
            Given::Null => ValueRef::Null,
            Given::Number(number) => ValueRef::Integer(*number),
            Given::Text(text) => ValueRef::Text(text),
            Given::Blob(bytes) => ValueRef::Blob(bytes),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// Puts ours in the place of SQLite's on a connection. `longest` is what a value of it may have.
pub(crate) fn replace_slow(connection: &Connection, longest: &Arc<AtomicUsize>) -> Result<()> {
    let original = Arc::new(Original::default());
    // As SQLite's own they depend on nothing else and do no harm, so schemas may call them.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let own = Arc::clone(&original);
    connection.create_scalar_function("instr", 2, flags, move |asked| instr(asked, &own))?;
    let (own, longest) = (Arc::clone(&original), Arc::clone(longest));
    connection.create_scalar_function("replace", 3, flags, move |asked| {
        replace(asked, &own, longest.load(Ordering::Relaxed))
    })?;
    for (name, ends) in [("trim", Ends::BOTH), ("ltrim", Ends::LEFT), ("rtrim", Ends::RIGHT)] {
        let own = Arc::clone(&original);
        connection.create_scalar_function(name, 2, flags, move |asked| trim(asked, &own, ends))?;
    }
    let own = Arc::clone(&original);
    connection.create_scalar_function("unhex", 2, flags, move |asked| bounded(asked, &own, "unhex"))?;
    let own = Arc::clone(&original);
    connection
        .create_scalar_function("jsonb_patch", 2, flags, move |asked| bounded(asked, &own, "jsonb_patch"))?;
    let marked = flags | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    connection.create_scalar_function("json_patch", 2, marked, move |asked| {
        let given = bounded(asked, &original, "json_patch")?;
        let mark: SubType = matches!(given, Given::Text(_)).then_some(JSON);
        Ok((given, mark))
    })
}

fn too_big() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

/// An argument as text, as SQLite would put it; `None` for NULL.
fn text<'a>(asked: &'a Context<'_>, at: usize, original: &Original) -> Result<Option<Cow<'a, [u8]>>> {
    Ok(match asked.get_raw(at) {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
        ValueRef::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
        real @ ValueRef::Real(_) => match original.ask("SELECT CAST(?1 AS TEXT)", &[real])? {
            Given::Text(text) => Some(Cow::Owned(text)),
            _ => None,
        },
    })
}

fn instr(asked: &Context<'_>, original: &Original) -> Result<Given> {
    let (Some(hay), Some(needle)) = (text(asked, 0, original)?, text(asked, 1, original)?) else {
        return Ok(Given::Null);
    };
    let blobs = [0, 1].iter().all(|at| matches!(asked.get_raw(*at), ValueRef::Blob(_)));
    let found = if blobs { texts::find_bytes(&hay, &needle) } else { texts::find_text(&hay, &needle) };
    Ok(Given::Number(i64::try_from(found).unwrap_or(i64::MAX)))
}

fn replace(asked: &Context<'_>, original: &Original, longest: usize) -> Result<Given> {
    let (Some(hay), Some(old)) = (text(asked, 0, original)?, text(asked, 1, original)?) else {
        return Ok(Given::Null);
    };
    if old.first().is_none_or(|first| *first == 0) {
        return Ok(Given::Text(hay.into_owned()));
    }
    let Some(new) = text(asked, 2, original)? else { return Ok(Given::Null) };
    texts::replace(&hay, &old, &new, longest).map(Given::Text).ok_or_else(too_big)
}

fn trim(asked: &Context<'_>, original: &Original, ends: Ends) -> Result<Given> {
    let (Some(whole), Some(set)) = (text(asked, 0, original)?, text(asked, 1, original)?) else {
        return Ok(Given::Null);
    };
    let end = memchr::memchr(0, &set).unwrap_or(set.len());
    Ok(Given::Text(texts::trim(&whole, &set[..end], ends).to_vec()))
}

/// SQLite's own form, where that does not take too long.
fn bounded(asked: &Context<'_>, original: &Original, name: &str) -> Result<Given> {
    let [one, other] = [asked.get_raw(0), asked.get_raw(1)];
    let size = |value| match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 32,
    };
    if size(one).saturating_mul(size(other)) > PRODUCT {
        return Err(too_big());
    }
    original.ask(&format!("SELECT {name}(?1, ?2)"), &[one, other])
}

#[cfg(test)]
mod tests;
