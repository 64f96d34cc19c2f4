//! The data API behind a door of its own: the same guard, the same calls, nothing else.

use bytes::Bytes;
use clusters::RequestId;
use http::request::Parts;
use http::{Request, Response};
use model::Failure;
use wire::Body;

use super::Data;
use crate::body::is_plain;
use crate::guard::{Caller, GuardOptions, Open};
use crate::respond;

/// Data calls for whoever brings the connections. Clones share it.
#[derive(Clone)]
pub struct DataDoor {
    data: Data,
    guard: GuardOptions,
}

impl DataDoor {
    /// These calls, behind this guard.
    #[must_use]
    pub fn new(data: Data, guard: GuardOptions) -> Self {
        DataDoor { data, guard }
    }

    /// Says by its head alone whether a request may be asked, and leaves in it who asks.
    ///
    /// # Errors
    /// `unauthenticated`, `permission_denied`, `invalid_request`; `not_found` for what is no data call.
    pub fn admit(&self, head: &mut Parts) -> Result<(), Failure> {
        let caller = self.guard.check(head, Open::No)?;
        if !Data::is_at(head.uri.path()) {
            return Err(respond::unknown_path(head.uri.path())
                .with_hint("This door answers data calls alone; everything else is at the control door."));
        }
        is_plain(&head.headers)?;
        // Without a word of it the caller is one whom the door trusts: nearly all are, and it costs nothing.
        if caller != Caller::Trusted {
            head.extensions.insert(caller);
        }
        Ok(())
    }

    /// Answers a request that was admitted, whose body has arrived whole.
    pub fn call(
        &self,
        mut request: Request<Bytes>,
        id: RequestId,
    ) -> impl Future<Output = Response<Body>> + Send + '_ {
        let caller = request.extensions_mut().remove().unwrap_or(Caller::Trusted);
        self.data.call(request, caller, id)
    }
}
