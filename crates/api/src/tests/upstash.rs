//! Commands in Upstash's shapes, over the kind that keeps plain values.

use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};

use super::{Gateway, Reply, gateway_with, shop};

const COMMAND: &str = "/api/v1/clusters/shop/cache/command";
const PIPELINE: &str = "/api/v1/clusters/shop/cache/pipeline";
const MULTI: &str = "/api/v1/clusters/shop/cache/multi-exec";
const DOOR: &str = "/api/v1/clusters/shop/services/cache/upstash";

/// What commands give: `result`, or the text of `error`.
struct Cache(Gateway);

impl Cache {
    async fn run(&self, command: Value) -> Value {
        let reply = self.0.post(COMMAND, &command).await;
        match reply.status.as_u16() {
            200 => reply.json()["result"].take(),
            400 => {
                assert_eq!(reply.problem(), (400, "command_failed".to_owned()));
                assert!(reply.json()["redis"].is_string(), "{}", reply.text());
                reply.json()["error"].take()
            }
            other => panic!("{other}: {}", reply.text()),
        }
    }

    /// Runs commands one after the other and compares what each gives.
    async fn talk(&self, lines: Value) {
        for line in lines.as_array().unwrap() {
            let gives = self.run(line[0].clone()).await;
            match line[1]["left"].as_i64() {
                // Nobody knows how long a command waits for its turn.
                Some(of) => {
                    assert!(gives.as_i64().is_some_and(|left| left > of - 40 && left <= of), "{gives} {line}")
                }
                None => assert_eq!(gives, line[1], "{line}"),
            }
        }
    }
}

/// What is left of so many seconds.
fn left(of: i64) -> Value {
    json!({ "left": of })
}

async fn cache() -> Cache {
    Cache(shop().await)
}

const NUMBER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";

#[tokio::test]
async fn values_are_set_and_read_as_redis_does() {
    cache()
        .await
        .talk(json!([
            [["PING"], "PONG"],
            [["ping", "hello"], "hello"],
            [["ECHO", "hello"], "hello"],
            [["GET", "a"], null],
            [["SET", "a", "1"], "OK"],
            [["get", "a"], "1"],
            [["SET", "a", "2", "NX"], null],
            [["SET", "b", "2", "XX"], null],
            [["SET", "a", "2", "XX", "GET"], "1"],
            [["SET", "a", "3", "NX", "GET"], "2"],
            [["SET", "new", "3", "nx", "get"], null],
            [["GET", "new"], "3"],
            [["GETSET", "a", "x"], "2"],
            [["GETSET", "fresh", "x"], null],
            [["APPEND", "a", "yz"], 3],
            [["APPEND", "appended", ""], 0],
            [["EXISTS", "appended"], 1],
            [["STRLEN", "a"], 3],
            [["STRLEN", "none"], 0],
            [["GETRANGE", "a", 0, -1], "xyz"],
            [["GETRANGE", "a", -2, 9], "yz"],
            [["GETRANGE", "a", 1, 1], "y"],
            [["GETRANGE", "a", 2, 1], ""],
            [["GETRANGE", "none", 0, -1], ""],
            [["GETRANGE", "a", "x", 1], NUMBER],
            [["TYPE", "a"], "string"],
            [["TYPE", "none"], "none"],
            [["MSET", "m1", "1", "m2", 2, "m1", true], "OK"],
            [["MGET", "m1", "none", "m2", "m1"], ["true", null, "2", "true"]],
            [["MSETNX", "m3", "3", "m1", "4"], 0],
            [["GET", "m3"], null],
            [["MSETNX", "m3", "3", "m4", "4"], 1],
            [["SETNX", "m4", "5"], 0],
            [["SETNX", "m5", "5"], 1],
            [["EXISTS", "m1", "m1", "none"], 2],
            [["TOUCH", "m1", "none"], 1],
            [["GETDEL", "m5"], "5"],
            [["GETDEL", "m5"], null],
            [["DEL", "m1", "m1", "m2", "none"], 2],
            [["UNLINK", "m3", "m4"], 2],
            [["GET"], "ERR wrong number of arguments for 'get' command"],
            [["Set", "a"], "ERR wrong number of arguments for 'set' command"],
            [["MSET", "a", "1", "b"], "ERR wrong number of arguments for 'mset' command"],
            [["SET", "a", "1", "NX", "XX"], SYNTAX],
            [["SET", "a", "1", "EX"], SYNTAX],
            [["SET", "a", "1", "EX", 1, "PX", 1], SYNTAX],
            [["SET", "a", "1", "KEEPTTL", "EX", 1], SYNTAX],
            [["SET", "a", "1", "SOON"], SYNTAX],
            [["SET", "a", "1", "EX", "x"], NUMBER],
            [["SET", "a", "1", "EX", 0], "ERR invalid expire time in 'set' command"],
            [["SET", "a", "1", "PX", -5], "ERR invalid expire time in 'set' command"],
            [["GET", "a"], "xyz"],
        ]))
        .await;
}

#[tokio::test]
async fn numbers_are_exact() {
    cache()
        .await
        .talk(json!([
            [["INCR", "n"], 1],
            [["INCRBY", "n", 41], 42],
            [["DECR", "n"], 41],
            [["DECRBY", "n", "51"], -10],
            [["GET", "n"], "-10"],
            [["SET", "n", i64::MAX], "OK"],
            [["GET", "n"], i64::MAX.to_string()],
            [["INCR", "n"], "ERR increment or decrement would overflow"],
            [["DECRBY", "n", i64::MIN], "ERR decrement would overflow"],
            [["INCRBY", "n", "1.5"], NUMBER],
            [["SET", "text", "abc"], "OK"],
            [["INCR", "text"], NUMBER],
            [["GET", "text"], "abc"],
        ]))
        .await;
    // As it is written, to the last digit.
    let cache = cache().await;
    let reply = cache.0.ask("POST", COMMAND, r#"["SET", "f", 1.10]"#).await;
    assert_eq!(reply.json(), json!({ "result": "OK" }));
    let reply = cache.0.ask("POST", COMMAND, r#"["ECHO", 123456789012345678901234567890]"#).await;
    assert_eq!(reply.json(), json!({ "result": "123456789012345678901234567890" }));
    assert_eq!(cache.run(json!(["GET", "f"])).await, "1.10");
}

#[tokio::test]
async fn times_count_as_redis_says() {
    let now = jiff::Timestamp::now().as_second();
    let cache = cache().await;
    cache
        .talk(json!([
            [["TTL", "t"], -2],
            [["EXPIRE", "t", 10], 0],
            [["SET", "t", "v"], "OK"],
            [["TTL", "t"], -1],
            [["EXPIRETIME", "t"], -1],
            [["PERSIST", "t"], 0],
            [["EXPIRE", "t", 100, "XX"], 0],
            [["EXPIRE", "t", 100, "GT"], 0],
            [["EXPIRE", "t", 100, "NX"], 1],
            [["TTL", "t"], left(100)],
            [["EXPIRE", "t", 200, "NX"], 0],
            [["EXPIRE", "t", 200, "LT"], 0],
            [["EXPIRE", "t", 200, "gt", "xx"], 1],
            [["TTL", "t"], left(200)],
            [
                ["EXPIRE", "t", 300, "NX", "GT"],
                "ERR NX and XX, GT or LT options at the same time are not compatible"
            ],
            [["EXPIRE", "t", 300, "LT", "GT"], "ERR GT and LT options at the same time are not compatible"],
            [["EXPIRE", "t", 300, "SOON"], "ERR Unsupported option"],
            [["EXPIRE", "t", "x"], NUMBER],
            [["EXPIRE", "t", i64::MAX], "ERR invalid expire time in 'expire' command"],
            [["PEXPIRE", "t", i64::MAX], "ERR invalid expire time in 'pexpire' command"],
            [["SET", "t", "w", "KEEPTTL"], "OK"],
            [["TTL", "t"], left(200)],
            [["APPEND", "t", "w"], 2],
            [["TTL", "t"], left(200)],
            [["GETEX", "t"], "ww"],
            [["TTL", "t"], left(200)],
            [["GETEX", "t", "PX", 50_000], "ww"],
            [["TTL", "t"], left(50)],
            [["GETEX", "t", "PERSIST"], "ww"],
            [["TTL", "t"], -1],
            [["GETEX", "t", "EX"], SYNTAX],
            [["EXPIREAT", "t", now + 1000], 1],
            [["EXPIRETIME", "t"], now + 1000],
            [["PEXPIREAT", "t", (now + 2000) * 1000], 1],
            [["PEXPIRETIME", "t"], (now + 2000) * 1000],
            [["PERSIST", "t"], 1],
            [["EXPIREAT", "t", now - 1], 1],
            [["EXISTS", "t"], 0],
            [["SETEX", "t", 60, "v"], "OK"],
            [["TTL", "t"], left(60)],
            [["INCR", "t"], NUMBER],
            [["PSETEX", "t", 60_000, "7"], "OK"],
            [["INCR", "t"], 8],
            [["TTL", "t"], left(60)],
            [["EXPIRE", "t", -1], 1],
            [["GET", "t"], null],
            [["SET", "t", "v", "EXAT", now + 60], "OK"],
            [["SET", "t", "v", "PXAT", 1], "OK"],
            [["GET", "t"], null],
            [["SETEX", "t", 0, "v"], "ERR invalid expire time in 'setex' command"],
        ]))
        .await;
    assert_eq!(cache.run(json!(["SET", "short", "v", "PX", 30])).await, "OK");
    assert!(cache.run(json!(["PTTL", "short"])).await.as_i64().unwrap() <= 30);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(cache.run(json!(["GET", "short"])).await, Value::Null);
}

#[tokio::test]
async fn what_is_absent_is_set_together_or_not_at_all() {
    let gateway = gateway_with(|_| {}).await;
    let services = json!({ "cache": { "type": "memory", "max_memory": "1mb", "max_value": "1kb" } });
    gateway
        .post("/api/v1/clusters", &json!({ "name": "Shop", "cluster_id": "shop", "services": services }))
        .await;
    let (large, cache) = ("x".repeat(2000), Cache(gateway));
    assert_eq!(cache.run(json!(["SET", "a", "before", "EX", 100])).await, "OK");
    let refused = cache.0.post(COMMAND, &json!(["MSET", "a", "1", "b", "2", "c", large])).await;
    assert_eq!(refused.problem(), (413, "too_large".to_owned()));
    cache.talk(json!([[["MGET", "a", "b", "c"], ["before", null, null]], [["TTL", "a"], left(100)]])).await;
}

#[tokio::test]
async fn keys_are_walked_by_numbers_that_clients_can_keep() {
    let cache = cache().await;
    for n in 0..250 {
        cache.run(json!(["SET", format!("user:{n}"), n])).await;
    }
    cache.run(json!(["SET", "other", 1])).await;
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), json!("0"));
    loop {
        // As a text and as a number, however long: clients do either.
        let body = format!(r#"["SCAN", {}, "match", "user:*", "COUNT", 50]"#, cursor.as_str().unwrap());
        let page = cache.0.ask("POST", COMMAND, body).await.json()["result"].take();
        seen.extend(page[1].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()));
        cursor = page[0].clone();
        assert!(cursor.as_str().unwrap().bytes().all(|digit| digit.is_ascii_digit()), "{cursor}");
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 250);
    let listed = cache.run(json!(["KEYS", "user:1?"])).await;
    assert_eq!(listed.as_array().unwrap().len(), 10);
    cache
        .talk(json!([
            [["SCAN", "x"], "ERR invalid cursor"],
            [["SCAN", "1255255"], "ERR invalid cursor"],
            [["SCAN", 0, "COUNT", 0], SYNTAX],
            [["SCAN", 0, "MATCH"], SYNTAX],
            [["SCAN", 0, "TYPE", "hash"], ["0", []]],
            [["SCAN", 0, "MATCH", "oth*", "COUNT", 1000, "TYPE", "string"], ["0", ["other"]]],
        ]))
        .await;
}

#[tokio::test]
async fn what_is_not_known_says_so() {
    let cache = cache().await;
    for name in ["HSET", "subscribe", "MONITOR", "EVAL", "FLUSHALL", "zadd", "OBJECT"] {
        let reply = cache.0.post(COMMAND, &json!([name, "secret", "secret"])).await;
        assert_eq!(reply.problem(), (422, "unsupported_command".to_owned()), "{name}");
        assert_eq!(reply.json()["error"], format!("ERR unknown command '{name}'"));
        assert!(!reply.text().contains("secret") && reply.text().contains("GETDEL"));
    }
    let odd = cache.0.post(COMMAND, &json!(["my password is 1234", "x"])).await;
    assert!(odd.problem().0 == 422 && !odd.text().contains("1234"), "it may be no name at all");
    for body in
        ["", "{}", "[]", "[[]]", r#"["GET", null]"#, r#"["GET", ["a"]]"#, r#"["GET", {"a": 1}]"#, r#""GET""#]
    {
        let reply = cache.0.ask("POST", COMMAND, body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        for path in [PIPELINE, MULTI].iter().filter(|path| body != "[[]]" || **path == MULTI) {
            assert_eq!(cache.0.ask("POST", path, body).await.status, 400, "{path} {body}");
        }
    }
    assert_eq!(cache.0.ask("POST", PIPELINE, "[[]]").await.json(), json!([{ "error": "ERR empty command" }]));
    for (header, value) in [("upstash-response-format", "resp2"), ("upstash-encoding", "hex")] {
        let request = Request::builder().method("POST").uri(COMMAND).header(header, value);
        let reply = cache.0.send(request, r#"["PING"]"#).await;
        assert_eq!(reply.problem(), (400, "invalid_request".to_owned()), "{header}");
    }
    let many = json!(vec![["PING"]; 1001]);
    assert_eq!(cache.0.post(MULTI, &many).await.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(cache.0.post(PIPELINE, &many).await.json().as_array().unwrap().len(), 1001);
}

#[tokio::test]
async fn a_pipeline_answers_each_command() {
    let cache = cache().await;
    let commands = json!([
        ["SET", "a", "1"],
        ["INCR", "a"],
        ["HSET", "h", "f", "v"],
        ["GET"],
        ["SET", "t", "x"],
        ["INCR", "t"],
        ["GET", "none"],
        ["MGET", "a", "t"]
    ]);
    let expected = json!([
        { "result": "OK" }, { "result": 2 }, { "error": "ERR unknown command 'HSET'" },
        { "error": "ERR wrong number of arguments for 'get' command" }, { "result": "OK" }, { "error": NUMBER },
        { "result": null }, { "result": ["2", "x"] }
    ]);
    assert_eq!(cache.0.post(PIPELINE, &commands).await.json(), expected);
    assert_eq!(cache.0.post(&format!("{DOOR}/pipeline"), &commands).await.json(), expected);
    let activity = cache.0.get("/api/v1/clusters/shop/activity?operation=INCR").await.json();
    assert_eq!(activity["count"], 4, "each is an operation of its own: {activity}");

    let nowhere = cache.0.post("/api/v1/clusters/shop/cache/pipeline?service=web", &commands).await;
    assert_eq!(nowhere.problem().0, 422, "one word for all of them");
}

#[tokio::test]
async fn a_transaction_is_whole() {
    let cache = cache().await;
    let commands = json!([["SET", "a", "1"], ["INCR", "a"], ["SET", "t", "x"], ["INCR", "t"], ["PING"]]);
    let reply = cache.0.post(MULTI, &commands);
    let expected = json!([
        { "result": "OK" }, { "result": 2 }, { "result": "OK" }, { "error": NUMBER }, { "result": "PONG" }
    ]);
    assert_eq!(reply.await.json(), expected);
    let activity = cache.0.get("/api/v1/clusters/shop/activity?operation=MULTI").await.json();
    assert_eq!(activity["count"], 1);
    for (commands, status, error) in [
        (json!([["SET", "a", "9"], ["HSET", "h"]]), 422, "ERR unknown command 'HSET'"),
        (json!([["SET", "a", "9"], ["GET"]]), 400, "ERR wrong number of arguments for 'get' command"),
        (json!([["SET", "a", "9"], ["SCAN", "0"]]), 422, "ERR SCAN cannot stand in a transaction here"),
    ] {
        let reply = cache.0.post(MULTI, &commands).await;
        assert_eq!(reply.problem().0, status);
        let error = format!("EXECABORT Transaction discarded because of previous errors: {error}");
        assert_eq!(reply.json()["error"], error);
        assert_eq!(cache.run(json!(["GET", "a"])).await, "2", "nothing was done");
    }
}

/// Amounts go from one key to another in transactions, while others read both in one command.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_sees_half_of_a_transaction() {
    let cache = std::sync::Arc::new(cache().await);
    cache.run(json!(["MSET", "from", 1000, "to", 0])).await;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let cache = std::sync::Arc::clone(&cache);
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                if task % 2 == 0 {
                    let moved =
                        cache.0.post(MULTI, &json!([["DECRBY", "from", 3], ["INCRBY", "to", 3]])).await;
                    assert_eq!(moved.status, 200);
                } else {
                    let both = cache.run(json!(["MGET", "from", "to"])).await;
                    let number = |at: usize| both[at].as_str().unwrap().parse::<i64>().unwrap();
                    assert_eq!(number(0) + number(1), 1000);
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(cache.run(json!(["MGET", "from", "to"])).await, json!(["550", "450"]));
}

#[tokio::test]
async fn results_are_base64_where_it_is_asked_for_or_needed() {
    let cache = cache().await;
    let encoded = async |body: Value| {
        let request = Request::builder().method("POST").uri(COMMAND).header("upstash-encoding", "base64");
        cache.0.send(request, body.to_string()).await.json()
    };
    assert_eq!(
        encoded(json!(["SET", "a", "OK"])).await,
        json!({ "result": "OK" }),
        "that word alone is plain"
    );
    assert_eq!(encoded(json!(["GET", "a"])).await, json!({ "result": "T0s=" }), "and what is stored is not");
    assert_eq!(encoded(json!(["PING"])).await, json!({ "result": "UE9ORw==" }));
    assert_eq!(encoded(json!(["MGET", "a", "none"])).await, json!({ "result": ["T0s=", null] }));
    assert_eq!(encoded(json!(["STRLEN", "a"])).await, json!({ "result": 2 }));

    let stored = cache.0.ask("POST", &format!("{DOOR}/set/bytes"), vec![0xff, 0x00]).await;
    assert_eq!(stored.json(), json!({ "result": "OK" }));
    let read = cache.0.post(COMMAND, &json!(["MGET", "bytes", "a"])).await;
    assert_eq!(read.json(), json!({ "result": ["/wA=", "T0s="], "encoding": "base64" }), "no byte is lost");
    assert_eq!(encoded(json!(["GET", "bytes"])).await, json!({ "result": "/wA=" }));
}

#[tokio::test]
async fn the_door_takes_commands_in_paths() {
    let cache = cache().await;
    let ask = async |method: &str, path: &str, body: &str| {
        cache.0.ask(method, &format!("{DOOR}{path}"), body.to_owned()).await
    };
    let result = |reply: Reply| reply.json()["result"].take();
    assert_eq!(result(ask("POST", "", r#"["SET", "k", "v"]"#).await), "OK");
    assert_eq!(result(ask("GET", "/get/k", "").await), "v");
    assert_eq!(result(ask("POST", "/set/a%2Fb/x%20y", "").await), "OK");
    assert_eq!(result(ask("POST", "/get/a%2Fb", "").await), "x y");
    assert_eq!(result(ask("PUT", "/set/body?EX=100&NX", r#"{"json": true}"#).await), "OK");
    assert_eq!(result(ask("GET", "/get/body", "").await), r#"{"json": true}"#);
    assert_eq!(result(ask("GET", "/ttl/body", "").await), 100);
    assert_eq!(result(ask("POST", "/set/body?NX", "again").await), Value::Null);
    assert_eq!(result(ask("POST", "/set/empty/", "").await), "OK");
    assert_eq!(result(ask("GET", "/get/empty", "").await), "");
    assert_eq!(ask("POST", "/multi-exec", r#"[["GET", "k"]]"#).await.json(), json!([{ "result": "v" }]));
    assert_eq!(ask("HEAD", "/get/k", "").await.status, 200);

    assert_eq!(ask("HEAD", "/del/k", "").await.status, 403);
    for (method, path, body, problem) in [
        // Any page could make a browser get this.
        ("GET", "/set/k/stolen", "", (403, "permission_denied")),
        ("GET", "/get", "k", (400, "invalid_request")),
        ("GET", "/get/%f", "", (400, "invalid_request")),
        ("GET", "/pipeline", "", (422, "unsupported_command")),
        ("POST", "/subscribe/news", "", (422, "unsupported_command")),
        ("POST", "?_token=thr_x", r#"["PING"]"#, (400, "invalid_request")),
        ("GET", "/get/k?_token=thr_x", "", (400, "invalid_request")),
        ("POST", "/pipeline?EX=1", "[]", (400, "invalid_request")),
        ("DELETE", "/del/k", "", (405, "invalid_request")),
    ] {
        let reply = ask(method, path, body).await;
        assert_eq!(reply.problem(), (problem.0, problem.1.to_owned()), "{method} {path}");
        assert!(!reply.text().contains("thr_x"));
    }
    assert_eq!(result(ask("GET", "/get/k", "").await), "v");
    let web = cache.0.ask("POST", "/api/v1/clusters/shop/services/web/upstash", r#"["PING"]"#).await;
    assert_eq!(web.problem(), (422, "unsupported_ability".to_owned()));
}

#[tokio::test]
async fn a_token_for_the_service_opens_the_door() {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
    })
    .await;
    let admin = gateway.store.ensure_admin_token().await.unwrap().unwrap().reveal().to_owned();
    let ask = async |token: &str, method: &str, path: &str, body: String| {
        let request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        gateway.send(request, body).await
    };
    ask(&admin, "POST", "/api/v1/clusters", super::shop_document().to_string()).await;
    let made = json!({ "name": "app", "service": "shop/cache" }).to_string();
    let made = ask(&admin, "POST", "/api/v1/tokens", made).await.json();
    let token = made["token"].as_str().unwrap();
    let stored = ask(token, "GET", &format!("{DOOR}/set/a/1"), String::new()).await;
    assert_eq!(stored.json(), json!({ "result": "OK" }), "it shows that it means it");
    assert_eq!(
        ask(token, "GET", &format!("{DOOR}/get/a"), String::new()).await.json(),
        json!({ "result": "1" })
    );
    assert_eq!(ask("thr_no", "GET", &format!("{DOOR}/get/a"), String::new()).await.problem().0, 401);
    let other = "/api/v1/clusters/shop/services/web/upstash/ping";
    assert_eq!(ask(token, "GET", other, String::new()).await.status.as_u16() / 100, 4);
}

#[tokio::test]
async fn an_answer_has_a_largest_size() {
    let cache = cache().await;
    let value = "x".repeat(1 << 20);
    cache.run(json!(["SET", "large", value])).await;
    let mut commands = vec![json!(["GET", "large"]); 65];
    commands.push(json!(["GET", "none"]));
    let items = cache.0.post(PIPELINE, &json!(commands)).await.json();
    assert!(items[63]["result"].is_string() && items[65] == json!({ "result": null }));
    assert!(items[64]["error"].as_str().unwrap().contains("more than fits"), "{}", items[64]);
    let keys = vec!["large"; 70];
    let all = cache.0.post(COMMAND, &json!([&["MGET"], &keys[..]].concat())).await;
    assert_eq!(all.problem(), (400, "command_failed".to_owned()));
}
