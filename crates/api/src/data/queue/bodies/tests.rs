//! Bodies as clients write them, and every fault by its place.

use adapters::queue::Message;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::body::read;

fn published(body: &serde_json::Value) -> Result<Vec<Message>, Vec<String>> {
    let text = body.to_string();
    let read = read::<PublishBody<'_>>(text.as_bytes()).and_then(PublishBody::messages);
    read.map(|(_, messages)| messages)
        .map_err(|failure| failure.problems().iter().map(ToString::to_string).collect())
}

fn message(key: Option<&'static [u8]>, value: &'static [u8]) -> Message {
    Message { key: key.map(Bytes::from_static), value: Bytes::from_static(value), headers: Vec::new() }
}

#[test]
fn a_message_is_text_or_bytes() {
    for (body, expected) in [
        (json!({ "topic": "t", "message": "ü" }), message(None, "ü".as_bytes())),
        (json!({ "topic": "t", "message": "" }), message(None, b"")),
        (json!({ "topic": "t", "message": [0, 255] }), message(None, b"\x00\xff")),
        (json!({ "topic": "t", "message": "/wA=", "encoding": "base64" }), message(None, b"\xff\x00")),
        (json!({ "topic": "t", "message": "/wA", "encoding": "base64" }), message(None, b"\xff\x00")),
        (json!({ "topic": "t", "message": [1], "encoding": "base64" }), message(None, b"\x01")),
        (json!({ "topic": "t", "message": "v", "key": "/w==" }), message(Some(b"/w=="), b"v")),
        (
            json!({ "topic": "t", "message": "v", "key": "/w==", "key_encoding": "base64" }),
            message(Some(b"\xff"), b"v"),
        ),
        (
            json!({ "topic": "t", "message": "v", "key": "", "headers": null, "messages": null }),
            message(Some(b""), b"v"),
        ),
    ] {
        assert_eq!(published(&body).unwrap(), [expected], "{body}");
    }
    let with =
        published(&json!({ "topic": "t", "message": "v", "headers": { "b": "1", "a": "2" } })).unwrap();
    assert_eq!(with[0].headers, [("b".into(), Bytes::from("1")), ("a".into(), Bytes::from("2"))]);
}

#[test]
fn an_encoding_holds_for_each_message_that_names_none() {
    let body = json!({ "topic": "t", "encoding": "base64", "key_encoding": "base64",
        "messages": [{ "message": "AQ==", "key": "Ag==" }, { "message": [3] }, { "message": "BA==", "encoding": null }] });
    let expected = [message(Some(b"\x02"), b"\x01"), message(None, b"\x03"), message(None, b"\x04")];
    assert_eq!(published(&body).unwrap(), expected);
}

#[test]
fn a_publish_names_its_faults() {
    let many = vec![json!({ "message": "" }); MOST + 1];
    for (body, expected) in [
        (json!({ "topic": "a/b", "message": "" }), vec!["topic: must be 1 to 249"]),
        (json!({ "topic": "t" }), vec!["message: is required, or `messages`"]),
        (json!({ "topic": "t", "message": "", "messages": [] }), vec!["messages: stands beside `message`"]),
        (json!({ "topic": "t", "messages": [] }), vec!["messages: must have 1 to 10000 messages, not 0"]),
        (
            json!({ "topic": "t", "messages": many }),
            vec!["messages: must have 1 to 10000 messages, not 10001"],
        ),
        (
            json!({ "topic": "t", "key": "k", "headers": {}, "messages": [{ "message": "" }] }),
            vec!["key: belongs to one message", "headers: belongs to one message"],
        ),
        (
            json!({ "topic": "t", "messages": [{ "message": "" }, { "message": "?", "key": "?", "encoding": "base64", "key_encoding": "base64" }] }),
            vec!["messages[1].message: is not base64", "messages[1].key: is not base64"],
        ),
        (json!({ "topic": "t", "message": "", "encoding": "hex" }), vec!["encoding: must be"]),
        (json!({ "topic": "t", "messages": [{ "key": "a" }] }), vec!["messages[0].message: is required"]),
        (
            json!({ "topic": "t", "messages": [{ "message": "", "keey": "a" }] }),
            vec!["messages[0].keey: is not a known key"],
        ),
        (json!({ "topic": "t", "message": "", "key": 5 }), vec!["key: must be a text, not a number"]),
        (json!({ "topic": "t", "message": [256] }), vec!["message[0]: must be a whole number from 0 to 255"]),
        (json!({ "topic": "t", "message": 5 }), vec!["message: must be a text, not a number (write \"5\")"]),
        (
            json!({ "topic": "t", "message": "", "headers": { "a": 1.5 } }),
            vec!["headers.a: must be a text, not a number"],
        ),
        (
            json!({ "topic": "t", "messages": [{ "message": "" }, { "message": 5, "key": 6 }] }),
            vec!["messages[1].message: must be a text", "messages[1].key: must be a text"],
        ),
    ] {
        let faults = published(&body).unwrap_err();
        let fits = faults.len() == expected.len()
            && faults.iter().zip(&expected).all(|(fault, expected)| fault.contains(expected));
        assert!(fits, "{body}: {faults:?}");
    }
}

#[test]
fn names_are_those_of_the_engine() {
    let longest = "a".repeat(MAX_NAME);
    for name in ["a", "orders.v1_x-Y", ".dead", &longest, &format!("{longest}.dead")] {
        assert!(is_topic(name), "{name}");
    }
    for name in
        ["", "a b", "a/b", "\u{e9}", "a\n", &"a".repeat(MAX_NAME + 1), &format!("{longest}.dead.dead")]
    {
        assert!(!is_topic(name) && !is_group(name), "{name}");
    }
    assert!(is_group(&longest) && !is_group(&format!("{longest}.dead")));
}

#[test]
fn a_topic_has_its_defaults_and_limits() {
    let spec = |body: serde_json::Value| {
        read::<TopicBody<'_>>(body.to_string().as_bytes()).and_then(TopicBody::spec).map_err(|failure| {
            failure.problems().iter().map(|problem| problem.path.clone()).collect::<Vec<_>>()
        })
    };
    let plain = TopicSpec {
        name: "t".into(),
        partitions: 1,
        replication_factor: 1,
        retention: None,
        retention_bytes: None,
    };
    assert_eq!(spec(json!({ "topic": "t" })), Ok(plain.clone()));
    let full = json!({ "topic": "t", "num_partitions": 3, "replication_factor": 2, "retention_ms": 60_000, "retention_bytes": 1 });
    let expected = TopicSpec {
        partitions: 3,
        replication_factor: 2,
        retention: Some(Duration::from_secs(60)),
        retention_bytes: Some(1),
        ..plain
    };
    assert_eq!(spec(full), Ok(expected));
    for (field, wrong) in [
        ("num_partitions", json!(0)),
        ("num_partitions", json!(100_001)),
        ("num_partitions", json!(-1)),
        ("num_partitions", json!("3")),
        ("replication_factor", json!(0)),
        ("retention_ms", json!(0)),
        ("retention_ms", json!(LONGEST_RETENTION + 1)),
        ("retention_bytes", json!(0)),
        ("retention_bytes", json!(u64::MAX)),
    ] {
        assert_eq!(
            spec(json!({ "topic": "t", field: wrong })),
            Err(vec![field.to_owned()]),
            "{field} {wrong}"
        );
    }
}

#[test]
fn a_settlement_says_something_of_somebody() {
    let settled = |body: serde_json::Value| {
        read::<AckBody<'_>>(body.to_string().as_bytes()).and_then(AckBody::settlement).map_err(|failure| {
            failure.problems().iter().map(|problem| problem.path.clone()).collect::<Vec<_>>()
        })
    };
    let body = json!({ "topic": "t", "group": "g", "ack": ["a"], "nack": [{ "ack": "b" }, { "ack": "c", "delay_ms": 5 }], "term": ["d"] });
    let expected = Settlement {
        topic: "t".into(),
        group: "g".into(),
        ack: vec!["a".into()],
        nack: vec![("b".into(), Duration::ZERO), ("c".into(), Duration::from_millis(5))],
        term: vec!["d".into()],
    };
    assert_eq!(settled(body), Ok(expected));
    for (body, paths) in [
        (json!({ "topic": "t", "group": "g" }), vec!["ack"]),
        (json!({ "topic": "t", "group": "g", "ack": [], "nack": null }), vec!["ack"]),
        (json!({ "topic": "t", "group": "g", "ack": vec!["a"; MOST], "term": ["a"] }), vec!["ack"]),
        (json!({ "topic": "", "group": "", "ack": ["a"] }), vec!["topic", "group"]),
        (json!({ "topic": "t", "ack": ["a"] }), vec!["group"]),
        (json!({ "topic": "t", "group": "g", "ack": "a" }), vec!["ack"]),
        (json!({ "topic": "t", "group": "g", "nack": ["a"] }), vec!["nack[0]"]),
        (
            json!({ "topic": "t", "group": "g", "nack": [{ "ack": "a", "delay_ms": 86_400_001 }] }),
            vec!["nack[0].delay_ms"],
        ),
    ] {
        assert_eq!(settled(body.clone()), Err(paths.iter().map(|&path| path.to_owned()).collect()), "{body}");
    }
}

#[test]
fn a_group_is_put_to_an_end_or_an_offset() {
    let to = |to: serde_json::Value| {
        let body = json!({ "topic": "t", "to": to }).to_string();
        read::<ResetBody<'_>>(body.as_bytes())
            .map(|body| body.position())
            .map_err(|failure| failure.problems()[0].path.clone())
    };
    assert_eq!(to(json!("earliest")), Ok(Position::Earliest));
    assert_eq!(to(json!("latest")), Ok(Position::Latest));
    assert_eq!(to(json!(7)), Ok(Position::Offset(7)));
    for wrong in [json!("now"), json!(-1), json!(1.5), json!(null)] {
        assert_eq!(to(wrong.clone()), Err("to".to_owned()), "{wrong}");
    }
}
