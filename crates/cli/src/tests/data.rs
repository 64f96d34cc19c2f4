//! Databases and queues from the command line: what is sent, what is data, what is talk.

use super::gateway::{Gateway, Recorded};
use crate::terminal::People;

const DATA: &[Recorded] = &[
    (
        "POST /api/v1/clusters/shop/db/query",
        200,
        r#"{"columns":[{"name":"id","type":"integer"},{"name":"name","type":"text"}],
            "rows":[{"id":7,"name":"a\u001b[2Jb"},{"id":12,"name":null},{"id":3,"name":""}],"row_count":3,"truncated":true}"#,
    ),
    (
        "POST /api/v1/clusters/shop/db/query?service=db",
        200,
        r#"{"columns":[{"name":"n","type":"integer"}],"rows":[],"row_count":0}"#,
    ),
    (
        "POST /api/v1/clusters/other/db/query",
        400,
        r#"{"title":"Query failed","status":400,"code":"query_failed","detail":"no such table: t","service":"db","dialect":"E_7"}"#,
    ),
    ("POST /api/v1/clusters/shop/db/execute", 200, r#"{"rows_affected":2}"#),
    ("POST /api/v1/clusters/other/db/execute", 200, r#"{"rows_affected":1}"#),
    ("POST /api/v1/clusters/shop/db/transactions", 201, r#"{"tx":"T","expires_at":"2026-01-01T00:00:00Z"}"#),
    ("POST /api/v1/clusters/other/db/transactions", 201, r#"{"tx":"T"}"#),
    ("POST /api/v1/clusters/shop/db/execute?tx=T", 200, r#"{"rows_affected":1}"#),
    ("POST /api/v1/clusters/shop/db/transactions/T/commit", 200, r#"{"tx":"T","status":"committed"}"#),
    ("POST /api/v1/clusters/shop/db/transactions/T/rollback", 200, r#"{"tx":"T","status":"rolled_back"}"#),
    ("POST /api/v1/clusters/other/db/transactions/T/rollback", 200, r#"{"tx":"T","status":"rolled_back"}"#),
    (
        "POST /api/v1/clusters/other/db/query?tx=T",
        400,
        r#"{"code":"query_failed","title":"Query failed","detail":"no such table: t"}"#,
    ),
    (
        "GET /api/v1/clusters/shop/queue/topics",
        200,
        r#"{"topics":[{"topic":"orders","name":"orders","num_partitions":3,"replication_factor":1,"retention_ms":null,"messages":5,"bytes":120}],"count":1,"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/clusters/shop/queue/topics/orders",
        200,
        r#"{"topic":"orders","num_partitions":3,"replication_factor":1,"messages":5,"bytes":120,"partitions":[{"partition":0,"earliest":0,"next":5}]}"#,
    ),
    (
        "POST /api/v1/clusters/shop/queue/topics",
        201,
        r#"{"topic":"new","num_partitions":3,"status":"success"}"#,
    ),
    ("DELETE /api/v1/clusters/shop/queue/topics/orders", 200, r#"{"topic":"orders","deleted":true}"#),
    (
        "POST /api/v1/clusters/shop/queue/publish",
        200,
        r#"{"results":[{"topic":"orders","partition":1,"offset":9}],"status":"success"}"#,
    ),
    (
        "POST /api/v1/clusters/other/queue/publish",
        207,
        r#"{"results":[{"topic":"orders","partition":1,"offset":9},{"error":{"code":"too_large","title":"Too large","detail":"The message is too long.","status":413}}]}"#,
    ),
    (
        "GET /api/v1/clusters/shop/queue/consume?topic=orders&group=g&wait_ms=0",
        200,
        concat!(
            r#"{"event":"hello","consumer":"c","assignment":[0],"resume":"r0"}"#,
            "\n\n",
            r#"{"event":"message","topic":"orders","partition":0,"offset":0,"key":"k","value":"one\u001b[2J","headers":{},"timestamp":"t","delivery":1,"ack":"a0","resume":"r1"}"#,
            "\n",
            r#"{"event":"message","topic":"orders","partition":0,"offset":1,"value":"/w==","encoding":"base64","headers":{},"timestamp":"t","delivery":1,"ack":"a1","resume":"r2"}"#,
            "\n",
        ),
    ),
    (
        "GET /api/v1/clusters/shop/queue/consume?topic=orders&group=g&credit=1",
        200,
        concat!(
            r#"{"event":"message","topic":"orders","partition":0,"offset":0,"value":"one","delivery":1,"ack":"a0","resume":"r1"}"#,
            "\n",
            r#"{"event":"message","topic":"orders","partition":0,"offset":1,"value":"two","delivery":1,"ack":"a1","resume":"r2"}"#,
            "\n",
        ),
    ),
    ("POST /api/v1/clusters/shop/queue/ack", 200, r#"{"acknowledged":1}"#),
    (
        "GET /api/v1/clusters/shop/queue/groups",
        200,
        r#"{"groups":[{"topic":"orders","group":"g","consumers":["c1"],"lag":4,"partitions":[{"partition":0,"settled":1,"next":5,"lag":4,"delivered":2}]}],"count":1,"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/clusters/shop/queue/groups?topic=orders",
        200,
        r#"{"groups":[{"topic":"orders","group":"g","consumers":["c1"],"lag":4,"partitions":[{"partition":0,"settled":1,"next":5,"lag":4,"delivered":2}]}],"count":1,"next_cursor":null}"#,
    ),
    ("POST /api/v1/clusters/shop/queue/groups/g/reset", 200, r#"{"group":"g"}"#),
    ("DELETE /api/v1/clusters/shop/queue/groups/g?topic=orders", 200, r#"{"group":"g","deleted":true}"#),
    (
        "GET /api/v1/live?topics=activity",
        200,
        concat!(
            "event: snapshot\nid: e-0\ndata: {\"activity\":[]}\n\n: heartbeat\n\n",
            "event: delta\nid: e-1\ndata: {\"seq\":1,\"topic\":\"activity\",\"op\":\"append\",\"value\":{\"id\":\"1\",\"time\":\"2026-01-02T03:04:05.678901Z\",\"cluster\":\"shop\",\"service\":\"hot\",\"operation\":\"SET\",\"shape\":\"user:*\",\"outcome\":\"success\",\"duration_ms\":0.25,\"tries\":1,\"request_id\":\"r1\"}}\n\n",
            "event: delta\nid: e-2\ndata: {\"seq\":2,\"topic\":\"activity\",\"op\":\"append\",\"value\":{\"id\":\"2\",\"time\":\"2026-01-02T03:04:06Z\",\"cluster\":\"shop\",\"service\":\"web\",\"operation\":\"GET\",\"shape\":\"api\",\"outcome\":\"error\",\"code\":\"timeout\",\"duration_ms\":10000.0,\"tries\":2,\"request_id\":\"r2\"}}\n\n",
            "event: error\ndata: {\"code\":\"permission_denied\",\"title\":\"Not allowed\",\"status\":403}\n\n",
        ),
    ),
    (
        "GET /api/v1/kinds",
        200,
        r#"{"kinds":[{"name":"alpha","abilities":["http"]},{"name":"beta","abilities":["key_value"]}]}"#,
    ),
    (
        "GET /api/v1/clusters",
        200,
        r#"{"clusters":[{"id":"shop","status":"HEALTHY","services":[{"name":"web","type":"alpha"},{"name":"hot","type":"beta"}]}],"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/activity?cluster=shop&service=web&outcome=error&limit=2",
        200,
        r#"{"activities":[{"id":"2","time":"2026-01-02T03:04:06Z","cluster":"shop","service":"web","operation":"GET","shape":"api","outcome":"error","code":"timeout","duration_ms":10000.0,"tries":2,"request_id":"r2"}],"count":1,"next_cursor":null}"#,
    ),
    (
        "GET /api/v1/events?kind=breaker.opened&limit=50",
        200,
        r#"{"events":[{"id":7,"time":"2026-01-02T03:04:06Z","kind":"breaker.opened","cluster":"shop","service":"web","actor":"traffic","message":"5 of 5 failed"}],"count":1,"next_cursor":null}"#,
    ),
];

const SHOP: [&str; 2] = ["--cluster", "shop"];

fn sql<'a>(line: &[&'a str]) -> Vec<&'a str> {
    [&["sql"], line, &SHOP].concat()
}

#[test]
fn rows_are_a_table_for_people_and_exact_for_programs() {
    let gateway = Gateway::new(DATA);
    let ran = gateway.ran(&sql(&["-c", "SELECT * FROM t WHERE id = $1", "--arg", "7"])).ended(0);
    assert_eq!(ran.out, "id  name\n--  ---------\n 7  a\\x1b[2Jb\n12  (null)\n 3  \n");
    assert!(ran.err.starts_with("(3 rows)\nthe result was cut"), "{}", ran.err);
    assert_eq!(
        gateway.seen(),
        [r#"POST /api/v1/clusters/shop/db/query {"query":"SELECT * FROM t WHERE id = $1","args":[7]}"#]
    );
    let csv = gateway.ran(&sql(&["-c", "SELECT 1", "-o", "csv"])).ended(0);
    assert_eq!(csv.out, "id,name\r\n7,a\u{1b}[2Jb\r\n12,\r\n3,\"\"\r\n");
    assert!(csv.err.starts_with("the result was cut"), "{}", csv.err);
    let csv = gateway.ran(&sql(&["-c", "SELECT 1", "-o", "csv", "--no-headers"])).ended(0);
    assert!(csv.out.starts_with("7,"));
    let json = gateway.ran(&sql(&["-c", "SELECT 1", "-o", "json"])).ended(0);
    let body: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(DATA[0].2).unwrap();
    assert_eq!(body, recorded);
    let empty = gateway.ran(&sql(&["-c", "SELECT 1", "--service", "db", "-o", "json"])).ended(0);
    let body: serde_json::Value = serde_json::from_str(&empty.out).unwrap();
    assert_eq!(body["rows"], serde_json::json!([]));
    let ran = gateway.ran(&sql(&["-c", "DELETE FROM t", "-o", "json"])).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("{\"rows_affected\":2}\n", ""));
}

#[test]
fn a_text_of_several_statements_stops_at_its_first_fault() {
    let gateway = Gateway::new(DATA);
    let text = "-- seed\nINSERT INTO t VALUES (';');\n\nSELECT 1;\nDELETE FROM t";
    let ran = gateway.ran_by(&["sql", "--cluster", "other"], text, People::default()).ended(1);
    assert!(ran.err.contains("statement 2, line 4 of standard input"), "{}", ran.err);
    assert!(
        ran.err.contains("no such table: t") && ran.err.contains("query_failed (dialect E_7)"),
        "{}",
        ran.err
    );
    assert_eq!(gateway.seen().len(), 2);
    let ran = gateway.ran_by(&sql(&["-"]), "DELETE FROM t", People::default()).ended(0);
    assert_eq!(ran.err, "2 rows changed\n");
    let ran = gateway.ran(&sql(&["no-such-file.sql"])).ended(3);
    assert!(ran.err.contains("cannot read no-such-file.sql"), "{}", ran.err);
    let ran = gateway.ran(&sql(&["-c", "SELECT 1; SELECT 2", "--arg", "1"])).ended(2);
    assert!(ran.err.contains("--arg is for one statement"), "{}", ran.err);
}

#[test]
fn a_transaction_is_for_all_or_as_the_text_says() {
    let gateway = Gateway::new(DATA);
    gateway.ran(&sql(&["-c", "DELETE FROM a; DELETE FROM b", "--single-transaction"])).ended(0);
    let base = "POST /api/v1/clusters/shop/db";
    let expected = [
        format!(r#"{base}/transactions {{"idle_ms":300000}}"#),
        format!(r#"{base}/execute?tx=T {{"query":"DELETE FROM a","args":[]}}"#),
        format!(r#"{base}/execute?tx=T {{"query":"DELETE FROM b","args":[]}}"#),
        format!("{base}/transactions/T/commit"),
    ];
    assert_eq!(gateway.seen(), expected);
    gateway.ran(&sql(&["-c", "BEGIN; DELETE FROM a; DELETE FROM b; COMMIT"])).ended(0);
    assert_eq!(gateway.seen()[4..], expected);
    let ran = gateway.ran(&sql(&["-c", "BEGIN; DELETE FROM a"])).ended(1);
    assert!(ran.err.contains("was not committed, so it was undone"), "{}", ran.err);
    assert_eq!(gateway.seen().pop().unwrap(), format!("{base}/transactions/T/rollback"));
    let line = ["sql", "-c", "SELECT 1", "--single-transaction", "--cluster", "other"];
    gateway.ran(&line).ended(1);
    assert!(gateway.seen().pop().unwrap().ends_with("/transactions/T/rollback"));
    gateway.ran(&sql(&["-c", "COMMIT"])).ended(2);
    gateway.ran(&sql(&["-c", "BEGIN", "--single-transaction"])).ended(2);
}

#[test]
fn a_conversation_takes_lines_until_it_is_left() {
    let gateway = Gateway::new(DATA);
    let person = People { type_input: true, ..People::default() };
    let typed = "SELECT *\n  /* a; */ FROM t;\nDELETE FROM t; \\nonsense\n;\n\\x\nSELECT 1;\n\\timing\nBEGIN;\nDELETE FROM t;\n\\y\n\\q\n";
    let ran = gateway.ran_by(&sql(&[]), typed, person).ended(0);
    assert!(
        ran.out.contains("id  name\n") && ran.out.contains("-- row 2 --\nid    12\nname  (null)\n"),
        "{}",
        ran.out
    );
    for told in [
        "shop=> ",
        "shop-> ",
        "shop=*> ",
        "2 rows changed",
        "time: ",
        "transaction begun",
        "`\\y` is no command",
        "rolled back",
    ] {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
    let seen = gateway.seen();
    assert!(seen[0].contains(r#""query":"SELECT *\n  /* a; */ FROM t""#), "{}", seen[0]);
    let refused =
        gateway.ran_by(&["sql", "--cluster", "other"], "SELECT 1;\nDELETE FROM t;\n", person).ended(0);
    assert!(
        refused.err.contains("no such table: t") && refused.err.contains("1 row changed"),
        "{}",
        refused.err
    );
    gateway.ran_by(&sql(&["--non-interactive"]), "SELECT 1;", person).ended(2);
}

#[test]
fn tables_are_asked_for_in_every_way_that_there_is() {
    let gateway = Gateway::new(DATA);
    let person = People { type_input: true, ..People::default() };
    let ran = gateway.ran_by(&sql(&[]), "\\dt\n", person).ended(0);
    assert!(ran.out.starts_with("id  name\n"), "{}", ran.out);
    let ran = gateway.ran_by(&["sql", "--cluster", "other"], "\\dt\n\\d t\n", person).ended(0);
    assert_eq!(ran.err.matches("no such table: t").count(), 2, "{}", ran.err);
    assert_eq!(gateway.seen().iter().filter(|seen| seen.contains("information_schema")).count(), 2);
}

#[test]
fn formats_belong_to_their_commands() {
    let gateway = Gateway::new(DATA);
    for line in [
        &["cluster", "list", "-o", "csv"][..],
        &["cluster", "list", "-o", "raw"],
        &["sql", "-c", "SELECT 1", "-o", "yaml", "--cluster", "shop"],
        &["consume", "t", "-g", "g", "-o", "csv", "--cluster", "shop"],
        &["-o", "yaml", "tap"],
        &["tap", "-o", "raw"],
    ] {
        gateway.ran(line).ended(2);
    }
    assert!(gateway.seen().is_empty());
}

#[test]
fn topics_are_listed_shown_created_and_removed() {
    let gateway = Gateway::new(DATA);
    let topic = |line: &[&str]| gateway.ran(&[&["topic"], line, &SHOP].concat());
    assert_eq!(
        topic(&["list"]).ended(0).out,
        "TOPIC   PARTITIONS  MESSAGES  BYTES\norders  3           5         120\n"
    );
    assert_eq!(topic(&["list", "-o", "name"]).ended(0).out, "orders\n");
    assert!(
        topic(&["show", "orders"])
            .ended(0)
            .out
            .ends_with("PARTITION  EARLIEST  NEXT\n0          0         5\n")
    );
    let made = topic(&["create", "new", "--partitions", "3", "--retention", "7d"]).ended(0);
    assert_eq!((made.out.as_str(), made.err.as_str()), ("", "created topic `new`\n"));
    assert!(
        gateway
            .seen()
            .pop()
            .unwrap()
            .ends_with(r#"{"num_partitions":3,"retention_ms":604800000,"topic":"new"}"#)
    );
    topic(&["delete", "orders"]).ended(2);
    topic(&["delete", "orders", "--yes"]).ended(0);
    topic(&["show", "nothing"]).ended(3);
}

#[test]
fn messages_come_from_words_files_and_pipes() {
    let gateway = Gateway::new(DATA);
    let publish = |line: &[&str], input: &str| {
        gateway.ran_by(&[&["publish", "orders"], line, &SHOP].concat(), input, People::default())
    };
    let last = || gateway.seen().pop().unwrap();
    let ran = publish(&["hello", "--key", "7", "--header", "a=b=c"], "").ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "published to `orders`, partition 1, offset 9\n"));
    assert!(
        last().ends_with(r#"{"message":"hello","key":"7","headers":{"a":"b=c"},"topic":"orders"}"#),
        "{}",
        last()
    );
    assert_eq!(publish(&["-", "-o", "name"], "two\nlines\n").ended(0).out, "orders/1/9\n");
    assert!(last().contains(r#""message":"two\nlines\n""#));
    publish(&["-5"], "").ended(0);
    assert!(last().contains(r#""message":"-5""#));
    let ran = publish(&["--lines"], "one\r\ntwo").ended(0);
    assert_eq!(ran.err, "published 2 messages to `orders`\n");
    let seen = gateway.seen();
    for (body, message) in seen.iter().rev().zip(["two", "one"]) {
        assert!(body.contains(&format!(r#""messages":[{{"message":"{message}"}}]"#)), "{body}");
    }
    let ran = publish(&["--lines"], "one\ntwo\n").ended(6);
    assert!(ran.err.contains("answered for 1 of 2 messages"), "{}", ran.err);
    let line = ["publish", "orders", "--lines", "--cluster", "other"];
    let ran = gateway.ran_by(&line, "a\n\n", People::default()).ended(1);
    assert!(
        ran.err.contains("line 2; of the 2 lines around it, 1 are published") && ran.err.contains("too long"),
        "{}",
        ran.err
    );
    let person = People { type_input: true, ..People::default() };
    gateway.ran_by(&["publish", "orders", "--cluster", "shop"], "", person).ended(2);
    publish(&["x", "--lines"], "").ended(2);
    publish(&["--file", "no-such-file"], "").ended(3);
}

#[test]
fn what_was_written_out_is_acknowledged() {
    let gateway = Gateway::new(DATA);
    let line = ["consume", "orders", "-g", "g", "--wait", "0", "--cluster", "shop"];
    let ran = gateway.ran(&[&line[..], &["-o", "json"]].concat()).ended(0);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["key"], &lines[1]["value"]), (2, &"k".into(), &"/w==".into()));
    assert!(lines[0].get("resume").is_none());
    assert!(
        ran.err.contains("1 acknowledgements came too late") && ran.err.contains("2 messages"),
        "{}",
        ran.err
    );
    assert!(gateway.seen()[1].ends_with(r#"{"ack":["a0","a1"],"topic":"orders","group":"g"}"#));
    let none = gateway.ran(&[&line[..], &["--ack", "none", "-o", "json"]].concat()).ended(0);
    assert!(none.err.contains("none acknowledged"), "{}", none.err);
    assert_eq!(gateway.seen().len(), 3);
    // A person's terminal is commanded by nobody.
    let person = People { read_out: true, ..People::default() };
    assert!(gateway.ran_by(&line, "", person).ended(0).out.starts_with("one\\x1b[2J\n"));
    let one = gateway.ran(&["consume", "orders", "-g", "g", "-n", "1", "--cluster", "shop"]).ended(0);
    assert_eq!(one.out, "one\n");
    assert!(gateway.seen().pop().unwrap().ends_with(r#"{"ack":["a0"],"topic":"orders","group":"g"}"#));
    gateway.ran(&["consume", "nothing", "-g", "g", "--cluster", "shop"]).ended(3);
}

#[test]
fn groups_and_how_far_they_are() {
    let gateway = Gateway::new(DATA);
    let group = |line: &[&str]| gateway.ran(&[&["group"], line, &SHOP].concat());
    assert_eq!(
        group(&["list"]).ended(0).out,
        "TOPIC   GROUP  CONSUMERS  LAG  DELIVERED\norders  g      1          4    2\n"
    );
    let lag = group(&["lag", "orders", "g"]).ended(0);
    assert_eq!(lag.out, "PARTITION  SETTLED  NEXT  LAG  DELIVERED\n0          1        5     4    2\n");
    assert_eq!(lag.err, "lag 4, 1 consumer\n");
    group(&["lag", "orders", "h"]).ended(3);
    for (to, sent) in [("earliest", "\"earliest\""), ("latest", "\"latest\""), ("5", "5")] {
        group(&["reset", "orders", "g", "--to", to]).ended(0);
        assert!(gateway.seen().pop().unwrap().ends_with(&format!(r#"{{"topic":"orders","to":{sent}}}"#)));
    }
    group(&["reset", "orders", "g", "--to", "yesterday"]).ended(2);
    group(&["delete", "orders", "g"]).ended(2);
    group(&["delete", "orders", "g", "--yes"]).ended(0);
}

#[test]
fn what_happens_is_a_line_each() {
    let gateway = Gateway::new(DATA);
    let all = gateway.ran(&["tap"]).ended(4);
    assert_eq!(
        all.out,
        "03:04:05.678  shop/hot          SET         user:*                            success  0.2 ms  r1\n\
         03:04:06      shop/web          GET         api                               error timeout  10000.0 ms  r2\n"
    );
    assert!(all.err.starts_with("listening; Ctrl-C ends it\n"), "{}", all.err);
    let json = gateway.ran(&["tap", "--requests", "-o", "json"]).ended(4).out;
    assert!(json.lines().count() == 1 && json.contains(r#""id":"2""#), "{json}");
    assert_eq!(gateway.ran(&["tap", "--errors", "-o", "json"]).ended(4).out, json);
    gateway.ran(&["tap", "--service", "shop/db", "--cluster", "other"]).ended(2);
    let activity = gateway
        .ran(&["activity", "--cluster", "shop", "--service", "web", "--errors", "--limit", "2"])
        .ended(0);
    assert!(
        activity.out.lines().nth(1).unwrap().ends_with("api    error    timeout  10000.0  r2"),
        "{}",
        activity.out
    );
    let events = gateway.ran(&["events", "--kind", "breaker.opened", "-o", "name"]).ended(0);
    assert_eq!(events.out, "7\n");
}
