//! A failure as an RFC 9457 problem document, with the older names that earlier clients read.

use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};

/// The media type.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// HTTP status of a failure; timeouts are 504 unless a setting says otherwise.
#[must_use]
pub fn status(failure: &Failure, timeout_status: u16) -> u16 {
    if failure.code() == Code::Timeout { timeout_status } else { failure.code().status() }
}

/// The document. `status` is what [`status`] said.
#[must_use]
pub fn document(failure: &Failure, status: u16, request_id: &str) -> Value {
    let row = failure.code().row();
    let mut body = Map::new();
    body.insert("type".into(), json!(format!("https://throome.dev/errors/{}", row.name)));
    body.insert("title".into(), json!(row.title));
    body.insert("status".into(), json!(status));
    body.insert("detail".into(), json!(failure.detail()));
    body.insert("code".into(), json!(row.name));
    body.insert("retryable".into(), json!(failure.retryable()));
    if let Some(hint) = failure.hint() {
        body.insert("hint".into(), json!(hint));
    }
    body.insert("request_id".into(), json!(request_id));
    if let Some(service) = failure.service_name() {
        body.insert("service".into(), json!(service));
    }
    if let Some((field, value)) = failure.native() {
        body.insert(field.into(), json!(value));
    }
    body.insert("errors".into(), json!(failure.problems()));
    body.insert("error".into(), json!(failure.detail()));
    body.insert("message".into(), json!(failure.detail()));
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_what_every_client_reads() {
        let failure =
            Failure::service(Code::Timeout, "No answer within 5 ms.").with_native("sqlstate", "57014");
        let body = document(&failure, status(&failure, 408), "r-1");
        for (key, value) in [
            ("status", json!(408)),
            ("code", json!("timeout")),
            ("error", json!("No answer within 5 ms.")),
            ("message", json!("No answer within 5 ms.")),
            ("request_id", json!("r-1")),
            ("sqlstate", json!("57014")),
            ("retryable", json!(false)),
        ] {
            assert_eq!(body[key], value, "{key}");
        }
    }
}
