//! What only a `memory` service can say.

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};

use crate::options::Said;
use crate::size;

const MAX_MEMORY: &str = "max_memory";
const MAX_VALUE: &str = "max_value";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        MAX_MEMORY,
        Shape::Text,
        "Memory for keys, values and their tables, such as `64mb` or `1gb`, or in bytes; what is used least goes first.",
    )
    .default("256mb"),
    field(
        MAX_VALUE,
        Shape::Text,
        "The largest value, at most half of `max_memory`; left out, 16mb or that half if it is less.",
    )
    .default("16mb"),
];

/// Below this the tables would not leave room for one ordinary value.
const LEAST_MEMORY: u64 = 1 << 20;
const DEFAULT_MEMORY: u64 = 256 << 20;
const DEFAULT_VALUE: u64 = 16 << 20;

/// The checked options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    /// In bytes, tables included.
    pub(super) max_memory: u64,
    /// In bytes, with the media type.
    pub(super) max_value: u64,
}

/// What the table cannot say: that sizes are sizes, and that they fit each other.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    let text = |key| service.get(key).filter(|node| !node.is_null()).map(|node| (node, node.as_text()));
    let mut sizes = [None, None];
    for (slot, key) in sizes.iter_mut().zip([MAX_MEMORY, MAX_VALUE]) {
        let Some((node, Some(text))) = text(key) else { continue };
        match size::read(&text) {
            Ok(bytes) => *slot = Some(bytes),
            Err(message) => {
                problems.at(node, key, message).suggestion = Some("write it as `64mb`".to_owned());
                return;
            }
        }
    }
    if let Err((key, message)) = Options::fit(sizes[0], sizes[1])
        && let Some((node, _)) = text(key)
    {
        problems.at(node, key, message);
    }
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let said = Said::of(service);
    let read = |key: &str| said.read(key, None, |text| size::read(text).map(Some));
    Options::fit(read(MAX_MEMORY)?, read(MAX_VALUE)?).map_err(|(key, message)| wrong(key, &message))
}

fn wrong(key: &str, message: &str) -> Failure {
    Failure::client(Code::InvalidConfig, format!("{key}: {message}"))
}

impl Options {
    /// Fills in what was left out; the error names the key that is wrong.
    fn fit(max_memory: Option<u64>, max_value: Option<u64>) -> Result<Self, (&'static str, String)> {
        let max_memory = max_memory.unwrap_or(DEFAULT_MEMORY);
        if max_memory < LEAST_MEMORY {
            return Err((MAX_MEMORY, "must be at least `1mb`".to_owned()));
        }
        let half = max_memory / 2;
        let max_value = max_value.unwrap_or(DEFAULT_VALUE.min(half));
        if max_value == 0 {
            return Err((MAX_VALUE, "must be at least one byte".to_owned()));
        }
        if max_value > half {
            let message = format!("must be at most half of `{MAX_MEMORY}`, which is {half} bytes");
            return Err((MAX_VALUE, message));
        }
        Ok(Options { max_memory, max_value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_which_key_is_wrong() {
        for (yaml, path) in [
            ("max_memory: lots", "max_memory"),
            ("max_memory: 512kb", "max_memory"),
            ("{max_memory: 8mb, max_value: 5mb}", "max_value"),
            ("max_value: 200mb", "max_value"),
            ("max_value: 0", "max_value"),
            ("max_value: 16 pounds", "max_value"),
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
        for yaml in ["{}", "max_memory: 64mb", "{max_memory: 2097152, max_value: 1mb}", "max_memory: ~"] {
            let mut problems = Problems::new(None);
            check(&model::yaml::parse(yaml).unwrap(), &mut problems);
            assert!(problems.is_empty(), "{yaml}: {problems:?}");
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let mut service = ServiceSpec::of_kind("memory");
        assert_eq!(of(&service).unwrap(), Options { max_memory: 256 << 20, max_value: 16 << 20 });
        service.options.insert(MAX_MEMORY.to_owned(), "8mb".into());
        assert_eq!(of(&service).unwrap(), Options { max_memory: 8 << 20, max_value: 4 << 20 });
        service.options.insert(MAX_VALUE.to_owned(), 1000.into());
        assert_eq!(of(&service).unwrap(), Options { max_memory: 8 << 20, max_value: 1000 });
        service.options.insert(MAX_VALUE.to_owned(), "5mb".into());
        assert_eq!(of(&service).unwrap_err().code(), Code::InvalidConfig);
    }
}
