//! `limits` of a service that requests are carried to: what its table cannot say. Who keeps within them is not decided here.

use model::check::Problems;
use model::tree::{Node, Value};

/// Refuses what would limit nothing.
pub(crate) fn check(service: &Node, problems: &mut Problems) {
    let Some(limits) = service.get("limits") else { return };
    let adapts = limits.get("adaptive").is_some_and(|adaptive| matches!(adaptive.value, Value::Bool(true)));
    if let Some(pending) = limits.get("max_pending")
        && limits.get("max_requests").is_none()
        && limits.get("max_connections").is_none()
        && !adapts
    {
        let message = "says how many wait beyond `max_requests` or `max_connections`, which is not said";
        problems.add("limits.max_pending", pending.at, message);
    }
}
