//! A gateway that is a container itself: this program runs the test again in one, with what it needs of this machine.

use throome_provision::{Data, Provisioner, State};

use crate::world::{World, get, quiet};

/// Says, inside, in which cluster it is to work.
const INSIDE: &str = "THROOME_TEST_INSIDE";

#[tokio::test]
async fn a_gateway_in_a_container_reaches_services_in_their_network() {
    if let Ok(cluster) = std::env::var(INSIDE) {
        return as_the_gateway(cluster).await;
    }
    let world = World::shared();
    let socket = world.engine.host().strip_prefix("unix://").expect("an engine of this machine");
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let mut words: Vec<String> = ["run", "--rm"].map(str::to_owned).to_vec();
    for place in ["/lib", "/lib64", "/usr", program] {
        words.push(format!("--volume={place}:{place}:ro"));
    }
    words.push(format!("--volume={socket}:/var/run/docker.sock"));
    words.push(format!("--env={INSIDE}={}", world.cluster));
    let test = "inside::a_gateway_in_a_container_reaches_services_in_their_network";
    words.extend(["throome-test/tiny:latest", program, "--exact", test, "--nocapture"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = world.engine.cli(&words);
    assert!(said.contains("1 passed"), "{said}");
    assert_eq!(world.left(), Vec::<String>::new());
}

async fn as_the_gateway(cluster: String) {
    let docker = throome_provision::docker::Docker::new(throome_provision::docker::Options {
        host: None,
        gateway: crate::world::GATEWAY.to_owned(),
    });
    let work = crate::world::site_of(&cluster, "web");
    let name = work.name.clone();
    docker.ready().await.unwrap();
    let started = docker.start(&work, &quiet).await.unwrap();
    let called = format!("throome-{cluster}-web");
    assert_eq!((started.host.as_str(), started.port), (called.as_str(), 7000));
    assert_eq!(get(&called, 7000, "/word").as_deref(), Some("canary"), "it is reached by its name");
    let found = docker.find(&name).await.unwrap().unwrap();
    assert_eq!(found.at, Some((called.clone(), 7000)));
    assert_eq!(found.port, Some(work.port));
    // A second start finds us in the network.
    assert_eq!(docker.start(&work, &quiet).await.unwrap(), started);
    docker.stop(&name).await.unwrap();
    assert_eq!(docker.find(&name).await.unwrap().unwrap().state, State::Stopped);
    // We leave the network before it is removed.
    docker.remove(&name, Data::Remove).await.unwrap();
    assert_eq!(docker.find(&name).await.unwrap(), None);
}
