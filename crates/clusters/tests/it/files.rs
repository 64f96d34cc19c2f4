//! Cluster files: found, watched, refused with the reason, kept as they were written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;
use store::Store;
use tempfile::TempDir;
use throome_clusters::{Clusters, OpenError, Options};

use crate::{World, by};

const FILE: &str = "\
# What the shop needs.
name: Shop   # for people
services:
  cache: { type: memory }
  web:
    type: http
    host: ${SHOP_TEST_HOST:-127.0.0.1}
    port: 9
routes:
  - { id: all, path: \"/*\", service: web }
";

fn write(dir: &TempDir, id: &str, text: &str) {
    fs::create_dir_all(dir.path().join(id)).unwrap();
    fs::write(dir.path().join(id).join("config.yaml"), text).unwrap();
}

/// Waits until it holds; changes of files are promised within 500 ms.
async fn soon(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(5), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_appears_changes_and_goes_is_followed() {
    let world = World::new().await;
    world.clusters.begin_watch();
    let there = |id: &str| world.clusters.snapshot().cluster(id).is_ok();
    tokio::time::sleep(Duration::from_millis(100)).await;
    write(&world.dir, "shop", FILE);
    soon("the cluster", || there("shop")).await;
    let service = world.clusters.snapshot().service("shop", "web").unwrap().clone();
    assert_eq!(&*service.endpoints[0].label, "127.0.0.1:9");

    write(&world.dir, "shop", &FILE.replace("port: 9", "port: 10"));
    let label = || world.clusters.snapshot().service("shop", "web").unwrap().endpoints[0].label.to_string();
    soon("the change", || label() == "127.0.0.1:10").await;

    write(&world.dir, "shop", &FILE.replace("port: 9", "prot: 9"));
    soon("the refusal", || !world.events("cluster.refused").is_empty()).await;
    let why = &world.events("cluster.refused")[0];
    assert!(why.contains("config.yaml:8:5") && why.contains("`port`"), "{why}");
    assert_eq!(label(), "127.0.0.1:10", "what runs goes on");

    fs::remove_dir_all(world.dir.path().join("shop")).unwrap();
    soon("the end", || !there("shop")).await;
    assert!(world.clusters.snapshot().routes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_told_once_beside_one_that_changes_and_still_goes_with_its_cluster() {
    let world = World::new().await;
    world.clusters.begin_watch();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let there = |id: &str| world.clusters.snapshot().cluster(id).is_ok();
    let plain = "services:\n  cache: { type: memory }\n";
    for id in ["other", "shop"] {
        write(&world.dir, id, plain);
        soon("the cluster", || there(id)).await;
    }
    // Both in one look.
    let file = world.dir.path().join("shop/config.yaml");
    fs::write(&file, [b'#', 0xff]).unwrap();
    write(&world.dir, "other", &format!("name: Other\n{plain}"));
    soon("the change", || world.clusters.snapshot().cluster("other").unwrap().spec.name == "Other").await;
    soon("the refusal", || !world.events("cluster.refused").is_empty()).await;
    write(&world.dir, "other", plain);
    soon("another change", || world.clusters.snapshot().cluster("other").unwrap().spec.name != "Other").await;
    let refused = world.events("cluster.refused");
    assert!(refused.len() == 1 && refused[0].contains("cannot read it"), "{refused:?}");
    assert!(there("shop"), "what runs goes on");
    fs::remove_dir_all(world.dir.path().join("shop")).unwrap();
    soon("the end", || !there("shop")).await;
}

#[tokio::test]
async fn a_wrong_file_stops_the_start_with_all_problems_of_all_files() {
    let dir = TempDir::new().unwrap();
    write(&dir, "a", "services: { x: { type: memroy } }\nnme: A\n");
    write(&dir, "b", "services: [\n");
    write(&dir, "B!", "services: {}\n");
    write(&dir, "fine", FILE);
    let store = Store::open(&dir.path().join(".throome")).unwrap();
    let Err(OpenError::Problems(problems)) = Clusters::open(Options {
        dir: dir.path().to_owned(),
        store,
        data_dir: dir.path().join(".throome"),
        listeners: Default::default(),
        provisioning: throome_clusters::Provisioning::default(),
    })
    .await
    else {
        panic!("it began");
    };
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let words = words.join("\n");
    for part in ["a/config.yaml:1:", "memory", "a/config.yaml:2:1", "b/config.yaml:", "B!/config.yaml"] {
        assert!(words.contains(part), "`{part}` is not in\n{words}");
    }
    assert_eq!(Clusters::check_files(dir.path(), &Default::default()).unwrap().len(), problems.len());
}

#[tokio::test]
async fn a_change_by_the_api_keeps_comments_order_and_references() {
    let world = World::new().await;
    write(&world.dir, "shop", FILE);
    let World { clusters, dir } = world;
    drop(clusters);
    let clusters = crate::open(&dir).await;
    let mut body = clusters.show("shop").unwrap().body;
    body["services"]["web"]["port"] = json!(10);
    body["services"]["cache"]["max_memory"] = json!("64mb");
    clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    let text = fs::read_to_string(dir.path().join("shop/config.yaml")).unwrap();
    for kept in ["# What the shop needs.", "# for people", "${SHOP_TEST_HOST:-127.0.0.1}", "port: 10", "64mb"]
    {
        assert!(text.contains(kept), "`{kept}` is not in\n{text}");
    }
}

#[tokio::test]
async fn what_a_crash_left_half_done_is_cleaned_away() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("half")).unwrap();
    fs::write(dir.path().join("half/.config.yaml.new"), "services:").unwrap();
    let clusters = crate::open(&dir).await;
    assert_eq!(clusters.list().len(), 0);
    assert!(!dir.path().join("half").exists());
}

#[tokio::test]
async fn a_file_is_for_everybody_unless_it_holds_a_secret() {
    let world = World::new().await;
    world.create(json!({ "name": "Open", "cluster_id": "open", "services": {} })).await;
    let mode = fs::metadata(world.dir.path().join("open/config.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}
