//! What is checked in because others read it: schemas for editors, tables of keys in the guide, an example.
//! Each is compared with the code; with `THROOME_BLESS=1` (`cargo xtask generate`) it is written instead.

mod example;
mod keys;

use std::path::{Path, PathBuf};

use adapters::Registry;
use model::cluster_fields::CLUSTER;
use model::schema::{json_schema, json_schema_with};
use serde_json::Value;

use crate::settings::FIELDS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a file of the repository with what the code says, or writes it.
fn hold(path: &str, said: &str) {
    let file = root().join(path);
    if std::env::var_os("THROOME_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, said).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == said,
        "{path} is not what the code says. `cargo xtask generate` writes it; look at the difference and check it in."
    );
}

fn hold_schema(path: &str, schema: &Value) {
    hold(path, &format!("{schema:#}\n"));
}

#[test]
fn the_schemas_are_those_that_are_checked_in() {
    hold_schema(
        "contract/cluster.schema.json",
        &json_schema_with(CLUSTER, "A cluster of Throome", &Registry),
    );
    hold_schema("contract/throome.schema.json", &json_schema(FIELDS, "The gateway file of Throome"));
}
