//! What the tests rely on: servers of one's own start, break and come back as they are told, and end with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use throome_engines::{Engines, Server};

fn listens(server: &Server) -> bool {
    TcpStream::connect(server.address()).is_ok()
}

#[test]
fn a_redis_that_was_killed_comes_back_with_its_data_and_its_port() {
    let engines = Engines::own();
    let redis = engines.redis();
    assert_eq!(redis.redis_cli(&["SET", "colour", "red"]), "OK");
    let before = redis.pid();
    redis.kill();
    assert!(!listens(&redis));
    redis.restart();
    assert_eq!(redis.redis_cli(&["GET", "colour"]), "red");
    assert_ne!(redis.pid(), before);
}

#[test]
fn a_replica_of_postgres_follows_and_takes_over() {
    let engines = Engines::own();
    let (primary, replica) = (engines.postgres(), engines.postgres_replica());
    let _ = primary.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    assert_eq!(replica.psql("SELECT pg_is_in_recovery()"), "t");
    primary.stop();
    assert_eq!(replica.psql("SELECT n FROM t"), "7");
    replica.promote();
    assert_eq!(replica.psql("INSERT INTO t VALUES (8) RETURNING n"), "8");
}

#[test]
fn a_frozen_server_takes_connections_and_does_not_answer() {
    let engines = Engines::own();
    let redis = engines.redis();
    redis.freeze();
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    assert!(stream.read_exact(&mut answer).is_err());
    redis.thaw();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_set_of_ones_own_ends_with_it() {
    let engines = Engines::own();
    let redis = engines.redis();
    let directory = engines.directory();
    assert!(directory.is_dir());
    drop(engines);
    assert!(listens(&redis), "whoever holds a server holds the set");
    let (pid, address) = (redis.pid(), redis.address());
    drop(redis);
    assert!(TcpStream::connect(address).is_err(), "process {pid} listens on");
    assert!(!directory.exists());
    let lock = format!("{}.lock", directory.display());
    assert!(!Path::new(&lock).exists());
}

/// Also the log of a server is told, so that nobody has to look for it.
#[test]
fn a_start_that_fails_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let told = |name: &str| {
        let name = name.to_owned();
        let started = std::panic::catch_unwind(move || Engines::own().start(&name));
        *started.unwrap_err().downcast::<String>().unwrap()
    };
    let said = told(&format!("redis@{port}"));
    assert!(said.contains(&format!("port {port} for redis is taken")), "{said}");
    let said = told("redos");
    assert!(said.contains("there is no server \"redos\"; known are: "), "{said}");
    // Beyond 65535 Redis refuses to start at all.
    let said = told("redis@99999");
    assert!(said.contains("log says last:") && said.contains("between 0 and 65535"), "{said}");
}

#[test]
#[should_panic(expected = "is shared with other tests")]
fn a_shared_server_is_not_broken() {
    Engines::shared().redis().kill();
}

/// In this process it starts itself once more, which then starts a server, says its port, and waits to be killed.
#[test]
fn a_set_of_ones_own_ends_also_when_its_process_is_killed() {
    const SECOND: &str = "THROOME_ENGINES_SECOND";
    if std::env::var_os(SECOND).is_some() {
        let redis = Engines::own().redis();
        eprintln!("listens: {}", redis.port);
        std::thread::sleep(Duration::from_secs(600));
    }
    let this = "a_set_of_ones_own_ends_also_when_its_process_is_killed";
    let mut second = Command::new(std::env::current_exe().unwrap());
    second.args(["--exact", this, "--nocapture"]).env(SECOND, "1").stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    let lines = BufReader::new(second.stderr.take().unwrap()).lines();
    let mut said = lines.map_while(Result::ok);
    let port = said.find_map(|line| line.strip_prefix("listens: ")?.parse::<u16>().ok()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    second.kill().unwrap();
    second.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < end, "Redis on port {port} outlives whoever started it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sentinels_choose_another_master() {
    let engines = Engines::own();
    let watched = engines.redis_sentinel();
    let master = || {
        let said = watched.sentinels[0].redis_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
        said.lines().nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(master(), watched.master.port);
    watched.master.kill();
    let end = Instant::now() + Duration::from_secs(30);
    while master() != watched.replica.port {
        assert!(Instant::now() < end, "nobody took over");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_cluster_of_redis_shares_out_its_keys() {
    let engines = Engines::own();
    let nodes = engines.redis_cluster();
    // CRC16 gives this key the slot 12182, which is the third's.
    assert_eq!(nodes[2].redis_cli(&["SET", "foo", "bar"]), "OK");
    let moved = nodes[0].redis_cli(&["GET", "foo"]);
    assert_eq!(moved, format!("MOVED 12182 127.0.0.1:{}", nodes[2].port));
}

#[test]
fn a_kafka_that_was_killed_comes_back_with_its_messages() {
    let engines = Engines::own();
    let kafka = engines.kafka();
    let at = kafka.address().to_string();
    let topics = "org.apache.kafka.tools.TopicCommand";
    let made = kafka.kafka_tool(topics, &["--bootstrap-server", &at, "--create", "--topic", "orders"]);
    assert_eq!(made, "Created topic orders.");
    kafka.kill();
    kafka.restart();
    assert_eq!(kafka.kafka_tool(topics, &["--bootstrap-server", &at, "--list"]), "orders");
}

#[test]
fn pgbouncer_leads_to_postgres() {
    let engines = Engines::own();
    let bouncer = engines.pgbouncer();
    assert_eq!(bouncer.psql("SELECT current_database()"), "throome");
    engines.postgres().kill();
    engines.postgres().restart();
    assert_eq!(bouncer.psql("SELECT 1"), "1");
}
