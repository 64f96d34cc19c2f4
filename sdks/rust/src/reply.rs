//! The answer as it came, before anything is made of it.

use bytes::Bytes;
use http::HeaderMap;
use http::header::ETAG;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::operations::Operation;

/// The answer as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The id under which the gateway logged this request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-request-id")
    }

    /// The version of what was read, for [`Call::if_match`](crate::Call::if_match).
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.header(ETAG.as_str())
    }

    /// The body as JSON; `null` when it is empty.
    ///
    /// # Errors
    /// It is not JSON, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(body).map_err(|source| {
            Error::unreadable("the answer is not what this call expects", source)
                .with_request_id(self.request_id())
        })
    }

    /// The operation that has begun, where that is the answer (status 202).
    ///
    /// # Errors
    /// Its body is no operation.
    pub fn operation(&self) -> Result<Option<Operation>, Error> {
        if self.status == 202 { self.json().map(Some) } else { Ok(None) }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
