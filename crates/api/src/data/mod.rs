//! The data API: every URL of it on one screen. Plain functions over `http` types, so that any door can
//! carry it; the guard stands before it, at the door.

mod ask;
pub(crate) mod bodies;
pub(crate) mod cache;
pub(crate) mod keys;
mod operations;

use bytes::Bytes;
use clusters::{Clusters, RequestId};
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use model::{Code, Failure};

use crate::percent::{Plus, decode, decode_text};
use crate::query::Query;
use crate::respond::{self, Telling};
use ask::Target;

/// Answers calls of the data API.
#[derive(Clone)]
pub struct Data {
    clusters: Clusters,
    telling: Telling,
}

/// One call. Which path means it, and with which methods, is in [`CALLS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Get,
    Set,
    Delete,
    Incr,
    Expire,
    Ttl,
    Scan,
    /// One key as a resource, named by the rest of the path.
    Key,
    /// A command in the engine's own words: none of the kinds that exist takes any.
    Native,
}

/// Paths below `/api/v1/clusters/{id}/cache/`, and their methods as `Allow` lists them.
const CALLS: &[(&str, &str, Call)] = &[
    ("get", "POST", Call::Get),
    ("set", "POST", Call::Set),
    ("delete", "POST", Call::Delete),
    ("incr", "POST", Call::Incr),
    ("expire", "POST", Call::Expire),
    ("ttl", "GET,HEAD", Call::Ttl),
    ("keys", "GET,HEAD", Call::Scan),
    ("keys/", "GET,HEAD,PUT,DELETE", Call::Key),
    ("command", "POST", Call::Native),
    ("pipeline", "POST", Call::Native),
    ("multi-exec", "POST", Call::Native),
];

const CLUSTERS: &str = "/api/v1/clusters/";

impl Data {
    /// Calls on the services of these clusters. `timeout_status` is the HTTP status of code `timeout`.
    #[must_use]
    pub fn new(clusters: Clusters, timeout_status: u16) -> Self {
        Data { clusters, telling: Telling { timeout_status } }
    }

    /// Whether a path is one of the data API.
    #[must_use]
    pub fn is_at(path: &str) -> bool {
        place(path).is_some()
    }

    /// Answers one call, whose body has arrived whole. Every answer carries the id; failures are problem
    /// documents. An answer to HEAD has the body that GET would have: the door leaves it out.
    pub async fn call(&self, request: Request<Bytes>, id: RequestId) -> Response<Bytes> {
        let answer = self.dispatch(&request, id).await;
        let mut response = answer.unwrap_or_else(|failure| self.telling.problem(&failure, &id));
        respond::finish(response.headers_mut(), &id);
        response
    }

    async fn dispatch(&self, request: &Request<Bytes>, id: RequestId) -> Result<Response<Bytes>, Failure> {
        let path = request.uri().path();
        let unknown = || respond::unknown_path(path);
        let (cluster, rest) = place(path).ok_or_else(unknown)?;
        let (call, methods, key) = find(rest).ok_or_else(unknown)?;
        let method = request.method();
        if *method == Method::OPTIONS {
            let mut response = respond::empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            return Ok(response);
        }
        if !methods.split(',').any(|known| known == method.as_str()) {
            return Ok(Telling::wrong_method(method, &HeaderValue::from_static(methods), &id));
        }
        let cluster = decode_text(cluster, Plus::Plus).ok_or_else(unknown)?;
        let mut query = Query::of(request.uri());
        let service = query.text("service");
        let target = Target { clusters: &self.clusters, cluster: &cluster, service: service.as_deref(), id };
        let body: &[u8] = request.body();
        match call {
            Call::Get => cache::get(&target, query, body).await,
            Call::Set => cache::set(&target, query, body).await,
            Call::Delete => cache::delete(&target, query, body).await,
            Call::Incr => cache::incr(&target, query, body).await,
            Call::Expire => cache::expire(&target, query, body).await,
            Call::Ttl => cache::ttl(&target, query).await,
            Call::Scan => keys::scan(&target, query).await,
            Call::Native => {
                query.done()?;
                cache::native(&target)
            }
            Call::Key => {
                let key = decode(key, Plus::Plus).ok_or_else(|| {
                    let detail = "The key has a percent sign without two hexadecimal digits.";
                    Failure::client(Code::InvalidRequest, detail)
                })?;
                match *method {
                    Method::PUT => keys::put(&target, query, &key, request).await,
                    Method::DELETE => keys::delete(&target, query, &key).await,
                    _ => keys::get(&target, query, &key).await,
                }
            }
        }
    }
}

/// Cluster and rest of a path of the data API, both as they were sent.
fn place(path: &str) -> Option<(&str, &str)> {
    let (cluster, rest) = path.strip_prefix(CLUSTERS)?.split_once('/')?;
    Some((cluster, rest.strip_prefix("cache/")?))
}

/// The call that a path means, its methods, and the key in it.
fn find(rest: &str) -> Option<(Call, &'static str, &str)> {
    if let Some(key) = rest.strip_prefix("keys/") {
        return CALLS
            .iter()
            .find(|(_, _, call)| *call == Call::Key && !key.is_empty())
            .map(|(_, methods, call)| (*call, *methods, key));
    }
    CALLS.iter().find(|(path, ..)| *path == rest).map(|(_, methods, call)| (*call, *methods, ""))
}

/// Every path below `cache/`, as a document writes it; those that no kind takes are not promised.
#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = String> {
    let promised = CALLS.iter().filter(|(_, _, call)| *call != Call::Native);
    promised
        .map(|(path, _, call)| if *call == Call::Key { format!("{path}{{key}}") } else { (*path).to_owned() })
}
