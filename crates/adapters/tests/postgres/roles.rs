//! Primary and standby: who is what, who takes writes, and who has come far enough.

use model::Code;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_say_what_they_are() {
    let engines = Engines::own();
    let (primary, standby) = (engines.postgres(), engines.postgres_replica());
    let [on_primary, on_standby] = [&primary, &standby].map(|server| connected(&service(&[]), server.port));
    assert_eq!(on_primary.seen(), None, "nobody has asked");
    for adapter in [&on_primary, &on_standby] {
        adapter.probe(PATIENCE).await.unwrap();
    }
    let (first, second) = (on_primary.seen().unwrap(), on_standby.seen().unwrap());
    assert_eq!((first.role, second.role), (Role::Primary, Role::Replica));
    let history = first.history.expect("it knows its history");
    assert_eq!(&*history.id, primary.psql("SELECT system_identifier FROM pg_control_system()"));
    assert!(history.number == 1 && history.shared && second.history.is_none());
    assert!(second.lag.is_some_and(|lag| lag < Duration::from_secs(10)), "{second:?}");

    // A write that comes to a standby was not done, and is wanted elsewhere.
    executed(&on_primary, "CREATE TABLE roles (n int)").await.unwrap();
    until("the table is there", || standby.psql("SELECT to_regclass('roles')") == "roles").await;
    for failure in [
        executed(&on_standby, "INSERT INTO roles VALUES (1)").await.unwrap_err(),
        rows(&on_standby, "INSERT INTO roles VALUES (1) RETURNING n").await.unwrap_err(),
        on_standby
            .sql()
            .unwrap()
            .batch(&[statement("DELETE FROM roles")], Default::default(), within(10))
            .await
            .unwrap_err(),
        on_standby.sql().unwrap().begin(Default::default(), within(10)).await.err().unwrap(),
        on_standby.sql().unwrap().position(within(10)).await.unwrap_err(),
    ] {
        assert!(failure.wants_primary(), "{failure}");
    }
    // What was said to be read-only is not wanted anywhere.
    let only_looks = QueryOptions { read_only: true, ..arrays() };
    for adapter in [&on_primary, &on_standby] {
        let failure =
            asked(adapter, &statement("INSERT INTO roles VALUES (1)"), &only_looks).await.unwrap_err();
        assert_eq!((failure.code(), failure.wants_primary()), (Code::QueryFailed, false), "{failure}");
        assert!(asked(adapter, &statement("SELECT n FROM roles"), &only_looks).await.unwrap().is_empty());
    }

    promoted(&standby, &on_primary, &on_standby).await;
}

/// Whoever is promoted says so at once, with a history that is later.
async fn promoted(standby: &Server, on_primary: &Arc<dyn Adapter>, on_standby: &Arc<dyn Adapter>) {
    assert!(!on_standby.has_news());
    standby.promote();
    rows(on_standby, "SELECT 1").await.unwrap();
    let says_so = standby.psql("SHOW server_version_num").parse::<u32>().unwrap() >= 140_000;
    assert_eq!(on_standby.has_news(), says_so, "whoever is asked anything says it along with the answer");
    on_standby.probe(PATIENCE).await.unwrap();
    assert!(!on_standby.has_news());
    let seen = on_standby.seen().unwrap();
    assert_eq!(seen.role, Role::Primary);
    let (old, new) = (on_primary.seen().unwrap().history.unwrap(), seen.history.unwrap());
    assert!(old.id == new.id && new.number == old.number + 1, "{old:?} {new:?}");
    assert_eq!(
        executed(on_standby, "INSERT INTO roles VALUES (2)").await.unwrap(),
        1,
        "the same connections write now"
    );
}

/// What a standby was asked when it died was not done, where it says itself that it is one, and may be asked elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_standby_was_asked_may_be_asked_again() {
    let engines = Engines::own();
    let (primary, standby) = (engines.postgres(), engines.postgres_replica());
    let says_so = primary.psql("SHOW server_version_num").parse::<u32>().unwrap() >= 140_000;
    let adapter = connected(&service(&[]), standby.port);
    let own = Arc::clone(&adapter);
    let asked = tokio::spawn(async move { rows(&own, SLEEP).await });
    until("it runs", || {
        standby.psql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'",
        ) == "1"
    })
    .await;
    standby.kill();
    let failure = asked.await.unwrap().unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, model::Origin::Service), "{failure}");
    assert_eq!(failure.retryable(), says_so, "{failure}");
    assert_eq!(failure.detail().contains("may have been"), !says_so, "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_his_own_writes_waits_or_is_sent_on() {
    let engines = Engines::own();
    let (primary, standby) = (engines.postgres(), engines.postgres_replica());
    let [on_primary, on_standby] = [&primary, &standby].map(|server| connected(&service(&[]), server.port));
    executed(&on_primary, "CREATE TABLE own (n int)").await.unwrap();
    for n in 1..=20 {
        executed(&on_primary, &format!("INSERT INTO own VALUES ({n})")).await.unwrap();
        let position = on_primary.sql().unwrap().position(within(10)).await.unwrap();
        let options = QueryOptions { after: Some(position), ..arrays() };
        let select = statement("SELECT count(*) FROM own");
        assert_eq!(asked(&on_primary, &select, &options).await.unwrap(), [json!([n])]);
        assert_eq!(
            asked(&on_standby, &select, &options).await.unwrap(),
            [json!([n])],
            "it waits until it has come as far"
        );
    }
    // One that has stopped to apply does not come as far, and says so soon.
    tell(&standby, "SELECT pg_wal_replay_pause()");
    executed(&on_primary, "INSERT INTO own VALUES (21)").await.unwrap();
    let position = on_primary.sql().unwrap().position(within(10)).await.unwrap();
    let options = QueryOptions { after: Some(position), ..arrays() };
    let begun = Instant::now();
    let failure = asked(&on_standby, &statement("SELECT 1"), &options).await.unwrap_err();
    assert!(
        failure.wants_primary() && begun.elapsed() < Duration::from_secs(1),
        "{failure} {:?}",
        begun.elapsed()
    );
    let wrong = QueryOptions { after: Some("tomorrow".into()), ..arrays() };
    let failure = asked(&on_standby, &statement("SELECT 1"), &wrong).await.unwrap_err();
    assert_eq!(failure.code(), Code::InvalidRequest, "{failure}");
    lag_is_noticed(&primary, &standby, &on_primary).await;
}

/// Nobody commits anything, and the primary is cut off in the middle of a record: the standby has all that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_no_lag() {
    let engines = Engines::own();
    let (primary, standby) = (engines.postgres(), engines.postgres_replica());
    let on_primary = connected(&service(&[]), primary.port);
    let strict = connected(&service(&[("max_lag", json!("300ms"))]), standby.port);
    executed(&on_primary, "CREATE TABLE long (t text)").await.unwrap();
    let own = Arc::clone(&on_primary);
    let writing = tokio::spawn(async move {
        let mut open = own.sql().unwrap().begin(Default::default(), within(20)).await.unwrap();
        let insert = statement("INSERT INTO long SELECT repeat('x', 500) FROM generate_series(1, 200)");
        while open.execute(&insert, within(60)).await.is_ok() {}
    });
    let is_asked = async |what: &str| {
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            strict.probe(PATIENCE).await.unwrap();
            rows(&strict, "SELECT 1").await.unwrap_or_else(|failure| panic!("{what}: {failure}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    is_asked("in an open transaction").await;
    primary.freeze();
    is_asked("with a frozen primary").await;
    primary.thaw();
    writing.abort();
}

/// A standby that is too far behind is not read from, until it has come near again.
async fn lag_is_noticed(primary: &Server, standby: &Server, on_primary: &Arc<dyn Adapter>) {
    let strict = connected(&service(&[("max_lag", json!("500ms"))]), standby.port);
    let (end, most) = (within(10), Duration::from_millis(500));
    while strict.seen().and_then(|seen| seen.lag).is_none_or(|lag| lag <= most) {
        assert!(Instant::now() < end, "it is behind, and does not say so: {:?}", strict.seen());
        tell(primary, "INSERT INTO own VALUES (22)");
        strict.probe(PATIENCE).await.unwrap();
    }
    let failure = rows(&strict, "SELECT 1").await.unwrap_err();
    assert!(failure.wants_primary() && failure.detail().contains("behind"), "{failure}");
    assert!(strict.set_aside().is_some_and(|why| why.contains("more than 500 ms behind")));
    tell(standby, "SELECT pg_wal_replay_resume()");
    let position = on_primary.sql().unwrap().position(within(10)).await.unwrap();
    until("it has come near", || {
        standby.psql(&format!("SELECT pg_last_wal_replay_lsn() >= '{position}'")) == "t"
    })
    .await;
    strict.probe(PATIENCE).await.unwrap();
    rows(&strict, "SELECT 1").await.unwrap();
    assert_eq!(strict.set_aside(), None);
}
