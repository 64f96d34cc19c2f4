//! What is counted of each route: a meter for those that are asked, up to so many; the others share one.
//!
//! Routes are named by whoever runs the gateway, and there may be tens of thousands of them. What they cost here, and what
//! a reader of `/metrics` has to read, is bounded all the same.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::Code;
use telemetry::Meter;
use wire::cores;

use crate::activity::slot;

/// Routes of a cluster that have a meter of their own: the first that are asked.
const COUNTED: usize = 1000;

/// The route in whose name all others are counted.
pub(crate) const OTHERS: &str = "(others)";

/// The meters of a cluster's routes.
#[derive(Debug)]
pub(crate) struct RouteMeters {
    left: AtomicUsize,
    others: OnceLock<Arc<Meter>>,
}

/// What is counted of one route.
#[derive(Debug)]
pub struct RouteMeter {
    of: Arc<RouteMeters>,
    meter: OnceLock<Counted>,
}

#[derive(Debug)]
enum Counted {
    Alone(Arc<Meter>),
    WithOthers(Arc<Meter>),
}

impl Default for RouteMeters {
    fn default() -> Self {
        RouteMeters { left: AtomicUsize::new(COUNTED), others: OnceLock::new() }
    }
}

impl RouteMeters {
    /// What the others share, once it is asked for.
    pub(crate) fn others(&self) -> Option<&Meter> {
        self.others.get().map(|meter| &**meter)
    }

    fn next(&self) -> Counted {
        let make = || Arc::new(Meter::new(cores::slots()));
        match self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Counted::Alone(make()),
            Err(_) => Counted::WithOthers(Arc::clone(self.others.get_or_init(make))),
        }
    }
}

impl RouteMeter {
    /// A route that was not asked yet.
    pub(crate) fn new(of: &Arc<RouteMeters>) -> Self {
        RouteMeter { of: Arc::clone(of), meter: OnceLock::new() }
    }

    /// Whether it has its place among these.
    pub(crate) fn is_of(&self, meters: &Arc<RouteMeters>) -> bool {
        Arc::ptr_eq(&self.of, meters)
    }

    /// A request for it has come.
    pub fn begin(&self) {
        self.meter().begin(slot());
    }

    /// It has ended, after so many tries; with this failure, if it was one.
    pub fn end(&self, duration: Duration, failure: Option<Code>, tries: u32) {
        self.meter().end(slot(), duration, failure, tries);
    }

    /// What was counted, if it was asked and has a meter of its own.
    pub(crate) fn own(&self) -> Option<&Meter> {
        match self.meter.get()? {
            Counted::Alone(meter) => Some(meter),
            Counted::WithOthers(_) => None,
        }
    }

    fn meter(&self) -> &Meter {
        match self.meter.get_or_init(|| self.of.next()) {
            Counted::Alone(meter) | Counted::WithOthers(meter) => meter,
        }
    }
}

impl Drop for RouteMeter {
    /// The route is gone: another may be counted in its place.
    fn drop(&mut self) {
        if let Some(Counted::Alone(_)) = self.meter.get() {
            self.of.left.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_counted_alone_and_the_others_together() {
        let meters = Arc::new(RouteMeters::default());
        let routes: Vec<RouteMeter> = (0..COUNTED + 5).map(|_| RouteMeter::new(&meters)).collect();
        assert!(routes[0].own().is_none() && meters.others().is_none(), "nobody was asked");
        let ask = |route: &RouteMeter| {
            route.begin();
            route.end(Duration::from_millis(2), None, 1);
        };
        routes.iter().for_each(ask);
        routes.iter().for_each(ask);
        let alone = routes.iter().filter_map(RouteMeter::own);
        assert_eq!(alone.map(|meter| meter.read().durations.count()).sum::<u64>(), 2 * COUNTED as u64);
        assert_eq!(meters.others().unwrap().read().durations.count(), 10);
        // One goes, and one that comes is counted in its place.
        drop(routes);
        let next = RouteMeter::new(&meters);
        ask(&next);
        assert_eq!(next.own().unwrap().read().durations.count(), 1);
    }
}
