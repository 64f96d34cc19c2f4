//! Operations as the door shows them: listed, shown, followed, cancelled.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use clusters::{Begin, By, Planned, Running};
use http_body_util::BodyExt;
use model::view::OperationKind;
use model::{Code, Failure};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Gateway, gateway, gateway_with};

const OPERATIONS: &str = "/api/v1/operations";

async fn begin(gateway: &Gateway, cluster: &str) -> Running {
    let planned =
        |name: &str, action| Planned { name: name.to_owned(), service: Some("cache".to_owned()), action };
    let begin = Begin {
        kind: OperationKind::ClusterCreate,
        cluster: cluster.to_owned(),
        service: None,
        by: By { actor: "api".into(), request_id: Some("r-1".to_owned()) },
        steps: vec![planned("cache: pull", "pull"), planned("cache: start", "start")],
    };
    gateway.clusters.operations().begin(begin).await.unwrap()
}

/// One who follows.
struct Tap {
    body: Body,
    text: String,
    last: u64,
}

impl Tap {
    async fn open(gateway: &Gateway, id: &str) -> Tap {
        let request = Request::get(format!("{OPERATIONS}/{id}/events")).header("host", "localhost");
        let response = gateway.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Tap { body: response.into_body(), text: String::new(), last: 0 }
    }

    /// The name and the data of the next event; none at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(own, _)| *own == name).unwrap().1.to_owned()
                };
                if event.starts_with(':') {
                    self.text = rest.to_owned();
                    continue;
                }
                let (id, name, data) = (field("id"), field("event"), field("data"));
                assert_eq!(id, (self.last + 1).to_string());
                self.last += 1;
                self.text = rest.to_owned();
                return Some((name, serde_json::from_str(&data).unwrap()));
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let data = frame.expect("an event in time")?.unwrap();
            self.text.push_str(std::str::from_utf8(data.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn they_are_listed_and_shown() {
    let gateway = gateway().await;
    let empty = json!({ "operations": [], "count": 0, "next_cursor": null });
    assert_eq!(gateway.get(OPERATIONS).await.json(), empty);
    let first = begin(&gateway, "shop").await;
    let step = first.step(0);
    step.bytes(5, 9);
    step.failed(&Failure::service(Code::Timeout, "No answer."), vec!["the last line".to_owned()]);
    let last = first.end(Err(&Failure::service(Code::Timeout, "No answer."))).await;
    let running = begin(&gateway, "blog").await;

    let shown = gateway.get(&format!("{OPERATIONS}/{}", last.id)).await.json();
    assert_eq!(
        (&shown["status"], &shown["kind"], &shown["actor"]),
        (&json!("failed"), &json!("cluster.create"), &json!("api"))
    );
    assert_eq!((&shown["error"]["code"], &shown["request_id"]), (&json!("timeout"), &json!("r-1")));
    let step = &shown["steps"][0];
    assert_eq!(
        (&step["status"], &step["detail"], &step["log"]),
        (&json!("failed"), &json!("No answer."), &json!(["the last line"]))
    );
    assert_eq!((&step["done_bytes"], &step["total_bytes"]), (&json!(5), &json!(9)));
    assert_eq!(
        shown["steps"][1],
        json!({ "name": "cache: start", "service": "cache", "action": "start", "status": "skipped" })
    );

    let ids = async |query: &str| -> Vec<String> {
        let body = gateway.get(&format!("{OPERATIONS}{query}")).await.json();
        let all = body["operations"].as_array().unwrap();
        assert_eq!(body["count"], all.len());
        all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let both = [running.id(), last.id.clone()];
    assert_eq!(ids("").await, both);
    assert_eq!(ids("?cluster=shop").await, both[1..]);
    assert_eq!(ids("?status=running").await, both[..1]);
    let page = gateway.get(&format!("{OPERATIONS}?limit=1")).await.json();
    assert_eq!((&page["operations"][0]["id"], &page["next_cursor"]), (&json!(both[0]), &json!(both[0])));
    assert_eq!(ids(&format!("?limit=1&cursor={}", both[0])).await, both[1..]);
    for (query, word) in
        [("?status=done", "must be one of `running`"), ("?stat=running", "did you mean `status`?")]
    {
        let refused = gateway.get(&format!("{OPERATIONS}{query}")).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()));
        assert!(refused.text().contains(word), "{}", refused.text());
    }
    for path in ["/none", "/none/events"] {
        assert_eq!(
            gateway.get(&format!("{OPERATIONS}{path}")).await.problem(),
            (404, "not_found".to_owned())
        );
    }
}

#[tokio::test]
async fn whoever_follows_is_told_what_changes_and_the_end() {
    let gateway = gateway().await;
    let running = begin(&gateway, "shop").await;
    let mut tap = Tap::open(&gateway, &running.id()).await;
    let (name, first) = tap.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &first["status"], first["steps"].as_array().unwrap().len()),
        ("operation", &json!("running"), 2)
    );
    let step = running.step("cache: start");
    let (name, changed) = tap.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &changed["name"], &changed["status"]),
        ("step", &json!("cache: start"), &json!("running"))
    );
    step.done("up");
    running.add_steps(vec![Planned { name: "db: start".into(), service: None, action: "start" }]);
    // Both at once, each on its own.
    let (_, changed) = tap.next().await.unwrap();
    assert_eq!((&changed["status"], &changed["detail"]), (&json!("done"), &json!("up")));
    let (name, added) = tap.next().await.unwrap();
    assert_eq!((name.as_str(), &added["name"]), ("step", &json!("db: start")));

    let path = format!("{OPERATIONS}/{}", running.id());
    let canceled = gateway.delete(&path).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["canceling"]), (202, &json!(true)));
    let (name, whole) = tap.next().await.unwrap();
    assert_eq!((name.as_str(), &whole["canceling"]), ("operation", &json!(true)));
    running.canceled().await;
    let failure = running.cancellation();
    let last = running.end(Err(&failure)).await;
    let (name, end) = tap.next().await.unwrap();
    assert_eq!((name.as_str(), end), ("end", serde_json::to_value(&*last).unwrap()));
    assert!(tap.next().await.is_none());

    // Whoever comes back is told all of it.
    let mut tap = Tap::open(&gateway, &last.id).await;
    assert_eq!(tap.next().await.unwrap().0, "operation");
    let (name, end) = tap.next().await.unwrap();
    assert_eq!((name.as_str(), &end["status"]), ("end", &json!("canceled")));
    assert!(tap.next().await.is_none());
    let late = gateway.delete(&path).await;
    assert_eq!(late.problem(), (409, "conflict".to_owned()));
    assert_eq!(gateway.delete(&format!("{OPERATIONS}/none")).await.problem().0, 404);
}

#[tokio::test]
async fn streams_leave_room_for_others() {
    let gateway = gateway_with(|options| options.limits.connections = 2).await;
    let running = begin(&gateway, "shop").await;
    let tap = Tap::open(&gateway, &running.id()).await;
    let path = format!("{OPERATIONS}/{}/events", running.id());
    assert_eq!(gateway.get(&path).await.problem(), (503, "overloaded".to_owned()));
    drop(tap);
    drop(Tap::open(&gateway, &running.id()).await);
}
