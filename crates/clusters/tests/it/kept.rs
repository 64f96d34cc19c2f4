//! Data that outlive their service, and what is kept of what they were made with.

use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use model::{Code, Failure};
use provision::{Data, State};
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_clusters::{Changed, Clusters, EventFilter, OrphanPlace};

use super::by;
use super::hands::{Hands, name};

/// Where nobody listens.
static PORT: LazyLock<u16> =
    LazyLock::new(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());

/// A cluster `shop` whose services are run by two, as its file says it.
struct Shop {
    clusters: Clusters,
    docker: Arc<Hands>,
    process: Arc<Hands>,
    dir: TempDir,
}

impl Shop {
    async fn new(services: Value) -> Shop {
        let dir = TempDir::new().unwrap();
        let (docker, process) = (Hands::new("docker"), Hands::new("process"));
        std::fs::create_dir_all(dir.path().join("shop")).unwrap();
        write(&dir, &services);
        let clusters = Hands::world(dir.path(), &[Arc::clone(&docker), Arc::clone(&process)]).await;
        clusters.begin_watch();
        Shop { clusters, docker, process, dir }
    }

    /// A database that is run, with all that is settled of it.
    async fn with_db(by: &str, password: &str) -> Shop {
        let shop = Shop::new(json!({ "db": db(by, password) })).await;
        shop.hands(by).heard("start", 1).await;
        shop
    }

    fn hands(&self, by: &str) -> &Hands {
        if by == "docker" { &self.docker } else { &self.process }
    }

    /// The database goes from its cluster.
    async fn leaves_out(&self, data: Data) {
        let body = json!({ "name": "Shop", "services": {} });
        match self.clusters.replace("shop", &body, None, data, by()).await.unwrap() {
            Changed::Under(underway) => drop(underway.carry(&self.clusters).await.unwrap()),
            Changed::Now(_) => panic!("something has to go"),
        }
    }

    async fn asks(&self, services: Value) -> Result<Changed, Failure> {
        let body = json!({ "name": "Shop", "services": services });
        self.clusters.replace("shop", &body, None, Data::Keep, by()).await
    }

    /// Waits until such an event tells this.
    async fn hears(&self, kind: &str, words: &str) {
        let filter = EventFilter { kind: Some(kind.to_owned()), ..Default::default() };
        let tells =
            || self.clusters.events().list(&filter, 100).0.iter().any(|event| event.message.contains(words));
        self.waits(|_, _| tells().then_some(())).await;
    }

    /// Its file says this, and so does the gateway in the end.
    async fn says(&self, services: Value) -> String {
        write(&self.dir, &services);
        self.waits(|file, shown| (shown.is_some() && file.contains("port")).then(|| file.to_owned())).await
    }

    async fn waits<T>(&self, of: impl Fn(&str, Option<Value>) -> Option<T>) -> T {
        let waits = async {
            loop {
                let file =
                    std::fs::read_to_string(self.dir.path().join("shop/config.yaml")).unwrap_or_default();
                let shown = self.clusters.show("shop").ok().map(|shown| shown.body["services"]["db"].clone());
                if let Some(found) = of(&file, shown.filter(Value::is_object)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waits).await.expect("it becomes so")
    }

    fn keeps(&self, name: &str) -> Option<Value> {
        let text = std::fs::read(self.dir.path().join(".throome/kept").join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

fn write(dir: &TempDir, services: &Value) {
    let file = json!({ "name": "Shop", "services": services });
    std::fs::write(dir.path().join("shop/config.yaml"), file.to_string()).unwrap();
}

fn db(by: &str, password: &str) -> Value {
    json!({ "type": "postgres", "provision": by, "host": "localhost", "port": *PORT, "username": "throome",
        "password": password, "database": "throome" })
}

#[tokio::test]
async fn data_of_another_provisioner_keep_what_they_were_made_with() {
    let shop = Shop::with_db("docker", "first").await;
    shop.leaves_out(Data::Keep).await;
    let kept = shop.keeps("shop@db@docker.json").expect("it is kept");
    assert_eq!((&kept["provisioner"], &kept["password"]), (&json!("docker"), &json!("first")));
    shop.says(json!({ "db": db("process", "second") })).await;
    shop.process.heard("start", 1).await;
    shop.leaves_out(Data::Remove).await;
    assert_eq!(shop.keeps("shop@db@docker.json"), Some(kept), "the data in docker are there");
    let file = shop.says(json!({ "db": { "type": "postgres", "provision": "docker", "port": *PORT } })).await;
    assert!(file.contains("first"), "{file}");
}

/// Older versions kept one record for whoever had data of the name.
#[tokio::test]
async fn an_older_record_is_of_whoever_has_the_data() {
    let shop = Shop::with_db("process", "second").await;
    let older =
        json!({ "kind": "postgres", "username": "throome", "password": "first", "database": "throome" });
    let dir = shop.dir.path().join(".throome/kept");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("shop@db.json"), older.to_string()).unwrap();
    shop.leaves_out(Data::Remove).await;
    assert_eq!(shop.keeps("shop@db.json"), None);
    assert_eq!(shop.keeps("shop@db@process.json"), None, "those data have gone");
    assert_eq!(shop.keeps("shop@db@docker.json").expect("it is of docker's now")["password"], "first");
}

#[tokio::test]
async fn nothing_of_another_kind_is_started_on_data_that_were_kept() {
    let shop = Shop::with_db("docker", "first").await;
    shop.leaves_out(Data::Keep).await;
    let kept = shop.keeps("shop@db@docker.json");
    let started = shop.docker.times("start");
    for (db, path) in [
        (json!({ "type": "redis", "provision": "docker", "port": *PORT }), "services.db.type"),
        (db("docker", "second"), "services.db.password"),
    ] {
        let refused = shop.asks(json!({ "db": db })).await.unwrap_err();
        assert_eq!((refused.code(), &*refused.problems()[0].path), (Code::InvalidConfig, path));
        let hint = refused.hint().unwrap_or_default().to_owned();
        assert!(hint.contains("throome orphan delete docker/shop/db"), "{hint}");
        assert!(!format!("{refused} {hint}").contains("first"), "{refused}");
    }
    // They are docker's alone.
    let Ok(Changed::Under(other)) = shop.asks(json!({ "db": db("process", "second") })).await else {
        panic!("nothing is in its way")
    };
    drop(other);
    assert_eq!((shop.docker.times("start"), shop.keeps("shop@db@docker.json")), (started, kept));
}

#[tokio::test]
async fn a_file_is_refused_until_the_data_that_were_kept_have_gone() {
    let shop = Shop::with_db("docker", "first").await;
    shop.leaves_out(Data::Keep).await;
    write(&shop.dir, &json!({ "db": { "type": "redis", "provision": "docker", "port": *PORT } }));
    shop.hears("cluster.refused", "data of a `postgres` are kept under this name").await;
    assert_eq!(shop.docker.state(&name("shop", "db")), Some(State::Absent));
    let place = ["docker", "shop", "db"].map(str::to_owned);
    let [provisioner, cluster, service] = place;
    let place = OrphanPlace { provisioner, cluster, service };
    shop.clusters.remove_orphan(&place, Data::Remove, false, by()).await.unwrap();
    shop.waits(|file, shown| (shown.is_some() && file.contains("password")).then_some(())).await;
    shop.docker.heard("start", 2).await;
}

/// Who has the data is away when the gateway starts, and a file has changed before that.
#[tokio::test]
async fn what_was_not_seen_when_a_file_was_read_is_seen_before_anything_starts() {
    let shop = Shop::with_db("docker", "first").await;
    shop.leaves_out(Data::Keep).await;
    let Shop { clusters, docker, process, dir } = shop;
    clusters.close().await;
    drop(clusters);
    *docker.is_there.lock().unwrap() = false;
    let redis = json!({ "type": "redis", "provision": "docker", "host": "localhost", "port": *PORT,
        "password": "secret" });
    write(&dir, &json!({ "db": redis }));
    // Another data directory with what this one kept: the first world still has its own.
    let other = TempDir::new().unwrap();
    for of in ["shop/config.yaml", ".throome/kept/shop@db@docker.json"] {
        std::fs::create_dir_all(other.path().join(of).parent().unwrap()).unwrap();
        std::fs::copy(dir.path().join(of), other.path().join(of)).unwrap();
    }
    let clusters = Hands::world(other.path(), &[Arc::clone(&docker), Arc::clone(&process)]).await;
    let started = docker.times("start");
    clusters.begin_watch();
    let shop = Shop { clusters, docker, process, dir: other };
    *shop.docker.is_there.lock().unwrap() = true;
    shop.hears("service.not_started", "data of a `postgres` are kept under this name").await;
    assert_eq!(shop.docker.times("start"), started);
}
