//! The images that recipes name run as the official ones do: passwords from files, data on volumes, users that are not
//! root. With `THROOME_TEST_IMAGES=official` it is these that run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use throome_engines::{Docker, Image, docker};

/// A container that ends with its test, with its volumes.
struct Container {
    engine: Docker,
    name: String,
    files: PathBuf,
}

impl Container {
    /// Made of options, and what follows the image; a file is put into it at /throome, and it is started.
    fn run(image: Image, options: &[&str], words: &[&str], (file, text): (&str, &str)) -> Container {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let engine = docker();
        let name = format!("throome-test-{}-{number}", std::process::id());
        let files = std::env::temp_dir().join(&name);
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join(file), text).unwrap();
        let mut create = vec!["create", "--name", &name];
        create.extend(options);
        create.push(image.name());
        create.extend(words);
        let _ = engine.cli(&create);
        let container = Container { engine, name, files };
        for (path, mode) in [(container.files.clone(), 0o755), (container.files.join(file), 0o444)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let to = format!("{}:/throome", container.name);
        let _ = container.engine.cli(&["cp", &container.files.display().to_string(), &to]);
        let _ = container.engine.cli(&["start", &container.name]);
        container
    }

    /// Runs something in it until it succeeds, or says what it said last.
    #[track_caller]
    fn until(&self, words: &[&str]) -> String {
        let end = Instant::now() + Duration::from_secs(180);
        loop {
            match self.exec(words) {
                Ok(said) => return said,
                Err(said) if Instant::now() > end => panic!("{said}; its log:\n{}", self.log()),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    fn exec(&self, words: &[&str]) -> Result<String, String> {
        let mut all = vec!["exec", &self.name];
        all.extend(words);
        self.engine.try_cli(&all)
    }

    fn cli(&self, words: &[&str]) -> String {
        let mut all = words.to_vec();
        all.push(&self.name);
        self.engine.cli(&all)
    }

    /// What it has said, by either way.
    fn log(&self) -> String {
        let mut docker = Command::new("docker");
        let output = docker.args(["--host", self.engine.host(), "logs", &self.name]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The user that its first process runs as.
    fn user(&self) -> String {
        self.exec(&["sh", "-c", "stat -c %U /proc/1"]).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.engine.try_cli(&["rm", "--force", "--volumes", &self.name]);
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

#[test]
fn redis_takes_its_password_from_a_file_and_keeps_its_data() {
    let conf = ("redis.conf", "requirepass pass-of-test\ndir /data\nappendonly yes\nbind * -::*\n");
    let container = Container::run(Image::Redis, &[], &["redis-server", "/throome/redis.conf"], conf);
    let ask = |words: &[&str]| {
        let mut all = vec!["redis-cli", "--no-auth-warning", "-a", "pass-of-test"];
        all.extend(words);
        container.until(&all)
    };
    while ask(&["PING"]) != "PONG" {}
    assert!(container.exec(&["redis-cli", "PING"]).unwrap().starts_with("NOAUTH"));
    assert_eq!(container.user(), "redis");
    assert_eq!(container.exec(&["stat", "-c", "%U", "/data"]).unwrap(), "redis");
    assert_eq!(ask(&["SET", "colour", "red"]), "OK");
    let _ = container.cli(&["restart"]);
    while ask(&["PING"]) != "PONG" {}
    assert_eq!(ask(&["GET", "colour"]), "red");
}

#[test]
fn redis_has_what_tests_pull_besides() {
    let seen = docker().cli(&[
        "image",
        "inspect",
        "--format",
        "{{.Config.WorkingDir}} {{json .Config.Volumes}}",
        Image::Redis.name(),
    ]);
    assert_eq!(seen, r#"/data {"/data":{}}"#);
}

#[test]
fn postgres_makes_what_its_environment_says() {
    let options = [
        "--env=POSTGRES_PASSWORD_FILE=/throome/password",
        "--env=POSTGRES_USER=shop",
        "--env=POSTGRES_DB=orders",
    ];
    let container = Container::run(Image::Postgres, &options, &[], ("password", "pass-of-test"));
    let query = |password: &str, statement: &str| {
        let at = format!("postgres://shop:{password}@127.0.0.1/orders");
        container.exec(&["psql", "-X", "-A", "-t", "-c", statement, &at])
    };
    // Only when its directory is made does it take connections by TCP.
    let _ = container.until(&["psql", "postgres://shop:pass-of-test@127.0.0.1/orders", "-c", "SELECT 1"]);
    assert_eq!(query("pass-of-test", "SELECT 1").unwrap(), "1");
    if std::env::var_os("THROOME_TEST_IMAGES").is_none() {
        // The official image trusts whoever asks from within.
        let refused = query("another", "SELECT 1").unwrap_err();
        assert!(refused.contains("password authentication failed"), "{refused}");
    }
    assert_eq!(container.user(), "postgres");
    let _ = query("pass-of-test", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)").unwrap();
    let dump =
        container.exec(&["pg_dump", "--username=shop", "--format=custom", "--file=/tmp/dump", "orders"]);
    assert_eq!(dump, Ok(String::new()));
    let _ = query("pass-of-test", "DROP TABLE t").unwrap();
    let restore = container.exec(&["pg_restore", "--username=shop", "--dbname=orders", "/tmp/dump"]);
    assert_eq!(restore, Ok(String::new()));
    let begin = Instant::now();
    let _ = container.cli(&["stop", "--time=60"]);
    assert!(begin.elapsed() < Duration::from_secs(30), "SIGINT ends it soon");
    assert_eq!(container.cli(&["inspect", "--format", "{{.State.ExitCode}}"]), "0");
    let _ = container.cli(&["start"]);
    let _ = container.until(&["psql", "postgres://shop:pass-of-test@127.0.0.1/orders", "-c", "SELECT 1"]);
    assert_eq!(query("pass-of-test", "SELECT n FROM t").unwrap(), "7");
}

#[test]
fn postgres_without_a_password_says_what_to_set() {
    let container = Container::run(Image::Postgres, &[], &[], ("nothing", ""));
    assert_eq!(container.cli(&["wait"]), "1");
    let log = container.log();
    assert!(log.contains("You must specify POSTGRES_PASSWORD"), "{log}");
}

#[test]
fn a_broker_of_kafka_comes_up_on_a_volume_of_its_own() {
    let properties = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:19093\n\
        listeners=HOST://:9092,NETWORK://:19092,CONTROLLER://127.0.0.1:19093\n\
        advertised.listeners=HOST://127.0.0.1:9092,NETWORK://127.0.0.1:19092\n\
        listener.security.protocol.map=HOST:PLAINTEXT,NETWORK:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
        inter.broker.listener.name=NETWORK\ncontroller.listener.names=CONTROLLER\n\
        log.dirs=/var/lib/kafka/data\noffsets.topic.replication.factor=1\n";
    let run = "/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id AAAAAAAAAAAAAAAAAAAAAA \
        --config /throome/server.properties && exec /opt/kafka/bin/kafka-server-start.sh /throome/server.properties";
    let volume = format!("throome-test-kafka-{}", std::process::id());
    let mount = format!("--volume={volume}:/var/lib/kafka/data");
    let options = ["--env=KAFKA_HEAP_OPTS=-Xmx256m -Xms128m", &mount];
    let container =
        Container::run(Image::Kafka, &options, &["sh", "-c", run], ("server.properties", properties));
    let topics = ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server=127.0.0.1:9092"];
    let _ = container.until(&[topics[0], topics[1], "--create", "--if-not-exists", "--topic=orders"]);
    assert_eq!(container.user(), "appuser");
    let _ = container.cli(&["restart", "--time=60"]);
    assert_eq!(container.until(&[topics[0], topics[1], "--list"]), "orders");
    let engine = container.engine.clone();
    drop(container);
    let _ = engine.cli(&["volume", "rm", &volume]);
}
