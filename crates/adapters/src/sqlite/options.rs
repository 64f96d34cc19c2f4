//! What only a `sqlite` service can say.

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;
use model::{Failure, ServiceSpec};

use crate::embedded::place;
use crate::options::Said;
use crate::sql::limits::{self, Limits};

const PATH: &str = "path";

/// The path of a database that is in no file.
pub(super) const MEMORY: &str = ":memory:";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        PATH,
        Shape::Text,
        "The file, or `:memory:` for none; left out, `data.db` in the service's own directory.",
    ),
    limits::READ_ONLY,
    limits::MAX_ROWS,
    limits::MAX_RESULT,
    limits::max_collected(
        "The largest result that is held whole, as those of a batch together, in a transaction and in memory; \
         the answer says so when more is cut.",
    ),
    limits::max_result_time(
        "How long a client may take to read a result, and a read-only transaction may last: the log beside the \
         file grows meanwhile. Then it is cut off.",
    ),
    limits::MAX_STATEMENT,
    limits::max_value("The largest argument, stored row or cell of a result, at most `512mb`."),
    limits::transaction_idle(
        "How long a transaction may lie idle before it is rolled back; others who write wait for it.",
    ),
];

/// The checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// `None` is the file in the service's own directory.
    pub(super) path: Option<String>,
    pub(super) limits: Limits,
}

/// What the table cannot say: that sizes are sizes, within their bounds, and a path is one.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    Limits::check(service, problems);
    if let Some(node) = service.get(PATH).filter(|node| !node.is_null())
        && let Some(text) = node.as_text()
        && let Err(message) = path(&text)
    {
        problems.at(node, PATH, message);
    }
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let said = Said::of(service);
    Ok(Options { path: said.read(PATH, None, |text| path(text).map(Some))?, limits: Limits::of(said)? })
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
        assert_eq!((options.path, options.limits.read_only), (None, false));
        service.options.insert(PATH.to_owned(), "a.db".into());
        service.options.insert(limits::READ_ONLY.name.to_owned(), true.into());
        let options = of(&service).unwrap();
        assert_eq!((options.path.as_deref(), options.limits.read_only), (Some("a.db"), true));
    }
}
