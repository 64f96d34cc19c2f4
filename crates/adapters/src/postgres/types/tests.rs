//! Values out and arguments in, type by type, without a server. `tests/postgres_types.rs` asks a real one.

use bytes::Bytes;

use super::*;
use crate::sql::{Argument, RowShape, RowWriter};

fn known(name: &str) -> Known {
    let catalog = Catalog::default();
    let of = |oid: &u32| catalog.find(*oid).filter(|known| &*known.name == name);
    (16..7000).collect::<Vec<u32>>().iter().find_map(of).unwrap_or_else(|| panic!("no type `{name}`"))
}

fn told(name: &str, cell: &str) -> String {
    let mut rows = RowWriter::new([("a".to_owned(), name.to_owned())], RowShape::Arrays);
    rows.begin();
    write(Some(cell.as_bytes()), &known(name).kind, &mut rows).unwrap();
    rows.end();
    let json = String::from_utf8(rows.take().json).unwrap();
    serde_json::from_str::<serde::de::IgnoredAny>(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    json[1..json.len() - 1].to_owned()
}

#[test]
fn values_are_told_by_their_type() {
    for (name, cell, json) in [
        ("bool", "t", "true"),
        ("bool", "f", "false"),
        ("int2", "-32768", "-32768"),
        ("int8", "9007199254740992", "9007199254740992"),
        ("int8", "9007199254740993", r#""9007199254740993""#),
        ("int8", "-9223372036854775808", r#""-9223372036854775808""#),
        ("oid", "4294967295", "4294967295"),
        ("xid8", "18446744073709551615", r#""18446744073709551615""#),
        ("float8", "0.1", "0.1"),
        ("float8", "1e+300", "1e+300"),
        ("float8", "-0", "-0"),
        ("float8", "NaN", r#""NaN""#),
        ("float4", "-Infinity", r#""-Infinity""#),
        ("numeric", "1.10", r#""1.10""#),
        ("numeric", "NaN", r#""NaN""#),
        ("text", "a\"\n\u{1}ä", r#""a\"\n\u0001ä""#),
        ("char", "c", r#""c""#),
        ("void", "", r#""""#),
        ("bytea", r"\x00ff", r#""AP8=""#),
        ("bytea", r"a\\\377", r#""YVz/""#),
        (
            "json",
            "{\"b\" : 1.10, \"a\": 12345678901234567890123, \"a\":1}",
            "{\"b\" : 1.10, \"a\": 12345678901234567890123, \"a\":1}",
        ),
        ("jsonb", "null", "null"),
        ("timestamptz", "2026-01-31 12:00:00.5+00", r#""2026-01-31T12:00:00.5Z""#),
        ("timestamptz", "infinity", r#""infinity""#),
        ("timestamp", "2026-01-31 12:00:00", r#""2026-01-31T12:00:00""#),
        ("timestamp", "0044-03-15 12:00:00 BC", r#""0044-03-15 12:00:00 BC""#),
        ("date", "2026-01-31", r#""2026-01-31""#),
        ("interval", "1 mon -2 days", r#""1 mon -2 days""#),
        ("int4range", "[1,5)", r#""[1,5)""#),
        ("int2vector", "1 2", r#""1 2""#),
        ("int4[]", "{}", "[]"),
        ("int8[]", "[2:3]={1,9007199254740993}", r#"[1,"9007199254740993"]"#),
        ("int4[]", "{{1,NULL},{3,4}}", "[[1,null],[3,4]]"),
        ("bool[]", "{t,f,NULL}", "[true,false,null]"),
        ("float8[]", "{1,NaN,1e-05}", r#"[1,"NaN",1e-05]"#),
        ("text[]", r#"{"a \"b\" \\",NULL,"NULL",""}"#, r#"["a \"b\" \\",null,"NULL",""]"#),
        ("bytea[]", r#"{"\\x00ff"}"#, r#"["AP8="]"#),
        ("json[]", r#"{"{\"a\": [1.10]}",1}"#, r#"[{"a": [1.10]},1]"#),
        ("timestamptz[]", r#"{"2026-01-31 12:00:00+00"}"#, r#"["2026-01-31T12:00:00Z"]"#),
        ("box[]", "{(1,1),(0,0);(2,2),(1,1)}", r#"["(1,1),(0,0)","(2,2),(1,1)"]"#),
        // No server says these; what it said is told all the same.
        ("int4[]", "{1,[", r#""{1,[""#),
        ("int4", "+1", r#""+1""#),
        ("bool", "yes", r#""yes""#),
        ("bytea", r"\x0", r#""\\x0""#),
    ] {
        assert_eq!(told(name, cell), json, "{name} {cell}");
    }
}

#[test]
fn what_is_not_text_is_refused_before_it_is_begun() {
    let mut rows = RowWriter::new([("a".to_owned(), "char".to_owned())], RowShape::Arrays);
    rows.begin();
    assert_eq!(write(Some(b"\xc8"), &known("char").kind, &mut rows), Err(NotText));
    assert_eq!(rows.take().json, b"[");
}

fn given(name: &str, value: Argument) -> Result<String, String> {
    let text = argument(&value, &known(name))?.expect("it is not null");
    Ok(String::from_utf8(text).unwrap())
}

fn text(text: &str) -> Argument {
    Argument::Text(text.into())
}

fn number(text: &str) -> Argument {
    Argument::Number(text.into())
}

fn json(text: &str) -> Argument {
    Argument::Json(text.into())
}

#[test]
fn arguments_are_what_the_server_reads() {
    let bytes = Argument::Bytes(Bytes::from_static(b"\0\xff"));
    for (name, value, expected) in [
        ("bool", Argument::Bool(true), "true"),
        ("bool", Argument::Integer(1), "1"),
        ("text", Argument::Bool(false), "false"),
        ("text", Argument::Integer(5), "5"),
        ("int2", Argument::Integer(99_999), "99999"),
        ("int4", number("5.0"), "5"),
        ("int8", number("-1e15"), "-1000000000000000"),
        ("int8", number("9007199254740993.0"), "9007199254740993"),
        ("int8", number("1.50e1"), "15"),
        ("int8", number("1200E-2"), "12"),
        ("int8", number("-0.0"), "-0"),
        ("int8", number("0e99"), "0"),
        ("int8", number("9223372036854775808"), "9223372036854775808"),
        ("int8", text("9223372036854775807"), "9223372036854775807"),
        ("numeric", number("0.1"), "0.1"),
        ("numeric", number("123456789.123456789012345"), "123456789.123456789012345"),
        ("numeric", number("12345678901234567890123"), "12345678901234567890123"),
        ("text", number("1.10"), "1.10"),
        ("numeric", text("1.10"), "1.10"),
        ("float8", text("NaN"), "NaN"),
        ("float8", number("1e300"), "1e300"),
        ("money", Argument::Integer(5), "5"),
        ("timestamptz", text("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00Z"),
        ("json", json("{\"a\": 1.10}"), "{\"a\": 1.10}"),
        ("jsonb", json("[1, 2]"), "[1, 2]"),
        ("jsonb", text("\"a\""), "\"a\""),
        ("jsonb", Argument::Bool(true), "true"),
        ("jsonb", number("1.5"), "1.5"),
        ("bytea", bytes.clone(), r"\x00ff"),
        ("bytea", text("AP8="), r"\x00ff"),
        ("bytea", text(r"\x00FF"), r"\x00ff"),
        ("int4[]", json("[]"), "{}"),
        ("int4[]", json("[1, null, 3.0, \"4\"]"), r#"{"1",NULL,"3","4"}"#),
        ("int4[]", json("[[1,2],[3,4]]"), r#"{{"1","2"},{"3","4"}}"#),
        ("int4[]", text("{1,2}"), "{1,2}"),
        ("numeric[]", json("[12345678901234567890.10]"), r#"{"12345678901234567890.10"}"#),
        (
            "text[]",
            json(r#"["a \"b\" \\", "NULL", "", true, 1.50]"#),
            r#"{"a \"b\" \\","NULL","","true","1.50"}"#,
        ),
        (
            "bytea[]",
            json(r#"["AP8=", "\\x00", {"value": "/w", "encoding": "base64"}]"#),
            r#"{"\\x00ff","\\x00","\\xff"}"#,
        ),
        (
            "jsonb[]",
            json(r#"[{"a": 1}, [1, [2]], "\"x\"", 1.10, null]"#),
            r#"{"{\"a\": 1}","[1, [2]]","\"x\"","1.10",NULL}"#,
        ),
        ("box[]", json(r#"["(1,1),(0,0)", "(2,2),(1,1)"]"#), r#"{"(1,1),(0,0)";"(2,2),(1,1)"}"#),
    ] {
        assert_eq!(given(name, value).as_deref(), Ok(expected), "{name} {expected}");
    }
    assert_eq!(argument(&Argument::Null, &known("int4")), Ok(None));
}

/// An array of a domain over an array: its elements are arrays in quotes.
#[test]
fn elements_may_be_arrays() {
    let catalog = Catalog::default();
    let row = |cells: [&str; 5]| cells.map(|cell| Some(cell.to_owned()));
    catalog.learn([row(["16400", "ints", "1007", "0", ","]), row(["16401", "_ints", "0", "16400", ","])]);
    let known = catalog.find(16_401).unwrap();
    assert_eq!(&*known.name, "int4[][]");
    let mut rows = RowWriter::new([("a".to_owned(), String::new())], RowShape::Arrays);
    rows.begin();
    write(Some(br#"{"{1,2}",NULL,"{}"}"#), &known.kind, &mut rows).unwrap();
    assert_eq!(rows.take().json, b"[[[1,2],null,[]]");
    let text = argument(&json("[[1, 2], null, []]"), &known).unwrap().unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), r#"{"{\"1\",\"2\"}",NULL,"{}"}"#);
    let fault = argument(&json("[1]"), &known).unwrap_err();
    assert!(fault.contains("that is a number, and `int4[]` wants a list"), "{fault}");
}

#[test]
fn what_a_type_cannot_take_is_said() {
    let bytes = Argument::Bytes(Bytes::from_static(b"\0"));
    for (name, value, expected) in [
        ("int4", Argument::Bool(true), "is true, and `int4` wants a number"),
        ("int4", number("5.5"), "is no whole number, and `int4` wants one"),
        ("int8", number("1e30"), "is no whole number"),
        ("int8", number("1e-1"), "is no whole number"),
        ("int8", number("1e999999999999"), "is no whole number"),
        ("int8", number("1.50e0"), "is no whole number"),
        ("int4", json("[1]"), "is a list, and `int4` wants a single value"),
        ("text", json("{}"), "is an object, and `text` wants a single value"),
        ("text", bytes.clone(), "is bytes, and `text` does not take that"),
        ("jsonb", bytes.clone(), "is bytes, and `jsonb` wants JSON"),
        ("bytea", text("no base64"), "send them as base64"),
        ("bytea", Argument::Integer(1), "is a number, and `bytea` does not take that"),
        ("bytea", json("{}"), "is an object, and `bytea` does not take that"),
        ("int4[]", Argument::Integer(1), "is a number, and `int4[]` wants a list"),
        ("int4[]", json("{}"), "is an object, and `int4[]` wants a list"),
        (
            "int4[]",
            json("[1, [2.5]]"),
            "has an element, number 1, that is no whole number, and `int4` wants one",
        ),
        ("int4[]", json("[true]"), "has an element, number 1, that is true, and `int4` wants a number"),
        ("text[]", json("[\"\\ud800\"]"), "no character"),
    ] {
        let fault = given(name, value).unwrap_err();
        assert!(fault.contains(expected), "{name}: {fault}");
    }
}
