//! Who of a service's endpoints may be written to, by what the servers say of themselves.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use model::{Code, Failure, Role, Seen};
use policy::{HealthState, Lead, Server, leads};

use crate::clock;
use crate::endpoint::Endpoint;
use crate::events::Happening;
use crate::service::Service;

#[cfg(test)]
mod tests;

/// How long a write waits for the first look at the servers of its service.
const FIRST_LOOK: Duration = Duration::from_secs(2);

impl Service {
    /// Asks every adapter what its server last said, and sets who may be written to. Cheap where no kind says anything.
    pub(crate) fn elect(&self) {
        // Two probes that end together: the one who looked first must not have the last word.
        let _electing = self.shared.electing.lock().unwrap_or_else(PoisonError::into_inner);
        let said = |endpoint: &Arc<Endpoint>| match &endpoint.adapter {
            // What it said holds no more.
            adapter if adapter.has_news() => None,
            adapter => adapter.seen(),
        };
        let seen: Vec<_> = self.endpoints.iter().map(said).collect();
        if seen.iter().all(Option::is_none) {
            return;
        }
        let servers: Vec<_> =
            self.endpoints.iter().zip(&seen).map(|(e, seen)| server(e, seen.as_ref())).collect();
        for (endpoint, lead) in self.endpoints.iter().zip(leads(&servers)) {
            let before = endpoint.takes_writes();
            if endpoint.set_lead(lead) && (before != endpoint.takes_writes() || lead == Lead::Contested) {
                self.tell_lead(endpoint, lead);
            }
        }
    }

    /// Whether one of several servers was never asked what it is: the one that was asked for as the primary may have
    /// been replaced before we began.
    pub(crate) fn is_unlooked(&self) -> bool {
        self.endpoints.len() > 1
            && self.endpoints.iter().any(|endpoint| endpoint.is_unlooked())
            && self.health.enabled
    }

    /// Waits for a moment until all servers were asked what they are.
    ///
    /// # Errors
    /// `no_endpoint` when one was not: a write is rather refused than lost at a server that was replaced.
    pub(crate) async fn first_look(&self, deadline: Instant) -> Result<(), Failure> {
        let end = deadline.min(Instant::now() + FIRST_LOOK);
        loop {
            let probed = self.shared.probed.notified();
            if !self.is_unlooked() {
                return Ok(());
            }
            if tokio::time::timeout_at(end.into(), probed).await.is_err() {
                let detail =
                    format!("Not every server of `{}` was asked yet whether it takes writes.", self.path());
                return Err(Failure::gateway(Code::NoEndpoint, detail)
                    .with_service(self.name.clone())
                    .with_retry_after(Duration::from_secs(1)));
            }
        }
    }

    /// Whether nobody may be written to, though servers say what they are: one of them may be promoted any moment.
    pub(crate) fn lacks_a_leader(&self) -> bool {
        let said = |endpoint: &Endpoint| endpoint.lead() != Lead::Unsaid;
        let now = clock::now();
        self.endpoints.iter().any(|endpoint| said(endpoint))
            && !self.endpoints.iter().any(|e| e.takes_writes() && e.standing(now).is_in())
    }

    /// Whether servers say that none of them takes writes, though one of them was asked for to do so.
    pub(crate) fn has_nobody_to_write_to(&self) -> bool {
        self.asks_for_a_primary() && !self.endpoints.iter().any(|endpoint| endpoint.takes_writes())
    }

    /// Whether one of its servers was asked for to take writes.
    pub(crate) fn asks_for_a_primary(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.role == Role::Primary)
    }

    /// Somebody was refused by a server that only reads, or found nobody to write to: a look at all of them, soon.
    pub(crate) fn look_again(&self) {
        self.elect();
        let now = clock::now();
        for endpoint in &self.endpoints {
            endpoint.suspect(now);
        }
    }

    /// Its server may have said unasked that it is another than it was. Then nobody knows who takes writes until it was
    /// asked, which is at once, and those who write wait for that as they do after a start.
    pub(crate) fn heed(&self, endpoint: &Endpoint) {
        if !endpoint.adapter.has_news() || !self.health.enabled {
            return;
        }
        let _electing = self.shared.electing.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody who has asked meanwhile has had the answer, and says who leads.
        if endpoint.adapter.has_news() {
            endpoint.forget_lead(clock::now());
        }
    }

    fn tell_lead(&self, endpoint: &Endpoint, lead: Lead) {
        self.events.tell(Happening {
            kind: format!("endpoint.{}", kind(lead)),
            cluster: Some(self.cluster.to_string()),
            service: Some(self.name.to_string()),
            endpoint: Some(endpoint.label.to_string()),
            actor: "probe".to_owned(),
            message: about(lead).to_owned(),
            ..Happening::default()
        });
    }
}

fn server<'s>(endpoint: &Endpoint, seen: Option<&'s Seen>) -> Server<'s> {
    let up = endpoint.health_state() != HealthState::Unhealthy;
    Server { asked: endpoint.role, seen, up }
}

fn kind(lead: Lead) -> &'static str {
    match lead {
        Lead::Leads | Lead::Unsaid => "primary",
        Lead::Follows | Lead::CutOff => "replica",
        Lead::Replaced => "replaced",
        Lead::Contested => "contested",
    }
}

/// What it means, in one sentence.
pub(crate) fn about(lead: Lead) -> &'static str {
    match lead {
        Lead::Unsaid => "says nothing of its role",
        Lead::Leads => "takes writes",
        Lead::Follows => "takes reads only",
        Lead::CutOff => "takes reads only, and has lost its primary: it is asked when nobody else is there",
        Lead::Replaced => {
            "another was promoted in its place: what it has is old, and it is asked when nobody else is there"
        }
        Lead::Contested => {
            "another takes writes with as much right: neither is written to until one is stopped or made a replica"
        }
    }
}
