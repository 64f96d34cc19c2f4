//! Routes as they run: what answers, what it is told with, and what a conflict says.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use model::view::{ExplainRequest, Explanation};
use model::{Code, Failure};
use policy::Asker;
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;
use throome_clusters::{
    Access, Clusters, Leads, OpenError, Options, Order, Outcome, RequestId, Rescue, Route, Settled, Shape,
    Tries,
};

use crate::{World, by};

/// A cluster with three services, two of them with several endpoints, and these routes.
async fn world(routes: Value) -> World {
    let world = World::new().await;
    let endpoint = |n: u8| json!({ "host": format!("127.0.0.{n}"), "port": 9 });
    world
        .create(json!({
            "cluster_id": "shop", "name": "Shop",
            "services": {
                "web": { "type": "http", "endpoints": [endpoint(1), endpoint(2), endpoint(3)] },
                "canary": { "type": "http", "endpoints": [endpoint(4), endpoint(5)] },
                "spare": { "type": "http", "host": "127.0.0.6", "port": 9 },
            },
            "health": { "enabled": false },
            "routes": routes,
        }))
        .await;
    world
}

fn route(clusters: &Clusters, id: &str) -> Arc<Route> {
    Arc::clone(clusters.snapshot().routes.get(id).unwrap())
}

fn explain(clusters: &Clusters, path: &str, headers: &[(&str, &str)]) -> Explanation {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = ExplainRequest {
        method: "GET".to_owned(),
        listener: "main".to_owned(),
        host: "shop.example".to_owned(),
        path: path.to_owned(),
        headers,
    };
    clusters.explain(&request).unwrap()
}

fn policy<'e>(explanation: &'e Explanation, name: &str) -> Option<&'e Value> {
    explanation.policies.iter().find(|policy| policy["policy"] == name)
}

async fn asked(clusters: &Clusters, route: &Arc<Route>, key: Option<u64>) -> String {
    let service = Arc::clone(route.service_for(key).unwrap());
    let order = Order {
        operation: "GET",
        shape: Shape::Route(Arc::clone(&route.id)),
        access: Access::Read,
        rerun: true,
        uploads: false,
        patience: Duration::ZERO,
        key,
        request_id: RequestId::make(),
    };
    let mut tries = Tries::begin(service, Some(Arc::clone(route)), order, clusters.activity().clone());
    let attempt = tries.next().await.unwrap();
    let label = attempt.endpoint().label.to_string();
    let Ok(Settled::Answer((), attempt)) = tries.settle(attempt, Ok(())) else { panic!("an answer") };
    attempt.end(Outcome::Good);
    label
}

#[tokio::test]
async fn a_split_is_even_by_weight_and_a_client_stays() {
    let split = json!([{ "service": "web", "weight": 3 }, { "service": "canary", "weight": 1 }]);
    let World { clusters, dir: _dir } = world(json!([
        { "id": "split", "path": "/*", "split": split, "affinity": { "cookie": "GATE" } },
    ]))
    .await;
    let route = route(&clusters, "split");
    let canary = (0..10_000).filter(|seed| &*route.pick_service(*seed).unwrap().name == "canary").count();
    assert!(canary.abs_diff(2_500) < 100, "{canary} of 10,000");
    // Whoever comes with the cookie of an endpoint is asked of it, whichever service has it.
    for service in route.leads.services() {
        for endpoint in &service.endpoints {
            let asker = Asker { header: &|_| None, cookies: &|_| None, query: None, address: "10.0.0.1" };
            let cookie = route.affinity().unwrap().cookie_for(&endpoint.load, &asker, false).unwrap();
            let pair = cookie.split(';').next().unwrap().to_owned();
            let back = |index: usize| (index == 0).then_some(pair.as_bytes());
            let key = route.key(&Asker { header: &|_| None, cookies: &back, query: None, address: "" });
            for _ in 0..5 {
                assert_eq!(asked(&clusters, &route, key).await, &*endpoint.label);
            }
        }
    }
    // A service is drawn by the time that it has itself.
    let named = explain(&clusters, "/x", &[]);
    assert_eq!(policy(&named, "split").unwrap()["services"], split);
    assert!(named.service.is_some() && named.endpoint.is_some() && policy(&named, "timeout").is_some());
}

#[tokio::test]
async fn the_same_word_is_asked_of_the_same_endpoint_and_hash_goes_by_the_address() {
    let World { clusters, dir: _dir } = world(json!([
        { "id": "user", "path": "/u", "service": "web", "affinity": { "header": "X-User" } },
        { "id": "hash", "path": "/h", "service": "web", "strategy": "consistent_hash" },
        { "id": "plain", "path": "/p", "service": "web" },
    ]))
    .await;
    let header = |name: &str| (name == "x-user").then_some(&b"ann"[..]);
    let asker = Asker { header: &header, cookies: &|_| None, query: None, address: "10.0.0.1" };
    for id in ["user", "hash"] {
        let route = route(&clusters, id);
        let key = route.key(&asker);
        let first = asked(&clusters, &route, key).await;
        for _ in 0..10 {
            assert_eq!(asked(&clusters, &route, key).await, first, "{id}");
        }
    }
    assert_eq!(route(&clusters, "plain").key(&asker), None);
    let told = explain(&clusters, "/u", &[("x-user", "ann")]);
    assert_eq!(
        policy(&told, "affinity").unwrap(),
        &json!({ "policy": "affinity", "by": "header x-user", "has_key": true })
    );
    assert_eq!(
        told.endpoint,
        Some(asked(&clusters, &route(&clusters, "user"), route(&clusters, "user").key(&asker)).await)
    );
    assert!(told.candidates.iter().any(|candidate| candidate.reason == "picked by affinity"));
}

#[tokio::test]
async fn a_redirect_and_a_fixed_answer_ask_nobody() {
    let World { clusters, dir: _dir } = world(json!([
        { "id": "old", "path": "/old/*", "redirect": { "to": "/new/*", "status": 308 } },
        { "id": "gone", "path": "/gone", "respond": { "status": 410, "body": "gone" },
          "response_headers": { "set": { "cache-control": "no-store" } } },
    ]))
    .await;
    let told = explain(&clusters, "/old/a?b=c", &[]);
    assert_eq!(
        policy(&told, "redirect").unwrap(),
        &json!({ "policy": "redirect", "status": 308, "location": "/new/a?b=c" })
    );
    assert_eq!((told.service, told.endpoint, told.candidates.len(), told.reason), (None, None, 0, None));
    let told = explain(&clusters, "/gone", &[]);
    assert_eq!(policy(&told, "respond").unwrap()["bytes"], 4);
    assert_eq!(policy(&told, "response_headers").unwrap()["set"], json!(["cache-control"]));
    let gone = route(&clusters, "gone");
    let Leads::Fixed(fixed) = &gone.leads else { panic!("a fixed answer") };
    assert_eq!((fixed.status, fixed.content_type.as_deref()), (410, Some("text/plain; charset=utf-8")));
    assert!(gone.service_for(None).is_none() && gone.response_edits().unwrap().drops(b"Cache-Control"));
    // One made by the API needs no service either, and comes back after a restart.
    let body = json!({ "id": "api", "cluster": "shop", "path": "/moved", "redirect": { "to": "https://new.example/" } });
    let (view, _) = clusters.create_route(&body, by()).await.unwrap();
    assert_eq!(serde_json::to_value(&view).unwrap()["redirect"]["status"], 307);
    assert!(clusters.routes().iter().any(|view| view.spec.id == "api"));
}

#[tokio::test]
async fn a_fallback_stands_in_for_a_service_that_cannot_answer() {
    let World { clusters, dir: _dir } = world(json!([
        { "id": "service", "path": "/s", "service": "web", "fallback": { "service": "spare" } },
        { "id": "fixed", "path": "/f", "service": "web", "mirror": { "service": "canary", "share": 0.25 },
          "fallback": { "respond": { "status": 503, "body": "later" } } },
    ]))
    .await;
    let (service, fixed) = (route(&clusters, "service"), route(&clusters, "fixed"));
    let broke = || Failure::service(Code::BadGateway, "broke");
    assert!(
        matches!(service.rescue(&broke(), true), Some(Rescue::Service(spare)) if &*spare.name == "spare")
    );
    assert!(service.rescue(&broke(), false).is_none(), "it may have run already");
    assert!(service.rescue(&broke().with_retryable(true), false).is_some(), "nothing has left");
    assert!(service.rescue(&Failure::client(Code::TooLarge, "large"), true).is_none());
    assert!(matches!(fixed.rescue(&broke(), false), Some(Rescue::Fixed(answer)) if answer.status == 503));
    let mirrored = (0..10_000).filter(|seed| fixed.mirror(*seed).is_some()).count();
    assert!(mirrored.abs_diff(2_500) < 100, "{mirrored} of 10,000");
    assert!(service.mirror(1).is_none());
    let told = explain(&clusters, "/s", &[]);
    assert_eq!(policy(&told, "fallback").unwrap()["service"], "shop/spare");
    // All of them are held: a change of the mirror's service makes the route anew.
    assert_eq!(fixed.services().count(), 2);
    let mut body = clusters.show("shop").unwrap().body;
    body["services"]["canary"]["endpoints"][0]["port"] = json!(10);
    clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    assert!(!Arc::ptr_eq(&fixed, &route(&clusters, "fixed")));
    assert!(Arc::ptr_eq(&service, &route(&clusters, "service")), "what does not change stays");
}

#[tokio::test]
async fn every_conflict_says_file_line_column_and_the_other() {
    let dir = TempDir::new().unwrap();
    let write = |id: &str, routes: &str| {
        fs::create_dir_all(dir.path().join(id)).unwrap();
        let text = format!("services: {{ web: {{ type: http, host: h, port: 1 }} }}\nroutes:\n{routes}");
        fs::write(dir.path().join(id).join("config.yaml"), text).unwrap();
    };
    write("a", "  - { id: users, path: '/u/:id', service: web }\n  - { id: home, path: /, service: web }\n");
    write(
        "b",
        "  - { id: fine, path: /x, service: web }\n  - { id: b-users, path: '/u/{name}', service: web }\n  - { id: home, path: /home, service: web }\n",
    );
    let expected = [
        "b/config.yaml:4:5: routes[1]: matches the same requests as route `users` of cluster `a`",
        "b/config.yaml:5:5: routes[2]: its id, `home`, is that of a route of cluster `a`",
    ];
    let store = Store::open(&dir.path().join(".throome")).unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        store,
        data_dir: dir.path().join(".throome"),
        listeners: Default::default(),
        provisioning: throome_clusters::Provisioning::default(),
    };
    let Err(OpenError::Problems(problems)) = Clusters::open(options).await else { panic!("it began") };
    for problems in [problems, Clusters::check_files(dir.path(), &Default::default()).unwrap()] {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            told.len() == 2 && told.iter().zip(expected).all(|(told, end)| told.ends_with(end)),
            "{told:#?}"
        );
    }
}

#[tokio::test]
async fn a_reload_shares_what_is_as_it_was() {
    let World { clusters, dir: _dir } = world(json!([
        { "id": "one", "path": "/1", "service": "web" },
        { "id": "two", "path": "/2", "service": "web" },
    ]))
    .await;
    let before = route(&clusters, "one");
    let mut body = clusters.show("shop").unwrap().body;
    body["routes"][1]["path"] = json!("/zwei");
    clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    let after = route(&clusters, "one");
    assert!(Arc::ptr_eq(&before, &after));
    let world = clusters.snapshot();
    let asked = &world.cluster("shop").unwrap().spec.routes;
    assert!(asked.iter().all(|spec| Arc::ptr_eq(spec, &world.routes.get(&spec.id).unwrap().spec)));
    assert_eq!(world.routes.get("two").unwrap().spec.path, "/zwei");
}

/// What was counted of a route, if it was asked and is there.
fn counted(clusters: &Clusters, id: &str) -> Option<u64> {
    let routes = clusters.sample().routes;
    routes.into_iter().find(|route| route.route == id).map(|route| route.reading.durations.count())
}

#[tokio::test]
async fn what_is_counted_of_a_route_outlives_every_change_around_it() {
    let routes = |strategy: &str| {
        json!([
            { "id": "file", "path": "/f", "service": "web" },
            { "id": "other", "path": "/o", "service": "spare", "strategy": strategy },
        ])
    };
    let world = world(routes("round_robin")).await;
    let of_api = |path: &str| json!({ "id": "api", "cluster": "shop", "service": "web", "path": path });
    world.clusters.create_route(&of_api("/a"), by()).await.unwrap();
    let url = |path: &str| model::url_route::UrlRouteSpec {
        path: path.to_owned(),
        target_url: "http://127.0.0.7:9/".to_owned(),
        method: "*".to_owned(),
        enabled: true,
        rate_limit: 0,
        timeout: 0,
    };
    world.clusters.create_url_route(url("/u"), by()).await.unwrap();
    let mut asked = 0;
    let mut ask = |clusters: &Clusters, change: &str| {
        for id in ["file", "other", "api", "url-1"] {
            assert_eq!(counted(clusters, id).unwrap_or(0), asked, "{id} after {change}");
            let route = route(clusters, id);
            route.meter.begin();
            route.meter.end(Duration::from_millis(1), None, 1);
        }
        asked += 1;
    };
    ask(&world.clusters, "the beginning");

    let mut body = world.clusters.show("shop").unwrap().body;
    body["services"]["web"]["endpoints"].as_array_mut().unwrap().pop();
    world.clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    ask(&world.clusters, "an endpoint went");
    body["routing"]["strategy"] = json!("least_connections");
    body["routes"] = routes("latency");
    world.clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    ask(&world.clusters, "another strategy");
    world.clusters.replace_route("api", &of_api("/b"), None, by()).await.unwrap();
    world.clusters.replace_url_route(1, url("/v"), None, by()).await.unwrap();
    ask(&world.clusters, "other paths");

    // Another route of that name begins anew.
    world.clusters.delete_route("api", None, by()).await.unwrap();
    world.clusters.create_route(&of_api("/b"), by()).await.unwrap();
    assert_eq!(counted(&world.clusters, "api"), None);
}

#[tokio::test]
async fn a_route_of_the_api_leads_to_nobody_who_answers_no_requests() {
    let world = World::new().await;
    let mut shop = json!({
        "cluster_id": "shop", "name": "Shop",
        "services": {
            "web": { "type": "http", "host": "127.0.0.1", "port": 9 },
            "rpc": { "type": "grpc", "host": "127.0.0.1", "port": 9 },
            "cache": { "type": "memory" }, "db": { "type": "tcp", "host": "127.0.0.1", "port": 9 },
        },
    });
    world.create(shop.clone()).await;
    for (route, expected) in [
        (json!({ "service": "cache" }), vec![("service", "cache", "memory")]),
        (
            json!({ "split": [{ "service": "web" }, { "service": "db" }], "mirror": { "service": "cache" } }),
            vec![("split[1].service", "db", "tcp"), ("mirror.service", "cache", "memory")],
        ),
        (
            json!({ "service": "rpc", "fallback": { "service": "db" } }),
            vec![("fallback.service", "db", "tcp")],
        ),
    ] {
        let mut body = json!({ "id": "r", "cluster": "shop", "path": "/r" });
        body.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
        let failure = world.clusters.create_route(&body, by()).await.unwrap_err();
        let said = |(path, name, kind)| {
            format!(
                "{path}: `{name}` is of type `{kind}`, which answers no HTTP requests (these do: `web`, `rpc`)"
            )
        };
        let expected: Vec<String> = expected.into_iter().map(said).collect();
        let told: Vec<String> = failure.problems().iter().map(ToString::to_string).collect();
        assert_eq!((failure.code(), told), (Code::InvalidRequest, expected), "{body}");
    }
    assert!(world.clusters.routes().is_empty());

    // One whose service becomes another kind leads nowhere until that is one that answers again.
    let body = json!({ "id": "r", "cluster": "shop", "path": "/r", "service": "web" });
    world.clusters.create_route(&body, by()).await.unwrap();
    for (kind, stranded) in [("tcp", 1), ("http", 0)] {
        shop["services"]["web"]["type"] = json!(kind);
        world.clusters.replace("shop", &shop, None, throome_clusters::Data::Keep, by()).await.unwrap();
        assert_eq!(world.clusters.snapshot().stranded.len(), stranded, "{kind}");
    }
}
