//! What works without a gateway: checking a file, and showing every setting with its source.

use std::path::Path;

use cli::{Report, ServeArgs, Setting};
use model::Problem;

use crate::config;

/// Checks a file by what it is: one with `services` (or a cluster's id) is a cluster file, any other the gateway's.
pub(crate) fn validate(path: &Path) -> Result<Report, Vec<Problem>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let tree = model::yaml::parse(&text).ok();
    let has = |key: &str| tree.as_ref().is_some_and(|tree| tree.get(key).is_some());
    if ["services", "cluster_id", "routes", "routing"].into_iter().any(has) {
        let (spec, named) = clusters::check_file(path, &text)?;
        let (services, routes) = (spec.services.len(), spec.routes.len());
        let summary = format!("cluster {}: {services} services, {routes} routes", spec.cluster_id);
        return Ok(report("cluster file", summary, &named));
    }
    let named = config::check_file(path)?;
    Ok(report("gateway file", "every setting is known and can be enforced".to_owned(), &named))
}

/// A valid file, with what is wrong with files that it names if the gateway is to run on this machine.
fn report(what: &str, mut summary: String, named: &[Problem]) -> Report {
    if !named.is_empty() {
        let words: Vec<String> = named.iter().map(ToString::to_string).collect();
        summary = format!("{summary}; it would not start on this machine: {}", words.join("; "));
    }
    Report { what: what.to_owned(), summary }
}

/// Every setting with its source.
pub(crate) fn config(args: &ServeArgs) -> Result<Vec<Setting>, Vec<Problem>> {
    Ok(config::read(args)?.sources)
}
