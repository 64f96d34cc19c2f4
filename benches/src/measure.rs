//! Samples, interleaved rounds, medians and ratios, and the reasons that make a ratio void. Pure but for the one
//! function that takes a sample.

use std::time::Duration;

use crate::contestants::Contestant;
use crate::proc;
use crate::rig::{CONNECTIONS, Rig};
use crate::timings::Timings;
use crate::wrk::{Outcome, Requests};

/// Above this share of a core it is busy all the time.
pub(crate) const SATURATED: f64 = 0.97;
/// Below this share the contestant was waiting for work.
const WAITING: f64 = 0.90;
/// What others may use of the contestant's core before the report says so.
const DISTURBED: f64 = 0.05;

/// One contestant under load for a few seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub requests: u64,
    pub errors: u64,
    pub seconds: f64,
    /// User and system time of all the contestant's processes.
    pub cpu: Duration,
    /// Shares (0 to 1) of a core: the contestant's own, everybody's on its core, everybody's on the load core.
    pub own: f64,
    pub contestant_core: f64,
    pub load_core: f64,
    /// Share of both cores that the hypervisor gave to others.
    pub stolen: f64,
}

impl Sample {
    /// Microseconds of processor time for one completed request.
    #[must_use]
    pub fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    /// Completed requests a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// What a program came to that is its own load, and so needs no other core. Who else used its core is not known.
    #[must_use]
    pub fn of_its_own(timings: &Timings) -> Self {
        let cpu = timings.cpu_seconds.unwrap_or_default();
        let own = (cpu / timings.seconds).min(1.0);
        Self {
            requests: timings.completed,
            errors: timings.errors,
            seconds: timings.seconds,
            cpu: Duration::from_secs_f64(cpu),
            own,
            contestant_core: own,
            load_core: 0.0,
            stolen: 0.0,
        }
    }
}

/// Loads one contestant for a few seconds over the usual connections and reads all counters before and after.
pub fn sample(
    rig: &Rig,
    contestant: &Contestant,
    requests: &Requests,
    seconds: u64,
) -> anyhow::Result<Sample> {
    sample_over(rig, contestant, requests, seconds, CONNECTIONS)
}

/// As [`sample`], over so many connections.
pub fn sample_over(
    rig: &Rig,
    contestant: &Contestant,
    requests: &Requests,
    seconds: u64,
    connections: usize,
) -> anyhow::Result<Sample> {
    let load = || rig.wrk(connections).run(contestant.address, requests, seconds);
    sample_while(rig, || proc::cpu_time(&contestant.pids()?), load)
}

/// Reads all counters before and after some load; `cpu` is what the contestant has used so far.
pub fn sample_while(
    rig: &Rig,
    cpu: impl Fn() -> anyhow::Result<Duration>,
    load: impl FnOnce() -> anyhow::Result<Outcome>,
) -> anyhow::Result<Sample> {
    let before = cpu()?;
    let (core, loaded) = (proc::core_time(rig.cores.contestant)?, proc::core_time(rig.cores.load)?);
    let outcome = load()?;
    let cpu = cpu()? - before;
    let core = proc::core_time(rig.cores.contestant)? - core;
    let loaded = proc::core_time(rig.cores.load)? - loaded;
    // Of the time under load: what lies between the readings besides it, wrk's own start and end, leaves the
    // contestant idle and would make it look as if it had waited.
    let share = |time: Duration| (time.as_secs_f64() / outcome.seconds).min(1.0);
    Ok(Sample {
        requests: outcome.requests,
        errors: outcome.errors,
        seconds: outcome.seconds,
        cpu,
        own: share(cpu),
        contestant_core: share(core.busy),
        load_core: share(loaded.busy),
        stolen: share(core.stolen + loaded.stolen),
    })
}

/// Runs `A B C`, then `A B C` again, so that whatever slows the machine down meets all of them. Returns for each
/// subject its rounds in order.
pub fn interleave<S, T>(
    subjects: &[S],
    rounds: usize,
    mut take: impl FnMut(&S, usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Vec<T>>> {
    let mut taken: Vec<Vec<T>> = subjects.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for (subject, its) in subjects.iter().zip(&mut taken) {
            its.push(take(subject, round)?);
        }
    }
    Ok(taken)
}

/// The middle value, or the mean of the two middle ones; NaN of nothing.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// The median over rounds of: what the subject had, divided by what the better of the others had in the same round.
/// `None` without another to compare with.
#[must_use]
pub fn ratio(figures: &[Vec<f64>], subject: usize, better: Better) -> Option<f64> {
    let pick = match better {
        Better::Lower => f64::min,
        Better::Higher => f64::max,
    };
    let rounds = figures.iter().map(Vec::len).min()?;
    let mut ratios = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let others = figures.iter().enumerate().filter(|(index, _)| *index != subject);
        let best = others.map(|(_, its)| its[round]).reduce(pick)?;
        ratios.push(figures[subject][round] / best);
    }
    (rounds > 0).then(|| median(ratios))
}

/// Reasons why ratios with this contestant say nothing at all; empty when they do.
#[must_use]
pub fn void_reasons(samples: &[Sample]) -> Vec<String> {
    let mut reasons = Vec::new();
    let errors: u64 = samples.iter().map(|sample| sample.errors).sum();
    if errors > 0 {
        reasons.push(format!("{errors} errors"));
    }
    if samples.iter().any(|sample| sample.requests == 0) {
        reasons.push("a round without any answer".to_owned());
    }
    reasons
}

/// In how many rounds the load core was full while the contestant waited for work.
#[must_use]
pub fn starved_rounds(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.load_core > SATURATED && sample.own < WAITING).count()
}

/// Whether that was so in most of them: one bad round is noise.
#[must_use]
pub fn is_starved(samples: &[Sample]) -> bool {
    starved_rounds(samples) * 2 > samples.len()
}

/// Facts that a reader should know of, though ratios stand.
#[must_use]
pub fn disturbances(samples: &[Sample]) -> Vec<String> {
    let mut facts = Vec::new();
    let foreign = median(samples.iter().map(|sample| sample.contestant_core - sample.own));
    if foreign > DISTURBED {
        facts.push(format!("others used {:.0} % of its core", foreign * 100.0));
    }
    let stolen = median(samples.iter().map(|sample| sample.stolen));
    if stolen > DISTURBED {
        facts.push(format!("the hypervisor took {:.0} % of a core", stolen * 100.0));
    }
    facts
}

#[cfg(test)]
mod tests;
