//! Services of which nothing is known but where they are: the kind `tcp`. Listeners that carry bytes lead to them.

use std::sync::Arc;
use std::time::Duration;

use model::check::Problems;
use model::field::{Field, Shape, field, word};
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{Code, EndpointSpec, Failure, ServiceSpec};
use tokio::io::AsyncWriteExt;
use wire::Dial;
use wire::proxy_protocol::Version;

use crate::{Adapter, Call, Driver, Fact, Home, limits};

/// The driver of kind `tcp`.
pub static TCP: TcpDriver = TcpDriver;

/// Knows services of which nothing is known but where they are.
#[derive(Debug)]
pub struct TcpDriver;

const FIELDS: &[Field] = &[
    field(
        "proxy_protocol",
        Shape::Choice(&[word("off"), word("v1"), word("v2")]),
        "How the service is told at the beginning of each connection who the client is.",
    )
    .default("off"),
    field("limits", Shape::Fields(LIMITS), "How many connections it is given at once."),
];

/// What of `limits` says something of bytes.
const LIMITS: &[Field] = &[
    field("max_requests", Shape::Integer(1, 1_000_000), "Connections of clients that are open at once."),
    field(
        "max_pending",
        Shape::Integer(0, 1_000_000),
        "Connections that wait, in order, for one of these to end; left out, as many as may be open.",
    ),
];

/// What a user of such services should know.
const FACTS: &[Fact] = &[
    Fact {
        name: "protocol",
        says: "Bytes, of which nothing is understood: a listener with `protocol: tcp` leads to it, and no route.",
    },
    Fact {
        name: "health",
        says: "A probe is a connection that opens, which a process that is frozen also allows.",
    },
];

impl KindCheck for TcpDriver {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        None
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn check(&self, service: &Node, problems: &mut Problems) {
        limits::check(service, problems);
    }
}

impl Driver for TcpDriver {
    fn about(&self) -> &'static str {
        "A service at a host and port, of whatever protocol, behind a listener that carries bytes"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[]
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
        let introduces = match service.options.get("proxy_protocol").and_then(|said| said.as_str()) {
            Some("v1") => Some(Version::V1),
            Some("v2") => Some(Version::V2),
            _ => None,
        };
        Ok(Arc::new(TcpAdapter { dial: Dial::to(&endpoint.host, endpoint.port), introduces }))
    }
}

/// One endpoint.
#[derive(Debug)]
struct TcpAdapter {
    dial: Dial,
    introduces: Option<Version>,
}

impl Adapter for TcpAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            let asked = tokio::time::timeout(timeout, async {
                let mut stream = self.dial.connect().await?;
                if let Some(version) = self.introduces {
                    // A probe is a connection of our own, and says so.
                    let mut header = Vec::new();
                    version.write(None, &mut header);
                    stream.write_all(&header).await?;
                }
                Ok::<_, std::io::Error>(())
            });
            match asked.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Failure::service(Code::BadGateway, format!("cannot connect: {error}"))),
                Err(_) => {
                    let detail = format!("no connection within {} ms", timeout.as_millis());
                    Err(Failure::service(Code::Timeout, detail))
                }
            }
        })
    }

    fn probe_is_an_answer(&self) -> bool {
        false
    }

    fn introduces(&self) -> Option<Version> {
        self.introduces
    }
}
