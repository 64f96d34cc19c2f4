//! What only a `sqlite` service can say.

use std::str::FromStr;
use std::time::Duration;

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::span::Span;
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};
use serde_json::Value;

use crate::embedded::place;
use crate::size;

const PATH: &str = "path";
const READ_ONLY: &str = "read_only";
const MAX_ROWS: &str = "max_rows";
const MAX_RESULT: &str = "max_result";
const MAX_COLLECTED: &str = "max_collected";
const MAX_RESULT_TIME: &str = "max_result_time";
const MAX_STATEMENT: &str = "max_statement";
const MAX_VALUE: &str = "max_value";
const TRANSACTION_IDLE: &str = "transaction_idle";

/// The path of a database that is in no file.
pub(super) const MEMORY: &str = ":memory:";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        PATH,
        Shape::Text,
        "The file, or `:memory:` for none; left out, `data.db` in the service's own directory.",
    ),
    field(READ_ONLY, Shape::Bool, "Whether statements that write are refused.").default("false"),
    field(
        MAX_ROWS,
        Shape::Integer(1, 1_000_000_000),
        "Rows of a result at most; the answer says so when more are cut.",
    )
    .default("1000000"),
    field(
        MAX_RESULT,
        Shape::Text,
        "The largest result as JSON, such as `256mb`; the answer says so when more is cut.",
    )
    .default("256mb"),
    field(
        MAX_COLLECTED,
        Shape::Text,
        "The largest result that is held whole, as those of a batch together, in a transaction and in memory; \
         the answer says so when more is cut.",
    )
    .default("16mb"),
    field(
        MAX_RESULT_TIME,
        Shape::SpanFrom(1000),
        "How long a client may take to read a result, and a read-only transaction may last: the log beside the \
         file grows meanwhile. Then it is cut off.",
    )
    .default("60s"),
    field(MAX_STATEMENT, Shape::Text, "The longest text of a statement, at most `16mb`.").default("1mb"),
    field(MAX_VALUE, Shape::Text, "The largest argument, stored row or cell of a result, at most `512mb`.")
        .default("16mb"),
    field(
        TRANSACTION_IDLE,
        Shape::SpanFrom(100),
        "How long a transaction may lie idle before it is rolled back; others who write wait for it.",
    )
    .default("15s"),
];

/// Sizes with what they may be: key, least, most.
const SIZES: [(&str, u64, u64); 4] = [
    (MAX_RESULT, 1 << 10, 16 << 30),
    (MAX_COLLECTED, 1 << 10, 1 << 30),
    (MAX_STATEMENT, 1 << 10, 16 << 20),
    // SQLite's own bound for a row is a gigabyte, which an argument and its copy would fill.
    (MAX_VALUE, 1 << 10, 512 << 20),
];

/// The checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// `None` is the file in the service's own directory.
    pub(super) path: Option<String>,
    pub(super) limits: Limits,
    pub(super) transaction_idle: Duration,
}

/// What statements and results may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Whether statements that write are refused.
    pub(super) read_only: bool,
    pub(super) max_rows: u64,
    /// In bytes of JSON.
    pub(super) max_result: u64,
    /// In bytes of JSON, of results that are held whole.
    pub(super) max_collected: u64,
    /// How long a client may take to read a result.
    pub(super) max_result_time: Duration,
    /// In bytes.
    pub(super) max_statement: u64,
    /// In bytes.
    pub(super) max_value: u64,
}

/// What the table cannot say: that sizes are sizes, within their bounds, and a path is one.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    let said = |key| service.get(key).filter(|node| !node.is_null());
    for (key, least, most) in SIZES {
        if let Some(node) = said(key)
            && let Some(text) = node.as_text()
            && let Err(message) = size::between(&text, least, most)
        {
            problems.at(node, key, message).suggestion = Some("write it as `16mb`".to_owned());
        }
    }
    if let Some(node) = said(PATH)
        && let Some(text) = node.as_text()
        && let Err(message) = path(&text)
    {
        problems.at(node, PATH, message);
    }
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let sized =
        |(key, least, most), default| said(service, key, |text| size::between(text, least, most), default);
    let [max_result, max_collected, max_statement, max_value] = SIZES;
    Ok(Options {
        path: said(service, PATH, |text| path(text).map(Some), None)?,
        limits: Limits {
            read_only: said(service, READ_ONLY, parsed, false)?,
            max_rows: said(service, MAX_ROWS, parsed, 1_000_000)?,
            max_result: sized(max_result, 256 << 20)?,
            max_collected: sized(max_collected, 16 << 20)?,
            max_result_time: said(service, MAX_RESULT_TIME, parsed, Span::secs(60))?.0,
            max_statement: sized(max_statement, 1 << 20)?,
            max_value: sized(max_value, 16 << 20)?,
        },
        transaction_idle: said(service, TRANSACTION_IDLE, parsed, Span::secs(15))?.0,
    })
}

fn said<T>(
    service: &ServiceSpec,
    key: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
    default: T,
) -> Result<T, Failure> {
    let value = match service.options.get(key) {
        None | Some(Value::Null) => return Ok(default),
        Some(Value::String(text)) => read(text),
        Some(other) => read(&other.to_string()),
    };
    value.map_err(|message| Failure::client(Code::InvalidConfig, format!("{key}: {message}")))
}

fn parsed<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not what is expected here"))
}

fn path(text: &str) -> Result<String, String> {
    place::check(text).map(|()| text.to_owned()).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_which_key_is_wrong() {
        for (yaml, path) in [
            ("max_value: 1gb", "max_value"),
            ("max_value: 10", "max_value"),
            ("max_result: lots", "max_result"),
            ("max_statement: 17mb", "max_statement"),
            ("path: ''", "path"),
            ("path: some/", "path"),
            ("path: 'file:x.db?mode=ro'", "path"),
        ] {
            let mut problems = Problems::new(None);
            check(&model::yaml::parse(yaml).unwrap(), &mut problems);
            let found = problems.into_vec();
            assert_eq!(
                found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
                [path],
                "{yaml}"
            );
        }
        for yaml in ["{}", "path: ':memory:'", "{max_value: 1mb, max_result: 2048}", "max_value: ~"] {
            let mut problems = Problems::new(None);
            check(&model::yaml::parse(yaml).unwrap(), &mut problems);
            assert!(problems.is_empty(), "{yaml}: {problems:?}");
        }
    }

    #[test]
    fn what_is_said_is_read_and_what_is_left_out_has_a_default() {
        let mut service = ServiceSpec::of_kind("sqlite");
        let options = of(&service).unwrap();
        assert_eq!(options.path, None);
        assert_eq!(options.transaction_idle, Duration::from_secs(15));
        assert_eq!(options.limits.max_rows, 1_000_000);
        assert_eq!(options.limits.max_result, 256 << 20);
        assert_eq!(options.limits.max_collected, 16 << 20);
        assert_eq!(options.limits.max_result_time, Duration::from_secs(60));
        for (key, value) in [
            (PATH, Value::from("a.db")),
            (READ_ONLY, true.into()),
            (MAX_ROWS, 7.into()),
            (MAX_RESULT, "1mb".into()),
            (MAX_COLLECTED, "2mb".into()),
            (MAX_RESULT_TIME, "5s".into()),
            (MAX_STATEMENT, 5000.into()),
            (MAX_VALUE, "2mb".into()),
            (TRANSACTION_IDLE, "3s".into()),
        ] {
            service.options.insert(key.to_owned(), value);
        }
        let limits = Limits {
            read_only: true,
            max_rows: 7,
            max_result: 1 << 20,
            max_collected: 2 << 20,
            max_result_time: Duration::from_secs(5),
            max_statement: 5000,
            max_value: 2 << 20,
        };
        let path = Some("a.db".to_owned());
        assert_eq!(of(&service).unwrap(), Options { path, limits, transaction_idle: Duration::from_secs(3) });
    }
}
