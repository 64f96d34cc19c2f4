//! What the tests rely on: servers of one's own start, break and come back as they are told, and end with the test.

use std::net::TcpStream;
use std::path::Path;

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
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    std::io::Write::write_all(&mut stream, b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    assert!(std::io::Read::read_exact(&mut stream, &mut answer).is_err());
    redis.thaw();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
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

#[test]
#[should_panic(expected = "is shared with other tests")]
fn a_shared_server_is_not_broken() {
    Engines::shared().redis().kill();
}
