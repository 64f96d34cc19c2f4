//! What statements and results may be: the keys that every service has that runs SQL, checked and read. What a kind
//! says of its own stands with the kind.

use std::time::Duration;

use model::Failure;
use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;

use crate::options::Said;
use crate::size;

/// Whether statements that write are refused.
pub(crate) const READ_ONLY: Field =
    field("read_only", Shape::Bool, "Whether statements that write are refused.").default("false");

/// How many rows.
pub(crate) const MAX_ROWS: Field = field(
    "max_rows",
    Shape::Integer(1, 1_000_000_000),
    "Rows of a result at most; the answer says so when more are cut.",
)
.default("1000000");

/// How large a result that streams.
pub(crate) const MAX_RESULT: Field = field(
    "max_result",
    Shape::Text,
    "The largest result as JSON, such as `256mb`; the answer says so when more is cut.",
)
.default("256mb");

/// How long a statement.
pub(crate) const MAX_STATEMENT: Field =
    field("max_statement", Shape::Text, "The longest text of a statement, at most `16mb`.").default("1mb");

const MAX_COLLECTED: &str = "max_collected";
const MAX_RESULT_TIME: &str = "max_result_time";
const MAX_VALUE: &str = "max_value";
const TRANSACTION_IDLE: &str = "transaction_idle";

/// How large a result that is held whole.
pub(crate) const fn max_collected(doc: &'static str) -> Field {
    field(MAX_COLLECTED, Shape::Text, doc).default("16mb")
}

/// How long a client may take to read a result.
pub(crate) const fn max_result_time(doc: &'static str) -> Field {
    field(MAX_RESULT_TIME, Shape::SpanFrom(1000), doc).default("60s")
}

/// How large a value.
pub(crate) const fn max_value(doc: &'static str) -> Field {
    field(MAX_VALUE, Shape::Text, doc).default("16mb")
}

/// How long a transaction may lie idle.
pub(crate) const fn transaction_idle(doc: &'static str) -> Field {
    field(TRANSACTION_IDLE, Shape::SpanFrom(100), doc).default("15s")
}

/// Sizes with what they may be: key, least, most.
const SIZES: [(&str, u64, u64); 4] = [
    (MAX_RESULT.name, 1 << 10, 16 << 30),
    (MAX_COLLECTED, 1 << 10, 1 << 30),
    (MAX_STATEMENT.name, 1 << 10, 16 << 20),
    // Engines have a bound of a gigabyte, which a value and its copy, or its text, would fill.
    (MAX_VALUE, 1 << 10, 512 << 20),
];

/// What statements and results may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Whether statements that write are refused.
    pub(crate) read_only: bool,
    pub(crate) max_rows: u64,
    /// In bytes of JSON.
    pub(crate) max_result: u64,
    /// In bytes of JSON, of results that are held whole.
    pub(crate) max_collected: u64,
    /// How long a client may take to read a result.
    pub(crate) max_result_time: Duration,
    /// In bytes.
    pub(crate) max_statement: u64,
    /// In bytes.
    pub(crate) max_value: u64,
    /// How long a transaction may lie idle.
    pub(crate) transaction_idle: Duration,
}

impl Limits {
    /// What the table of keys cannot say: that sizes are sizes, within their bounds.
    pub(crate) fn check(service: &Node, problems: &mut Problems) {
        for (key, least, most) in SIZES {
            if let Some(node) = service.get(key).filter(|node| !node.is_null())
                && let Some(text) = node.as_text()
                && let Err(message) = size::between(&text, least, most)
            {
                problems.at(node, key, message).suggestion = Some("write it as `16mb`".to_owned());
            }
        }
    }

    /// Those of a service that was checked.
    ///
    /// # Errors
    /// `invalid_config` for what is none of it.
    pub(crate) fn of(said: Said<'_>) -> Result<Limits, Failure> {
        let sized = |(key, least, most): (&str, u64, u64), default| {
            said.read(key, default, |text| size::between(text, least, most))
        };
        let [max_result, max_collected, max_statement, max_value] = SIZES;
        Ok(Limits {
            read_only: said.parsed(READ_ONLY.name, false)?,
            max_rows: said.parsed(MAX_ROWS.name, 1_000_000)?,
            max_result: sized(max_result, 256 << 20)?,
            max_collected: sized(max_collected, 16 << 20)?,
            max_result_time: said.span(MAX_RESULT_TIME, Duration::from_secs(60))?,
            max_statement: sized(max_statement, 1 << 20)?,
            max_value: sized(max_value, 16 << 20)?,
            transaction_idle: said.span(TRANSACTION_IDLE, Duration::from_secs(15))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use model::ServiceSpec;
    use serde_json::Value;

    use super::*;

    const ALL: [Field; 8] = [
        READ_ONLY,
        MAX_ROWS,
        MAX_RESULT,
        MAX_STATEMENT,
        max_collected(""),
        max_result_time(""),
        max_value(""),
        transaction_idle(""),
    ];

    #[test]
    fn a_document_is_told_which_size_is_wrong() {
        for (yaml, paths) in [
            ("max_value: 1gb", vec!["max_value"]),
            ("max_value: 10", vec!["max_value"]),
            ("{max_result: lots, max_statement: 17mb}", vec!["max_result", "max_statement"]),
            ("{max_value: 1mb, max_result: 2048, max_collected: ~}", vec![]),
        ] {
            let mut problems = Problems::new(None);
            Limits::check(&model::yaml::parse(yaml).unwrap(), &mut problems);
            let found = problems.into_vec();
            assert_eq!(
                found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
                paths,
                "{yaml}"
            );
        }
    }

    #[test]
    fn what_is_left_out_is_what_the_table_says() {
        let mut service = ServiceSpec::of_kind("any");
        let left_out = Limits::of(Said::of(&service)).unwrap();
        for key in ALL {
            service.options.insert(key.name.to_owned(), key.default.unwrap().into());
        }
        assert_eq!(Limits::of(Said::of(&service)).unwrap(), left_out);
    }

    #[test]
    fn what_is_said_is_read() {
        let mut service = ServiceSpec::of_kind("any");
        let said: [Value; 8] = [
            true.into(),
            7.into(),
            "1mb".into(),
            5000.into(),
            "2mb".into(),
            "5s".into(),
            "3mb".into(),
            "4s".into(),
        ];
        for (key, value) in ALL.into_iter().zip(said) {
            service.options.insert(key.name.to_owned(), value);
        }
        let limits = Limits {
            read_only: true,
            max_rows: 7,
            max_result: 1 << 20,
            max_collected: 2 << 20,
            max_result_time: Duration::from_secs(5),
            max_statement: 5000,
            max_value: 3 << 20,
            transaction_idle: Duration::from_secs(4),
        };
        assert_eq!(Limits::of(Said::of(&service)).unwrap(), limits);
    }
}
