//! Options are enforced, and what is too much is refused.

use model::check::Problems;
use model::{Code, ServiceSpec};

use super::super::options;
use super::*;

#[test]
fn a_document_is_told_which_key_is_wrong() {
    for (yaml, path) in [
        ("max_message: lots", "max_message"),
        ("max_message: 0", "max_message"),
        ("max_message: 1gb", "max_message"),
        ("retention_bytes: 1.5gb", "retention_bytes"),
        ("path: ''", "path"),
    ] {
        let mut problems = Problems::new(None);
        options::check(&model::yaml::parse(yaml).unwrap(), &mut problems);
        let found = problems.into_vec();
        assert_eq!(found.iter().map(|own| own.path.as_str()).collect::<Vec<_>>(), [path], "{yaml}");
    }
    let mut problems = Problems::new(None);
    let right = "{path: /srv/q.db, max_message: 64kb, retention: 1h, retention_bytes: 10mb, max_topics: 5}";
    options::check(&model::yaml::parse(right).unwrap(), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn options_are_read_and_what_is_left_out_has_a_default() {
    let mut service = ServiceSpec::of_kind("log");
    assert_eq!(options::of(&service).unwrap(), Options::default());
    for (key, value) in [
        ("path", serde_json::json!("/srv/q.db")),
        ("num_partitions", 3.into()),
        ("auto_create", false.into()),
        ("max_message", "64kb".into()),
        ("max_topics", 5.into()),
        ("retention", "90m".into()),
        ("retention_bytes", 4096.into()),
    ] {
        service.options.insert(key.to_owned(), value);
    }
    let expected = Options {
        path: Some("/srv/q.db".into()),
        num_partitions: 3,
        auto_create: false,
        max_message: 64 << 10,
        max_topics: 5,
        retention: Duration::from_secs(90 * 60),
        retention_bytes: 4096,
    };
    assert_eq!(options::of(&service).unwrap(), expected);
    service.options.insert("max_topics".to_owned(), "many".into());
    assert_eq!(options::of(&service).unwrap_err().code(), Code::InvalidConfig);
}

#[test]
fn the_table_says_the_defaults_that_hold() {
    let mut service = ServiceSpec::of_kind("log");
    for field in options::FIELDS {
        if let Some(default) = field.default {
            service.options.insert(field.name.to_owned(), default.into());
        }
    }
    assert_eq!(options::of(&service).unwrap(), Options::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_are_made_by_publishing_follow_the_options() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open_with(dir.path(), Options { num_partitions: 3, max_topics: 2, ..Options::default() });
    say(&*queue, "a", &["x"]).await;
    assert_eq!(queue.topic("a").await.unwrap().partitions.len(), 3);
    say(&*queue, "b", &["x"]).await;
    let most = queue.publish("c", &[message("x")], None).await.unwrap_err();
    assert_eq!(most.code(), Code::CommandFailed);
    assert!(most.hint().unwrap().contains("max_topics"));
    say(&*queue, "a.dead", &["letters are not counted"]).await;
    queue.delete_topic("a").await.unwrap();
    say(&*queue, "c", &["x"]).await;
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_its_own_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("elsewhere/own.db");
    let own = Options { path: Some(path.to_str().unwrap().into()), ..Options::default() };
    let queue = open_with(dir.path(), own);
    say(&*queue, "t", &["x"]).await;
    assert!(path.exists() && !dir.path().join("queue.db").exists());
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_is_sent_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.create_topic(&spec("t", 1)).await.unwrap();
    let short = ConsumeOptions { lease: Duration::from_millis(300), ..options("t", "g") };
    let mut stalled = queue.consume(&short).await.unwrap();
    say(&*queue, "t", &["first"]).await;
    some(&mut stalled, 1).await;
    let messages: Vec<Message> = (0..2000).map(|n: u32| message(n.to_string())).collect();
    queue.publish("t", &messages, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let group = queue.groups(Some("t")).await.unwrap().remove(0);
    assert_eq!(group.partitions[0].unwrap().delivered, 1, "nothing is leased to who does not ask");
    // When it asks again it gets what its lease has run out on, and then the rest.
    let deliveries = some(&mut stalled, 1).await;
    assert_eq!((deliveries[0].offset, deliveries[0].delivery), (0, 2));
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_break_do_not_kill_what_was_never_sent() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.publish("t", &vec![message("x"); 20], None).await.unwrap();
    for round in 0..12 {
        let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
        let Happening::Messages(batch) = consumer.next().await.unwrap() else { panic!("messages come") };
        assert!(batch.iter().all(|own| own.delivery == 1), "round {round}");
        assert_eq!(batch.len(), if round == 0 { 20 } else { 19 }, "what was sent stays leased");
        if round == 0 {
            consumer.written(&batch[0]);
        }
    }
    assert_eq!(queue.topics().await.unwrap().len(), 1, "there are no dead letters");
    let group = queue.groups(Some("t")).await.unwrap().remove(0);
    assert_eq!((group.partitions[0].unwrap().delivered, group.partitions[0].unwrap().lag), (1, 20));
    queue.close().await.unwrap();
    // A restart raises what was sent, and nothing else.
    let queue = open(dir.path());
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    let mut counts: Vec<(u64, u32)> =
        some(&mut consumer, 20).await.iter().map(|own| (own.offset, own.delivery)).collect();
    counts.sort_unstable();
    let expected: Vec<(u64, u32)> = (0..20).map(|offset| (offset, if offset == 0 { 2 } else { 1 })).collect();
    assert_eq!(counts, expected);
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_dead_letters_stay_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    say(&*queue, "t.dead", &["twice dead"]).await;
    let mut consumer = queue.consume(&options("t.dead", "g")).await.unwrap();
    let delivery = some(&mut consumer, 1).await.remove(0);
    let term = Settlement { term: vec![delivery.ack], ..settlement("t.dead", "g") };
    assert_eq!(queue.settle(&term).await.unwrap(), 1);
    let topics = queue.topics().await.unwrap();
    assert_eq!(topics.len(), 1, "no topic is made for it");
    assert_eq!(queue.groups(None).await.unwrap()[0].partitions[0].unwrap().settled, 1);
    queue.close().await.unwrap();
}
