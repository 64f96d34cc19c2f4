//! What the program is made of, as CycloneDX says it: each crate with version, licence and where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};
use serde_json::{Value, json};

/// The program.
const ROOT: &str = "throome";

/// The bill of what goes into the program for this target: what is linked, and what takes part in building it. The same each
/// time it is made of the same lock file.
///
/// # Errors
/// When Cargo cannot say.
pub fn sbom(target: &str) -> anyhow::Result<String> {
    let metadata = MetadataCommand::new()
        .manifest_path(crate::root().join("Cargo.toml"))
        .other_options(["--locked", "--filter-platform", target].map(str::to_owned))
        .exec()
        .context("cannot read what the workspace is made of")?;
    let mut text = serde_json::to_string_pretty(&bill(&metadata)?)?;
    text.push('\n');
    Ok(text)
}

fn bill(metadata: &Metadata) -> anyhow::Result<Value> {
    let resolve = metadata.resolve.as_ref().context("Cargo says nothing of what is resolved")?;
    let nodes: BTreeMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let packages: BTreeMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let root = metadata.packages.iter().find(|package| package.name.as_str() == ROOT);
    let root = root.with_context(|| format!("there is no package `{ROOT}`"))?;
    let parts = reached(&root.id, &nodes);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &parts {
        let package = packages.get(id).with_context(|| format!("nothing is known of {id}"))?;
        if **id != root.id {
            components.push(component(package, "library"));
        }
        let on: BTreeSet<String> = below(nodes.get(id).copied())
            .filter_map(|id| packages.get(id))
            .map(|package| purl(package))
            .collect();
        dependencies.push(json!({ "ref": purl(package), "dependsOn": on }));
    }
    let key = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    components.sort_by_key(|component| key(component, "bom-ref"));
    dependencies.sort_by_key(|dependency| key(dependency, "ref"));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(root, "application") },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// A package and all that it is made of; not what only its tests know.
fn reached<'m>(root: &'m PackageId, nodes: &BTreeMap<&'m PackageId, &'m Node>) -> BTreeSet<&'m PackageId> {
    let mut reached = BTreeSet::from([root]);
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        for next in below(nodes.get(id).copied()) {
            if reached.insert(next) {
                left.push(next);
            }
        }
    }
    reached
}

fn below(node: Option<&Node>) -> impl Iterator<Item = &PackageId> {
    let known = |kind: &cargo_metadata::DepKindInfo| kind.kind != DependencyKind::Development;
    node.into_iter()
        .flat_map(|node| &node.deps)
        .filter(move |dep| dep.dep_kinds.iter().any(known))
        .map(|dep| &dep.pkg)
}

fn component(package: &Package, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": package.name.as_str(),
        "version": package.version.to_string(),
        "purl": purl(package),
    });
    if let Some(licence) = &package.license {
        // Older crates write `MIT/Apache-2.0`, which SPDX spells with a word.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}
