//! Images that are not here: pulled with their bytes told, refused, broken off, not there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engines::{RegistryOptions, registry};
use model::Code;
use throome_provision::{Data, Progress, Provisioner, State};

use crate::world::{World, get, quiet};

const LAYERS: [u64; 3] = [3_000_000, 2_000_000, 1_000_000];

fn options(name: &str) -> RegistryOptions {
    RegistryOptions { layered: vec![(name.to_owned(), LAYERS.to_vec())], ..RegistryOptions::default() }
}

#[tokio::test]
async fn an_image_is_pulled_once_and_its_bytes_are_told() {
    let world = World::shared();
    let registry = registry(&RegistryOptions { rate: Some(4_000_000), ..options("layers:1") });
    let mut work = world.site("web");
    work.image = Some(registry.name("layers:1"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = told.clone();
    let tell = move |progress: Progress| hear.lock().unwrap().push(progress);
    world.docker.fetch(&work, &tell).await.unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    let bytes: Vec<(u64, u64)> = told
        .iter()
        .filter_map(|progress| match progress {
            Progress::Bytes { done, total } => Some((*done, *total)),
            Progress::Says(_) => None,
        })
        .collect();
    assert!(bytes.len() > 3, "{told:?}");
    assert!(bytes.is_sorted_by_key(|(done, _)| *done), "{bytes:?}");
    let (done, total) = bytes.last().unwrap();
    assert_eq!(done, total);
    assert!(*total > 6_000_000, "{total} bytes of random layers");
    // It is here now, and nobody is asked for it again.
    drop(registry);
    world.docker.fetch(&work, &quiet).await.unwrap();
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    world.engine.cli(&["image", "rm", work.image()]);
}

#[tokio::test]
async fn an_image_that_somebody_has_removed_is_pulled_by_the_start() {
    let world = World::shared();
    let registry = registry(&options("again:1"));
    let mut work = world.site("web");
    work.image = Some(registry.name("again:1"));
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Running);
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    world.engine.cli(&["image", "rm", work.image()]);
}

#[tokio::test]
async fn a_registry_that_refuses_and_one_that_is_not_there_are_told_apart() {
    let world = World::shared();
    let refuses = registry(&RegistryOptions { refuse: true, ..options("secret:1") });
    let serves = registry(&options("other:1"));
    for (image, retryable, hint) in [
        (refuses.name("secret:1"), false, "docker login"),
        (serves.name("other:2"), false, "run.image"),
        (format!("127.0.0.1:{}/none:1", crate::world::free_port()), true, "docker load"),
        ("Not An Image".to_owned(), false, "run.image"),
    ] {
        let mut work = world.site("web");
        work.image = Some(image.clone());
        let failure = world.docker.fetch(&work, &quiet).await.unwrap_err();
        assert_eq!(failure.code(), Code::ProvisionFailed);
        assert!(failure.detail().contains(&image), "{failure}");
        assert_eq!(failure.retryable(), retryable, "{failure}");
        let said = failure.hint().unwrap_or_default();
        assert!(said.contains(hint), "{failure} ({said})");
    }
}

#[tokio::test]
async fn a_pull_that_breaks_off_fails_and_succeeds_when_it_is_tried_again() {
    let world = World::shared();
    let mut work = world.site("web");
    {
        let broken = registry(&RegistryOptions { break_at: Some(700_000), ..options("broken:1") });
        work.image = Some(broken.name("broken:1"));
        let failure = world.docker.fetch(&work, &quiet).await.unwrap_err();
        assert!(failure.retryable(), "{failure}");
    }
    let once = registry(&RegistryOptions { break_at: Some(700_000), breaks: Some(1), ..options("broken:2") });
    work.image = Some(once.name("broken:2"));
    // The engine goes on by itself where it can, and at the latest the second try does.
    if let Err(failure) = world.docker.fetch(&work, &quiet).await {
        assert!(failure.retryable(), "{failure}");
        world.docker.fetch(&work, &quiet).await.unwrap();
    }
    world.engine.cli(&["image", "rm", work.image()]);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_ends() {
    let world = World::shared();
    let slow = registry(&RegistryOptions { rate: Some(100_000), ..options("slow:1") });
    let mut work = world.site("web");
    work.image = Some(slow.name("slow:1"));
    let pull = world.docker.fetch(&work, &quiet);
    assert!(tokio::time::timeout(Duration::from_millis(1500), pull).await.is_err());
    assert!(world.engine.try_cli(&["image", "inspect", work.image()]).is_err());
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}
