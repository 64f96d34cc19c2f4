//! Engines that go away in the middle, and come back: each test breaks one of its own.

use std::time::Duration;

use engines::{RegistryOptions, own_docker, registry};
use futures_util::StreamExt;
use model::Code;
use throome_provision::docker::{Change, Docker, Options};
use throome_provision::{Ask, Data, Provisioner, State};

use crate::restarts::heard;
use crate::world::{GATEWAY, World, get, quiet};

#[tokio::test]
async fn a_service_and_its_data_outlive_the_engine_and_a_start_after_that_is_nothing() {
    let world = World::on(own_docker());
    let work = world.site("web");
    let mut changes = world.docker.events();
    heard(&mut changes, &Change::Heard).await;
    let started = world.docker.start(&work, &quiet).await.unwrap();
    let followed = Ask { follow: true, ..Ask::default() };
    let mut log = world.docker.logs(&work.name, &followed).await.unwrap();

    world.engine.stop();
    let failure = world.docker.ready().await.unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    assert!(failure.retryable() && failure.hint().unwrap().contains("provision: process"), "{failure:?}");
    assert!(world.docker.find(&work.name).await.is_err(), "what cannot be seen is not said to be away");
    assert!(world.docker.start(&work, &quiet).await.is_err());
    assert!(world.docker.remove(&work.name, Data::Remove).await.is_err());
    // Whoever follows a log is not left waiting.
    tokio::time::timeout(Duration::from_secs(10), async { while log.next().await.is_some() {} })
        .await
        .unwrap();

    world.engine.restart();
    heard(&mut changes, &Change::Heard).await;
    world.docker.ready().await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"), "the engine has started it");
    assert_eq!(world.docker.start(&work, &quiet).await.unwrap().id, started.id);

    // A service that was stopped stays so.
    world.docker.stop(&work.name).await.unwrap();
    world.engine.restart();
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);

    // A crash of the engine.
    world.docker.start(&work, &quiet).await.unwrap();
    world.engine.kill();
    assert!(world.docker.start(&work, &quiet).await.is_err());
    world.engine.restart();
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_that_goes_in_the_middle_of_a_pull_is_told() {
    let world = World::on(own_docker());
    let slow = registry(&RegistryOptions {
        layered: vec![("slow:1".to_owned(), vec![2_000_000])],
        rate: Some(100_000),
        ..RegistryOptions::default()
    });
    let mut work = world.site("web");
    work.image = Some(slow.name("slow:1"));
    let (fetched, ()) = tokio::join!(
        async { tokio::time::timeout(Duration::from_secs(15), world.docker.fetch(&work, &quiet)).await },
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let engine = world.engine.clone();
            tokio::task::spawn_blocking(move || engine.kill()).await.unwrap();
        }
    );
    let failure = fetched.expect("it ends with the engine").unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    assert!(failure.retryable(), "{failure}");
    world.engine.restart();
}

#[tokio::test]
async fn where_there_is_no_engine_that_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let docker = Docker::new(Options {
        host: Some(format!("unix://{}", path.display())),
        gateway: GATEWAY.to_owned(),
    });
    let failure = docker.ready().await.unwrap_err();
    assert!(failure.detail().contains("no such socket"), "{failure}");
    assert!(failure.hint().unwrap().contains("DOCKER_HOST"), "{failure:?}");
    // One that was left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let failure = docker.ready().await.unwrap_err();
    assert!(failure.detail().contains("refuses connections"), "{failure}");
}

#[tokio::test]
async fn an_engine_is_asked_over_tcp_too() {
    let world = World::shared();
    let socket = world.engine.host().strip_prefix("unix://").expect("an engine of this machine").to_owned();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut engine = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut engine).await });
        }
    });
    let docker = Docker::new(Options { host: Some(host), gateway: GATEWAY.to_owned() });
    let work = world.site("web");
    docker.ready().await.unwrap();
    let started = docker.start(&work, &quiet).await.unwrap();
    assert_eq!((started.host.as_str(), started.port), ("localhost", work.port));
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    docker.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}
