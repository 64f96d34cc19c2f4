//! A table of fields as JSON Schema (draft 2020-12): for editors of files, and for the forms of the dashboard.

use serde_json::{Map, Value, json};

use crate::check::offered_fields;
use crate::cluster_fields::SERVICE;
use crate::field::{Field, Shape};
use crate::kind::Kinds;
use crate::span::Span;

/// The schema of a file: what it may hold, and `${NAME}` wherever something other than a text is meant.
///
/// A service may have any key beside the common ones; [`json_schema_with`] knows those of each kind.
#[must_use]
pub fn json_schema(fields: &[Field], title: &str) -> Value {
    Writer { kinds: None, for_files: true }.document(fields, title)
}

/// The schema of a file in which each service has exactly the keys of its kind.
#[must_use]
pub fn json_schema_with(fields: &[Field], title: &str, kinds: &dyn Kinds) -> Value {
    Writer { kinds: Some(kinds), for_files: true }.document(fields, title)
}

/// The schema of one mapping in a body, such as the keys that a kind adds to a service.
///
/// A secret has `format: password` and `writeOnly`; what is not built yet is left out.
#[must_use]
pub fn field_schema(fields: &[Field]) -> Value {
    Writer { kinds: None, for_files: false }.object(&fields.iter().collect::<Vec<_>>())
}

#[derive(Clone, Copy)]
struct Writer<'k> {
    kinds: Option<&'k dyn Kinds>,
    for_files: bool,
}

impl Writer<'_> {
    fn document(self, fields: &[Field], title: &str) -> Value {
        let mut schema = Map::new();
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), title.into());
        if let Value::Object(object) = self.object(&fields.iter().collect::<Vec<_>>()) {
            schema.extend(object);
        }
        schema.insert(
            "$defs".to_owned(),
            json!({ "reference": {
                "type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
                "description": "A variable of the environment, with a default behind `:-`."
            } }),
        );
        Value::Object(schema)
    }

    fn object(self, fields: &[&Field]) -> Value {
        let mut properties = Map::new();
        for field in fields {
            let Some(schema) = self.field(field) else { continue };
            for alias in field.aliases {
                let mut old = schema.clone();
                old["deprecated"] = true.into();
                properties.insert((*alias).to_owned(), old);
            }
            properties.insert(field.name.to_owned(), schema);
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        // A key with an alias is there under either name, which `required` cannot say.
        let required: Vec<&str> = fields
            .iter()
            .filter(|field| field.required && field.aliases.is_empty())
            .map(|field| field.name)
            .collect();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema["patternProperties"] = json!({ "^x-": true });
        schema["additionalProperties"] = false.into();
        schema
    }

    /// `None` for a key that may not be there at all yet.
    fn field(self, field: &Field) -> Option<Value> {
        let default = field.default.map(|text| default_value(field, text));
        let mut schema = match (field.later, &default) {
            (Some(_), None) => return None,
            (Some(_), Some(default)) => json!({ "enum": spellings(field, default) }),
            (None, _) => self.shape(field.shape),
        };
        schema["description"] = field.doc.into();
        if let Some(default) = default {
            schema["default"] = default;
        }
        Some(schema)
    }

    fn shape(self, shape: Shape) -> Value {
        match shape {
            Shape::Text => json!({ "type": ["string", "number"] }),
            Shape::Secret => json!({ "type": ["string", "number"], "format": "password", "writeOnly": true }),
            Shape::Bool => self.or_reference(json!({ "type": "boolean" })),
            Shape::Integer(least, most) => {
                let mut schema = json!({ "type": "integer", "minimum": least });
                if most < i64::MAX {
                    schema["maximum"] = most.into();
                }
                self.or_reference(schema)
            }
            Shape::Number(least, most) => {
                self.or_reference(json!({ "type": "number", "minimum": least, "maximum": most }))
            }
            Shape::Span | Shape::SpanFrom(_) => self.or_reference(json!({
                "type": ["string", "number"], "minimum": 0, "pattern": "^[0-9.]+(us|ms|s|m|h|d)?$",
                "examples": ["10s", "500ms", "5m"]
            })),
            Shape::Timestamp => self.or_reference(json!({ "type": "string", "format": "date-time" })),
            Shape::Host | Shape::RouteHost => {
                self.or_reference(json!({ "type": "string", "pattern": "^[^/\\[\\]\\s]+$" }))
            }
            Shape::ClusterId => self.or_reference(json!({ "type": "string", "pattern": CLUSTER_ID })),
            Shape::Name => self.or_reference(json!({ "type": "string", "pattern": NAME })),
            Shape::RoutePath => self.or_reference(json!({ "type": "string", "pattern": "^/[^?#;\\s]*$" })),
            Shape::Choice(words) => {
                let words: Vec<&str> =
                    words.iter().filter(|word| word.later.is_none()).map(|word| word.text).collect();
                self.or_reference(json!({ "enum": words }))
            }
            Shape::List(inner) => json!({ "type": "array", "items": self.shape(*inner) }),
            Shape::MapOf(Shape::Service) => {
                json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": self.service() })
            }
            Shape::MapOf(inner) => json!({ "type": "object", "additionalProperties": self.shape(*inner) }),
            Shape::Fields(fields) => self.object(&fields.iter().collect::<Vec<_>>()),
            Shape::AnyOf(shapes) => {
                json!({ "anyOf": shapes.iter().map(|shape| self.shape(*shape)).collect::<Vec<_>>() })
            }
            Shape::Service => self.service(),
            Shape::Any => json!({}),
        }
    }

    fn service(self) -> Value {
        let Some(kinds) = self.kinds else {
            let mut schema = self.object(&SERVICE.iter().collect::<Vec<_>>());
            schema["additionalProperties"] = true.into();
            return schema;
        };
        let names = kinds.names();
        // One condition for each kind, so that an editor speaks of the key that is wrong and not of the kind.
        let each = names.iter().filter_map(|name| kinds.find(name)).map(|kind| {
            let mut schema = self.object(&offered_fields(kind));
            schema["properties"]["type"] = json!({ "const": kind.name(), "description": "Its kind." });
            json!({ "if": { "properties": { "type": { "const": kind.name() } } }, "then": schema })
        });
        json!({
            "type": "object",
            "required": ["type"],
            "properties": { "type": { "enum": names } },
            "allOf": each.collect::<Vec<_>>()
        })
    }

    fn or_reference(self, schema: Value) -> Value {
        if self.for_files { json!({ "anyOf": [schema, { "$ref": "#/$defs/reference" }] }) } else { schema }
    }
}

/// A default in each way in which it may be written.
fn spellings(field: &Field, default: &Value) -> Vec<Value> {
    let seconds = match (field.shape, default.as_str().map(str::parse::<Span>)) {
        (Shape::Span | Shape::SpanFrom(_), Some(Ok(span))) => Some(span.0.as_secs().into()),
        _ => None,
    };
    [Some(default.clone()), seconds].into_iter().flatten().collect()
}

const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";
const CLUSTER_ID: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The default as a value of the field's shape.
fn default_value(field: &Field, text: &str) -> Value {
    match field.shape {
        Shape::Text
        | Shape::Span
        | Shape::SpanFrom(_)
        | Shape::Choice(_)
        | Shape::Host
        | Shape::RouteHost
        | Shape::RoutePath => text.into(),
        _ => crate::yaml::parse(text).map_or_else(|_| text.into(), |node| node.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_fields::{CLUSTER, ENDPOINT, HEALTH, ROUTING};
    use crate::field::field;
    use crate::testing::TestKinds;

    #[test]
    fn a_mapping() {
        assert_eq!(
            field_schema(ENDPOINT),
            json!({
                "type": "object",
                "properties": {
                    "host": { "type": "string", "pattern": "^[^/\\[\\]\\s]+$", "description": "Its name or address." },
                    "port": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "Its port; left out, that of its kind." },
                    "weight": { "type": "integer", "minimum": 0, "maximum": 1000, "default": 1,
                        "description": "Its share of the traffic against its siblings; 0 takes it out." },
                    "role": { "enum": ["primary", "replica", "readonly"], "default": "primary",
                        "description": "Whether it takes everything or only reads." }
                },
                "required": ["host"],
                "patternProperties": { "^x-": true },
                "additionalProperties": false
            })
        );
    }

    #[test]
    fn secrets_aliases_and_what_is_not_built() {
        let schema = field_schema(&[
            field("token", Shape::Secret, "A token.").aliases(&["apiToken"]).required(),
            field("soon", Shape::Any, "Later.").later("part 9"),
            field("off", Shape::Bool, "Later, and off.").default("false").later("part 9"),
        ]);
        assert_eq!(schema["properties"]["token"]["writeOnly"], json!(true));
        assert_eq!(schema["properties"]["apiToken"]["deprecated"], json!(true));
        assert_eq!(schema["properties"].get("soon"), None);
        assert_eq!(schema["properties"]["off"]["enum"], json!([false]));
        assert_eq!(schema.get("required"), None);
    }

    #[test]
    fn a_file_may_refer_to_the_environment() {
        let schema = json_schema(HEALTH, "Health");
        assert_eq!(schema["$schema"], json!("https://json-schema.org/draft/2020-12/schema"));
        assert_eq!(schema["title"], json!("Health"));
        assert_eq!(schema["properties"]["threshold"]["anyOf"][1]["$ref"], json!("#/$defs/reference"));
        assert_eq!(schema["properties"]["interval"]["default"], json!("10s"));
        let strategies = &json_schema(ROUTING, "")["properties"]["strategy"]["anyOf"][0]["enum"];
        let words = ["round_robin", "weighted", "least_connections", "two_choices", "latency", "hash"];
        assert_eq!(strategies.as_array().unwrap()[..6], words.map(serde_json::Value::from));
    }

    #[test]
    fn a_service_has_the_keys_of_its_kind() {
        let schema = json_schema_with(CLUSTER, "Cluster", &TestKinds);
        let service = &schema["properties"]["services"]["additionalProperties"];
        assert_eq!(service["properties"]["type"]["enum"], json!(["net", "bare", "mem"]));
        let of_kind = |name: &str| {
            let all = service["allOf"].as_array().unwrap().iter();
            all.map(|each| &each["then"])
                .find(|then| then["properties"]["type"]["const"] == *name)
                .unwrap()
                .clone()
        };
        assert!(of_kind("net")["properties"].get("token").is_some());
        for refused in ["token", "host", "password"] {
            assert!(of_kind("mem")["properties"].get(refused).is_none());
        }
        let plain = json_schema(CLUSTER, "Cluster");
        assert_eq!(
            plain["properties"]["services"]["additionalProperties"]["additionalProperties"],
            json!(true)
        );
    }
}
