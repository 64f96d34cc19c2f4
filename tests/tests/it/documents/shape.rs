//! Whether an answer is of the shape that a document shows: what stands there is there, of the same type. More may be.

use serde_json::Value;

/// Says where `said` is not as `shown`.
pub(super) fn differs(shown: &Value, said: &Value, path: &str) -> Option<String> {
    match (shown, said) {
        (Value::Object(shown), Value::Object(said)) => {
            shown.iter().find_map(|(name, shown)| match said.get(name) {
                None => Some(format!("{path} has no `{name}`")),
                // A word of a set that clients compare with; the rest is an example.
                Some(said) if name == "status" && said != shown => {
                    Some(format!("{path}.{name} is {said}, and {shown} is shown"))
                }
                Some(said) => differs(shown, said, &format!("{path}.{name}")),
            })
        }
        (Value::Array(shown), Value::Array(said)) => match (shown.first(), said.first()) {
            (Some(_), None) => Some(format!("{path} is empty")),
            (Some(shown), Some(said)) => differs(shown, said, &format!("{path}[0]")),
            (None, _) => None,
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => None,
        (shown, said) => Some(format!("{path} is {said}, and {shown} is shown")),
    }
}

#[test]
fn a_shape_that_is_another_is_found() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let shown = value(r#"{"list": [{"status": "HEALTHY", "port": 1}], "count": 1}"#);
    let found = |said: &str| differs(&shown, &value(said), "it");
    assert_eq!(found(r#"{"list": [{"status": "HEALTHY", "port": 7, "more": 1}], "count": 0}"#), None);
    for (said, told) in [
        (r#"{"list": []}"#, "it.list is empty"),
        (r#"{"list": [{"status": "HEALTHY"}]}"#, "it.list[0] has no `port`"),
        (r#"{"list": [{"status": "UNHEALTHY", "port": 1}]}"#, "it.list[0].status is \"UNHEALTHY\""),
        (r#"{"list": [{"status": "HEALTHY", "port": "1"}]}"#, "it.list[0].port is \"1\""),
        (r#"{"list": [{"status": "HEALTHY", "port": 1}]}"#, "it has no `count`"),
    ] {
        let fault = found(said).unwrap();
        assert!(fault.starts_with(told), "{fault}");
    }
}
