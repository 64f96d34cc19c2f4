//! JSON bodies: read at once, and explained field by field when they cannot be.

use adapters::Registry;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use model::check::{Problems, walk};
use model::field::{Field, Shape};
use model::tree::{Node, Place};
use model::{Code, Failure};
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

/// The fields of a body as a table, from which faults are explained and its schema is made.
pub(crate) trait Table {
    /// Its name in the OpenAPI document.
    const NAME: &'static str;
    /// Its fields.
    const FIELDS: &'static [Field];
}

/// What a request says in its body.
pub(crate) trait Body<'b>: Table + Deserialize<'b> {}

impl<'b, T: Table + Deserialize<'b>> Body<'b> for T {}

/// Looks whether a body is as it stands: none is unpacked here, and what is taken for another would be kept and given
/// back wrong.
///
/// # Errors
/// `invalid_request` when the head says that it is packed.
pub(crate) fn is_plain(headers: &HeaderMap) -> Result<(), Failure> {
    for said in headers.get_all(CONTENT_ENCODING) {
        let codings = said.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for coding in codings {
            if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
                let coding = String::from_utf8_lossy(coding);
                let detail =
                    format!("The body is said to be encoded as `{coding}`; bodies are taken as they stand.");
                return Err(Failure::client(Code::InvalidRequest, detail)
                    .with_hint("Send it unpacked, without `Content-Encoding`."));
            }
        }
    }
    Ok(())
}

/// Reads a body. Nothing but what `T` owns is allocated when it is well.
///
/// # Errors
/// `invalid_request` with every fault, or with line and column when it is no JSON.
pub(crate) fn read<'b, T: Body<'b>>(bytes: &'b [u8]) -> Result<T, Failure> {
    // A list of the fields' values would be read as well; no client means that.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(explain(
            bytes,
            T::FIELDS,
            &serde::de::Error::custom("a list where an object is expected"),
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| explain(bytes, T::FIELDS, &error))
}

/// Reads a body that may be left out.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_or_default<'b, T: Body<'b> + Default>(bytes: &'b [u8]) -> Result<T, Failure> {
    if bytes.is_empty() { Ok(T::default()) } else { read(bytes) }
}

/// Reads a body of any shape.
///
/// # Errors
/// `invalid_request` with line and column.
pub(crate) fn any(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| explain(bytes, &[], &error))
}

#[cold]
fn explain(bytes: &[u8], fields: &'static [Field], error: &serde_json::Error) -> Failure {
    let mut problems = Problems::default();
    if bytes.is_empty() {
        problems.add("", Place::default(), "The body is empty; a JSON document is expected.");
    } else if let (Category::Data, Ok(value)) = (error.classify(), serde_json::from_slice::<Value>(bytes)) {
        let node = Node::from_json(&value);
        walk(&node, fields, &Registry, "", &mut problems);
        texts(&value, &Shape::Fields(fields), "", &mut problems);
    }
    if problems.is_empty() {
        let place = Place {
            line: u32::try_from(error.line()).unwrap_or(0),
            column: u32::try_from(error.column()).unwrap_or(0),
        };
        let kind = if error.classify() == Category::Data { "cannot be read" } else { "is not JSON" };
        problems.add("", place, format!("The body {kind}: {error}."));
    }
    Failure::invalid(Code::InvalidRequest, problems.into_vec())
}

/// A document takes a number for a text; a body does not, since `1.10` would come back as `1.1`.
fn texts(value: &Value, shape: &Shape, path: &str, problems: &mut Problems) {
    match (shape, value) {
        (shape, Value::Number(number)) if wants_text(shape) => {
            let problem = problems.add(path, Place::default(), "must be a text, not a number");
            problem.suggestion = Some(format!("write \"{number}\""));
        }
        (Shape::MapOf(inner), Value::Object(entries)) => {
            for (name, value) in entries {
                texts(value, inner, &format!("{path}.{name}"), problems);
            }
        }
        (Shape::List(inner), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                texts(item, inner, &format!("{path}[{at}]"), problems);
            }
        }
        (Shape::Fields(fields), Value::Object(entries)) => {
            let dot = if path.is_empty() { "" } else { "." };
            for field in *fields {
                if let Some(value) = entries.get(field.name) {
                    texts(value, &field.shape, &format!("{path}{dot}{}", field.name), problems);
                }
            }
        }
        _ => {}
    }
}

/// Whether a text fits and a number does not.
fn wants_text(shape: &Shape) -> bool {
    let takes_numbers = |shape: &Shape| {
        matches!(
            shape,
            Shape::Integer(..) | Shape::Number(..) | Shape::Span | Shape::SpanFrom(_) | Shape::Any
        )
    };
    match shape {
        Shape::Text => true,
        Shape::AnyOf(shapes) => shapes.iter().any(wants_text) && !shapes.iter().any(takes_numbers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use model::field::field;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading is tested")]
    struct Sample<'b> {
        #[serde(borrow)]
        key: Cow<'b, str>,
        by: Option<i64>,
    }

    impl Table for Sample<'_> {
        const NAME: &'static str = "Sample";
        const FIELDS: &'static [Field] = &[
            field("key", Shape::Text, "A key.").required(),
            field("by", Shape::Integer(-10, 10), "How much."),
        ];
    }

    #[test]
    fn a_packed_body_is_refused() {
        let check = |said: &[&str]| {
            let mut headers = HeaderMap::new();
            for said in said {
                headers.append(CONTENT_ENCODING, said.parse().unwrap());
            }
            is_plain(&headers)
        };
        for plain in [&[][..], &["identity"], &["Identity , identity"], &[""], &["identity", ""]] {
            assert!(check(plain).is_ok(), "{plain:?}");
        }
        for packed in [&["gzip"][..], &["identity, br"], &["identity", "zstd"], &["x"]] {
            let failure = check(packed).unwrap_err();
            assert_eq!(failure.code(), Code::InvalidRequest, "{packed:?}");
        }
    }

    #[test]
    fn a_fault_says_where_it_is() {
        for (body, expected) in [
            (r#"{"key": "a", "bye": 1}"#, "bye: is not a known key (did you mean `by`?)"),
            (r#"{"by": 1}"#, "key: is required"),
            (r#"{"key": 5}"#, "key: must be a text, not a number (write \"5\")"),
            (r#"{"key": true}"#, "key: must be"),
            (r#"{"key": "a", "by": "x"}"#, "by: must be a whole number"),
            ("[1]", "must be a mapping"),
            (r#"{"key": "a", "key": "b"}"#, "1:18: The body cannot be read: duplicate field `key`"),
            ("{\n \"key\": }", "2:9: The body is not JSON: expected value at line 2 column 9."),
            ("", "The body is empty"),
            (r#"{"key": "a"} x"#, "1:14: The body is not JSON: trailing characters"),
        ] {
            let failure = read::<Sample<'_>>(body.as_bytes()).unwrap_err();
            assert!(failure.detail().contains(expected), "{body}: {}", failure.detail());
            assert_eq!(failure.code(), Code::InvalidRequest);
        }
        let body = br#"{"key": "plain", "by": 3}"#;
        assert!(matches!(read::<Sample<'_>>(body).unwrap().key, Cow::Borrowed("plain")));
    }
}
