//! Changes that take a while: begun, followed over a break, waited for, cancelled.

use serde_json::json;
use throome_sdk::{Family, Operation, OperationEvent, OperationFilter, Started};

use crate::server::{Server, Then};

const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn operation(status: &str) -> String {
    format!(
        r#"{{"id":"7","kind":"cluster.create","cluster":"shop","status":"{status}","created_at":"2026-01-02T03:04:05Z",
        "actor":"api","new":1,"steps":[{{"name":"cache: pull","action":"pull","status":"waiting"}}]}}"#
    )
    .replace('\n', "")
}

fn raw(events: &str) -> Then {
    Then::Raw(format!("{SSE}{events}").leak())
}

#[tokio::test]
async fn what_may_take_a_while_is_begun_or_done() {
    let server = Server::new([
        Then::Answer(201, "", r#"{"id":"shop"}"#),
        Then::Answer(202, "location: /api/v1/operations/7\r\n", operation("running").leak()),
        Then::Answer(201, "", r#"{"id":"shop"}"#),
    ]);
    let clusters = server.client().clusters();
    let spec = json!({ "name": "Shop" });
    let Started::Done(cluster) = clusters.create(&spec).started().await.unwrap() else { panic!() };
    assert_eq!(cluster.id, "shop");
    let Started::Begun(operation) = clusters.create(&spec).started().await.unwrap() else { panic!() };
    assert_eq!((operation.id.as_str(), operation.has_ended()), ("7", false));
    clusters.create(&spec).await.unwrap();
    let asked: Vec<_> = server.seen().iter().map(|seen| seen.header("prefer").map(str::to_owned)).collect();
    assert_eq!(asked, [Some("respond-async".to_owned()), Some("respond-async".to_owned()), None]);
}

#[tokio::test]
async fn it_is_followed_to_its_end_over_a_break() {
    let (running, ended) = (operation("running"), operation("succeeded"));
    let server = Server::new([
        raw(&format!(
            "id: 1\nevent: operation\ndata: {running}\n\n: still here\n\nid: 2\nevent: step\ndata: {}\n\nid: 3\nevent: st",
            r#"{"name":"cache: pull","action":"pull","status":"running","done_bytes":5,"total_bytes":9}"#
        )),
        raw(&format!("id: 1\nevent: operation\ndata: {ended}\n\nid: 2\nevent: end\ndata: {ended}\n\n")),
    ]);
    let mut events = server.client().operations().events("a/b").await.unwrap();
    let Some(OperationEvent::Operation(mut operation)) = events.next().await.unwrap() else { panic!() };
    let Some(OperationEvent::Step(step)) = events.next().await.unwrap() else { panic!() };
    operation.take(step.clone());
    assert_eq!((operation.steps.len(), operation.steps[0].total_bytes), (1, Some(9)));
    let mut other = step;
    other.name = "db: pull".to_owned();
    operation.take(other);
    assert_eq!(operation.steps.len(), 2);
    assert!(matches!(events.next().await.unwrap(), Some(OperationEvent::Operation(_))), "all of it again");
    let Some(OperationEvent::End(last)) = events.next().await.unwrap() else { panic!() };
    assert_eq!(last.status, "succeeded");
    assert!(events.next().await.unwrap().is_none());
    assert_eq!(server.lines(), ["GET /api/v1/operations/a%2Fb/events"; 2]);
}

#[tokio::test]
async fn its_end_is_waited_for_and_why_it_failed_is_the_error() {
    let mut failed: serde_json::Value = serde_json::from_str(&operation("failed")).unwrap();
    failed["error"] =
        json!({ "code": "timeout", "status": 504, "detail": "It did not answer.", "title": "T" });
    let server = Server::new([
        raw(&format!("event: end\ndata: {}\n\n", operation("succeeded"))),
        raw(&format!("event: end\ndata: {failed}\n\n")),
        Then::Answer(404, "", r#"{"code":"not_found","status":404}"#),
    ]);
    let client = server.client();
    let running: Operation = serde_json::from_str(&operation("running")).unwrap();
    assert_eq!(running.wait(&client).await.unwrap().status, "succeeded");
    let error = running.wait(&client).await.unwrap_err();
    assert_eq!((error.family(), error.detail()), (Family::Timeout, "It did not answer."));
    assert_eq!(running.wait(&client).await.unwrap_err().family(), Family::NotFound);
    let ended: Operation = serde_json::from_str(&operation("canceled")).unwrap();
    assert_eq!(ended.wait(&client).await.unwrap_err().family(), Family::Conflict, "nobody is asked");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn they_are_listed_and_canceled() {
    let page = format!(r#"{{"operations":[{}],"count":1,"next_cursor":null}}"#, operation("running"));
    let server = Server::new([
        Then::Answer(200, "", page.leak()),
        Then::Answer(200, "", operation("running").leak()),
        Then::Answer(202, "", operation("running").leak()),
    ]);
    let operations = server.client().operations();
    let mut filter = OperationFilter::default();
    (filter.cluster, filter.status, filter.limit) = (Some("shop".into()), Some("running".into()), Some(5));
    assert_eq!(operations.list(&filter).all().await.unwrap().len(), 1);
    assert_eq!(operations.get("7").await.unwrap().kind, "cluster.create");
    operations.cancel("7").await.unwrap();
    let lines = [
        "GET /api/v1/operations?cluster=shop&status=running&limit=5",
        "GET /api/v1/operations/7",
        "DELETE /api/v1/operations/7",
    ];
    assert_eq!(server.lines(), lines);
}
