//! What a door of the cores may answer itself instead of routing it: the data API, given as an object over
//! `http` types, since the crates that speak HTTP and those that answer data calls do not know each other.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use clusters::RequestId;
use http::request::Parts;
use http::{Request, Response};
use model::Failure;
use wire::Body;

/// An answer under way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// Answers requests.
pub trait Calls: Send + Sync {
    /// Says by its head alone whether a request may be asked; may leave what it learnt in the head's extensions.
    ///
    /// # Errors
    /// Why not. Nothing of the body has been read then.
    fn admit(&self, head: &mut Parts) -> Result<(), Failure>;

    /// Answers a request that was admitted, whose body has arrived whole. Dropped when the client goes. The
    /// body of an answer to HEAD is left out by the door.
    fn call(&self, request: Request<Bytes>, id: RequestId) -> Answering<'_>;
}
