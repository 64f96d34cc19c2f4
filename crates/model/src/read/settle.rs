//! What a cluster's input leaves open, filled in: its name, its time of creation, the ids of its routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::{ClusterInput, ClusterSpec};
use crate::id::ClusterId;
use crate::route::RouteSpec;

/// The longest id that is made for a route, before what makes it unique.
const LONGEST_SLUG: usize = 96;

impl ClusterInput {
    /// The spec: the name is the id when none is given, the time `now`; each route gets this cluster, and one
    /// without an id gets `<cluster>-<methods and path>`, made unique among its siblings.
    #[must_use]
    pub fn settle(self, id: ClusterId, now: jiff::Timestamp) -> ClusterSpec {
        let mut routes = self.routes;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut taken: BTreeSet<String> = routes.iter().map(|route| route.id.clone()).collect();
        for route in &mut routes {
            tidy(route);
            id.as_str().clone_into(&mut route.cluster);
            if route.id.is_empty() {
                route.id = free_id(slug(&id, route), &taken, &mut counts);
                taken.insert(route.id.clone());
            }
        }
        ClusterSpec {
            name: self.name.unwrap_or_else(|| id.to_string()),
            description: self.description,
            created_at: self.created_at.unwrap_or(now),
            services: self.services,
            routes: shared(routes),
            routing: self.routing,
            health: self.health,
            cluster_id: id,
        }
    }
}

/// Each by itself. Collected into a list of its own size: one that is made in place keeps the room of whole specs.
fn shared(routes: Vec<RouteSpec>) -> Vec<Arc<RouteSpec>> {
    let mut all = Vec::with_capacity(routes.len());
    all.extend(routes.into_iter().map(Arc::new));
    all
}

/// Methods in upper case and each once, the host in lower case: as requests are compared with them.
pub(super) fn tidy(route: &mut RouteSpec) {
    let mut methods: Vec<String> = Vec::new();
    for method in &route.methods {
        let method = method.to_ascii_uppercase();
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    route.methods = methods;
    route.host = route.host.as_ref().map(|host| host.to_lowercase());
}

fn slug(id: &ClusterId, route: &RouteSpec) -> String {
    let mut slug = id.to_string();
    for word in
        route.methods.iter().map(String::as_str).chain(route.host.as_deref()).chain(route.path.split('/'))
    {
        let plain: String = word
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        // What stands for many paths is named, so that `/api` and `/api/*` differ to the eye.
        let plain = if word == "*" { "all" } else { plain.trim_matches('-') };
        if !plain.is_empty() && slug.len() + plain.len() < LONGEST_SLUG {
            slug.push('-');
            slug.push_str(plain);
        }
    }
    if slug.len() == id.as_str().len() {
        slug.push_str("-root");
    }
    slug
}

/// The slug, or the slug with the next number that nobody has.
fn free_id(slug: String, taken: &BTreeSet<String>, counts: &mut BTreeMap<String, u64>) -> String {
    if !taken.contains(&slug) {
        return slug;
    }
    let count = counts.entry(slug.clone()).or_insert(1);
    loop {
        *count += 1;
        let id = format!("{slug}-{count}");
        if !taken.contains(&id) {
            return id;
        }
    }
}
