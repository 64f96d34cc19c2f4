//! Who may depend on whom: the picture of ARCHITECTURE.md as a table, and where driver crates may stand.

use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each of our crates, from the ground up, with those it may know.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("throome-model", &[]),
    ("throome-wire", &[]),
    ("throome-disk", &[]),
    ("throome-telemetry", &["throome-model"]),
    ("throome-policy", &["throome-model"]),
    ("throome-adapters", &["throome-model", "throome-wire", "throome-disk"]),
    ("throome-provision", &["throome-model"]),
    ("throome-store", &["throome-model", "throome-disk", "throome-wire"]),
    (
        "throome-clusters",
        &[
            "throome-model",
            "throome-telemetry",
            "throome-wire",
            "throome-policy",
            "throome-adapters",
            "throome-provision",
            "throome-store",
        ],
    ),
    (
        "throome-proxy",
        &["throome-model", "throome-wire", "throome-policy", "throome-adapters", "throome-clusters"],
    ),
    (
        "throome-api",
        &[
            "throome-model",
            "throome-telemetry",
            "throome-wire",
            "throome-adapters",
            "throome-store",
            "throome-clusters",
        ],
    ),
    ("throome-sdk", &[]),
    ("throome-cli", &["throome-model", "throome-sdk"]),
    (
        "throome",
        &[
            "throome-model",
            "throome-telemetry",
            "throome-wire",
            "throome-adapters",
            "throome-provision",
            "throome-store",
            "throome-clusters",
            "throome-proxy",
            "throome-api",
            "throome-cli",
        ],
    ),
    // Servers to test with, of which we know only how to start them.
    ("throome-engines", &[]),
    // These look at the finished program from outside.
    ("throome-e2e", &["throome-engines"]),
    // The engine is used directly too, as the peer of what is served from it.
    ("throome-bench", &["throome-disk"]),
    ("xtask", &[]),
];

/// What the tests of a crate may know beyond that, and why.
pub const IN_TESTS: &[(&str, &str, &str)] = &[
    (
        "throome-proxy",
        "throome-store",
        "clusters are opened with a store, also by the tests of a door to them",
    ),
    ("throome-adapters", "throome-engines", "drivers are tried on the servers that they are for"),
    ("throome-adapters", "throome-provision", "what drivers say of running such servers is carried out"),
    ("throome-store", "throome-engines", "so is the store"),
    ("throome-provision", "throome-engines", "so is what runs them, on a real engine of containers"),
    ("throome-bench", "throome-engines", "so are the peers of data calls"),
    ("throome-clusters", "throome-disk", "a store is made to fail for a moment, below its back"),
];

/// Other people's crates that have one place: who may use each, and who may in its tests only.
pub const PLACES: &[Place] = &[
    // The benchmarks use it directly, as the peer of SQL over HTTP.
    Place::of("rusqlite", &["throome-disk", "throome-bench"]),
    // The same for the engines that are servers. The store keeps the gateway's own state in one, by its usual client.
    Place::of("tokio-postgres", &["throome-store", "throome-bench"]),
    Place::of("redis", &["throome-adapters"]),
    Place::of("rdkafka", &["throome-adapters", "throome-bench"]),
    Place::of("postgres-protocol", &["throome-adapters"]),
    Place::of("axum", &["throome-api"]),
    Place::of("tower", &["throome-api"]),
    Place::of("utoipa-swagger-ui", &["throome-api"]),
    // The model names its views for the generated document; only the control door makes it.
    Place::of("utoipa", &["throome-model", "throome-api"]),
    // Our own codec serves traffic. Its tests ask hyper for a second opinion.
    Place::of("hyper", &["throome-api", "throome-sdk"]).in_tests(&["throome-wire"]),
    Place::of("hyper-util", &["throome-api", "throome-sdk"]).in_tests(&["throome-wire"]),
    Place::of("http-body-util", &["throome-api", "throome-sdk"]).in_tests(&["throome-wire"]),
    Place::of("rustyline", &["throome-cli"]),
    Place::of("terminal_size", &["throome-cli"]),
    Place::of("httparse", &["throome-wire"]),
    Place::of("notify", &["throome-clusters"]),
    Place::of("prometheus-client", &["throome-telemetry"]),
    Place::of("tracing-subscriber", &["throome-telemetry"]),
    // A WebSocket service of the tests proves that it has understood.
    Place::of(
        "aws-lc-rs",
        &["throome-store", "throome-wire", "throome-proxy", "throome-clusters", "throome-e2e"],
    ),
    // The client stands alone, as it is published. PostgreSQL's driver takes a hash from it, of what it binds a proof to.
    Place::of("rustls", &["throome-wire", "throome-sdk", "throome-adapters"]).in_tests(&["throome-e2e"]),
    // Load comes by TLS too.
    Place::of("tokio-rustls", &["throome-wire", "throome-sdk", "throome-bench"]),
    Place::of("rustls-native-certs", &["throome-wire", "throome-sdk"]),
    Place::of("bollard", &["throome-provision"]),
    Place::of("tar", &["throome-provision"]),
    Place::of("instant-acme", &["throome"]),
    Place::of("rcgen", &["throome"]).in_tests(&["throome-wire", "throome-sdk", "throome-e2e"]),
    // The tests and the benchmarks have services and clients of their own that speak it.
    Place::of("h2", &["throome-wire", "throome-e2e", "throome-bench"]),
    Place::of("quick_cache", &["throome-adapters"]),
    Place::of("saphyr-parser", &["throome-model"]),
    Place::of("clap", &["throome-cli", "throome", "throome-bench", "xtask"]),
    Place::of("clap_complete", &["throome-cli"]),
    // A library says what went wrong by its own type.
    Place::of("anyhow", &["throome", "throome-e2e", "throome-bench", "xtask"]),
];

/// Crates that are kept pure by a list of all that they may know of other people's.
pub const PURE: &[(&str, &[&str])] = &[
    ("throome-model", &["serde", "serde_json", "saphyr-parser", "base64", "jiff", "thiserror", "utoipa"]),
    ("throome-policy", &["foldhash"]),
];

/// Where a crate of other people's may stand.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    name: &'static str,
    users: &'static [&'static str],
    test_users: &'static [&'static str],
}

impl Place {
    const fn of(name: &'static str, users: &'static [&'static str]) -> Self {
        Place { name, users, test_users: &[] }
    }

    const fn in_tests(mut self, test_users: &'static [&'static str]) -> Self {
        self.test_users = test_users;
        self
    }
}

/// One dependency of one of our crates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Who depends.
    pub from: String,
    /// On whom.
    pub to: String,
    /// In its tests only.
    pub in_tests: bool,
}

/// Every dependency of every member, as Cargo says.
///
/// # Errors
/// When Cargo cannot say.
pub fn edges() -> anyhow::Result<Vec<Edge>> {
    let manifest = crate::root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .context("cannot read the workspace")?;
    let edges_of = |package: &cargo_metadata::Package| -> Vec<Edge> {
        let edge = |dependency: &cargo_metadata::Dependency| Edge {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            in_tests: dependency.kind == DependencyKind::Development,
        };
        package.dependencies.iter().map(edge).collect()
    };
    Ok(metadata.workspace_packages().into_iter().flat_map(edges_of).collect())
}

/// What goes against the tables: a sentence each.
#[must_use]
pub fn wrong(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(fault).collect()
}

fn fault(edge: &Edge) -> Option<String> {
    let Edge { from, to, in_tests } = edge;
    // A crate may name itself for its tests, to switch on what only they need.
    if from == to && *in_tests {
        return None;
    }
    let Some((_, known)) = ALLOWED.iter().find(|(name, _)| name == from) else {
        return Some(format!("{from} has no layer: give it a line in xtask/src/layers.rs"));
    };
    let is_ours = |name: &str| ALLOWED.iter().any(|(ours, _)| *ours == name);
    let excused = *in_tests && IN_TESTS.iter().any(|(user, used, _)| user == from && used == to);
    if is_ours(to) && !known.contains(&to.as_str()) && !excused {
        return Some(format!("{from} must not know {to}"));
    }
    if let Some(place) = PLACES.iter().find(|place| place.name == to)
        && !place.users.contains(&from.as_str())
        && !(*in_tests && place.test_users.contains(&from.as_str()))
    {
        return Some(format!("{from} must not use {to}, whose place is {}", place.users.join(", ")));
    }
    let pure = PURE.iter().find(|(name, _)| name == from);
    if let Some((_, allowed)) = pure
        && !in_tests
        && !is_ours(to)
        && !allowed.contains(&to.as_str())
    {
        return Some(format!("{from} is pure and must not use {to}; it has {}", allowed.join(", ")));
    }
    None
}
