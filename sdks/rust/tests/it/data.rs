//! Databases and queues: what each call sends, and streams that break.

use std::time::Duration;

use serde_json::{Value, json};
use throome_sdk::{
    BatchResult, Change, Database, Family, Message, Position, Published, Queue, Statement, TopicOptions,
    TransactionOptions,
};

use crate::server::{Server, Then};

fn ok(body: &'static str) -> Then {
    Then::Answer(200, "", body)
}

fn db(server: &Server) -> Database {
    server.client().cluster("shop").db()
}

fn queue(server: &Server) -> Queue {
    server.client().cluster("shop").queue()
}

#[tokio::test]
async fn statements_go_with_their_arguments() {
    let server = Server::new([
        ok(
            r#"{"columns":[{"name":"n","type":"bigint"}],"rows":[{"n":"9007199254740993"}],"row_count":1,"truncated":true}"#,
        ),
        ok(r#"{"rows_affected":3}"#),
        ok(r#"{"results":[{"rows_affected":1},{"columns":[],"rows":[],"row_count":0}]}"#),
    ]);
    let db = db(&server).service("db");
    let rows = db.clone().read_only().max_rows(1).query("SELECT $1", &[json!("x")]).await.unwrap();
    assert_eq!((rows.columns[0].name.as_str(), rows.columns[0].kind.as_str()), ("n", "bigint"));
    assert_eq!((&rows.rows[0]["n"], rows.row_count, rows.truncated), (&json!("9007199254740993"), 1, true));
    assert_eq!(db.execute("DELETE FROM t", &[]).await.unwrap(), 3);
    let batch = [Statement::new("INSERT", &[json!(1), Value::Null]), Statement::new("SELECT", &[])];
    let results = db.batch(&batch).await.unwrap();
    assert!(matches!(
        (&results[0], &results[1]),
        (BatchResult::Affected { rows_affected: 1 }, BatchResult::Rows(rows)) if rows.rows.is_empty()
    ));
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /api/v1/clusters/shop/db/query?service=db");
    assert_eq!(seen[0].body, r#"{"query":"SELECT $1","args":["x"],"read_only":true,"max_rows":1}"#);
    assert_eq!(seen[1].body, r#"{"query":"DELETE FROM t","args":[]}"#);
    assert_eq!(seen[2].body, r#"{"statements":[{"query":"INSERT","args":[1,null]},{"query":"SELECT"}]}"#);
}

#[tokio::test]
async fn only_queries_that_read_are_tried_again() {
    let busy = || Then::Answer(503, "", r#"{"code":"busy","retryable":true}"#);
    let server = Server::new([busy(), ok(r#"{"columns":[],"rows":[]}"#), busy(), busy()]);
    let db = db(&server);
    assert!(db.clone().read_only().query("SELECT 1", &[]).await.is_ok());
    assert_eq!(db.query("SELECT 1", &[]).await.unwrap_err().code(), Some("busy"));
    assert_eq!(db.execute("DELETE", &[]).await.unwrap_err().attempts(), 1);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn with_a_key_of_its_own_a_write_is_tried_again() {
    let server = Server::new([Then::Answer(503, "", r#"{"retryable":true}"#), ok(r#"{"rows_affected":1}"#)]);
    db(&server).execute("DELETE", &[]).idempotency_key("order-7").await.unwrap();
    let keys: Vec<_> =
        server.seen().iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, [Some("order-7".to_owned()), Some("order-7".to_owned())]);
    let error = db(&server).execute("DELETE", &[]).idempotency_key("a\nb").await.unwrap_err();
    assert_eq!(error.family(), Family::Validation);
}

#[tokio::test]
async fn a_transaction_is_its_own_to_the_end() {
    let server = Server::new([
        Then::Answer(201, "", r#"{"tx":"a/b","expires_at":"2026-01-01T00:00:00Z"}"#),
        ok(r#"{"rows_affected":1}"#),
        ok(r#"{"columns":[],"rows":[]}"#),
        ok(r#"{"tx":"a/b","status":"committed"}"#),
        Then::Answer(201, "", r#"{"tx":"c"}"#),
        ok(r#"{"tx":"c","status":"rolled_back"}"#),
    ]);
    let options =
        TransactionOptions::default().isolation("serializable").idle(Duration::from_secs(60)).read_only();
    let tx = db(&server).begin(&options).await.unwrap();
    assert_eq!(tx.execute("INSERT", &[]).await.unwrap(), 1);
    tx.query("SELECT", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let tx = db(&server).begin(&TransactionOptions::default()).await.unwrap();
    drop(tx);
    while server.seen().len() < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        server.lines(),
        [
            "POST /api/v1/clusters/shop/db/transactions",
            "POST /api/v1/clusters/shop/db/execute?tx=a%2Fb",
            "POST /api/v1/clusters/shop/db/query?tx=a%2Fb",
            "POST /api/v1/clusters/shop/db/transactions/a%2Fb/commit",
            "POST /api/v1/clusters/shop/db/transactions",
            "POST /api/v1/clusters/shop/db/transactions/c/rollback",
        ]
    );
    assert_eq!(server.seen()[0].body, r#"{"isolation":"serializable","read_only":true,"idle_ms":60000}"#);
}

#[tokio::test]
async fn rows_are_read_while_they_come_and_a_cut_is_an_error() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nx-request-id: r-9\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = |chunks: &[&str]| {
        let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
        format!("{HEAD}{chunks}")
    };
    let whole = chunked(&[
        r#"{"columns":[{"name":"a","type":"text"}],"rows"#,
        r#"":[{"a":1},{"a":2"#,
        r#"}],"row_count":2,"truncated":true"#,
        "}",
        "",
    ]);
    let cut = chunked(&[r#"{"columns":[],"rows":[{},{"#]);
    let server = Server::new([Then::Raw(whole.leak()), Then::Raw(cut.leak())]);
    let mut rows = db(&server).stream("SELECT", &[]).await.unwrap();
    assert_eq!(rows.columns()[0].name, "a");
    let mut values = Vec::new();
    while let Some(row) = rows.next().await.unwrap() {
        values.push(row["a"].clone());
    }
    assert_eq!((values, rows.truncated()), (vec![json!(1), json!(2)], true));

    let mut rows = db(&server).stream("SELECT", &[]).await.unwrap();
    assert!(rows.next().await.unwrap().is_some());
    let error = rows.next().await.unwrap_err();
    assert_eq!((error.family(), error.request_id()), (Family::Connection, Some("r-9")));
    assert!(!rows.truncated());
}

#[tokio::test]
async fn a_publish_is_one_however_often_it_is_sent() {
    let server = Server::new([
        Then::Answer(503, "retry-after: 0\r\n", r#"{"code":"no_endpoint","retryable":true}"#),
        ok(r#"{"results":[{"topic":"t","partition":2,"offset":7}],"status":"success"}"#),
        Then::Answer(
            207,
            "",
            r#"{"results":[{"topic":"t","partition":0,"offset":1},{"error":{"code":"too_large","title":"Too large","status":413}}]}"#,
        ),
    ]);
    let queue = queue(&server);
    let receipt = queue.publish("t", &Message::new("v").key("k").header("a", "b")).await.unwrap();
    assert_eq!((receipt.topic.as_str(), receipt.partition, receipt.offset), ("t", 2, 7));
    let several = queue.publish_all("t", &[Message::new("x"), Message::new(vec![255])]).await.unwrap();
    assert!(matches!(&several[0], Published::Stored(receipt) if receipt.offset == 1));
    assert!(matches!(&several[1], Published::Refused(error) if error.code() == Some("too_large")));

    let seen = server.seen();
    let keys: Vec<&str> = seen.iter().map(|seen| seen.header("idempotency-key").unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
    assert_eq!(seen[0].body, r#"{"message":"v","key":"k","headers":{"a":"b"},"topic":"t"}"#);
    assert_eq!(
        seen[2].body,
        r#"{"topic":"t","messages":[{"message":"x"},{"message":"/w==","encoding":"base64"}]}"#
    );
}

#[tokio::test]
async fn topics_and_groups() {
    let server = Server::new([
        Then::Answer(201, "", r#"{"topic":"a/b","num_partitions":3,"status":"success"}"#),
        ok(r#"{"topic":"a/b","num_partitions":3,"messages":5}"#),
        ok(r#"{"topics":[{"topic":"a/b"}],"next_cursor":"c"}"#),
        ok(r#"{"topics":[{"topic":"d"}],"next_cursor":null}"#),
        ok(r#"{"topic":"a/b","deleted":true}"#),
        ok(
            r#"{"groups":[{"topic":"t","group":"g","consumers":["c1"],"lag":2,"partitions":[{"partition":0,"settled":1,"next":3,"lag":2,"delivered":1}]}]}"#,
        ),
        ok("{}"),
        ok("{}"),
    ]);
    let queue = queue(&server).service("q");
    let options = TopicOptions { num_partitions: Some(3), ..TopicOptions::default() };
    assert_eq!(queue.create_topic("a/b", &options).await.unwrap().num_partitions, 3);
    assert_eq!(queue.topic("a/b").await.unwrap().messages, Some(5));
    let names: Vec<String> =
        queue.topics().all().await.unwrap().into_iter().map(|topic| topic.topic).collect();
    assert_eq!(names, ["a/b", "d"]);
    queue.delete_topic("a/b").await.unwrap();
    let groups = queue.groups(Some("t")).all().await.unwrap();
    assert_eq!((groups[0].lag, groups[0].partitions[0].delivered), (Some(2), Some(1)));
    queue.reset_group("t", "g", Position::Offset(5)).await.unwrap();
    queue.delete_group("t", "g").await.unwrap();
    let base = "/api/v1/clusters/shop/queue";
    assert_eq!(
        server.lines(),
        [
            format!("POST {base}/topics?service=q"),
            format!("GET {base}/topics/a%2Fb?service=q"),
            format!("GET {base}/topics?service=q"),
            format!("GET {base}/topics?service=q&cursor=c"),
            format!("DELETE {base}/topics/a%2Fb?service=q"),
            format!("GET {base}/groups?service=q&topic=t"),
            format!("POST {base}/groups/g/reset?service=q"),
            format!("DELETE {base}/groups/g?service=q&topic=t"),
        ]
    );
    assert_eq!(server.seen()[6].body, r#"{"topic":"t","to":5}"#);
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";

#[tokio::test]
async fn a_consumer_goes_on_where_its_connection_broke() {
    let first = format!(
        "{STREAM}{}\n\n{}\n{}\n{{\"event\":\"mess",
        r#"{"event":"hello","consumer":"c1","assignment":[0],"resume":"r0"}"#,
        r#"{"event":"message","topic":"t","partition":0,"offset":0,"key":"k","value":"one","headers":{"h":"1"},"timestamp":"2026-01-01T00:00:00Z","delivery":1,"ack":"a0","resume":"r1"}"#,
        r#"{"event":"message","topic":"t","partition":0,"offset":1,"value":"/w==","encoding":"base64","delivery":2,"ack":"a1","resume":"r2"}"#,
    );
    let second = format!(
        "{STREAM}{}\n",
        r#"{"event":"message","topic":"t","partition":0,"offset":2,"value":"three","delivery":1,"ack":"a2","resume":"r3"}"#,
    );
    let failing = format!(
        "{STREAM}{}\n",
        r#"{"event":"error","code":"not_found","title":"Not found","detail":"The topic is gone.","status":404}"#
    );
    let server = Server::new([
        Then::Raw(first.leak()),
        Then::Answer(503, "retry-after: 0\r\n", r#"{"code":"no_endpoint","retryable":true}"#),
        Then::Raw(second.leak()),
        Then::Raw(failing.leak()),
    ]);
    let mut consumer =
        queue(&server).consume("t", "g").credit(5).lease(Duration::from_secs(9)).open().await.unwrap();
    let one = consumer.next().await.unwrap().unwrap();
    assert_eq!((one.key.as_deref(), &one.value[..], one.delivery), (Some(&b"k"[..]), &b"one"[..], 1));
    let two = consumer.at_hand().unwrap().unwrap();
    assert_eq!((&two.value[..], two.ack.as_str(), two.delivery), (&[255_u8][..], "a1", 2));
    assert!(consumer.at_hand().unwrap().is_none());
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, 2);
    assert!(consumer.broken() > 0 && consumer.hello()["consumer"] == "c1");
    let error = consumer.next().await.unwrap_err();
    assert_eq!((error.family(), error.detail()), (Family::NotFound, "The topic is gone."));
    let lines = server.lines();
    let line = "GET /api/v1/clusters/shop/queue/consume?topic=t&group=g&credit=5&lease_ms=9000";
    assert_eq!(
        lines,
        [
            line.to_owned(),
            format!("{line}&resume=r2"),
            format!("{line}&resume=r2"),
            format!("{line}&resume=r3")
        ]
    );
    assert_eq!(server.seen()[0].header("accept"), Some("application/x-ndjson"));
}

#[tokio::test]
async fn a_consumer_that_waits_ends_with_the_stream() {
    let idle = format!("{STREAM}{{\"event\":\"hello\"}}\n");
    let server = Server::new([Then::Raw(idle.leak()), ok(r#"{"acknowledged":2}"#)]);
    let mut consumer =
        queue(&server).consume("t", "g").from_latest().wait(Duration::ZERO).open().await.unwrap();
    assert!(consumer.next().await.unwrap().is_none());
    assert!(consumer.next().await.unwrap().is_none());
    consumer.stop();
    assert!(consumer.next().await.unwrap().is_none() && consumer.at_hand().unwrap().is_none());
    assert_eq!(consumer.ack(&["a".to_owned(), "b".to_owned()]).await.unwrap(), 2);
    assert_eq!(
        server.lines()[0],
        "GET /api/v1/clusters/shop/queue/consume?topic=t&group=g&from=latest&wait_ms=0"
    );
    assert_eq!(server.seen()[1].body, r#"{"ack":["a","b"],"topic":"t","group":"g"}"#);
}

#[tokio::test]
async fn live_goes_on_after_the_last_event() {
    const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let first = format!(
        "{SSE}event: snapshot\nid: e-1\ndata: {{\"activity\":[]}}\n\n: heartbeat\n\nevent: delta\nid: e-2\ndata: {{\"seq\":2,\"topic\":\"activity\",\"op\":\"append\",\"value\":{{\"id\":\"x\"}}}}\n\nevent: delta\nid: e-3\ndata: {{"
    );
    let second = format!(
        "{SSE}event: delta\nid: e-3\ndata: {{\"seq\":3,\"topic\":\"routes\",\"op\":\"remove\",\"key\":\"api\"}}\n\n"
    );
    let server = Server::new([Then::Raw(first.leak()), Then::Raw(second.leak())]);
    let mut live = server.client().live(&["activity", "routes"], Some("shop"), None).await.unwrap();
    assert_eq!(live.next().await.unwrap(), Change::Snapshot(json!({ "activity": [] })));
    let Change::Delta(delta) = live.next().await.unwrap() else { panic!() };
    assert_eq!((delta.seq, delta.op.as_str(), &delta.value), (2, "append", &json!({ "id": "x" })));
    let Change::Delta(delta) = live.next().await.unwrap() else { panic!() };
    assert_eq!((delta.topic.as_str(), delta.key.as_deref()), ("routes", Some("api")));
    assert_eq!(server.lines()[0], "GET /api/v1/live?topics=activity%2Croutes&cluster=shop");
    assert_eq!(server.seen()[1].header("last-event-id"), Some("e-2"));
}
