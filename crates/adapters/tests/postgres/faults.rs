//! What happens when callers leave, and when the server freezes, dies, and comes back.

use model::{Code, Origin};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_at_the_server_when_its_caller_leaves() {
    let server = Engines::shared().postgres();
    let name = "faults_cancel";
    let options = [("pool", json!({"max_connections": 3})), ("sslmode", json!("disable"))];
    let adapter = connected(&named(name, &options), server.port);
    for _ in 0..3 {
        let own = Arc::clone(&adapter);
        let caller = tokio::spawn(async move { executed(&own, SLEEP).await });
        until("it runs", || listed(&server, name, "active") == 1).await;
        caller.abort();
        until("it has ended", || listed(&server, name, "active") == 0).await;
    }
    // The server says soon that it has ended it; on a busy machine not always in time.
    let mut told = false;
    for _ in 0..20 {
        let deadline = Instant::now() + Duration::from_millis(100);
        let failure = adapter.sql().unwrap().execute(&statement(SLEEP), deadline).await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (Code::Timeout, Origin::Service), "{failure}");
        told |= failure.detail().contains("nothing of it is kept");
        if told {
            break;
        }
    }
    assert!(told, "what became of it is never heard");
    until("it has ended", || listed(&server, name, "active") == 0).await;
    // In a transaction, too.
    let mut transaction = adapter.sql().unwrap().begin(Default::default(), within(10)).await.unwrap();
    let caller = tokio::spawn(async move { transaction.execute(&statement(SLEEP), within(30)).await });
    until("it runs", || listed(&server, name, "active") == 1).await;
    caller.abort();
    until("it has ended", || listed(&server, name, "active") == 0).await;
    until("and its transaction", || listed(&server, name, "idle in transaction%") == 0).await;
    assert!(listed(&server, name, "idle") >= 1, "its connection is of use still");
}

/// A caller that leaves takes nobody else's statement with it: the word to end one arrives before the next begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_ends_nobody_elses_statement() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    for turn in 0..60 {
        let leaves = executed(&adapter, "SELECT pg_sleep(0.02)");
        let _ = tokio::time::timeout(Duration::from_millis(turn % 25), leaves).await;
        executed(&adapter, "SELECT pg_sleep(0.01)")
            .await
            .unwrap_or_else(|failure| panic!("turn {turn}: {failure}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_used_again() {
    let engines = Engines::own();
    let server = engines.postgres();
    let adapter = connected(&service(&[]), server.port);
    executed(&adapter, "CREATE TABLE kept (n int)").await.unwrap();
    adapter.probe(PATIENCE).await.unwrap();
    // In order: whoever is idle is told so, and nobody has trouble afterwards.
    server.restart();
    assert_eq!(executed(&adapter, "INSERT INTO kept VALUES (1)").await.unwrap(), 1);
    adapter.probe(PATIENCE).await.unwrap();
    // Stopped: what is asked then has not left, and says so at once.
    server.stop();
    let begun = Instant::now();
    for failure in [
        executed(&adapter, "INSERT INTO kept VALUES (2)").await.unwrap_err(),
        adapter.probe(Duration::from_secs(5)).await.unwrap_err(),
    ] {
        assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
        assert!(failure.retryable(), "nothing has left: {failure}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    server.restart();
    assert_eq!(executed(&adapter, "INSERT INTO kept VALUES (3)").await.unwrap(), 1);
    // Killed in the middle of a statement: it may have been done, and is not sent again by anybody.
    let own = Arc::clone(&adapter);
    let busy =
        tokio::spawn(async move { executed(&own, "INSERT INTO kept SELECT 4 FROM pg_sleep(30)").await });
    until("it runs", || {
        server.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%sleep%'") == "1"
    })
    .await;
    server.kill();
    let failure = busy.await.unwrap().unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
    assert!(!failure.retryable() && failure.detail().contains("may have been"), "{failure}");
    server.restart();
    assert_eq!(rows(&adapter, "SELECT n FROM kept ORDER BY n").await.unwrap(), [json!([1]), json!([3])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shuts_down_undoes_what_runs() {
    let engines = Engines::own();
    let server = engines.postgres();
    let adapter = connected(&service(&[]), server.port);
    executed(&adapter, "CREATE TABLE undone (n int)").await.unwrap();
    let own = Arc::clone(&adapter);
    let busy =
        tokio::spawn(async move { executed(&own, "INSERT INTO undone SELECT 1 FROM pg_sleep(30)").await });
    let process = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT%sleep%'";
    until("it runs", || !server.psql(process).is_empty()).await;
    tell(&server, &format!("SELECT pg_terminate_backend(({process} LIMIT 1))"));
    let failure = busy.await.unwrap().unwrap_err();
    assert_eq!(failure.native(), Some(("sqlstate", "57P01")), "{failure}");
    assert!(failure.retryable(), "it was undone, and may be sent elsewhere: {failure}");
    assert!(rows(&adapter, "SELECT n FROM undone").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_keeps_nobody_beyond_his_time() {
    let engines = Engines::own();
    let server = engines.postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 2}))]), server.port);
    executed(&adapter, "SELECT 1").await.unwrap();
    adapter.probe(PATIENCE).await.unwrap();
    server.freeze();
    let begun = Instant::now();
    for _ in 0..4 {
        let deadline = Instant::now() + Duration::from_millis(150);
        let failure = adapter.sql().unwrap().execute(&statement("SELECT 1"), deadline).await.unwrap_err();
        // Not that the pool is full, which would say nothing against the server.
        assert_eq!((failure.code(), failure.origin()), (Code::Timeout, Origin::Service), "{failure}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let failure = adapter.probe(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Timeout, Origin::Service), "{failure}");
    server.thaw();
    until_answered(&adapter).await;
    adapter.probe(PATIENCE).await.unwrap();
}

async fn until_answered(adapter: &Arc<dyn Adapter>) {
    let end = within(15);
    while let Err(failure) = executed(adapter, "SELECT 1").await {
        assert!(Instant::now() < end, "not after fifteen seconds: {failure}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A gateway that is killed says nothing to anybody: the server looks whether it is there, and ends what runs for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_when_its_gateway_dies() {
    let server = Engines::shared().postgres();
    let looks = server.psql("SHOW server_version_num").parse::<u32>().unwrap() >= 140_000;
    for (name, before) in [("faults_dies", "SELECT 1"), ("faults_dies_later", "SET work_mem = '1MB'")] {
        let (own, adapter) = (server.clone(), connected(&named(name, &[]), server.port));
        let runs = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND query = '{SLEEP}'"
        );
        let gateway = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut busy = Box::pin(async {
                executed(&adapter, before).await.unwrap();
                executed(&adapter, SLEEP).await
            });
            runtime.block_on(async {
                tokio::select! {
                    told = &mut busy => panic!("it ends by itself: {told:?}"),
                    () = until("it runs", || own.psql(&runs) == "1") => {}
                }
            });
            // Nothing can be said any more without a runtime: the socket is closed, and that is all.
            drop(runtime);
            drop(busy);
        });
        gateway.join().unwrap();
        if looks {
            until("it has ended", || listed(&server, name, "%") == 0).await;
        } else {
            // Servers before 14 do not look.
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(listed(&server, name, "active"), 1);
            tell(
                &server,
                &format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
                ),
            );
        }
    }
}

/// A server that takes connections and says nothing leaves time for another one.
#[tokio::test]
async fn a_silent_server_leaves_time_for_another() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = connected(&service(&[]), silent.local_addr().unwrap().port());
    let (begun, deadline) = (Instant::now(), within(4));
    let failure = adapter.sql().unwrap().execute(&statement("SELECT 1"), deadline).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Timeout, Origin::Service), "{failure}");
    assert!(failure.retryable() && begun.elapsed() < Duration::from_millis(3800), "{:?}", begun.elapsed());
}

/// The runtime answers "later" to a task that has done much in its turn, at any point of a statement on its way. What
/// encryption holds back then is sent all the same.
#[tokio::test]
async fn a_task_that_has_used_up_its_turn_is_answered() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("sslmode", json!("require"))]), server.port);
    executed(&adapter, "SELECT 1").await.unwrap();
    for used in 64..=128 {
        tokio::task::yield_now().await;
        for _ in 0..used {
            tokio::task::consume_budget().await;
        }
        let deadline = within(30);
        let told = adapter.sql().unwrap().execute(&statement("SELECT 1"), deadline).await;
        told.unwrap_or_else(|failure| panic!("after {used} steps: {failure}"));
    }
}

/// A connection that died in its sleep, of which nobody told us: a write that finds it is not left in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wakes_a_dead_connection_takes_another() {
    let server = Engines::shared().postgres();
    let way = Way::to(server.port).await;
    let adapter = connected(&service(&[("sslmode", json!("disable"))]), way.port);
    executed(&adapter, "CREATE TABLE IF NOT EXISTS awake (n int)").await.unwrap();
    executed(&adapter, "TRUNCATE awake").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    way.cut();
    let begun = Instant::now();
    assert_eq!(
        adapter.sql().unwrap().execute(&statement("INSERT INTO awake VALUES (1)"), within(30)).await.unwrap(),
        1
    );
    assert!(begun.elapsed() < PATIENCE / 2, "the network's own patience is longer: {:?}", begun.elapsed());
    assert_eq!(rows(&adapter, "SELECT n FROM awake").await.unwrap(), [json!([1])]);
}

/// A way to a server whose older connections can be cut without a word to anybody.
struct Way {
    port: u16,
    cut: tokio::sync::watch::Sender<()>,
}

impl Way {
    async fn to(server: u16) -> Way {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = tokio::sync::watch::Sender::new(());
        let cuts = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut cuts = cuts.subscribe();
                tokio::spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {
                            drop(far);
                            // Open, and nobody reads or says anything.
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Way { port, cut }
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}

/// Something listens there, and it is no PostgreSQL.
#[tokio::test]
async fn who_speaks_something_else_is_found_out() {
    for words in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"N\0\0\0\x03",
        b"S",
        b"NR\xff\xff\xff\xff",
        b"NE\0\0\0\x05",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let words = words.to_vec();
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let _ = socket.write_all(&words).await;
                    let _ = socket.shutdown().await;
                    let _ = socket.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        let adapter = connected(&service(&[]), port);
        let failure = executed(&adapter, "SELECT 1").await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
        assert!(failure.retryable(), "{failure}");
    }
}

/// A million rows pass through, and no more is held of them than is on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_result_takes_no_memory() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[]), server.port);
    let sql = "SELECT i, 'some words which make the row longer than a number alone would' FROM generate_series(1, 1000000) i";
    let read = adapter.sql().unwrap().query(&statement(sql), &arrays(), within(60)).await.unwrap();
    let before = resident();
    let Rest::Stream(mut rest) = read.rest else { panic!("it streams") };
    let (mut count, mut most) = (read.first.rows, before);
    loop {
        match rest.recv().await.expect("its end is said").unwrap() {
            Piece::Rows(chunk) => count += chunk.rows,
            Piece::End { truncated } => {
                assert!(!truncated);
                break;
            }
        }
        most = most.max(resident());
    }
    assert_eq!(count, 1_000_000);
    assert!(most < before + 24 * 1024, "it grew from {before} to {most} KiB");
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
