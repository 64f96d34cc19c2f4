//! Ports that somebody else has, and where things are published.

use std::net::TcpListener;

use model::Code;
use throome_provision::{Data, Provisioner, State};

use crate::world::{World, get, quiet};

#[tokio::test]
async fn a_port_of_another_program_is_told_with_one_that_is_free() {
    let world = World::shared();
    let work = world.site("web");
    let listener = TcpListener::bind(("127.0.0.1", work.port)).unwrap();
    let failure = world.docker.start(&work, &quiet).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict, "{failure}");
    assert!(failure.detail().contains(&format!("port {} of 127.0.0.1 is taken", work.port)), "{failure}");
    if let Some(holder) = throome_provision::holder(work.port) {
        assert!(failure.detail().contains(&holder.to_string()), "{failure}");
    }
    let hint = failure.hint().unwrap();
    let free: u16 = hint.split_ascii_whitespace().find_map(|word| word.parse().ok()).expect(hint);
    // Another test may have taken it since.
    assert!(free > work.port, "{hint}");
    // What it has made is there for whoever undoes it, or tries again.
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
    drop(listener);
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
}

#[tokio::test]
async fn a_port_of_another_container_is_told_by_its_name() {
    let world = World::shared();
    let (one, mut other) = (world.site("one"), world.site("other"));
    other.port = one.port;
    world.docker.start(&one, &quiet).await.unwrap();
    let failure = world.docker.start(&other, &quiet).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict);
    assert!(failure.detail().contains(&format!("by the container `{}`", world.called("one"))), "{failure}");
    world.docker.remove(&other.name, Data::Remove).await.unwrap();
    assert_eq!(get("localhost", one.port, "/word").as_deref(), Some("canary"));
}

#[tokio::test]
async fn it_is_published_where_it_is_said_and_nowhere_else() {
    let world = World::shared();
    let mut work = world.site("web");
    work.bind = "127.0.0.9".parse().unwrap();
    let started = world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!((started.host.as_str(), started.port), ("127.0.0.9", work.port));
    assert_eq!(get("127.0.0.9", work.port, "/word").as_deref(), Some("canary"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", work.port)).is_err());
}
