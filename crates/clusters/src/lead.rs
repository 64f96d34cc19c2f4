//! Who of a service's endpoints may be written to, by what the servers say of themselves.

use model::Seen;
use policy::{HealthState, Lead, Server, leads};

use crate::clock;
use crate::endpoint::Endpoint;
use crate::events::Happening;
use crate::service::Service;

#[cfg(test)]
mod tests;

impl Service {
    /// Asks every adapter what its server last said, and sets who may be written to. Cheap where no kind says anything.
    pub(crate) fn elect(&self) {
        let seen: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.adapter.seen()).collect();
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

    /// Whether nobody may be written to, though servers say what they are: one of them may be promoted any moment.
    pub(crate) fn lacks_a_leader(&self) -> bool {
        let said = |endpoint: &Endpoint| endpoint.lead() != Lead::Unsaid;
        let now = clock::now();
        self.endpoints.iter().any(|endpoint| said(endpoint))
            && !self.endpoints.iter().any(|e| e.takes_writes() && e.standing(now).is_in())
    }

    /// Somebody was refused by a server that only reads, or found nobody to write to: a look at all of them, soon.
    pub(crate) fn look_again(&self) {
        self.elect();
        let now = clock::now();
        for endpoint in &self.endpoints {
            endpoint.suspect(now);
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
        Lead::Replaced => "another was promoted in its place, so that what it has is old: it is not asked",
        Lead::Contested => {
            "another takes writes with as much right: neither is written to until one is stopped or made a replica"
        }
    }
}
