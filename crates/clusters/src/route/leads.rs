//! What answers for a route.

use std::sync::Arc;

use bytes::Bytes;
use model::route::RespondSpec;
use model::{Failure, RouteSpec};
use policy::{Redirect, Shares};

use crate::service::Service;

/// What answers.
pub enum Leads {
    /// A service.
    Service(Arc<Service>),
    /// One of several services, by weight.
    Split(Box<Split>),
    /// Another address, which the client is to ask.
    Redirect(Box<Redirect>),
    /// The gateway itself, always the same.
    Fixed(Box<Fixed>),
}

/// Several services by weight.
pub struct Split {
    services: Box<[Arc<Service>]>,
    shares: Shares,
}

/// An answer that is always the same.
#[derive(Debug)]
pub struct Fixed {
    /// From 200 to 599.
    pub status: u16,
    /// `Content-Type`; `None` where there is no body.
    pub content_type: Option<Box<str>>,
    /// Empty for the statuses that have none.
    pub body: Bytes,
}

impl Leads {
    pub(super) fn new(
        spec: &RouteSpec,
        find: impl Fn(&str) -> Result<Arc<Service>, Failure>,
    ) -> Result<Self, Failure> {
        Ok(if let Some(redirect) = &spec.redirect {
            Leads::Redirect(Box::new(Redirect::new(redirect)))
        } else if let Some(respond) = &spec.respond {
            Leads::Fixed(Box::new(Fixed::new(respond)))
        } else if spec.split.is_empty() {
            Leads::Service(find(&spec.service)?)
        } else {
            let services = spec.split.iter().map(|part| find(&part.service)).collect::<Result<_, _>>()?;
            let shares = Shares::new(spec.split.iter().map(|part| part.weight));
            Leads::Split(Box::new(Split { services, shares }))
        })
    }

    /// The services that may answer, in the order asked.
    #[must_use]
    pub fn services(&self) -> &[Arc<Service>] {
        match self {
            Leads::Service(service) => std::slice::from_ref(service),
            Leads::Split(split) => &split.services,
            Leads::Redirect(_) | Leads::Fixed(_) => &[],
        }
    }
}

impl Split {
    pub(super) fn draw(&self, seed: u64) -> Option<&Arc<Service>> {
        self.services.get(self.shares.draw(seed)?)
    }

    /// The service of the endpoint that this key names, as long as it has a share.
    pub(super) fn of_endpoint(&self, key: u64) -> Option<&Arc<Service>> {
        let has = |service: &Arc<Service>| service.endpoints.iter().any(|own| own.load.name() == key);
        let mut found = self.services.iter().enumerate().filter(|(_, service)| has(service));
        found.find(|(index, _)| self.shares.has(*index)).map(|(_, service)| service)
    }
}

impl Fixed {
    pub(super) fn new(spec: &RespondSpec) -> Self {
        let RespondSpec { status, body, content_type } = spec;
        let kind = content_type.as_deref().unwrap_or("text/plain; charset=utf-8");
        Fixed {
            status: *status,
            content_type: (!body.is_empty()).then(|| kind.into()),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }
}
