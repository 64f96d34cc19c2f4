//! Values of each type as SQL expressions: edges that somebody thought of, others that proptest makes, and what is made
//! of them for arrays, ranges, domains and composites.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::catalog::Type;
use super::edges;

/// Values that proptest makes for each type that it knows.
const MADE: usize = 20;

/// Expressions whose values are of that type.
pub(crate) fn of(kind: &Type, all: &[Type]) -> Vec<String> {
    let mut values = some(kind, all);
    values.push(format!("NULL::{}", kind.sql));
    values
}

fn some(kind: &Type, all: &[Type]) -> Vec<String> {
    let beneath = |oid: Option<u32>| all.iter().find(|other| Some(other.oid) == oid);
    let cast = |text: String| format!("{}::{}", quoted(&text), kind.sql);
    match kind.sort {
        _ if kind.is_array && is_vector(kind) => {
            VECTORS.iter().map(|text| format!("'{text}'::{}", kind.sql)).collect()
        }
        _ if kind.is_array => {
            let mut elements = beneath(kind.of).map_or_else(Vec::new, |element| some(element, all));
            // In an array of JSON its null is told as the null of SQL is.
            elements.retain(|element| {
                !matches!(kind.base.as_str(), "json" | "jsonb") || !element.contains("E'null'")
            });
            // Where elements are arrays, bounds of theirs are not told either.
            elements.retain(|element| kind.arrays == 1 || !element.contains("array_fill"));
            arrays(kind, &elements)
        }
        'd' => domain(kind, beneath(kind.of).map_or_else(Vec::new, |base| some(base, all))),
        'r' => beneath(kind.of).map_or_else(Vec::new, |subtype| ranges(kind, &some(subtype, all))),
        'm' => beneath(kind.of).map_or_else(Vec::new, |range| multiranges(kind, &some(range, all))),
        'e' => ["glad", "null", "so, so", "a \"word\"", "ü", ""].map(str::to_owned).map(cast).into(),
        'c' => composites(kind),
        _ => {
            let edges = edges::of(&kind.name, since_14(all)).map(|text| cast(text.to_owned()));
            let made = strategy(&kind.name).map_or_else(Vec::new, |strategy| make(&strategy));
            let special = special(&kind.name).iter().map(|expression| (*expression).to_owned());
            edges.chain(made.into_iter().map(cast)).chain(special).collect()
        }
    }
}

/// Whether the server is of version 14 or later: the first that know multiranges.
pub(crate) fn since_14(all: &[Type]) -> bool {
    all.iter().any(|other| other.sort == 'm')
}

/// Whether it is one of the types that are arrays inside, of which servers before 14 cannot make arrays by `ARRAY[…]`.
pub(crate) fn is_vector(kind: &Type) -> bool {
    matches!(kind.base.as_str(), "int2vector" | "oidvector")
}

/// Arrays of those.
const VECTORS: &[&str] = &["{}", r#"{"1 2",NULL,""}"#, r#"{{"1 2","3"},{NULL,"0"}}"#, "{NULL}"];

/// A text as SQL, whatever it holds.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn make(strategy: &BoxedStrategy<String>) -> Vec<String> {
    let mut runner = TestRunner::default();
    (0..MADE).map(|_| strategy.new_tree(&mut runner).expect("it makes values").current()).collect()
}

fn arrays(kind: &Type, elements: &[String]) -> Vec<String> {
    let sql = &kind.sql;
    let Some(first) = elements.first() else { return Vec::new() };
    let second = elements.get(1).unwrap_or(first);
    let mut arrays = vec![
        format!("'{{}}'::{sql}"),
        format!("ARRAY[{first}, NULL, {second}]::{sql}"),
        format!("ARRAY[NULL]::{sql}"),
        format!("array_fill({first}, ARRAY[2], ARRAY[-3])::{sql}"),
    ];
    // Where elements are arrays there is one dimension: what was told has no way to say where they begin.
    if kind.arrays == 1 {
        arrays.extend([
            format!("ARRAY[[{first}, {second}], [NULL, {first}]]::{sql}"),
            format!("ARRAY[[[{first}]], [[{second}]]]::{sql}"),
            format!("array_fill({first}, ARRAY[2, 1], ARRAY[0, -3])::{sql}"),
        ]);
    }
    arrays.extend(elements.chunks(7).map(|some| format!("ARRAY[{}]::{sql}", some.join(", "))));
    arrays
}

/// Values of a domain: those beneath it, or its own where it takes few of them.
fn domain(kind: &Type, beneath: Vec<String>) -> Vec<String> {
    let own: &[&str] = match kind.name.as_str() {
        "positive" => &["1", "999", "9007199254740992", "9007199254740993", "9223372036854775807"],
        "small" => &["1", "999"],
        "cardinal_number" => &["0", "2147483647"],
        "yes_or_no" => &["YES", "NO"],
        _ => return beneath.iter().map(|value| format!("({value})::{}", kind.sql)).collect(),
    };
    own.iter().map(|text| format!("'{text}'::{}", kind.sql)).collect()
}

fn ranges(kind: &Type, bounds: &[String]) -> Vec<String> {
    let sql = &kind.sql;
    let mut ranges = vec![format!("'empty'::{sql}"), format!("'(,)'::{sql}")];
    for pair in bounds.chunks_exact(2).take(15) {
        let (a, b) = (&pair[0], &pair[1]);
        ranges.push(format!("{sql}(LEAST({a}, {b}), GREATEST({a}, {b}), '[)')"));
        ranges.push(format!("{sql}({a}, NULL)"));
    }
    ranges
}

fn multiranges(kind: &Type, ranges: &[String]) -> Vec<String> {
    let sql = &kind.sql;
    let some = ranges.chunks(3).take(10).map(|some| format!("{sql}({})", some.join(", ")));
    [format!("'{{}}'::{sql}")].into_iter().chain(some).collect()
}

/// Rows of a catalogue with nothing in them, and rows of the test's own.
fn composites(kind: &Type) -> Vec<String> {
    let nulls = format!("'({})'::{}", ",".repeat(kind.attributes.saturating_sub(1)), kind.sql);
    let own: &[&str] = match kind.name.as_str() {
        "pair" => &[
            r#"ROW(1, 'a "b" \ ,()', '{"a": [1.10, null]}')"#,
            "ROW(NULL, '', 'null')",
            "ROW(-1, 'null', NULL)",
        ],
        "nest" => &[r#"ROW(ROW(1, 'a,b', '"x"'), ARRAY['a', NULL, 'b "c"'])"#, "ROW(NULL, '{}')"],
        _ => &[],
    };
    own.iter().map(|row| format!("{row}::{}", kind.sql)).chain([nulls]).collect()
}

/// Values that cannot be given as text.
fn special(name: &str) -> &'static [&'static str] {
    match name {
        "pg_node_tree" => &["(SELECT ev_action FROM pg_rewrite ORDER BY oid LIMIT 1)"],
        _ => &[],
    }
}

/// Texts of any value of a type.
fn strategy(name: &str) -> Option<BoxedStrategy<String>> {
    let matching =
        |pattern: &'static str| proptest::string::string_regex(pattern).expect("it is a pattern").boxed();
    Some(match name {
        "int2" => any::<i16>().prop_map(|n| n.to_string()).boxed(),
        "int4" => any::<i32>().prop_map(|n| n.to_string()).boxed(),
        "int8" => any::<i64>().prop_map(|n| n.to_string()).boxed(),
        "oid" | "xid" | "cid" => any::<u32>().prop_map(|n| n.to_string()).boxed(),
        "xid8" => any::<u64>().prop_map(|n| n.to_string()).boxed(),
        "float4" => any::<f32>().prop_map(|n| n.to_string()).boxed(),
        "float8" => any::<f64>().prop_map(|n| n.to_string()).boxed(),
        "numeric" => matching("-?[0-9]{1,30}(\\.[0-9]{1,30})?"),
        "money" => matching("-?[0-9]{1,14}\\.[0-9]{2}"),
        "bytea" => vec(any::<u8>(), 0..40).prop_map(|bytes| hex(&bytes)).boxed(),
        "text" | "varchar" | "bpchar" | "name" | "refcursor" | "citext" => texts(),
        "json" | "jsonb" => documents(),
        "uuid" => matching("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "date" => dates().boxed(),
        "time" => times().boxed(),
        "timestamp" => (dates(), times()).prop_map(|(date, time)| format!("{date} {time}")).boxed(),
        "timestamptz" | "timetz" => {
            let offset = "[+-](0[0-9]|1[0-4]):[0-5][0-9]";
            let offset = proptest::string::string_regex(offset).expect("it is a pattern");
            let dated = name == "timestamptz";
            let written = move |(date, time, offset)| {
                if dated { format!("{date} {time}{offset}") } else { format!("{time}{offset}") }
            };
            (dates(), times(), offset).prop_map(written).boxed()
        }
        "interval" => matching(
            "-?[0-9]{1,4} years -?[0-9]{1,3} months -?[0-9]{1,5} days -?[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]\\.[0-9]{1,6}",
        ),
        "inet" => matching("(1?[0-9]{1,2}\\.){3}1?[0-9]{1,2}/(3[0-2]|[12]?[0-9])"),
        "macaddr" => matching("[0-9a-f]{2}(:[0-9a-f]{2}){5}"),
        "macaddr8" => matching("[0-9a-f]{2}(:[0-9a-f]{2}){7}"),
        "bit" => matching("[01]{1,70}"),
        "varbit" => matching("[01]{0,70}"),
        "point" => (any::<f64>(), any::<f64>()).prop_map(|(x, y)| format!("({x},{y})")).boxed(),
        "box" => {
            vec(-1e9..1e9_f64, 4).prop_map(|n| format!("({},{}),({},{})", n[0], n[1], n[2], n[3])).boxed()
        }
        "tid" => (any::<u32>(), any::<u16>()).prop_map(|(page, at)| format!("({page},{at})")).boxed(),
        "pg_lsn" => matching("[0-9A-F]{1,8}/[0-9A-F]{1,8}"),
        "char" => matching("[ -~]"),
        "tsvector" => matching("([a-z]{1,6}(:[1-9][A-D])? ){0,5}"),
        _ => return None,
    })
}

/// Text with what quotes, escapes and delimiters are made of, and any other; no text of the server's has a NUL.
fn texts() -> BoxedStrategy<String> {
    let marks =
        proptest::string::string_regex("[\"\\\\'{}(),;: \t\nNULnulü世🚀$?-]{0,16}").expect("it is a pattern");
    prop_oneof![marks, any::<String>().prop_map(|text| text.replace('\0', "0"))].boxed()
}

fn documents() -> BoxedStrategy<String> {
    let text = texts().prop_map(|text| serde_json::to_string(&text).expect("a text is JSON"));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        proptest::string::string_regex("-?[1-9][0-9]{0,25}\\.[0-9]{1,25}([eE][+-]?[0-9]{1,2})?")
            .expect("it is a pattern"),
        text.clone(),
    ];
    let nested = leaf.prop_recursive(4, 24, 5, move |inner| {
        let list = vec(inner.clone(), 0..5).prop_map(|list| format!("[{}]", list.join(" , ")));
        let object = vec((text.clone(), inner), 0..5).prop_map(|fields| {
            let mut object = String::from("{");
            for (at, (name, value)) in fields.iter().enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                write!(object, "{comma}{name}: {value}").expect("a string takes it");
            }
            object + "}"
        });
        prop_oneof![list, object]
    });
    nested.boxed()
}

fn dates() -> impl Strategy<Value = String> + Clone {
    (1..12_000_u32, 1..13_u32, 1..29_u32)
        .prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"))
}

fn times() -> impl Strategy<Value = String> + Clone {
    (0..24_u32, 0..60_u32, 0..60_u32, 0..1_000_000_u32).prop_map(|(hour, minute, second, fraction)| {
        format!("{hour:02}:{minute:02}:{second:02}.{fraction:06}")
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |text, byte| format!("{text}{byte:02x}"))
}
