//! The example of the gateway file: whoever copies it and changes nothing has changed nothing.

use model::field::{Field, Shape};
use serde_json::Value;

use super::root;
use crate::config;
use crate::settings::FIELDS;

#[test]
fn the_example_of_the_gateway_file_says_every_default() {
    let example = config::values(&root().join("configs/throome.example.yaml"));
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
            let default = model::yaml::parse(default).map_or(Value::Null, |node| node.to_json());
            if shown(said) != shown(&default) {
                wrong.push(format!("{path} is {said}, its default {default}"));
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
