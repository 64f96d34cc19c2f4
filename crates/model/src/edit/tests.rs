//! Edits as tables of text, change and text; and by chance, that what is written is what was asked.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::yaml::tests::any_value;

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("6379".to_owned()),
        "PASSWORD" => Some("secret".to_owned()),
        _ => None,
    }
}

/// The value of a text, changed.
fn changed(text: &str, change: impl FnOnce(&mut Value)) -> Value {
    let (_, after) = read(text, &env).unwrap();
    let mut value = after.to_json();
    change(&mut value);
    value
}

const FILE: &str = "\
# The shop.
name: Shop   # for people
services:
  # keeps sessions
  cache:
    type: mem
    host: localhost # here
    port: ${PORT}
    password: \"${PASSWORD}\"
    pool: { max: 5, min: \"${MIN:-1}\" }

  db:   # the database
    type: net
    endpoints:
      - host: a   # first
        port: 1
      # second
      - { host: b, port: 2 }
    # end of db
routes:
- id: one
  path: /one
- path: /two
  id: two
text: |
  two
  lines

last: 1";

/// Checks that an edit changes exactly these lines: each `-` goes and each `+` comes, and all else stays.
fn check(change: impl FnOnce(&mut Value), lines: &str) {
    let new = changed(FILE, change);
    let edited = in_place(FILE, &new, &env).unwrap_or_else(|| panic!("not in place: {lines}"));
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        match line.split_at(1) {
            ("-", line) => gone.push(line),
            ("+", line) => come.push(line),
            _ => panic!("{line}"),
        }
    }
    let (old, edited): (Vec<&str>, Vec<&str>) = (FILE.lines().collect(), edited.lines().collect());
    let head = old.iter().zip(&edited).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(edited[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    assert_eq!((&old[head..old.len() - tail], &edited[head..edited.len() - tail]), (&gone[..], &come[..]));
}

fn remove(map: &mut Value, key: &str) {
    map.as_object_mut().unwrap().shift_remove(key);
}

#[test]
fn a_scalar_changes_where_it_stands() {
    check(|_| {}, "");
    check(
        |v| v["name"] = json!("Store: 2"),
        "-name: Shop   # for people\n+name: \"Store: 2\"   # for people",
    );
    check(|v| v["services"]["cache"]["port"] = json!(1), "-    port: ${PORT}\n+    port: 1");
    check(
        |v| v["services"]["cache"]["password"] = json!("a ${b}"),
        "-    password: \"${PASSWORD}\"\n+    password: \"a $${b}\"",
    );
    check(|v| v["text"] = json!("one"), "-text: |\n-  two\n-  lines\n+text: one");
    check(|v| v["last"] = Value::Null, "-last: 1\n+last: null");
}

#[test]
fn brackets_keep_what_did_not_change() {
    check(
        |v| v["services"]["cache"]["pool"]["max"] = json!(6),
        "-    pool: { max: 5, min: \"${MIN:-1}\" }\n+    pool: { max: 6, min: \"${MIN:-1}\" }",
    );
    check(
        |v| v["services"]["cache"]["pool"]["idle"] = json!("10s"),
        "-    pool: { max: 5, min: \"${MIN:-1}\" }\n+    pool: { max: 5, min: \"${MIN:-1}\", idle: 10s }",
    );
    check(
        |v| remove(&mut v["services"]["cache"]["pool"], "max"),
        "-    pool: { max: 5, min: \"${MIN:-1}\" }\n+    pool: { min: \"${MIN:-1}\" }",
    );
    check(
        |v| v["services"]["cache"]["pool"] = json!(5),
        "-    pool: { max: 5, min: \"${MIN:-1}\" }\n+    pool: 5",
    );
}

#[test]
fn keys_come_and_go() {
    check(|v| v["services"]["db"]["username"] = json!("me"), "+    username: me");
    check(
        |v| v["services"]["new"] = json!({ "type": "mem", "list": [1, { "a": 2 }] }),
        "+  new:\n+    type: mem\n+    list:\n+      - 1\n+      - a: 2",
    );
    check(|v| remove(&mut v["services"]["cache"], "host"), "-    host: localhost # here");
    check(
        |v| remove(&mut v["services"], "db"),
        "-  db:   # the database\n-    type: net\n-    endpoints:\n-      - host: a   # first\n-        port: 1\n-      # second\n-      - { host: b, port: 2 }\n-    # end of db",
    );
    check(|v| remove(&mut v["routes"][0], "id"), "-- id: one\n-  path: /one\n+- path: /one");
    check(
        |v| {
            remove(v, "last");
            v["more"] = json!([1]);
        },
        "-last: 1\n+more:\n+  - 1",
    );
}

#[test]
fn items_come_and_go() {
    check(|v| v["routes"][1]["path"] = json!("/2"), "-- path: /two\n+- path: /2");
    check(
        |v| v["routes"].as_array_mut().unwrap().push(json!({ "path": "/3", "id": "three" })),
        "+- path: /3\n+  id: three",
    );
    check(
        |v| v["services"]["db"]["endpoints"].as_array_mut().unwrap().insert(0, json!({ "host": "z" })),
        "+      - host: z",
    );
    check(
        |v| drop(v["services"]["db"]["endpoints"].as_array_mut().unwrap().remove(1)),
        "-      - { host: b, port: 2 }",
    );
    check(
        |v| v["routes"] = json!([]),
        "-routes:\n-- id: one\n-  path: /one\n-- path: /two\n-  id: two\n+routes: []",
    );
}

#[test]
fn another_kind_of_value_takes_the_place() {
    check(|v| v["name"] = json!({ "a": 1 }), "-name: Shop   # for people\n+name:   # for people\n+  a: 1");
    check(
        |v| v["services"]["db"]["endpoints"] = json!("none"),
        "-    endpoints:\n-      - host: a   # first\n-        port: 1\n-      # second\n-      - { host: b, port: 2 }\n+    endpoints: none",
    );
    check(|v| v["routes"][0] = json!("x"), "-- id: one\n-  path: /one\n+- x");
}

#[test]
fn empty_values_and_odd_files() {
    for (text, new, expected) in [
        ("a:\nb: 1\n", json!({ "a": 2, "b": 1 }), "a: 2\nb: 1\n"),
        ("a:  # c\n", json!({ "a": [1] }), "a:  # c\n  - 1\n"),
        ("# only a comment\n", json!({ "a": 1 }), "# only a comment\na: 1\n"),
        ("a: 1\r\nb: 2\r\n", json!({ "a": 1, "b": 2, "c": { "d": 3 } }), "a: 1\r\nb: 2\r\nc:\r\n  d: 3\r\n"),
        ("---\na: 1\n...\n", json!({ "a": 1, "b": 2 }), "---\na: 1\nb: 2\n...\n"),
        ("- a: 1\n  b: 2\n  c: 3\n", json!([{ "c": 3 }]), "- c: 3\n"),
        ("a: [1, 2,\n  3]  # c\n", json!({ "a": [1] }), "a: [1]  # c\n"),
        ("a: 'it''s'\n", json!({ "a": "it's not" }), "a: 'it''s not'\n"),
        ("é: ü # c\n", json!({ "é": "ö" }), "é: ö # c\n"),
    ] {
        assert_eq!(in_place(text, &new, &env).as_deref(), Some(expected), "{text:?}");
    }
    // What cannot be changed in place is written anew, whatever it was.
    for text in ["a: [", "- 1\n", "a: *b\n", "{a: 1}\n"] {
        assert_eq!(
            edit(text, &json!({ "b": "${x}" }), &env).replace("{ b: \"$${x}\" }", "b: $${x}"),
            "b: $${x}\n",
            "{text:?}"
        );
    }
}

/// Changes something somewhere: `path` chooses the way down, `op` what is done there.
fn mutate(value: &mut Value, path: &[usize], op: u8, with: &Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = with.clone();
        return;
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(first % map.len()).unwrap().clone();
            match op {
                0 if rest.is_empty() && map.len() > 1 => drop(map.shift_remove(&key)),
                1 if rest.is_empty() => drop(map.insert("added".to_owned(), with.clone())),
                _ => mutate(&mut map[&key], rest, op, with),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = first % items.len();
            match op {
                0 if rest.is_empty() => drop(items.remove(at)),
                1 if rest.is_empty() => items.insert(at, with.clone()),
                _ => mutate(&mut items[at], rest, op, with),
            }
        }
        Value::Object(map) => drop(map.insert("added".to_owned(), with.clone())),
        _ => *value = with.clone(),
    }
}

fn any_change() -> impl Strategy<Value = (Vec<usize>, u8, Value)> {
    (prop::collection::vec(0..8_usize, 1..4), 0..3_u8, any_value())
}

proptest! {
    #[test]
    fn what_is_asked_is_what_is_written(old in any_value(), new in any_value()) {
        let edited = edit(&emit(&escape(&old)), &new, &env);
        let (_, after) = read(&edited, &env).unwrap();
        prop_assert_eq!(after.to_json(), new);
    }

    /// A small change of a document with a comment on every line is made in place, and every entry at the top
    /// that did not change keeps its lines to the letter.
    #[test]
    fn a_small_change_is_made_in_place(
        entries in prop::collection::btree_map("[a-z]{1,4}", any_value(), 1..5),
        changes in prop::collection::vec(any_change(), 1..4),
    ) {
        let old = Value::Object(entries.into_iter().collect());
        let plain = emit(&escape(&old));
        let text: String = plain.lines().enumerate().map(|(at, line)| format!("{line}  # note {at}\n")).collect();
        let mut new = old.clone();
        for (path, op, with) in &changes {
            mutate(&mut new, path, *op, with);
        }
        let edited = in_place(&text, &new, &env);
        if new.as_object().unwrap().keys().any(|key| old.get(key).is_some()) {
            prop_assert!(edited.is_some(), "{}", text);
        }
        let edited = edited.unwrap_or_else(|| edit(&text, &new, &env));
        let (before, _) = read(&text, &env).unwrap();
        let same = |key: &str| new.get(key).is_some() && old.get(key) == new.get(key);
        let starts: Vec<usize> = before.entries().iter().map(|entry| entry.key_span.start).chain([text.len()]).collect();
        for (at, entry) in before.entries().iter().enumerate().filter(|(_, entry)| same(&entry.key)) {
            prop_assert!(edited.contains(&text[starts[at]..starts[at + 1]]), "{} in {}", entry.key, edited);
        }
    }
}
proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-:#{}\\[\\],&*!|>'\"%@` $~?<a-cé01\n\r\t.]{0,80}", new in any_value()) {
        let edited = edit(&text, &new, &env);
        let (_, after) = read(&edited, &env).unwrap();
        prop_assert_eq!(after.to_json(), new);
    }
}
