//! The document is whole, says what the router does, and is the one that is checked in.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::document;

fn parsed() -> Value {
    serde_json::from_str(&document()).unwrap()
}

#[test]
fn it_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contract/openapi.json");
    if std::env::var_os("THROOME_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, document()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == document(),
        "contract/openapi.json is not what the code says. Look at the difference after \
         `THROOME_BLESS=1 cargo test -p throome-api openapi`, which writes it, and check it in."
    );
}

/// Every path that the router and the table of data calls have, but for what is not built yet and for the
/// files of Swagger UI, which describe themselves.
fn routed() -> BTreeSet<String> {
    let control = include_str!("../lib.rs").lines().filter_map(|line| {
        let (path, handlers) = line.trim().strip_prefix(".route(\"")?.split_once("\", ")?;
        let described =
            !handlers.contains("later::") && !handlers.contains("carry") && !path.starts_with("/swagger");
        described.then(|| path.to_owned())
    });
    control.chain(crate::data::paths()).chain(["/metrics".to_owned()]).collect()
}

#[test]
fn it_has_every_path_of_the_router_and_no_other() {
    let described: BTreeSet<String> = parsed()["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, routed());
    assert!(described.len() > 30, "{}", described.len());
}

#[tokio::test]
async fn every_operation_in_it_exists() {
    let gateway = crate::tests::gateway().await;
    for (path, operations) in parsed()["paths"].as_object().unwrap() {
        let asked = path.replace("{id}", "x").replace("{name}", "x").replace("{key}", "x");
        let known: BTreeSet<String> =
            operations.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        let options = gateway.ask("OPTIONS", &asked, "").await;
        let allowed: BTreeSet<String> = options
            .header("allow")
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!((path, known), (path, allowed));
    }
}

#[test]
fn every_operation_says_how_it_fails_and_no_reference_dangles() {
    let document = parsed();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            let answered = operation["responses"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(status, _)| status.starts_with('2'));
            for (status, response) in answered.filter(|(status, _)| *status != "204" && *status != "201") {
                assert!(response["content"].is_object(), "{method} {path} {status}");
            }
        }
    }
    let mut references = Vec::new();
    gather(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    // Each request body names a schema with fields, not an empty one.
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(
            schema["properties"].is_object() || schema["enum"].is_array() || schema["allOf"].is_array(),
            "{name}: {schema}"
        );
    }
}

/// A client that is made from the document sends what may be left out as nothing, and asks for pages that there are.
#[test]
fn parameters_are_as_they_are_sent() {
    let document = parsed();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut limits = 0;
    for parameter in operations.filter_map(|operation| operation["parameters"].as_array()).flatten() {
        let schema = &parameter["schema"];
        assert!(schema["type"].is_string() || schema["$ref"].is_string(), "{parameter}");
        if parameter["name"] == "limit" {
            assert_eq!((&schema["minimum"], &schema["maximum"]), (&1.into(), &1000.into()), "{parameter}");
            limits += 1;
        }
    }
    assert!(limits > 5);
}

fn gather(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| gather(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}
