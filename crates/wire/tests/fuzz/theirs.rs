//! What hyper's server understands of the same bytes.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::Understood;
use crate::support::run;

/// Requests that were whole, in order.
pub(super) fn read(bytes: &[u8]) -> Vec<Understood> {
    let understood = Arc::<Mutex<Vec<Understood>>>::default();
    let shared = understood.clone();
    run(async move {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = shared.clone();
            async move {
                if let Some(one) = understand(request).await {
                    shared.lock().unwrap().push(one);
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let mut settings = http1::Builder::new();
        settings.half_close(true).header_read_timeout(None);
        // How it ends is of no interest, only what it took until then.
        let _ = settings.serve_connection(TokioIo::new(server), service).await;
    });
    Arc::into_inner(understood).unwrap().into_inner().unwrap()
}

async fn understand(request: Request<Incoming>) -> Option<Understood> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes().to_vec();
    let field = head.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let host = head.uri.authority().map(ToString::to_string).or(field).unwrap_or_default();
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    Some(Understood { method: head.method.to_string(), target, host, body })
}
