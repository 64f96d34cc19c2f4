//! Redis and PostgreSQL, as the packages have them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use model::Secret;
use model::recipe::{File, Preparation, Run, Signal, Stop, Within};
use throome_provision::{Data, Provisioner, State, Work};

use crate::house::{House, kill, pid, script, until};

fn redis(house: &House) -> Work {
    let mut work = script("cache", "");
    let site = house.processes.site(&work.name, work.port);
    let Within::Process { data } = site.within else { panic!("no process") };
    let text = format!(
        "port {}\nbind 127.0.0.1\nrequirepass s3cret\ndir {data}\nappendonly yes\nappendfsync always\n",
        work.port
    );
    let args = vec![format!("{}/redis.conf", site.config)];
    work.recipe.run = Run { program: "redis-server".into(), args, env: Vec::new() };
    work.recipe.files = vec![File { name: "redis.conf".into(), text: Secret::new(text) }];
    work
}

fn ask(program: &str, args: &[&str], env: (&str, &str)) -> String {
    let said = Command::new(program).args(args).env(env.0, env.1).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
        .trim()
        .to_owned()
}

fn redis_cli(work: &Work, words: &[&str]) -> String {
    let port = work.port.to_string();
    ask("redis-cli", &[&["-p", &port], words].concat(), ("REDISCLI_AUTH", "s3cret"))
}

#[tokio::test]
async fn redis_has_its_password_and_keeps_its_data() {
    let mut house = House::new();
    let work = redis(&house);
    let first = pid(&house.start(&work).await);
    house.says(&work, "Ready to accept connections").await;
    let port = work.port.to_string();
    assert!(ask("redis-cli", &["-p", &port, "PING"], ("LANG", "C")).contains("NOAUTH"));
    assert_eq!(redis_cli(&work, &["SET", "colour", "red"]), "OK");
    let command = std::fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap();
    assert!(!command.contains("s3cret"), "{command}");
    assert_eq!(
        throome_provision::holder(work.port).unwrap().to_string(),
        format!("redis-server (pid {first})")
    );
    kill(first);
    until("it has ended", async || house.state(&work).await != State::Running).await;
    until("it answers again", async || redis_cli(&work, &["GET", "colour"]) == "red").await;
    house.another_gateway();
    assert_eq!(house.state(&work).await, State::Running);
    house.processes.stop(&work.name).await.unwrap();
    assert!(house.lines(&work).await.iter().any(|line| line.contains("ready to exit")), "it was killed");
    house.processes.remove(&work.name, Data::Keep).await.unwrap();
    house.start(&work).await;
    until("it answers again", async || redis_cli(&work, &["GET", "colour"]) == "red").await;
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(throome_provision::free(work.bind, work.port).unwrap(), work.port);
}

fn postgres(house: &House) -> Work {
    let mut work = script("db", "");
    let site = house.processes.site(&work.name, work.port);
    let Within::Process { data } = site.within else { panic!("no process") };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let password = format!("{}/password", site.config);
    let port = work.port.to_string();
    work.recipe.run = Run {
        program: "postgres".into(),
        args: words(&["-D", &data, "-p", &port, "-h", "127.0.0.1", "-k", ""]),
        env: Vec::new(),
    };
    let args = words(&[
        "-D",
        &data,
        "-U",
        "postgres",
        "--pwfile",
        &password,
        "--auth=scram-sha-256",
        "-E",
        "UTF8",
        "-N",
    ]);
    let run = Run { program: "initdb".into(), args, env: Vec::new() };
    work.recipe.prepare = vec![Preparation { what: "make the database cluster".into(), run, input: None }];
    work.recipe.files = vec![File { name: "password".into(), text: Secret::new("s3cret") }];
    work.recipe.stop = Stop { signal: Signal::Int, grace: Duration::from_secs(30) };
    work
}

fn psql(work: &Work, statement: &str) -> String {
    let address = format!("postgres://postgres@127.0.0.1:{}/postgres", work.port);
    ask("psql", &["-At", &address, "-c", statement], ("PGPASSWORD", "s3cret"))
}

#[tokio::test]
async fn postgres_is_prepared_as_nobody_s_root_and_survives_a_kill() {
    let mut house = House::new();
    let work = postgres(&house);
    house.start(&work).await;
    until("it answers", async || psql(&work, "SELECT 1") == "1").await;
    psql(&work, "CREATE TABLE colours (name text)");
    assert_eq!(psql(&work, "INSERT INTO colours VALUES ('red')"), "INSERT 0 1");
    let first = house.found(&work).await.unwrap().id.parse().unwrap();
    kill(first);
    until("it has ended", async || house.state(&work).await != State::Running).await;
    until("it answers again", async || psql(&work, "SELECT name FROM colours") == "red").await;
    house.another_gateway();
    let found = house.found(&work).await.unwrap();
    assert_eq!(found.state, State::Running);
    assert_eq!(house.start(&work).await.id, found.id);
    house.processes.stop(&work.name).await.unwrap();
    assert!(house.lines(&work).await.iter().any(|line| line.contains("database system is shut down")));
    house.start(&work).await;
    until("it answers again", async || psql(&work, "SELECT name FROM colours") == "red").await;
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(left_in(house.dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn words_of_a_failed_initdb_are_told() {
    let house = House::new();
    let mut work = postgres(&house);
    work.recipe.prepare[0].run.args.push("--locale=nowhere".into());
    let failure = house.processes.start(&work, &|_| {}).await.unwrap_err();
    let detail = failure.detail();
    assert!(detail.contains("make the database cluster") && detail.contains("invalid locale"), "{detail}");
    assert!(!detail.contains("s3cret"));
    house.processes.remove(&work.name, Data::Keep).await.unwrap();
    assert_eq!(left_in(house.dir.path()), Vec::<PathBuf>::new());
}

fn left_in(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
