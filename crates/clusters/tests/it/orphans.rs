//! What is run or kept and no file asks for.

use std::sync::Arc;

use model::Code;
use model::view::{Orphan, OrphanList};
use provision::{Data, State};
use serde_json::json;
use tempfile::TempDir;
use throome_clusters::{Clusters, OrphanPlace};

use super::by;
use super::hands::{Hands, name};

struct World {
    clusters: Clusters,
    docker: Arc<Hands>,
    process: Arc<Hands>,
    dir: TempDir,
}

impl World {
    /// `shop/cache` is asked for and run by the second; the first has other data of that name, and things of others.
    async fn new() -> World {
        let dir = TempDir::new().unwrap();
        let (docker, process) = (Hands::new("docker"), Hands::new("process"));
        docker.have(name("shop", "cache"), "own", State::Absent);
        docker.have(name("old", "db"), "own", State::Absent);
        docker.have(name("theirs", "db"), "other", State::Running);
        process.have(name("shop", "cache"), "own", State::Running);
        let write = |path: &str, text: String| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let cache = json!({ "type": "redis", "provision": "process", "host": "localhost", "port": process.port,
            "password": "secret" });
        write("shop/config.yaml", json!({ "name": "Shop", "services": { "cache": cache } }).to_string());
        write(".throome/kept/old@db.json", json!({ "kind": "postgres", "password": "secret" }).to_string());
        write(".throome/kept/shop@cache.json", json!({ "kind": "redis", "password": "secret" }).to_string());
        let clusters = Hands::world(dir.path(), &[Arc::clone(&docker), Arc::clone(&process)]).await;
        World { clusters, docker, process, dir }
    }

    async fn list(&self) -> OrphanList {
        self.clusters.orphans().await.unwrap()
    }

    async fn remove(&self, place: &str, data: Data, force: bool) -> Result<(), Code> {
        let words: Vec<&str> = place.split(' ').collect();
        let [provisioner, cluster, service] = words.as_slice() else { panic!("{place}") };
        let place = OrphanPlace {
            provisioner: (*provisioner).to_owned(),
            cluster: (*cluster).to_owned(),
            service: (*service).to_owned(),
        };
        self.clusters.remove_orphan(&place, data, force, by()).await.map_err(|failure| failure.code())
    }

    fn keeps(&self, name: &str) -> bool {
        self.dir.path().join(".throome/kept").join(name).exists()
    }
}

fn told(orphans: &[Orphan]) -> Vec<String> {
    let tell = |one: &Orphan| {
        let Orphan { provisioner, cluster, service, state, own, .. } = one;
        let whose = if *own { "own" } else { &one.gateway };
        format!("{provisioner}/{cluster}/{service}: {state}, {whose}")
    };
    orphans.iter().map(tell).collect()
}

#[tokio::test]
async fn what_nobody_asks_for_is_listed_with_whose_it_is() {
    let world = World::new().await;
    let list = world.list().await;
    let expected = [
        "docker/old/db: data kept, own",
        "docker/shop/cache: data kept, own",
        "docker/theirs/db: running, other",
    ];
    assert_eq!(told(&list.orphans), expected);
    assert_eq!((list.orphans[0].kind.as_deref(), list.count), (Some("postgres"), 3));
    assert!(list.unseen.is_empty());
    *world.docker.is_there.lock().unwrap() = false;
    let list = world.list().await;
    assert_eq!((list.count, list.unseen.len()), (0, 1), "who cannot be asked is named");
    assert_eq!(list.unseen[0].provisioner, "docker");
}

#[tokio::test]
async fn they_are_taken_away_one_by_one() {
    let world = World::new().await;
    assert_eq!(
        world.remove("docker old db", Data::Keep, false).await,
        Err(Code::Conflict),
        "nothing would go"
    );
    assert!(world.keeps("old@db.json"));
    world.remove("docker old db", Data::Remove, false).await.unwrap();
    assert!(!world.keeps("old@db.json"), "what the data were made with goes with them");
    assert_eq!(world.remove("docker old db", Data::Remove, false).await, Err(Code::NotFound));
    assert_eq!(world.remove("docker theirs db", Data::Remove, false).await, Err(Code::Conflict));
    assert_eq!(world.docker.state(&name("theirs", "db")), Some(State::Running), "another gateway may use it");
    world.remove("docker theirs db", Data::Keep, true).await.unwrap();
    assert_eq!(world.docker.state(&name("theirs", "db")), Some(State::Absent));
    // The service of that name goes on, with what its own data were made with.
    world.remove("docker shop cache", Data::Remove, false).await.unwrap();
    assert!(world.keeps("shop@cache@process.json"));
    assert_eq!(told(&world.list().await.orphans), ["docker/theirs/db: data kept, other"]);
    let events = world.clusters.events().list(
        &throome_clusters::EventFilter { kind: Some("orphan.removed".to_owned()), ..Default::default() },
        100,
    );
    let messages: Vec<String> = events.0.into_iter().map(|event| event.message).collect();
    let expected = [
        "taken away from docker, its data are gone",
        "taken away from docker, its data are kept; it was made by the gateway `other`",
        "taken away from docker, its data are gone",
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn what_is_asked_for_or_leads_elsewhere_is_not_taken_away() {
    let world = World::new().await;
    for (place, code) in [
        ("process shop cache", Code::Conflict),
        ("process .. ..", Code::NotFound),
        ("process ../../etc passwd", Code::NotFound),
        ("nobody old db", Code::NotFound),
    ] {
        assert_eq!(world.remove(place, Data::Remove, true).await, Err(code), "{place}");
    }
    assert_eq!(world.process.times("remove") + world.docker.times("remove"), 0);
    assert_eq!(world.process.state(&name("shop", "cache")), Some(State::Running));
}
