//! Routes to URLs: they outlive a restart, share what leads to the same place, and touch nothing else.

use std::sync::Arc;

use model::url_route::UrlRouteSpec;
use serde_json::json;

use crate::{World, by, open};

fn to(path: &str, target_url: &str) -> UrlRouteSpec {
    UrlRouteSpec {
        path: path.to_owned(),
        target_url: target_url.to_owned(),
        method: "*".to_owned(),
        enabled: true,
        rate_limit: 3,
        timeout: 7,
    }
}

impl World {
    fn leads(&self) -> Vec<(String, String)> {
        let routes = self.clusters.routes().into_iter();
        routes.map(|route| (route.spec.id.clone(), route.spec.service.clone())).collect()
    }
}

#[tokio::test]
async fn they_outlive_a_restart() {
    let world = World::new().await;
    for path in ["/a", "/b/*", "/c"] {
        world.clusters.create_url_route(to(path, "http://127.0.0.1:9/x"), by()).await.unwrap();
    }
    world.clusters.delete_url_route(3, None, by()).await.unwrap();
    let kept = world.clusters.url_routes();
    let leads = world.leads();
    assert_eq!(leads.len(), 2);
    let World { clusters, dir } = world;
    drop(clusters);
    let clusters = open(&dir).await;
    let world = World { clusters, dir };
    assert_eq!((world.clusters.url_routes(), world.leads()), (kept, leads));
    let next = world.clusters.create_url_route(to("/d", "http://127.0.0.1:9"), by()).await.unwrap();
    assert_eq!(next.0.id, 4, "also the number of one that is gone is never given again");
    let route = world.clusters.snapshot().routes.get("url-1").cloned().unwrap();
    assert_eq!(
        (route.tactics(route.pick_service(0).unwrap()).timeout.as_secs(), route.limit().is_some()),
        (7, true)
    );
}

#[tokio::test]
async fn a_change_touches_nothing_else() {
    let world = World::new().await;
    world.create(json!({
        "name": "Shop", "cluster_id": "shop", "services": { "web": { "type": "http", "host": "127.0.0.1", "port": 9 } },
        "routes": [{ "id": "own", "path": "/own", "service": "web" }],
    }))
    .await;
    let (one, other) = (to("/a", "http://127.0.0.1:8/x"), to("/b", "http://127.0.0.1:8/y"));
    world.clusters.create_url_route(one, by()).await.unwrap();
    let before = world.clusters.snapshot().clone();
    world.clusters.create_url_route(other, by()).await.unwrap();
    world.clusters.create_url_route(to("/c", "http://127.0.0.1:7/"), by()).await.unwrap();
    let after = world.clusters.snapshot().clone();
    for id in ["own", "url-1"] {
        assert!(Arc::ptr_eq(before.routes.get(id).unwrap(), after.routes.get(id).unwrap()), "{id}");
    }
    let service = |id: &str| Arc::clone(after.routes.get(id).unwrap().pick_service(0).unwrap());
    assert!(Arc::ptr_eq(&service("url-1"), &service("url-2")), "one origin, one service");
    assert_eq!(after.cluster("url-routes").unwrap().services.len(), 2);

    world.clusters.replace_url_route(1, to("/a", "http://127.0.0.1:7/z"), None, by()).await.unwrap();
    world.clusters.delete_url_route(2, None, by()).await.unwrap();
    let world_now = world.clusters.snapshot().clone();
    assert_eq!(
        world_now.cluster("url-routes").unwrap().services.len(),
        1,
        "nobody leads to the other any more"
    );
    for id in [1, 3] {
        world.clusters.delete_url_route(id, None, by()).await.unwrap();
    }
    assert!(
        world.clusters.snapshot().cluster("url-routes").is_err(),
        "without routes there is no cluster of them"
    );
    let told = world.events("route.");
    assert_eq!(told.len(), 7, "{told:?}");
}

#[tokio::test]
async fn what_clients_have_used_stays_when_their_route_changes() {
    let world = World::new().await;
    world.clusters.create_url_route(to("/a", "http://127.0.0.1:8/x"), by()).await.unwrap();
    let ask = || {
        let route = world.clusters.snapshot().routes.get("url-1").cloned().unwrap();
        let now = throome_clusters::clock::now();
        route.limit().unwrap().ask("192.0.2.1".parse().unwrap(), |_| None, now).is_ok()
    };
    assert_eq!([ask(), ask(), ask(), ask()], [true, true, true, false]);
    world.clusters.replace_url_route(1, to("/a", "http://127.0.0.1:8/y"), None, by()).await.unwrap();
    world.clusters.create_url_route(to("/b", "http://127.0.0.1:7/"), by()).await.unwrap();
    assert!(!ask());
}

#[tokio::test]
async fn one_that_another_stands_in_the_way_of_changes_nothing() {
    let world = World::new().await;
    world.create(json!({
        "name": "Shop", "cluster_id": "shop", "services": { "web": { "type": "http", "host": "127.0.0.1", "port": 9 } },
        "routes": [{ "id": "own", "path": "/own", "service": "web" }],
    }))
    .await;
    let failure = world.clusters.create_url_route(to("/own", "http://127.0.0.1:8"), by()).await.unwrap_err();
    assert!(failure.detail().contains("route `own`"), "{failure}");
    assert!(
        world.clusters.snapshot().cluster("url-routes").is_err() && world.clusters.url_routes().is_empty()
    );

    // One that was kept, and whose place a file takes before the next start.
    let World { clusters, dir } = world;
    clusters.create_url_route(to("/mine", "http://127.0.0.1:8"), by()).await.unwrap();
    drop(clusters);
    let file = dir.path().join("shop/config.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("/own", "/mine");
    std::fs::write(&file, text).unwrap();
    let clusters = open(&dir).await;
    assert_eq!(clusters.url_routes().len(), 1, "it is kept");
    assert_eq!(clusters.snapshot().stranded.len(), 1);
    clusters.replace_url_route(1, to("/free", "http://127.0.0.1:8"), None, by()).await.unwrap();
    assert!(clusters.snapshot().stranded.is_empty() && clusters.snapshot().routes.get("url-1").is_some());
}

#[tokio::test]
async fn a_file_does_not_take_the_name_of_their_cluster() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::create_dir_all(dir.path().join("url-routes")).unwrap();
    std::fs::write(dir.path().join("url-routes/config.yaml"), "services: {}\n").unwrap();
    let problems = throome_clusters::Clusters::check_files(dir.path(), &Default::default()).unwrap();
    assert!(problems[0].message.contains("/api/routes"), "{problems:?}");
}

/// A cluster whose file has a route of this id, for `/ID`.
fn shop_with(id: &str) -> serde_json::Value {
    json!({
        "name": "Shop", "cluster_id": "shop",
        "services": { "web": { "type": "http", "host": "127.0.0.1", "port": 9 } },
        "routes": [{ "id": id, "path": format!("/{id}"), "service": "web" }],
    })
}

impl World {
    /// Id, cluster and path of every route.
    fn places(&self) -> Vec<String> {
        let place = |route: model::view::RouteView| {
            format!("{} {} {}", route.spec.id, route.spec.cluster, route.spec.path)
        };
        self.clusters.routes().into_iter().map(place).collect()
    }

    async fn make(&self, path: &str) -> i64 {
        self.clusters.create_url_route(to(path, "http://127.0.0.1:8"), by()).await.unwrap().0.id
    }
}

#[tokio::test]
async fn none_takes_an_id_that_another_route_has() {
    let world = World::new().await;
    world.create(shop_with("url-1")).await;
    for (id, path) in [("url-2", "/two"), ("url-4", "/four")] {
        let body = json!({ "id": id, "cluster": "shop", "service": "web", "path": path });
        world.clusters.create_route(&body, by()).await.unwrap();
    }
    assert_eq!([world.make("/a").await, world.make("/b").await], [3, 5]);
    let others = ["url-1 shop /url-1", "url-2 shop /two", "url-4 shop /four"];
    let own = ["url-3 url-routes /a", "url-5 url-routes /b"];
    let all = [others[0], others[1], own[0], others[2], own[1]];
    assert_eq!(world.places(), all);

    // Nor that of one which leads nowhere while its cluster is away.
    let World { clusters, dir } = world;
    drop(clusters);
    let (file, away) = (dir.path().join("shop/config.yaml"), dir.path().join("away.yaml"));
    std::fs::rename(&file, &away).unwrap();
    let world = World { clusters: open(&dir).await, dir };
    assert_eq!(world.clusters.snapshot().stranded.len(), 2);
    let body = json!({ "id": "url-6", "cluster": "url-routes", "respond": { "body": "x" }, "path": "/six" });
    assert!(world.clusters.create_route(&body, by()).await.is_err());
    assert_eq!(world.make("/c").await, 6);
    for id in [3, 5, 6] {
        world.clusters.delete_url_route(id, None, by()).await.unwrap();
    }
    assert_eq!(world.places(), others[1..]);
    let World { clusters, dir } = world;
    drop(clusters);
    std::fs::rename(&away, &file).unwrap();
    let world = World { clusters: open(&dir).await, dir };
    assert_eq!(world.places(), others, "nothing of anybody else is gone");
}

#[tokio::test]
async fn one_whose_id_a_file_has_taken_meanwhile_runs_by_another() {
    let world = World::new().await;
    world.create(shop_with("own")).await;
    assert_eq!([world.make("/a").await, world.make("/b").await], [1, 2]);
    let World { clusters, dir } = world;
    drop(clusters);
    let file = dir.path().join("shop/config.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("own", "url-1")).unwrap();
    let world = World { clusters: open(&dir).await, dir };
    let all = ["url-1 shop /url-1", "url-1-2 url-routes /a", "url-2 url-routes /b"];
    assert_eq!(world.places(), all);
    let told = world.events("route.renamed");
    assert!(told.len() == 1 && told[0].contains("runs as `url-1-2`"), "{told:?}");
    assert!(
        world.clusters.delete_route("url-1-2", None, by()).await.unwrap_err().detail().contains("route 1")
    );

    // It is changed and deleted by its number, and the other is not touched.
    world.clusters.replace_url_route(1, to("/c", "http://127.0.0.1:8"), None, by()).await.unwrap();
    assert_eq!(world.places(), [all[0], "url-1-2 url-routes /c", all[2]]);
    world.clusters.delete_url_route(1, None, by()).await.unwrap();
    assert_eq!(world.places(), [all[0], all[2]]);
}
