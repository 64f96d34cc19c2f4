//! Paths that are documented and belong to later stages: said, never pretended.

use axum::http::Uri;

use crate::door::Told;
use crate::respond;

pub(crate) async fn not_built(uri: Uri) -> Told {
    respond::not_built(uri.path()).into()
}
