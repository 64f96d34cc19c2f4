//! PostgreSQL with a streaming replica. Queries that only read are answered whatever happens to one of the two; no
//! row is inserted twice, and every insert that was answered is there, also where another server took over.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use ::engines::{Engines, Server, secrets};
use serde_json::{Value, json};
use throome_e2e::calls::{Call, Calls, Told, counts};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, turn};

use super::ledger::{self, INSERT};
use super::{
    BASE, CODES, SLACK, facts, failed_clearly, failing_until, none_failed, until_healthy, until_replaced,
};

/// Calls a second: two of three are reads.
const RATE: u32 = 60;
const NOTES: u64 = 50;
const TIMEOUT: Duration = Duration::from_secs(2);

const READ: &str = "SELECT";
const WRITE: &str = "INSERT";

struct Pair {
    primary: Server,
    replica: Server,
    gateway: Gateway,
    engines: Engines,
}

fn pair() -> Pair {
    let engines = Engines::own();
    let (primary, replica) = (engines.postgres(), engines.postgres_replica());
    ledger::make_table(&primary);
    let _ = primary.psql(&format!(
        "CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL); \
         INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(0, {}) n; GRANT ALL ON notes TO {}",
        NOTES - 1,
        secrets::POSTGRES_OWNER.0
    ));
    until_replayed(&primary, &replica);
    let layout = Layout::default();
    let (user, password) = secrets::POSTGRES_OWNER;
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  db:\n    type: postgres\n    host: 127.0.0.1\n    port: {}\n    replicas: [ {{ host: 127.0.0.1, \
             port: {} }} ]\n    username: {user}\n    password: {password}\n    database: {}\nrouting: {{ timeout_ms: {} }}\n",
            primary.port,
            replica.port,
            secrets::POSTGRES_DATABASE,
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(5));
    Pair { primary, replica, gateway, engines }
}

fn until_replayed(primary: &Server, replica: &Server) {
    let end = primary.psql("SELECT pg_current_wal_lsn()");
    wait_for("a replica that has it all", Duration::from_secs(10), || {
        (replica.psql(&format!("SELECT pg_last_wal_replay_lsn() >= '{end}'")) == "t").then_some(())
    });
}

fn load(gateway: &Gateway) -> Calls {
    Calls::begin(gateway.control, RATE, |number| {
        if number % 3 == 1 {
            let body = json!({ "query": INSERT, "args": [number] });
            Call::post(WRITE, format!("{BASE}/db/execute"), body)
        } else {
            let query = "SELECT text FROM notes WHERE id = $1";
            let body = json!({ "query": query, "args": [number % NOTES], "read_only": true });
            Call::post(READ, format!("{BASE}/db/query"), body)
        }
    })
    .flowing()
}

fn reads_are_right(told: &[Told]) {
    none_failed(told, READ);
    for one in told.iter().filter(|one| one.what == READ && one.good()) {
        assert_eq!(one.answer["rows"][0]["text"], format!("note {}", one.number % NOTES), "{}", one.answer);
    }
}

/// Looks at what the inserts have left at this server: none is there twice, and none that nobody asked for. Gives those
/// that were answered and are not there.
fn none_is_there_twice<'t>(server: &Server, told: &'t [Told]) -> Vec<&'t Told> {
    let there = ledger::rows(server);
    let twice: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let writes = || told.iter().filter(|one| one.what == WRITE);
    let asked: BTreeSet<u64> = writes().map(|one| one.number).collect();
    assert!(there.keys().all(|id| asked.contains(id)));
    writes().filter(|one| one.good() && !there.contains_key(&one.number)).collect()
}

fn insert(gateway: &Gateway, id: i64) -> throome_e2e::Reply {
    let body = json!({ "query": INSERT, "args": [id] });
    gateway.call("POST", &format!("{BASE}/db/execute?position=true"), Some(&body))
}

#[test]
fn a_replica_of_postgres_is_killed_and_comes_back() {
    let _turn = turn::alone();
    let Pair { primary, replica, gateway, engines: _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    replica.kill();
    sleep(Duration::from_secs(3));
    let during = facts(&gateway, "db");
    replica.restart();
    let back = until_healthy(&gateway, Duration::from_secs(10));
    sleep(Duration::from_secs(1));
    let told = load.finish();
    println!("replica killed: {}; healthy {back:?} after its start", counts(&told));
    reads_are_right(&told);
    none_failed(&told, WRITE);
    assert!(none_is_there_twice(&primary, &told).is_empty(), "answered, and lost");
    assert_eq!(during["status"], "DEGRADED", "{during:#}");
    let reason = during["endpoints"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");
}

/// A replica changes nothing, so what it was asked may be asked of the primary, also where nobody said that it only
/// reads: when the replica is gone, and when it does not answer.
#[test]
fn what_a_replica_was_asked_is_asked_of_the_primary() {
    let _turn = turn::alone();
    let Pair { primary: _primary, replica, gateway, engines: _engines } = pair();
    for (fault, seconds) in [(Server::kill as fn(&Server), 0.4), (Server::freeze, 0.01)] {
        let query = format!("SELECT pg_sleep({seconds}), pg_is_in_recovery() AS standby");
        // As many as the pool of one server has room for when the other is gone.
        let load = Calls::begin(gateway.control, 15, move |_| {
            Call::post(READ, format!("{BASE}/db/query"), json!({ "query": query }))
        });
        sleep(Duration::from_secs(2));
        fault(&replica);
        sleep(Duration::from_secs(2));
        let told = load.finish();
        replica.restart();
        let by_replica = told.iter().filter(|one| one.answer["rows"][0]["standby"] == true).count();
        println!("a replica that was asked is gone: {}, {by_replica} answered by it before", counts(&told));
        none_failed(&told, READ);
        assert!(by_replica > 3, "the replica was never asked: the test shows nothing");
        let _ = until_healthy(&gateway, Duration::from_secs(10));
        // One that comes back has its share step by step.
        sleep(Duration::from_secs(5));
    }
}

#[test]
fn a_primary_of_postgres_is_frozen() {
    let _turn = turn::alone();
    let Pair { primary, replica: _replica, gateway, engines: _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    primary.freeze();
    sleep(Duration::from_secs(5));
    let during = facts(&gateway, "db");
    primary.thaw();
    let thawed = now_us();
    let back = until_healthy(&gateway, Duration::from_secs(10));
    sleep(Duration::from_secs(2));
    let told = load.finish();
    let failing = failing_until(&told, WRITE, thawed);
    println!(
        "primary frozen: {}; inserts failed for {failing:?} after, healthy {back:?} after",
        counts(&told)
    );
    reads_are_right(&told);
    failed_clearly(&told, WRITE, &CODES, TIMEOUT + SLACK);
    assert!(none_is_there_twice(&primary, &told).is_empty(), "answered, and lost");
    assert!(told.iter().any(|one| one.what == WRITE && !one.good()), "{}", counts(&told));
    assert!(failing < Duration::from_secs(4), "{failing:?}");
    assert_eq!(during["status"], "DEGRADED", "{during:#}");
}

/// A restart in good order: reads go on, and whatever was told to be written is.
#[test]
fn a_primary_of_postgres_is_restarted() {
    let _turn = turn::alone();
    let Pair { primary, replica: _replica, gateway, engines: _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    primary.stop();
    sleep(Duration::from_secs(2));
    primary.restart();
    let up = now_us();
    let back = until_healthy(&gateway, Duration::from_secs(10));
    sleep(Duration::from_secs(1));
    let told = load.finish();
    let failing = failing_until(&told, WRITE, up);
    println!(
        "primary restarted: {}; inserts failed for {failing:?} after, healthy {back:?} after",
        counts(&told)
    );
    reads_are_right(&told);
    failed_clearly(&told, WRITE, &CODES, TIMEOUT + SLACK);
    assert!(none_is_there_twice(&primary, &told).is_empty(), "answered, and lost");
    assert!(failing < Duration::from_secs(3), "{failing:?}");
}

/// The primary is lost in the midst of its work, and its replica takes over. The primary waited for the replica with
/// each commit, so that all that was answered is there.
#[test]
fn a_replica_of_postgres_is_promoted_and_the_old_primary_comes_back() {
    let _turn = turn::alone();
    let Pair { primary, replica, gateway, engines } = pair();
    let _ = primary.psql_with(&[
        "-c",
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "-c",
        "ALTER SYSTEM SET synchronous_commit = 'remote_write'",
        "-c",
        "SELECT pg_reload_conf()",
    ]);
    wait_for("a synchronous replica", Duration::from_secs(5), || {
        (primary.psql("SELECT sync_state FROM pg_stat_replication") == "sync").then_some(())
    });
    let load = load(&gateway);
    sleep(Duration::from_secs(2));
    primary.kill();
    sleep(Duration::from_secs(5));
    let leaderless = facts(&gateway, "db");
    replica.promote();
    let promoted = now_us();
    sleep(Duration::from_secs(4));
    // By mistake it comes back as what it was, and waits for nobody with a commit.
    let data = primary_data(&engines);
    std::fs::write(data.join("postgresql.auto.conf"), "").unwrap();
    primary.restart();
    let (replaced, found) = until_replaced(&gateway, "db", &primary);
    sleep(Duration::from_secs(3));
    let told = load.finish();
    let failing = failing_until(&told, WRITE, promoted);
    println!(
        "replica promoted: {}; inserts failed for {failing:?} after, the old primary found out {found:?} after its start",
        counts(&told)
    );
    reads_are_right(&told);
    failed_clearly(&told, WRITE, &CODES, TIMEOUT + SLACK);
    assert!(failing < Duration::from_secs(3), "{failing:?}");
    let lost = none_is_there_twice(&replica, &told);
    assert!(lost.is_empty(), "answered, and lost: {lost:?}");
    let since = || told.iter().filter(|one| one.what == WRITE && one.at_us > promoted);
    assert!(since().filter(|one| one.good()).count() > 30, "{}", counts(&told));
    let first = since().map(|one| one.number).min().unwrap();
    let at_the_old = primary.psql(&format!("SELECT count(*) FROM written WHERE id >= {first}"));
    assert_eq!(at_the_old, "0", "the old primary was written to");
    let reason = replaced["reason"].as_str().unwrap();
    assert!(reason.contains("promoted in its place"), "{reason}");
    assert_eq!(leaderless["status"], "DEGRADED", "somebody answers reads: {leaderless:#}");
}

/// The old primary runs on, and would take whatever is written to it. The replica says along with its next answer that it
/// was promoted, and from then on it is written to.
#[test]
fn a_replica_of_postgres_is_promoted_beside_its_primary() {
    let _turn = turn::alone();
    let Pair { primary: _primary, replica, gateway, engines: _engines } = pair();
    // Servers before 14 say nothing unasked, and probes find it out.
    let says_so = replica.psql("SHOW server_version_num").parse::<u32>().unwrap() >= 140_000;
    let load = load(&gateway);
    sleep(Duration::from_secs(2));
    replica.promote();
    let promoted = now_us();
    sleep(Duration::from_secs(4));
    let told = load.finish();
    reads_are_right(&told);
    failed_clearly(&told, WRITE, &CODES, TIMEOUT + SLACK);
    let lost = none_is_there_twice(&replica, &told);
    let since = |one: &&Told| one.what == WRITE && one.at_us > promoted + 500_000;
    let late = lost.iter().filter(|one| since(one)).count();
    println!("promoted beside its primary: {}; {} lost, {late} of them late", counts(&told), lost.len());
    assert!(
        late == 0 || !says_so,
        "the old primary was written to after the promotion was heard of: {lost:?}"
    );
    assert!(told.iter().filter(since).filter(|one| one.good()).count() > 20, "{}", counts(&told));
}

/// Two servers take writes, and each went on by itself from the same point: nobody can say which is right.
#[test]
fn two_primaries_with_as_much_right_are_not_written_to() {
    let _turn = turn::together();
    let Pair { primary, replica, gateway, engines } = pair();
    replica.promote();
    // The other one is made a standby of nobody, and promoted as well.
    primary.stop();
    let signal = primary_data(&engines).join("standby.signal");
    std::fs::write(&signal, "").unwrap();
    std::os::unix::fs::chown(&signal, owner(&primary_data(&engines)), None).unwrap();
    primary.restart();
    assert_eq!(primary.psql("SELECT pg_promote(true, 30)"), "t");
    wait_for("both are said", Duration::from_secs(10), || {
        let facts = facts(&gateway, "db");
        let both = facts["endpoints"].as_array().unwrap().iter().all(|one| one["role"] == "contested");
        both.then_some(())
    });
    let refused = insert(&gateway, 1).expect(503);
    println!("two primaries: {}", refused.json()["detail"]);
    assert_eq!(refused.json()["code"], "no_endpoint", "{refused}");
    assert!(refused.text().contains("as much right"), "{refused}");
    let read = json!({ "query": "SELECT count(*) AS n FROM notes", "read_only": true });
    let read = gateway.call("POST", &format!("{BASE}/db/query"), Some(&read)).expect(200).json();
    assert_eq!(read["rows"][0]["n"], NOTES);
    // An operator decides, and that is all that is needed.
    primary.stop();
    wait_for("the other is written to", Duration::from_secs(10), || {
        (insert(&gateway, 2).status == 200).then_some(())
    });
    assert_eq!(replica.psql("SELECT id FROM written"), "2");
}

/// A client that asks for it reads what it wrote, while the replica is far behind.
#[test]
fn a_position_reads_what_was_written() {
    let _turn = turn::together();
    let Pair { primary: _primary, replica, gateway, engines: _engines } = pair();
    let _ = replica.psql("SELECT pg_wal_replay_pause()");
    let mut stale = 0;
    for id in 0..20 {
        let written = insert(&gateway, id).expect(200).json();
        let position = written["position"].as_str().unwrap_or_else(|| panic!("no position in {written}"));
        let query = "SELECT count(*) AS n FROM written WHERE id = $1";
        let read = |more: &Value| {
            let mut body = json!({ "query": query, "args": [id], "read_only": true });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let reply = gateway.call("POST", &format!("{BASE}/db/query"), Some(&body)).expect(200);
            reply.json()["rows"][0]["n"].as_u64().unwrap()
        };
        assert_eq!(read(&json!({ "after": position })), 1, "row {id} was written, and is not read");
        stale += u64::from(read(&json!({})) == 0);
    }
    println!(
        "a paused replica: 20 of 20 read what they wrote, of those who did not ask for it {stale} did not"
    );
    assert!(stale > 0, "the replica was never asked: the test shows nothing");
    let _ = replica.psql("SELECT pg_wal_replay_resume()");
}

fn primary_data(engines: &Engines) -> std::path::PathBuf {
    engines.directory().join("postgres/data")
}

fn owner(path: &std::path::Path) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap()))
}
