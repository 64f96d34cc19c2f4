//! Versions of clusters and routes: `ETag` and `If-Match`.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use model::{Code, Failure};

/// Adds the tag of this revision.
pub(crate) fn tagged(mut response: Response, revision: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The revision that a change is meant for; `None` for whichever is there. Where several are named, the one
/// that is there now is meant: `current` says it.
///
/// # Errors
/// `precondition_failed` when no revision can match, `invalid_request` for what is no tag at all.
pub(crate) fn if_match(
    headers: &HeaderMap,
    current: impl FnOnce() -> Option<u64>,
) -> Result<Option<u64>, Failure> {
    let mut revisions = Vec::new();
    let mut any_tag = false;
    for value in headers.get_all(header::IF_MATCH) {
        let value = value.to_str().map_err(|_| no_tag())?;
        for tag in value.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            if tag == "*" {
                return Ok(None);
            }
            let (weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |rest| (true, rest));
            let opaque =
                quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(no_tag)?;
            any_tag = true;
            // A weak tag never matches where a change depends on it (RFC 9110, 13.1.1).
            revisions.extend(opaque.parse::<u64>().ok().filter(|_| !weak));
        }
    }
    match revisions.as_slice() {
        [] if any_tag => Err(Failure::client(Code::PreconditionFailed, "`If-Match` names no version of it.")
            .with_hint("Send the `ETag` of the answer that was read, or `*`.")),
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        [first, ..] => Ok(current().filter(|now| revisions.contains(now)).or(Some(*first))),
    }
}

fn no_tag() -> Failure {
    Failure::client(Code::InvalidRequest, "`If-Match` is not a list of tags in quotes, or `*`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, current: u64) -> Result<Option<u64>, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, value.parse().unwrap());
        if_match(&headers, || Some(current)).map_err(|failure| failure.code())
    }

    #[test]
    fn tags_are_read_as_http_has_them() {
        for (value, expected) in [
            ("*", Ok(None)),
            ("\"7\"", Ok(Some(7))),
            ("\"5\", \"7\"", Ok(Some(7))),
            ("\"5\", \"6\"", Ok(Some(5))),
            ("\"x\", \"7\"", Ok(Some(7))),
            ("W/\"7\"", Err(Code::PreconditionFailed)),
            ("\"x\"", Err(Code::PreconditionFailed)),
            ("7", Err(Code::InvalidRequest)),
            ("\"7", Err(Code::InvalidRequest)),
        ] {
            assert_eq!(read(value, 7), expected, "{value}");
        }
        assert_eq!(if_match(&HeaderMap::new(), || None).unwrap(), None);
    }
}
