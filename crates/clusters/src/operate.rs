//! What an operator does to a running service: taking it out of rotation and back, and closing a breaker.

use std::sync::atomic::Ordering::Relaxed;

use model::view::ServiceFacts;
use model::{Code, Failure};

use crate::change::By;
use crate::{Clusters, Happening, Service, clock};

impl Clusters {
    /// Takes a service out of rotation, or back in. Requests under way go on.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn set_draining(
        &self,
        id: &str,
        name: &str,
        draining: bool,
        reason: Option<&str>,
        by: By,
    ) -> Result<ServiceFacts, Failure> {
        let service = self.snapshot().service(id, name)?.clone();
        if service.shared.draining.swap(draining, Relaxed) != draining {
            service.shared.drained_since.store(clock::now().0, Relaxed);
            let (kind, verb) =
                if draining { ("draining", "taken out of rotation") } else { ("undrained", "put back") };
            self.tell_operated(&service, kind, None, verb, reason, by);
        }
        Ok(service.facts())
    }

    /// Closes the breakers of a service, or of one of its endpoints, and takes it back if it was set aside.
    ///
    /// # Errors
    /// `not_found` for the service or the endpoint.
    pub async fn reset_breaker(
        &self,
        id: &str,
        name: &str,
        endpoint: Option<&str>,
        reason: Option<&str>,
        by: By,
    ) -> Result<ServiceFacts, Failure> {
        let service = self.snapshot().service(id, name)?.clone();
        let now = clock::now();
        let mut found = false;
        for one in service.endpoints.iter().filter(|one| endpoint.is_none_or(|asked| asked == &*one.label)) {
            found = true;
            one.breaker.reset(now);
            service.shared.ejector.restore(&one.ejection, now);
            one.silence.heard(now);
            one.tell(now, &service.events, &service.cluster, &service.name, "operator");
        }
        if !found {
            let labels: Vec<&str> = service.endpoints.iter().map(|endpoint| &*endpoint.label).collect();
            return Err(Failure::client(
                Code::NotFound,
                format!("`{}` has no endpoint `{}`.", service.path(), endpoint.unwrap_or_default()),
            )
            .with_hint(format!("It has: {}.", labels.join(", "))));
        }
        self.tell_operated(&service, "breaker_reset", endpoint, "breaker closed by hand", reason, by);
        Ok(service.facts())
    }

    fn tell_operated(
        &self,
        service: &Service,
        kind: &str,
        endpoint: Option<&str>,
        verb: &str,
        reason: Option<&str>,
        by: By,
    ) {
        self.events().tell(Happening {
            kind: format!("service.{kind}"),
            cluster: Some(service.cluster.to_string()),
            service: Some(service.name.to_string()),
            endpoint: endpoint.map(str::to_owned),
            actor: by.actor.into_owned(),
            message: reason.map_or_else(|| verb.to_owned(), |reason| format!("{verb}: {reason}")),
            request_id: by.request_id,
            ..Happening::default()
        });
    }
}
