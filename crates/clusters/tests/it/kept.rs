//! Data that outlive their service, and what is kept of what they were made with.

use std::sync::Arc;
use std::time::Duration;

use provision::Data;
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_clusters::{Changed, Clusters};

use super::by;
use super::hands::Hands;

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
    json!({ "type": "postgres", "provision": by, "host": "localhost", "port": 5999, "username": "throome",
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
    let file = shop.says(json!({ "db": { "type": "postgres", "provision": "docker", "port": 5999 } })).await;
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
