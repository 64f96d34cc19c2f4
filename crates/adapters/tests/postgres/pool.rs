//! The pool: never more connections than said, none lost, none half-read.

use std::sync::atomic::{AtomicUsize, Ordering};

use model::Code;

use super::*;

/// Two hundred tasks, of which many leave in the middle, over five connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_are_never_more_connections_than_said() {
    let server = Engines::shared().postgres();
    let name = "pool_bounds";
    let adapter = connected(&named(name, &[("pool", json!({"max_connections": 5}))]), server.port);
    let answered = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..200_u64)
        .map(|number| {
            let (adapter, answered) = (Arc::clone(&adapter), Arc::clone(&answered));
            tokio::spawn(async move {
                for turn in 0..5 {
                    let number = number * 5 + turn;
                    let sql = format!("SELECT {number}, pg_sleep(0.00{})", number % 7);
                    let call = asked_as(&adapter, &sql);
                    // Some have no patience, and leave whatever has begun.
                    let patience = if number % 3 == 0 {
                        Duration::from_millis(number % 11)
                    } else {
                        Duration::from_secs(60)
                    };
                    if let Ok(told) = tokio::time::timeout(patience, call).await {
                        assert_eq!(told.unwrap()[0][0], json!(number), "everybody gets his own answer");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let mut most = 0;
    while tasks.iter().any(|task| !task.is_finished()) {
        most = most.max(listed(&server, name, "%"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for task in tasks {
        task.await.expect("it does not panic");
    }
    assert!((2..=5).contains(&most), "{most} connections at once");
    assert!(answered.load(Ordering::Relaxed) > 660, "{answered:?} of a thousand were answered");
    // All of them can be used at the same time afterwards: none was lost on the way.
    let five = (0..5).map(|_| executed(&adapter, "SELECT pg_sleep(0.3)"));
    let begun = Instant::now();
    for answer in futures(five).await {
        answer.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_millis(1400),
        "they waited for each other: {:?}",
        begun.elapsed()
    );
    until("nothing runs", || listed(&server, name, "active") == 0).await;
}

async fn asked_as(adapter: &Arc<dyn Adapter>, sql: &str) -> Result<Vec<Value>, Failure> {
    whole(adapter.sql().unwrap().query(&statement(sql), &arrays(), within(60)).await?).await
}

/// All at the same time.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn who_finds_none_free_is_told_so_in_time() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    let holder = adapter.sql().unwrap().begin(Default::default(), within(10)).await.unwrap();
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(200);
    let failure = adapter.sql().unwrap().execute(&statement("SELECT 1"), deadline).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Busy, model::Origin::Gateway), "{failure}");
    assert!(
        failure.retryable() && failure.retry_after().is_some() && failure.detail().contains("All 1"),
        "{failure}"
    );
    assert!(begun.elapsed() < Duration::from_millis(400));
    // The server is well all the same, and those who watch over it do not wait in the queue.
    adapter.probe(PATIENCE).await.unwrap();
    drop(holder);
    executed(&adapter, "SELECT 1").await.unwrap();
}

/// A server that takes fewer connections than the pool may have: those that there are serve all, and nothing is held
/// against the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_open_another_connection_waits_for_one() {
    let server = Engines::shared().postgres();
    tell(&server, "DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN PASSWORD 'x' CONNECTION LIMIT 3");
    let mut service = service(&[("pool", json!({"max_connections": 10}))]);
    (service.username, service.password) = (Some("limited".to_owned()), Some(Secret::new("x")));
    let adapter = connected(&service, server.port);
    let ask = async || {
        for _ in 0..8 {
            executed(&adapter, "SELECT pg_sleep(0.05)").await?;
        }
        Ok::<_, Failure>(())
    };
    let watch = async {
        for _ in 0..20 {
            adapter.probe(PATIENCE).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (told, ()) = tokio::join!(futures((0..12).map(|_| ask())), watch);
    told.into_iter().for_each(|told| told.unwrap());
    // All are in use: that is said of them, and the server is well.
    let mut held = Vec::new();
    while let Ok(one) = adapter.sql().unwrap().begin(Default::default(), within(8)).await {
        held.push(one);
    }
    let failure = adapter.sql().unwrap().execute(&statement("SELECT 1"), within(8)).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Overloaded, model::Origin::Gateway), "{failure}");
    assert!(failure.retryable() && (2..=3).contains(&held.len()), "{failure} with {}", held.len());
    adapter.probe(PATIENCE).await.unwrap();
    drop(held);
    executed(&adapter, "SELECT 1").await.unwrap();
    // With none at all there is nothing to wait for, and that is the server's.
    adapter.close().await.unwrap();
    tell(&server, "ALTER ROLE limited CONNECTION LIMIT 0");
    let failure = executed(&connected(&service, server.port), "SELECT 1").await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Overloaded, model::Origin::Service), "{failure}");
    assert_eq!(failure.native(), Some(("sqlstate", "53300")), "{failure}");
}

/// Whoever waits longest is next.
#[tokio::test]
async fn those_who_wait_come_in_turn() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    let holder = adapter.sql().unwrap().begin(Default::default(), within(10)).await.unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (adapter, order) = (Arc::clone(&adapter), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            executed(&adapter, "SELECT 1").await.unwrap();
            order.lock().unwrap().push(number);
        }));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(holder);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn connections_are_kept_and_let_go_of_as_said() {
    let server = Engines::shared().postgres();
    let name = "pool_kept";
    let pool = json!({"min_connections": 2, "max_connections": 4, "max_idle_time": 1, "max_lifetime": 3600});
    let adapter = connected(&named(name, &[("pool", pool)]), server.port);
    assert_eq!(listed(&server, name, "%"), 0, "none is opened before anybody asks or sweeps");
    until("two are opened", || {
        adapter.sweep();
        listed(&server, name, "%") == 2
    })
    .await;
    for answer in futures((0..4).map(|_| executed(&adapter, "SELECT pg_sleep(0.2)"))).await {
        answer.unwrap();
    }
    assert_eq!(listed(&server, name, "%"), 4);
    until("two are let go of", || {
        adapter.sweep();
        listed(&server, name, "%") == 2
    })
    .await;
    // One that the server ends is replaced.
    tell(
        &server,
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"),
    );
    until("they are gone", || listed(&server, name, "%") == 0).await;
    // And until the runtime has heard of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    executed(&adapter, "SELECT 1").await.expect("a connection that was ended meanwhile is nobody's trouble");
    until("there are two again", || {
        adapter.sweep();
        listed(&server, name, "%") == 2
    })
    .await;
    adapter.close().await.unwrap();
    until("all are gone", || listed(&server, name, "%") == 0).await;
    let failure = executed(&adapter, "SELECT 1").await.unwrap_err();
    assert_eq!(failure.code(), Code::Draining, "{failure}");
}

#[tokio::test]
async fn a_connection_does_not_live_for_ever() {
    let server = Engines::shared().postgres();
    let adapter =
        connected(&service(&[("pool", json!({"max_connections": 1, "max_lifetime": 1}))]), server.port);
    let process = async || rows(&adapter, "SELECT pg_backend_pid()").await.unwrap();
    let first = process().await;
    assert_eq!(process().await, first);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_ne!(process().await, first, "another has taken its place");
}

/// What one caller does to its session the next one does not find.
#[tokio::test]
async fn sessions_do_not_leak() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    let settings = "SELECT current_setting('search_path'), current_setting('DateStyle'), \
                    current_setting('my.own', true), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'), \
                    (SELECT count(*) FROM pg_listening_channels()), \
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), \
                    to_regclass('pg_temp.of_mine')::text, current_user";
    let before = rows(&adapter, settings).await.unwrap();
    for change in [
        "SET search_path = elsewhere",
        "SET DateStyle = 'German'",
        "SELECT set_config('my.own', 'secret', false)",
        "PREPARE mine AS SELECT 1",
        "LISTEN mine",
        "SELECT pg_advisory_lock(4711)",
        "CREATE TEMPORARY TABLE of_mine (a int)",
        "EXPLAIN ANALYZE CREATE TEMPORARY TABLE of_mine AS SELECT 1 AS a",
        "DO $$ BEGIN PERFORM set_config('my.own', 'secret', false); END $$",
    ] {
        executed(&adapter, change).await.unwrap_or_else(|failure| panic!("{change}: {failure}"));
        let after = rows(&adapter, settings).await.unwrap();
        // A setting that was once made is empty after it was set back, and not unknown.
        let same = after[0].as_array().unwrap().iter().zip(before[0].as_array().unwrap());
        assert!(
            same.clone().all(|(after, before)| after == before || (before.is_null() && after == "")),
            "{change}: {after:?}"
        );
    }
    // Also of a transaction that was kept, and of a batch.
    let mut transaction = adapter.sql().unwrap().begin(Default::default(), within(10)).await.unwrap();
    transaction.execute(&statement("SET search_path = elsewhere"), within(10)).await.unwrap();
    transaction.commit(within(10)).await.unwrap();
    assert_eq!(rows(&adapter, settings).await.unwrap()[0][0], before[0][0]);
}
