//! YAML in and out: places, what is refused, how faults are told, and that text and value agree.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn told(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(node) => panic!("{text:?} was read as {}", node.to_json()),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn values_and_places() {
    let node = parse("# top\nname: Shöp  # for people\nports: [80, '81', 1.10]\nnested:\n  - a: ~\n    b: |\n      two\n      lines\n").unwrap();
    assert_eq!(
        node.to_json(),
        json!({ "name": "Shöp", "ports": [80, "81", 1.1], "nested": [{ "a": null, "b": "two\nlines\n" }] })
    );
    let ports = node.get("ports").unwrap();
    assert_eq!(ports.at, Place { line: 3, column: 8 });
    assert_eq!(ports.items()[2].at, Place { line: 3, column: 19 });
    assert_eq!(ports.items()[2].as_text().as_deref(), Some("1.10"));
    assert_eq!(node.get("nested").unwrap().items()[0].entries()[1].key_at, Place { line: 6, column: 5 });
}

#[test]
fn spans_cover_what_was_written() {
    for newline in ["\n", "\r\n"] {
        let text = "ключ: значение\na: 'q''q' # c\nb: {x: 1, \"y\": [2, 3]}\nc:\n- one\n- two: 2\nd: \"é\"\n"
            .replace('\n', newline);
        let node = parse(&text).unwrap();
        let written = |key: &str| &text[node.get(key).unwrap().source.span.clone()];
        assert_eq!(written("ключ"), "значение");
        assert_eq!(written("a"), "'q''q'");
        assert_eq!(written("b"), "{x: 1, \"y\": [2, 3]}");
        assert_eq!(written("d"), "\"é\"");
        assert_eq!(&text[node.get("b").unwrap().entries()[1].key_span.clone()], "\"y\"");
        assert_eq!(&text[node.get("c").unwrap().items()[1].entries()[0].key_span.clone()], "two");
    }
}

#[test]
fn an_empty_document_is_null() {
    for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert_eq!(parse(text).unwrap().to_json(), Value::Null, "{text:?}");
    }
    assert_eq!(parse("---\na: 1\n...\n").unwrap().to_json(), json!({ "a": 1 }));
}

#[test]
fn all_refusals_at_once() {
    let text = "a: &x 1\na: 2\nb: *x\n<<: {c: 1}\n80: x\n? [k]\n: v\nt: !!str 5\nn:\n  a: 1\n  a: 2\n";
    assert_eq!(
        told(text),
        [
            "1:4: a: anchors (`&name`) are not read; write the value out where it is needed",
            "2:1: a: stands twice; the other is on line 1",
            "3:4: b: aliases (`*name`) are not read; write the value out",
            "4:1: merge keys (`<<`) are not read; write the keys out",
            "5:1: the key `80` is not a text (write \"80\" in quotes)",
            "6:3: a key must be a text",
            "8:4: t: the tag `tag:yaml.org,2002:!str` is not read; quote a text to keep it a text",
            "11:3: n.a: stands twice; the other is on line 10",
        ]
    );
}

#[test]
fn faults_of_syntax_name_their_cause() {
    for (text, problem) in [
        ("a:\n\tb: 1\n", "2:1: a: the line is indented with a tab (indent with spaces)"),
        ("a:\n  b: 1\n  port:6379\n", "3:7: a: a space is missing after `port:` (write `port: 6379`)"),
        ("a:\n  port:6379\n  b: 1\n", "2:7: a space is missing after `port:` (write `port: 6379`)"),
        ("a: b: c\n", "1:4: the value of `a` holds a colon (quote it: `a: \"b: c\"`)"),
        ("a: \"never\nb: 1\n", "1:4: a: the quoted text that begins here is not closed"),
        ("a: 'never", "1:4: a: the quoted text that begins here is not closed"),
        ("a: [1, 2\nb: 1\n", "2:2: a[1]: a bracket is not closed, or a comma is missing"),
        (
            "a: {x: ${X}}\n",
            "1:4: a: a `${…}` between brackets has braces of its own (put it in quotes: `\"${NAME}\"`)",
        ),
        ("a: @x\n", "1:4: a: the value of `a` begins with a reserved sign (put it in quotes)"),
        ("a:\n    b: 1\n  c: 2\n", "3:3: the indentation fits no line above"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here; a file holds one"),
        ("a: *nowhere\n", "1:4: a: aliases (`*name`) are not read; write the value out"),
        ("]", "1:1: a bracket closes what was never opened"),
        ("a: \"\\q\"\n", "1:4: a: a `\\` in double quotes begins an escape; single quotes keep it"),
    ] {
        assert_eq!(told(text), [problem], "{text:?}");
    }
}

#[test]
fn bounds() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    assert!(told(&deep)[0].contains("nested deeper than 64 levels"));
    assert!(parse(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
    for unit in ["[", "{a: ", "- ", "? ", "a: "] {
        assert!(!told(&unit.repeat(100_000)).is_empty(), "{unit}");
    }
    let long = format!("a: {}", "x".repeat(MAX_BYTES));
    assert!(told(&long)[0].contains("at most 4194304 are read"));
}

#[test]
fn quotes_exactly_where_they_are_needed() {
    for (text, written) in [
        ("cache", "cache"),
        ("127.0.0.1", "127.0.0.1"),
        ("redis:7-alpine", "redis:7-alpine"),
        ("http://a/b?c=d", "http://a/b?c=d"),
        ("10s", "10s"),
        ("/api/*", "/api/*"),
        ("-x", "-x"),
        ("a b", "a b"),
        ("", "\"\""),
        ("yes", "\"yes\""),
        ("null", "\"null\""),
        ("true", "\"true\""),
        ("6379", "\"6379\""),
        ("1.10", "\"1.10\""),
        ("0x1F", "\"0x1F\""),
        ("12:30", "\"12:30\""),
        ("*", "\"*\""),
        ("- a", "\"- a\""),
        ("a: b", "\"a: b\""),
        ("a:", "\"a:\""),
        ("a #b", "\"a #b\""),
        ("#b", "\"#b\""),
        (" a", "\" a\""),
        ("@x", "\"@x\""),
        ("two\nlines", "\"two\\nlines\""),
        ("\"q\": ", "'\"q\": '"),
        ("\u{7}\u{2028}", "\"\\x07\\u2028\""),
        ("---", "\"---\""),
    ] {
        assert_eq!(emit(&json!(text)), format!("{written}\n"));
    }
}

#[test]
fn block_style() {
    let value = json!({ "name": "Shop", "none": {}, "list": [1, ["a", []], { "k": "v", "l": { "m": null } }], "on": { "x": true } });
    assert_eq!(
        emit(&value),
        "name: Shop\nnone: {}\nlist:\n  - 1\n  - - a\n    - []\n  - k: v\n    l:\n      m: null\n\"on\":\n  x: true\n"
    );
}

/// Values as documents hold them, with texts that like to be misread.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{1,6}",
        ".{0,8}",
        "[-:#{}\\[\\],&*!|>'\"%@` $~0-9a-z\n\t.]{0,8}",
        "[0-9_.:xeE+-]{1,6}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinities", |n| n.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof!["[a-z_]{1,5}", ".{0,5}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        let text = emit(&value);
        let read = parse(&text).map(|node| node.to_json());
        prop_assert_eq!(read, Ok(value), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = parse(&text);
        let _ = parse_foreign(&text);
    }

    #[test]
    fn no_yamlish_text_makes_it_panic(text in "[-:#{}\\[\\],&*!|>'\"%@` $~?<a-c01\n\r\t.]{0,80}") {
        let _ = parse(&text);
        let _ = parse_foreign(&text);
    }
}
#[test]
fn a_block_text_begins_with_its_sign() {
    for (text, written, place) in [
        ("a: |\n  two\n\n  lines\n\nb: 1\n", "|\n  two\n\n  lines\n", (1, 4)),
        ("a: >-  # c | d\n  two\nb: 1\n", ">-  # c | d\n  two\n", (1, 4)),
        ("a:\n  |\n  x\nb: 2\n", "|\n  x\n", (2, 3)),
    ] {
        let node = parse(text).unwrap();
        let a = node.get("a").unwrap();
        assert_eq!(text[a.source.span.clone()].trim_end(), written.trim_end(), "{text:?}");
        assert_eq!((a.at.line, a.at.column), place, "{text:?}");
    }
}
