//! Services that speak gRPC: the kind `grpc`. Calls go through the same door and the same walk as those of `http`, always
//! over HTTP/2; what is their own is how their health is asked.

mod options;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::http::{Pool, Protocol, WebSockets};
use crate::{Adapter, Call, Driver, Fact, Home, tls};

/// The driver of kind `grpc`.
pub static GRPC: GrpcDriver = GrpcDriver;

/// Knows services that speak gRPC.
#[derive(Debug)]
pub struct GrpcDriver;

/// What a user of such services should know.
const FACTS: &[Fact] = &[
    Fact {
        name: "protocol",
        says: "Unary calls and streams of all three forms, with trailers. A client speaks HTTP/2 to the gateway, and the \
               gateway to the service. How a call ended is read from its `grpc-status`: UNKNOWN, DEADLINE_EXCEEDED, \
               INTERNAL, UNAVAILABLE and DATA_LOSS count against the endpoint.",
    },
    Fact {
        name: "deadlines",
        says: "`grpc-timeout` is kept, and passed on. A call without one waits as long as the stream limit of the door, \
               unless its route has a `timeout`.",
    },
    Fact {
        name: "health",
        says: "With `health.grpc` the service is asked by the gRPC health protocol; without it a probe is a connection \
               that opens.",
    },
];

impl KindCheck for GrpcDriver {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        Some(50051)
    }

    fn fields(&self) -> &'static [Field] {
        options::FIELDS
    }

    fn check(&self, service: &Node, problems: &mut Problems) {
        tls::check(service, problems);
        crate::limits::check(service, problems);
    }
}

impl Driver for GrpcDriver {
    fn about(&self) -> &'static str {
        "A service that speaks gRPC, over HTTP/2"
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
        let tls = tls::of(service)?;
        let protocol = if tls.is_some() { Protocol::H2 } else { Protocol::H2c };
        let pool = Pool::of(endpoint.address(), protocol, tls, WebSockets::default())?;
        let pool = pool.within(service.limits().as_ref());
        Ok(Arc::new(GrpcAdapter { pool, asked: options::asked_of(service) }))
    }
}

/// One gRPC endpoint.
#[derive(Debug)]
struct GrpcAdapter {
    pool: Pool,
    /// The name whose health is asked; the empty one is the whole server's.
    asked: Option<Box<str>>,
}

impl Adapter for GrpcAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(probe::ask(&self.pool, self.asked.as_deref(), timeout))
    }

    fn probe_is_an_answer(&self) -> bool {
        self.asked.is_some()
    }

    fn http(&self) -> Option<&Pool> {
        Some(&self.pool)
    }

    fn sweep(&self) {
        self.pool.sweep();
    }
}
