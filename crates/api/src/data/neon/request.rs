//! What Neon's client says: a body with one statement or several, and headers that say how.

use std::borrow::Cow;

use adapters::sql::{Argument, Isolation, Statement, TransactionOptions};
use http::{HeaderMap, HeaderValue};
use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Place;
use model::{Code, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::Table;

/// Statements of one transaction at most, as of a batch.
const MOST_STATEMENTS: usize = 1000;

const QUERY: Field = field("query", Shape::Text, "One statement. Placeholders are `$1`, `$2`, ….");
const PARAMS: Field = field(
    "params",
    Shape::List(&Shape::Any),
    "What stands in for the placeholders, by position, as the server's text form of any type: null, booleans, numbers, \
     texts. A list is an array, an object is JSON.",
);
const ARRAY_MODE: Field =
    field("arrayMode", Shape::Bool, "Rows as lists; left out, as `Neon-Array-Mode` says.");
const STATEMENT: &[Field] = &[QUERY, PARAMS, ARRAY_MODE];

/// `{query, params?, arrayMode?}` or `{queries}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NeonBody<'b> {
    #[serde(borrow)]
    query: Option<Cow<'b, str>>,
    #[serde(borrow)]
    params: Option<Vec<&'b RawValue>>,
    array_mode: Option<bool>,
    #[serde(borrow)]
    queries: Option<Vec<OneBody<'b>>>,
}

impl Table for NeonBody<'_> {
    const NAME: &'static str = "NeonSql";
    const FIELDS: &'static [Field] = &[
        QUERY,
        PARAMS,
        ARRAY_MODE,
        field(
            "queries",
            Shape::List(&Shape::Fields(STATEMENT)),
            "Up to 1000 statements, run in this order in one transaction: all of them or none.",
        ),
    ];
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OneBody<'b> {
    #[serde(borrow)]
    query: Cow<'b, str>,
    #[serde(borrow)]
    params: Option<Vec<&'b RawValue>>,
    array_mode: Option<bool>,
}

/// The statements, each with whether its rows are lists.
pub(super) struct Asked {
    pub(super) statements: Vec<Statement>,
    pub(super) as_lists: Vec<bool>,
    /// They came as a list, and are answered as one.
    pub(super) several: bool,
}

/// How it is asked for, by the headers.
pub(super) struct Form {
    /// Values are the server's text.
    pub(super) raw: bool,
    as_lists: bool,
    pub(super) options: TransactionOptions,
    /// A header that counts for several statements alone.
    of_several: Option<&'static str>,
}

impl Form {
    /// What the headers ask for.
    ///
    /// # Errors
    /// `invalid_request` for what is not known here.
    pub(super) fn asked(headers: &HeaderMap) -> Result<Form, Failure> {
        const ISOLATION: &str = "Neon-Batch-Isolation-Level";
        const READ_ONLY: &str = "Neon-Batch-Read-Only";
        const DEFERRABLE: &str = "Neon-Batch-Deferrable";
        let isolation = headers.get(ISOLATION).map(isolation).transpose()?;
        let of_several = [ISOLATION, READ_ONLY, DEFERRABLE];
        Ok(Form {
            raw: flag(headers, "Neon-Raw-Text-Output")?,
            as_lists: flag(headers, "Neon-Array-Mode")?,
            options: TransactionOptions {
                isolation,
                read_only: flag(headers, READ_ONLY)?,
                deferrable: flag(headers, DEFERRABLE)?,
            },
            of_several: of_several.into_iter().find(|name| headers.contains_key(*name)),
        })
    }
}

fn flag(headers: &HeaderMap, name: &'static str) -> Result<bool, Failure> {
    match headers.get(name).map(HeaderValue::as_bytes) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Failure::client(Code::InvalidRequest, format!("`{name}` is `true` or `false`."))),
    }
}

fn isolation(value: &HeaderValue) -> Result<Isolation, Failure> {
    Ok(match value.as_bytes() {
        b"ReadUncommitted" => Isolation::ReadUncommitted,
        b"ReadCommitted" => Isolation::ReadCommitted,
        b"RepeatableRead" => Isolation::RepeatableRead,
        b"Serializable" => Isolation::Serializable,
        _ => {
            let detail = "`Neon-Batch-Isolation-Level` is `ReadUncommitted`, `ReadCommitted`, `RepeatableRead` or \
                          `Serializable`.";
            return Err(Failure::client(Code::InvalidRequest, detail));
        }
    })
}

impl NeonBody<'_> {
    /// The statements.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(super) fn checked(self, form: &Form) -> Result<Asked, Failure> {
        let mut problems = Problems::default();
        let mut fault = |place: &str, message: String| {
            problems.add(place, Place::default(), message);
        };
        let several = self.queries.is_some();
        let bodies = match (self.query, self.queries) {
            (Some(query), None) => {
                if let Some(name) = form.of_several {
                    let detail = format!("`{name}` belongs to `queries`, which run in one transaction.");
                    return Err(Failure::client(Code::InvalidRequest, detail));
                }
                vec![OneBody { query, params: self.params, array_mode: self.array_mode }]
            }
            (None, Some(bodies)) if self.params.is_none() && self.array_mode.is_none() => {
                if bodies.len() > MOST_STATEMENTS {
                    let count = bodies.len();
                    fault("queries", format!("must be at most {MOST_STATEMENTS} statements, not {count}"));
                }
                bodies
            }
            _ => {
                fault("query", "must be given, with its `params`, or else `queries` alone".to_owned());
                Vec::new()
            }
        };
        let as_lists = bodies.iter().map(|body| body.array_mode.unwrap_or(form.as_lists)).collect();
        let mut statements = Vec::with_capacity(bodies.len());
        for (at, OneBody { query, params, .. }) in bodies.into_iter().take(MOST_STATEMENTS).enumerate() {
            let within = if several { format!("queries[{at}].") } else { String::new() };
            let read = |(place, raw): (usize, &RawValue)| {
                argument(raw).unwrap_or_else(|message| {
                    fault(&format!("{within}params[{place}]"), message);
                    Argument::Null
                })
            };
            let args = params.unwrap_or_default().into_iter().enumerate().map(read).collect();
            statements.push(Statement { query: (&*query).into(), args });
        }
        if !problems.is_empty() {
            return Err(Failure::invalid(Code::InvalidRequest, problems.into_vec()));
        }
        Ok(Asked { statements, as_lists, several })
    }
}

/// One parameter: numbers to the last digit, as they are written.
fn argument(raw: &RawValue) -> Result<Argument, String> {
    let text = raw.get();
    Ok(match text.as_bytes() {
        b"null" => Argument::Null,
        b"true" => Argument::Bool(true),
        b"false" => Argument::Bool(false),
        [b'"', ..] => match serde_json::from_str::<String>(text) {
            Ok(text) => Argument::Text(text.into()),
            Err(_) => return Err("has an escape that stands for no character".to_owned()),
        },
        [b'[' | b'{', ..] => Argument::Json(text.into()),
        _ => Argument::Text(text.into()),
    })
}
