//! The kind that `docs/guide/writing-an-adapter.md` walks through: it keeps the contract of its ability, and
//! the guide shows its code as it is.

mod toy;

use std::path::Path;
use std::sync::Arc;

use model::kind::{KindCheck, Kinds};
use model::{Code, EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::{SetOptions, Value, suite};
use throome_adapters::{Adapter, Driver, Home, Registry};

use toy::TOY;

/// Its files, in the order in which the guide shows them.
const FILES: [&str; 4] = ["mod.rs", "options.rs", "adapter.rs", "glob.rs"];

fn connected(service: &ServiceSpec) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let home = Home { cluster: "guide".into(), service: "toy".into(), dir: "unused".into() };
    TOY.connect(&endpoint, service, &home).expect("the options are right")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn toy_keeps_the_contract() {
    suite::run(&connected(&ServiceSpec::of_kind("toy"))).await;
}

#[tokio::test]
async fn its_option_is_kept() {
    let mut service = ServiceSpec::of_kind("toy");
    service.options.insert("max_value".to_owned(), 3.into());
    let adapter = connected(&service);
    let kv = adapter.key_value().expect("it has the ability");
    assert!(kv.set(b"k", Value::plain("abc"), SetOptions::default()).await.expect("three bytes fit"));
    let refused = kv.set(b"k", Value::plain("abcd"), SetOptions::default()).await.expect_err("four do not");
    assert_eq!(refused.code(), Code::TooLarge);
    service.options.insert("max_value".to_owned(), "much".into());
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let home = Home { cluster: "guide".into(), service: "toy".into(), dir: "unused".into() };
    assert_eq!(
        TOY.connect(&endpoint, &service, &home).err().map(|failure| failure.code()),
        Some(Code::InvalidConfig)
    );
}

#[test]
fn it_is_an_example_and_in_no_list() {
    assert!(Registry.find(TOY.name()).is_none(), "the guide's kind is not one that people can use");
}

/// The blocks of Rust in the guide, one after the other, are the files, one after the other.
#[test]
fn the_guide_shows_this_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = root.join("../../docs/guide/writing-an-adapter.md");
    let guide =
        std::fs::read_to_string(&guide).unwrap_or_else(|error| panic!("{}: {error}", guide.display()));
    let shown = guide.split("```rust\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    let shown: Vec<&str> = shown.flat_map(lines).collect();
    let files = FILES.map(|name| {
        std::fs::read_to_string(root.join("tests/toy").join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    let real: Vec<&str> = files.iter().flat_map(|file| lines(file)).collect();
    for (at, line) in real.iter().enumerate() {
        assert_eq!(shown.get(at), Some(line), "the guide and crates/adapters/tests/toy part ways here");
    }
    assert_eq!(shown.len(), real.len(), "the guide shows more than there is: {:?}", shown.get(real.len()));
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}
