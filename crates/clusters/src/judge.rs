//! What is said of a service: one word, one verdict, and the sentence that tells why, from where its endpoints stand.

use std::sync::atomic::Ordering::Relaxed;

use model::view::Status;
use policy::Time;

use crate::endpoint::{Endpoint, Standing, UNASKED};
use crate::lead;
use crate::service::Service;

/// What the endpoints of a service come to.
pub(crate) struct Judgement {
    pub(crate) status: Status,
    pub(crate) verdict: &'static str,
    /// In one sentence.
    pub(crate) reason: String,
    pub(crate) since: Time,
}

/// Judges a service by what is known of its endpoints.
pub(crate) fn judge(service: &Service, now: Time) -> Judgement {
    let all: Vec<Looked<'_>> =
        service.endpoints.iter().map(|endpoint| Looked::at(service, endpoint, now)).collect();
    let latest = all.iter().map(|one| one.since).max().unwrap_or(now);
    if service.is_draining() {
        let since = Time(service.shared.drained_since.load(Relaxed));
        let reason = "taken out of rotation by an operator".to_owned();
        return Judgement { status: Status::Unhealthy, verdict: "not_serving", reason, since };
    }
    let (well, total) = (all.iter().filter(|one| one.is_well()).count(), all.len());
    let partly = |one: &Looked<'_>| one.lacks || one.endpoint.lead().is_trouble();
    let as_asked = if all.iter().any(partly) { " as they should" } else { "" };
    let count = || format!("{well} of {total} endpoints answer{as_asked}");
    let others = || {
        let others = all.iter().filter(|one| !one.is_well());
        others.map(|one| format!("{}: {}", one.endpoint.label, one.why)).collect::<Vec<_>>().join("; ")
    };
    let (status, verdict, reason) = if total == 0 {
        (Status::Unhealthy, "not_serving", "it has no endpoint".to_owned())
    } else if all.iter().all(Looked::is_lost) {
        (Status::Unhealthy, "not_serving", others())
    } else if all.iter().any(Looked::is_in_trouble) {
        (Status::Degraded, "serving_degraded", format!("{}; {}", count(), others()))
    } else if service.has_nobody_to_write_to() {
        let reason = format!("{}, and none of them takes writes", count());
        (Status::Degraded, "serving_degraded", reason)
    } else if well == total {
        (Status::Healthy, "serving", count())
    } else if all.iter().all(|one| one.why == UNASKED) {
        (Status::Unknown, "serving", UNASKED.to_owned())
    } else {
        (Status::Unknown, "serving", format!("{}; {}", count(), others()))
    };
    // Why it does not run says more than that it does not answer.
    let runs = service.lifecycle().and_then(|lifecycle| lifecycle.says);
    let reason = match runs {
        Some(says) if status != Status::Healthy => format!("{says}; {reason}"),
        _ => reason,
    };
    Judgement { status, verdict, reason, since: latest }
}

/// An endpoint as it stands now.
pub(crate) struct Looked<'e> {
    endpoint: &'e Endpoint,
    pub(crate) standing: Standing,
    pub(crate) since: Time,
    /// Why it stands so, and what is wrong with its part among its siblings.
    pub(crate) why: String,
    /// A part of it does not answer.
    lacks: bool,
    /// Its probes fail, and nobody believes them.
    doubted: bool,
}

impl<'e> Looked<'e> {
    pub(crate) fn at(service: &Service, endpoint: &'e Endpoint, now: Time) -> Self {
        let (standing, since, mut why) = endpoint.facts(now);
        let doubted = standing == Standing::Unhealthy && service.asks(endpoint, now);
        if doubted {
            why = format!("{why}; asked all the same, since too many fail their probes at once");
        }
        if endpoint.lead().is_trouble() {
            why = format!("{why}; {}", lead::about(endpoint.lead()));
        }
        let lacks = endpoint.adapter().lacks();
        let own = [endpoint.adapter().set_aside(), lacks.clone()];
        for more in own.into_iter().flatten() {
            why = format!("{why}; {more}");
        }
        Looked { endpoint, standing, since, why, lacks: lacks.is_some(), doubted }
    }

    /// Whether it is known to answer, and nothing is wrong with it.
    pub(crate) fn is_well(&self) -> bool {
        self.standing == Standing::In(true) && !self.is_in_trouble()
    }

    /// Whether something is known to be wrong. Of one that nobody has asked nothing is known.
    fn is_in_trouble(&self) -> bool {
        !self.standing.is_in() || self.lacks || self.endpoint.lead().is_trouble()
    }

    /// Whether requests are sent there as a matter of course.
    pub(crate) fn is_asked(&self) -> bool {
        self.standing.is_in() || self.doubted
    }

    /// Whether nobody is sent there, or nobody who was sent there has heard anything since its probes fail.
    fn is_lost(&self) -> bool {
        matches!(self.standing, Standing::Open(_) | Standing::Unhealthy | Standing::Out)
            && !(self.doubted && self.endpoint.has_answered_since_its_probes_fail())
    }
}
