//! Whose things are: what strangers and other gateways have made is left as it is, and what is the same is taken over.

use model::Code;
use throome_provision::{Data, Provisioner, State};

use crate::world::{World, gateway, get, quiet};

#[tokio::test]
async fn a_container_of_a_stranger_is_named_and_left_alone() {
    let world = World::shared();
    let work = world.site("web");
    let called = world.called("web");
    world.engine.cli(&["create", "--name", &called, "throome-test/tiny:latest", "true"]);
    let failure = world.docker.start(&work, &quiet).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict);
    assert!(failure.detail().contains(&called), "{failure}");
    assert!(failure.hint().unwrap().contains("docker rm"), "{failure:?}");
    // It is nobody's service, and is not removed as one.
    assert_eq!(world.docker.find(&work.name).await.unwrap(), None);
    world.docker.stop(&work.name).await.unwrap();
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    let state = world.engine.cli(&["inspect", "--format", "{{.State.Status}}", &called]);
    world.engine.cli(&["rm", &called]);
    assert_eq!(state, "created");
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn volumes_and_networks_of_strangers_are_named_and_left_alone() {
    let world = World::shared();
    let work = world.site("web");
    let (volume, network) = (world.called("web"), format!("throome-{}", world.cluster));
    for kind in ["volume", "network"] {
        let called = if kind == "volume" { &volume } else { &network };
        world.engine.cli(&[kind, "create", called]);
        let failure = world.docker.start(&work, &quiet).await.unwrap_err();
        assert_eq!(failure.code(), Code::Conflict);
        assert!(failure.detail().contains(&format!("{kind} `{called}`")), "{failure}");
        world.docker.remove(&work.name, Data::Remove).await.unwrap();
        world.engine.cli(&[kind, "inspect", called]);
        world.engine.cli(&[kind, "rm", called]);
    }
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn two_services_whose_names_read_the_same_when_joined_are_told_apart() {
    let world = World::shared();
    let one = world.site("a-b");
    world.docker.start(&one, &quiet).await.unwrap();
    let mut other = world.site("b");
    other.name.cluster = format!("{}-a", world.cluster).into();
    let failure = world.docker.start(&other, &quiet).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict);
    assert!(failure.detail().contains("`a-b`"), "{failure}");
    assert_eq!(world.docker.find(&other.name).await.unwrap(), None);
    world.docker.remove(&other.name, Data::Remove).await.unwrap();
    assert_eq!(world.docker.find(&one.name).await.unwrap().unwrap().state, State::Running);
}

#[tokio::test]
async fn what_is_the_same_is_taken_over_from_another_gateway() {
    let world = World::shared();
    let (other, work) = (gateway(&world.engine, "another"), world.site("web"));
    let started = other.start(&work, &quiet).await.unwrap();
    // Until it is, it is not ours to end.
    let failure = world.docker.remove(&work.name, Data::Remove).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict);
    assert!(failure.detail().contains("`another`"), "{failure}");
    assert!(world.docker.stop(&work.name).await.is_err());
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));

    assert_eq!(world.docker.start(&work, &quiet).await.unwrap(), started);
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().gateway, "another");
    world.docker.stop(&work.name).await.unwrap();
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_otherwise_of_another_gateway_is_left_to_it() {
    let world = World::shared();
    let (other, mut work) = (gateway(&world.engine, "another"), world.site("web"));
    let started = other.start(&work, &quiet).await.unwrap();
    let mut secret = work.clone();
    secret.recipe.files[0].text = model::secret::Secret::new("not the same");
    work.env.push(("MORE".to_owned(), "1".to_owned()));
    for work in [work, secret] {
        let failure = world.docker.start(&work, &quiet).await.unwrap_err();
        assert_eq!(failure.code(), Code::Conflict);
        assert!(failure.detail().contains("`another`"), "{failure}");
        // An undo takes nothing of theirs.
        assert!(world.docker.remove(&work.name, Data::Remove).await.is_err());
    }
    assert_eq!(other.find(&world.name("web")).await.unwrap().unwrap().id, started.id);
    other.remove(&world.name("web"), Data::Remove).await.unwrap();
}

#[tokio::test]
async fn two_gateways_may_make_the_network_of_one_cluster_at_once() {
    let world = World::shared();
    let other = gateway(&world.engine, "another");
    for round in 0..4 {
        let (one, two) = (world.site("one"), world.site("two"));
        let (first, second) = tokio::join!(world.docker.start(&one, &quiet), other.start(&two, &quiet));
        first.and(second).unwrap();
        for work in [&one, &two] {
            assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"), "round {round}");
        }
        world.docker.remove(&one.name, Data::Remove).await.unwrap();
        other.remove(&two.name, Data::Remove).await.unwrap();
        assert_eq!(world.left(), Vec::<String>::new(), "round {round}");
    }
}
