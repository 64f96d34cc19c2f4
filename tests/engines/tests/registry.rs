//! An engine pulls from the registry of tests: what comes is what was sent, and what goes wrong goes wrong as is told.

use std::time::{Duration, Instant};

use throome_engines::{Image, RegistryOptions, docker, registry};

/// Three layers over the small image, of nobody else's content.
fn layered(name: &str) -> Vec<(String, Vec<u64>)> {
    vec![(name.to_owned(), vec![300_000, 200_000, 100_000])]
}

#[test]
fn an_image_is_pulled_and_runs() {
    let registry = registry(&RegistryOptions {
        images: vec![Image::Redis],
        layered: layered("layers:1"),
        ..Default::default()
    });
    let engine = docker();
    let (redis, layers) = (registry.name("redis:7-alpine"), registry.name("layers:1"));
    let _ = engine.cli(&["pull", &redis]);
    assert!(engine.cli(&["run", "--rm", &redis, "redis-server", "--version"]).starts_with("Redis server v="));
    let _ = engine.cli(&["pull", &layers]);
    assert_eq!(engine.cli(&["run", "--rm", &layers, "stat", "-c", "%s", "/random-0"]), "300000");
    let unknown = engine.try_cli(&["pull", &registry.name("nobody:1")]).unwrap_err();
    assert!(unknown.contains("not found") || unknown.contains("manifest unknown"), "{unknown}");
    let _ = engine.cli(&["image", "rm", &redis, &layers]);
}

#[test]
fn a_slow_registry_is_slow() {
    let registry =
        registry(&RegistryOptions { layered: layered("slow:1"), rate: Some(200_000), ..Default::default() });
    let (engine, name) = (docker(), registry.name("slow:1"));
    let begin = Instant::now();
    let _ = engine.cli(&["pull", &name]);
    assert!(begin.elapsed() > Duration::from_secs(2), "600 kB at 200 kB a second took {:?}", begin.elapsed());
    let _ = engine.cli(&["image", "rm", &name]);
}

#[test]
fn a_registry_that_refuses_is_said_so() {
    let registry =
        registry(&RegistryOptions { images: vec![Image::Redis], refuse: true, ..Default::default() });
    let refused = docker().try_cli(&["pull", &registry.name("redis:7-alpine")]).unwrap_err();
    assert!(refused.contains("no basic auth credentials"), "{refused}");
}

#[test]
fn a_layer_that_breaks_off_is_taken_up_once() {
    let once = RegistryOptions {
        layered: layered("once:1"),
        break_at: Some(150_000),
        breaks: Some(1),
        ..Default::default()
    };
    let registry = registry(&once);
    let (engine, name) = (docker(), registry.name("once:1"));
    let _ = engine.cli(&["pull", &name]);
    assert_eq!(engine.cli(&["run", "--rm", &name, "stat", "-c", "%s", "/random-1"]), "200000");
    let _ = engine.cli(&["image", "rm", &name]);
}

#[test]
fn a_layer_that_always_breaks_off_ends_the_pull() {
    let broken =
        RegistryOptions { layered: layered("broken:1"), break_at: Some(150_000), ..Default::default() };
    let registry = registry(&broken);
    let (engine, name) = (docker(), registry.name("broken:1"));
    let said = engine.try_cli(&["pull", &name]).unwrap_err();
    assert!(said.contains("EOF"), "{said}");
    assert!(engine.try_cli(&["image", "inspect", &name]).is_err());
}
