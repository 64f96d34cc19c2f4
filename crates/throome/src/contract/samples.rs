//! Every document that people may copy loads as it stands: examples, and the YAML of README and guide.

use std::path::{Path, PathBuf};

use model::field::{Field, Shape};
use model::tree::Node;
use serde_json::Value;

use super::root;
use crate::settings::FIELDS;
use crate::{config, validate};

/// Files below a directory whose name ends so.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for path in std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn problems(path: &Path) -> Vec<String> {
    match validate::validate(path) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn examples_load() {
    let all: Vec<PathBuf> =
        ["configs", "examples"].into_iter().flat_map(|place| files(place, ".yaml")).collect();
    assert!(all.len() >= 4, "the examples were not found");
    let wrong: Vec<String> = all.iter().flat_map(|path| problems(path)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_pages_show_loads() {
    let mut pages = files("docs", ".md");
    pages.push(root().join("README.md"));
    let home = tempfile::tempdir().unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            // A cluster file takes its id from its directory.
            let file = home.path().join("sample/config.yaml");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, block).unwrap();
            wrong.extend(
                problems(&file).into_iter().map(|problem| format!("{}: {problem}\n{block}", page.display())),
            );
            count += 1;
        }
    }
    assert!(count >= 5, "the samples were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever copies the example and changes nothing has changed nothing.
#[test]
fn the_example_of_the_gateway_file_says_every_default() {
    let example = config::read_file(&root().join("configs/throome.example.yaml"), &|_| None).unwrap();
    let mut wrong = Vec::new();
    compare(FIELDS, &example, "", &mut wrong);
    assert!(wrong.is_empty(), "configs/throome.example.yaml: {}", wrong.join("; "));
}

fn compare(fields: &[Field], example: &Value, above: &str, wrong: &mut Vec<String>) {
    for field in fields.iter().filter(|field| field.later.is_none()) {
        let path = format!("{above}{}", field.name);
        let said = example.get(field.name).unwrap_or(&Value::Null);
        if let Shape::Fields(inner) = field.shape {
            compare(inner, said, &format!("{path}."), wrong);
        } else if let Some(default) = field.default {
            let default = model::yaml::parse(default).map_or(Value::Null, |node: Node| node.to_json());
            if shown(said) != shown(&default) {
                wrong.push(format!("{path} is {said}, its default {default}"));
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
