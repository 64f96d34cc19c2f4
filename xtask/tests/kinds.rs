//! Who says the name of a kind.

use xtask::kinds::{MAY, Saying, names, sayings, wrong};

#[test]
fn nobody_names_a_kind_out_of_its_place() {
    let names = names();
    for known in ["http", "memory", "redis"] {
        assert!(names.iter().any(|name| name == known), "the list of kinds was not read: {names:?}");
    }
    let wrong = wrong(&names);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_planted_name_is_found() {
    let names = names();
    let source = r##"
        //! "redis" in a comment is nobody's business.
        fn secure(kind: &str) -> bool {
            kind == "redis"
        }
        const SAMPLE: &str = r#"{ "services": { "c": { "type": "memory" } } }"#;
        const YAML: &str = "type: kafka\n";
        const SCHEME: &[u8] = b"http";
        const URL: &str = "http://localhost";
        const WORDS: &str = "prototype: memoryless";
        #[cfg(test)]
        mod tests {
            const KIND: &str = "postgres";
        }
    "##;
    let said = |kind: &str, line| Saying { kind: kind.to_owned(), line };
    assert_eq!(sayings(source, &names), [said("redis", 4), said("memory", 6), said("kafka", 7)]);
}

#[test]
fn an_exception_that_is_no_longer_needed_goes() {
    let names = names();
    for (file, why) in MAY {
        let source = std::fs::read_to_string(xtask::root().join(file)).unwrap();
        assert!(!sayings(&source, &names).is_empty(), "{file} ({why}) names no kind any more");
    }
}
