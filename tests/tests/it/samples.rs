//! Every sample that people copy: checked by the program itself, and those of `examples/` run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use throome_e2e::process::gateway_binary;
use throome_e2e::{Layout, turn};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files_below(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = |path: PathBuf| if path.is_dir() { files_below(&path, ending) } else { vec![path] };
    entries.flat_map(files).filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn validate(file: &Path, sample: &str) {
    let output = Command::new(gateway_binary()).arg("validate").arg(file).output().unwrap();
    assert!(output.status.success(), "{sample}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_sample_of_the_documents_is_valid() {
    let _turn = turn::together();
    let scratch = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut pages = files_below(&root().join("docs/guide"), ".md");
    pages.push(root().join("README.md"));
    for page in pages {
        for block in blocks(&fs::read_to_string(&page).unwrap()) {
            let file = scratch.path().join(format!("sample{count}.yaml"));
            fs::write(&file, block).unwrap();
            validate(&file, &format!("{}: {block}", page.display()));
            count += 1;
        }
    }
    assert!(count >= 5, "{count} samples found");
    let examples = files_below(&root().join("configs"), ".example.yaml");
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        validate(&example, &example.display().to_string());
    }
}

#[test]
fn the_example_of_a_gateway_file_starts_a_gateway() {
    let _turn = turn::together();
    let text = fs::read_to_string(root().join("configs/throome.example.yaml")).unwrap();
    let gateway = Layout::default().with_file(&text).start();
    assert_eq!(gateway.call("GET", "/metrics", None).status, 200);
}

#[test]
fn every_example_runs() {
    let _turn = turn::together();
    let layout = Layout::default();
    let mut ids = BTreeSet::new();
    for file in files_below(&root().join("examples"), "config.yaml") {
        let id = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        layout.write_cluster(&id, &fs::read_to_string(&file).unwrap());
        ids.insert(id);
    }
    assert!(!ids.is_empty());
    let gateway = layout.start();
    let list = gateway.show("/api/v1/clusters");
    let running: BTreeSet<String> = list["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(running, ids);
    let call = |service: &str, verb: &str, body| {
        gateway
            .call("POST", &format!("/api/v1/clusters/cache/cache/{verb}?service={service}"), Some(&body))
            .expect(200)
            .json()
    };
    let _ = call("sessions", "set", json!({ "key": "a", "value": "1", "ttl": 60 }));
    assert_eq!(call("sessions", "get", json!({ "key": "a" }))["value"], "1");
    assert_eq!(call("pages", "get", json!({ "key": "a" }))["found"], false);
}
