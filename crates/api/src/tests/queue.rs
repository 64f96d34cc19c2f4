//! Topics, publishing and groups through the door, on the embedded queue.

mod sockets;
mod streams;

use axum::http::Request;
use serde_json::{Value, json};

use super::{Gateway, Reply, gateway};

/// A gateway with cluster `shop`: `events`, a queue, and `cache`, which is none.
async fn shop() -> Gateway {
    let gateway = gateway().await;
    let document = json!({ "name": "Shop", "cluster_id": "shop",
        "services": { "events": { "type": "log", "max_message": "1kb" }, "cache": { "type": "memory" } } });
    let reply = gateway.post("/api/v1/clusters", &document).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    gateway
}

fn at(call: &str) -> String {
    format!("/api/v1/clusters/shop/queue/{call}")
}

async fn post(gateway: &Gateway, call: &str, body: Value) -> Reply {
    gateway.post(&at(call), &body).await
}

async fn publish(gateway: &Gateway, topic: &str, messages: &[&str]) {
    let messages: Vec<Value> = messages.iter().map(|message| json!({ "message": message })).collect();
    let reply = post(gateway, "publish", json!({ "topic": topic, "messages": messages })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn topics_are_made_shown_listed_and_deleted() {
    let gateway = shop().await;
    let none = gateway.get(&at("topics")).await.json();
    assert_eq!(none, json!({ "topics": [], "count": 0, "next_cursor": null }));
    let asked = json!({ "topic": "orders", "num_partitions": 3, "retention_ms": 60_000, "retention_bytes": 1_000_000 });
    let made = post(&gateway, "topics", asked.clone()).await;
    let mut expected = json!({
        "topic": "orders", "name": "orders", "num_partitions": 3, "replication_factor": 1, "retention_ms": 60_000,
        "retention_bytes": 1_000_000, "messages": 0, "bytes": 0,
        "partitions": [{ "partition": 0, "earliest": 0, "next": 0 }, { "partition": 1, "earliest": 0, "next": 0 },
            { "partition": 2, "earliest": 0, "next": 0 }],
        "status": "success",
    });
    assert_eq!((made.status.as_u16(), made.json()), (201, expected.clone()));
    assert_eq!(post(&gateway, "topics", asked).await.problem(), (409, "already_exists".to_owned()));
    expected.as_object_mut().unwrap().remove("status");
    assert_eq!(gateway.get(&at("topics/orders")).await.json(), expected);
    let head = gateway.ask("HEAD", &at("topics/orders"), "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    publish(&gateway, "orders", &["a", "bc"]).await;
    let shown = gateway.get(&at("topics/orders")).await.json();
    assert_eq!(shown["messages"], 2);
    assert!(shown["bytes"].as_u64().unwrap() >= 3, "{shown}");

    for name in ["b", "a.dead", "c"] {
        assert_eq!(post(&gateway, "topics", json!({ "topic": name })).await.status, 201);
    }
    let names = |page: &Value| -> Vec<String> {
        page["topics"].as_array().unwrap().iter().map(|t| t["topic"].as_str().unwrap().to_owned()).collect()
    };
    let first = gateway.get(&at("topics?limit=3")).await.json();
    assert_eq!((names(&first), &first["count"]), (vec!["a.dead".into(), "b".into(), "c".into()], &json!(3)));
    let rest =
        gateway.get(&at(&format!("topics?limit=3&cursor={}", first["next_cursor"].as_str().unwrap()))).await;
    assert_eq!((names(&rest.json()), &rest.json()["next_cursor"]), (vec!["orders".to_owned()], &Value::Null));

    let gone = gateway.delete(&at("topics/orders")).await;
    assert_eq!(gone.json(), json!({ "topic": "orders", "deleted": true, "status": "success" }));
    for missing in [gateway.get(&at("topics/orders")).await, gateway.delete(&at("topics/orders")).await] {
        assert_eq!(missing.problem(), (404, "not_found".to_owned()));
        assert_eq!(missing.json()["service"], "events");
    }
    for bad in ["topics/a%20b", "topics/%ff", "topics?limit=0", "topics?nothing=1"] {
        assert_eq!(gateway.get(&at(bad)).await.problem(), (400, "invalid_request".to_owned()), "{bad}");
    }
    let replicas = post(&gateway, "topics", json!({ "topic": "r", "replication_factor": 3 })).await;
    assert_eq!(replicas.problem(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn what_is_published_has_its_place() {
    let gateway = shop().await;
    assert_eq!(post(&gateway, "topics", json!({ "topic": "orders", "num_partitions": 4 })).await.status, 201);
    let one = post(&gateway, "publish", json!({ "topic": "orders", "message": "a", "key": "k" })).await;
    let partition = one.json()["results"][0]["partition"].clone();
    let expected = json!({ "results": [{ "topic": "orders", "partition": partition, "offset": 0 }], "status": "success" });
    assert_eq!((one.status.as_u16(), one.json()), (200, expected));
    let messages: Vec<Value> = (0..5).map(|n| json!({ "message": format!("{n}"), "key": "k" })).collect();
    let several = post(&gateway, "publish", json!({ "topic": "orders", "messages": messages })).await.json();
    for (index, result) in several["results"].as_array().unwrap().iter().enumerate() {
        let expected = json!({ "topic": "orders", "partition": partition, "offset": index + 1 });
        assert_eq!(*result, expected, "a key keeps its partition, and its order");
    }
}

#[tokio::test]
async fn a_message_that_fails_says_so_alone_and_among_others() {
    let gateway = shop().await;
    let large = "x".repeat(2000);
    let alone = post(&gateway, "publish", json!({ "topic": "t", "message": large })).await;
    assert_eq!(
        (alone.problem(), &alone.json()["service"]),
        ((413, "too_large".to_owned()), &json!("events"))
    );
    let listed = post(&gateway, "publish", json!({ "topic": "t", "messages": [{ "message": large }] })).await;
    assert_eq!(listed.problem(), (413, "too_large".to_owned()));
    let messages = json!([{ "message": "a" }, { "message": large }, { "message": "b" }]);
    let several = post(&gateway, "publish", json!({ "topic": "t", "messages": messages })).await;
    let body = several.json();
    assert_eq!((several.status.as_u16(), &body["status"]), (207, &json!("partial")), "{body}");
    let error = &body["results"][1]["error"];
    for (field, expected) in [
        ("code", json!("too_large")),
        ("status", json!(413)),
        ("retryable", json!(false)),
        ("service", json!("events")),
        ("request_id", json!(several.header("x-request-id"))),
    ] {
        assert_eq!(error[field], expected, "{field}");
    }
    assert!(
        error["title"].is_string()
            && error["detail"].is_string()
            && body["results"][1].get("topic").is_none()
    );
    assert_eq!((&body["results"][0]["offset"], &body["results"][2]["offset"]), (&json!(0), &json!(1)));
    let facts = gateway.get("/api/v1/clusters/shop/services/events").await.json();
    assert_eq!(facts["healthy"], true, "a message that is too large is not its fault: {facts}");
    assert_eq!(gateway.get(&at("topics/t")).await.json()["messages"], 2);
}

#[tokio::test]
async fn the_same_key_publishes_once() {
    let gateway = shop().await;
    let send = async |key: &str, body: &str| {
        gateway.send(Request::post(at("publish")).header("idempotency-key", key), body.to_owned()).await
    };
    let body = r#"{"topic": "t", "messages": [{"message": "a"}, {"message": "b"}]}"#;
    let first = send("order-1", body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = send("order-1", body).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    assert_eq!(gateway.get(&at("topics/t")).await.json()["messages"], 2);
    let other = send("order-1", r#"{"topic": "t", "message": "a"}"#).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch".to_owned()));
    assert_eq!(send("order-2", body).await.json()["results"][0]["offset"], 2);
    for wrong in ["", "a b", &"k".repeat(256)] {
        let refused = send(wrong, body).await;
        assert_eq!((refused.problem().0, refused.faults()), (400, vec!["Idempotency-Key".to_owned()]));
    }
}

#[tokio::test]
async fn the_service_is_one_that_keeps_messages() {
    let gateway = shop().await;
    let body = json!({ "topic": "t", "message": "a" });
    assert_eq!(post(&gateway, "publish?service=events", body.clone()).await.status, 200);
    let refused = post(&gateway, "publish?service=cache", body.clone()).await;
    assert_eq!(refused.problem(), (422, "unsupported_ability".to_owned()));
    assert_eq!(post(&gateway, "publish?service=none", body.clone()).await.problem().0, 404);
    let none = gateway.get("/api/v1/clusters/none/queue/topics").await;
    assert_eq!(none.problem(), (404, "not_found".to_owned()));
    let faulty = gateway.ask("POST", &at("publish"), "{\"topic\": \"t\"").await;
    assert_eq!(faulty.problem(), (400, "invalid_request".to_owned()));
    for (method, call, allow) in
        [("GET", "publish", "POST"), ("POST", "consume", "GET"), ("PUT", "topics/t", "GET,HEAD,DELETE")]
    {
        let refused = gateway.ask(method, &at(call), "").await;
        assert_eq!((refused.problem().0, refused.header("allow")), (405, allow));
    }
}

#[tokio::test]
async fn every_call_is_written_down_by_its_name() {
    let gateway = shop().await;
    post(&gateway, "topics", json!({ "topic": "t" })).await;
    post(&gateway, "publish", json!({ "topic": "t", "message": "secret" })).await;
    post(&gateway, "publish", json!({ "topic": "t", "message": "secret", "key": "secret" })).await;
    gateway.get(&at("topics")).await;
    gateway.get(&at("topics/t")).await;
    let mut stream = streams::open(&gateway, "topic=t&group=g&wait_ms=0&format=ndjson", &[]).await;
    let tokens: Vec<String> = stream.rest().await.iter().skip(1).map(streams::Told::ack).collect();
    post(&gateway, "ack", json!({ "topic": "t", "group": "g", "ack": tokens })).await;
    gateway.get(&at("groups?topic=t")).await;
    post(&gateway, "groups/g/reset", json!({ "topic": "t", "to": "earliest" })).await;
    gateway.delete(&at("groups/g?topic=t")).await;
    gateway.delete(&at("topics/t")).await;
    gateway.delete(&at("topics/t")).await;
    let activity = gateway.get("/api/v1/clusters/shop/services/events/activity").await;
    assert!(!activity.text().contains("secret"));
    let found: Vec<(String, String, String)> = activity.json()["activities"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            (text("operation"), text("shape"), text("outcome"))
        })
        .collect();
    let expected = [
        ("CREATE_TOPIC", "t", "success"),
        ("PUBLISH", "t", "success"),
        ("PUBLISH_WITH_KEY", "t", "success"),
        ("LIST_TOPICS", "*", "success"),
        ("TOPIC", "t", "success"),
        ("SUBSCRIBE", "t/g", "success"),
        ("ACK", "t/g", "success"),
        ("GROUPS", "t", "success"),
        ("RESET_GROUP", "t/g", "success"),
        ("DELETE_GROUP", "t/g", "success"),
        ("DELETE_TOPIC", "t", "success"),
        ("DELETE_TOPIC", "t", "error"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn groups_are_listed_put_elsewhere_and_deleted() {
    let gateway = shop().await;
    for topic in ["a", "a-b"] {
        publish(&gateway, topic, &["1", "2", "3"]).await;
        for group in ["g", "h"] {
            let query = format!("topic={topic}&group={group}&wait_ms=0&format=ndjson");
            assert_eq!(streams::open(&gateway, &query, &[]).await.rest().await.len(), 4);
        }
    }
    let of = |page: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        page["groups"].as_array().unwrap().iter().map(|g| (text(&g["topic"]), text(&g["group"]))).collect()
    };
    let pair = |topic: &str, group: &str| (topic.to_owned(), group.to_owned());
    let first = gateway.get(&at("groups?limit=3")).await.json();
    assert_eq!(of(&first), [pair("a", "g"), pair("a", "h"), pair("a-b", "g")]);
    let next = format!("groups?limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(of(&gateway.get(&at(&next)).await.json()), [pair("a-b", "h")]);
    let one = gateway.get(&at("groups?topic=a&limit=1")).await.json();
    assert_eq!((&one["count"], one["next_cursor"].is_string()), (&json!(1), true));
    let group = &one["groups"][0];
    assert_eq!((&group["lag"], &group["consumers"]), (&json!(3), &json!([])));
    assert_eq!(
        group["partitions"],
        json!([{ "partition": 0, "settled": 0, "next": 3, "lag": 3, "delivered": 3 }])
    );

    let reset = post(&gateway, "groups/g/reset", json!({ "topic": "a", "to": 2 })).await.json();
    assert_eq!((&reset["lag"], &reset["status"]), (&json!(1), &json!("success")));
    assert_eq!(reset["partitions"][0]["settled"], 2);
    let reset = post(&gateway, "groups/g/reset", json!({ "topic": "a", "to": u64::MAX })).await.json();
    assert_eq!(reset["lag"], 0);
    let gone = gateway.delete(&at("groups/g?topic=a")).await.json();
    assert_eq!(gone, json!({ "topic": "a", "group": "g", "deleted": true, "status": "success" }));
    assert_eq!(gateway.delete(&at("groups/g?topic=a")).await.problem(), (404, "not_found".to_owned()));
    assert_eq!(gateway.delete(&at("groups/h")).await.faults(), ["topic"]);
    assert_eq!(gateway.get(&at("groups?topic=none")).await.problem(), (404, "not_found".to_owned()));
    assert_eq!(gateway.get(&at("groups?cursor=x")).await.faults(), ["cursor"]);

    let reading = streams::open(&gateway, "topic=a&group=h", &[]).await;
    for refused in [
        post(&gateway, "groups/h/reset", json!({ "topic": "a", "to": "earliest" })).await,
        gateway.delete(&at("groups/h?topic=a")).await,
    ] {
        assert_eq!(refused.problem(), (409, "conflict".to_owned()));
    }
    drop(reading);
}
