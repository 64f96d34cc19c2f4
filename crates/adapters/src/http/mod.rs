//! Services that speak HTTP: the kind `http`.

mod options;
mod pool;
mod probe;
mod secured;
mod streams;
mod turn;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

pub use pool::{Pool, Protocol, Unreached};
pub use turn::{Limited, Turn};
pub use websocket::WebSockets;
pub use wire::seats::Full;

use crate::{Adapter, Call, Driver, Fact, Home, tls};

/// The driver of kind `http`.
pub static HTTP: HttpDriver = HttpDriver;

/// Knows services that speak HTTP.
#[derive(Debug)]
pub struct HttpDriver;

/// What a user of such services should know.
const FACTS: &[Fact] = &[
    Fact {
        name: "protocol",
        says: "HTTP/1.1 to the service, or HTTP/2 where `protocol` says so, whatever the client speaks. WebSocket and \
               server-sent events pass through.",
    },
    Fact {
        name: "tls",
        says: "With `tls` connections are secured and the service's certificate is checked. Its files are read again when \
               they change; connections that stand keep what they began with.",
    },
    Fact {
        name: "health",
        says: "Without `health.path` a probe is a connection that opens, which a process that is frozen also allows: \
               then only requests show that nobody answers.",
    },
];

impl KindCheck for HttpDriver {
    fn name(&self) -> &'static str {
        "http"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        Some(80)
    }

    fn fields(&self) -> &'static [Field] {
        options::FIELDS
    }

    fn check(&self, service: &Node, problems: &mut Problems) {
        options::check(service, problems);
    }
}

impl Driver for HttpDriver {
    fn about(&self) -> &'static str {
        "A service that speaks HTTP/1.1 or HTTP/2, with WebSocket and server-sent events passed through"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Http]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn connect(
        &self,
        endpoint: &EndpointSpec,
        service: &ServiceSpec,
        _home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let probe = options::probe_of(service)?;
        let (tls, websockets) = (tls::of(service)?, WebSockets::of(service));
        let pool = Pool::of(endpoint.address(), options::protocol_of(service), tls, websockets)?;
        let pool = pool.within(service.limits().as_ref());
        Ok(Arc::new(HttpAdapter { pool, probe }))
    }
}

/// One HTTP endpoint.
#[derive(Debug)]
struct HttpAdapter {
    pool: Pool,
    probe: probe::Probe,
}

impl Adapter for HttpAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(self.probe.ask(&self.pool, timeout))
    }

    fn probe_is_an_answer(&self) -> bool {
        self.probe.path.is_some()
    }

    fn http(&self) -> Option<&Pool> {
        Some(&self.pool)
    }

    fn sweep(&self) {
        self.pool.sweep();
    }
}
