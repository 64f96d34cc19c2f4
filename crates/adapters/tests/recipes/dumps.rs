//! Dumps of what is run: what is loaded is what was dumped, and what is no whole dump changes nothing.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use model::failure::{Code, Failure};
use model::recipe::{self, Dump};
use provision::Data;
use provision::docker::{self, Docker};
use provision::process::{self, Processes};
use serde_json::json;
use throome_adapters::Adapter;
use throome_adapters::sql::Statement;
use tokio::time::Instant;

use crate::{Run, uses};

/// The scripts by which a kind is filled, changed and looked at. They are told what the recipe's own script of saving is.
struct Words {
    fill: &'static str,
    change: &'static str,
    /// Prints what was filled in, and `changed` after it where it was changed.
    look: &'static str,
    /// What a load that was killed in the worst moment may leave behind.
    leave: &'static str,
    /// Prints what is left of a load.
    left: &'static str,
}

const REDIS: Words = Words {
    fill: r#"export REDISCLI_AUTH="$(cat "$1")"; set -- redis-cli -h "$2" -p "$3" ${4:+--user "$4"}
        "$@" FLUSHALL; "$@" -n 0 SET zero first
        "$@" -n 20 EVAL "for i = 1, 20000 do redis.call('set', 'key:' .. i, string.rep(i .. ',', 20)) end" 0
        "$@" -n 20 HSET hash field value; "$@" -n 20 SET fading x EX 10000; "$@" -n 20 XADD stream '*' a b"#,
    change: r#"export REDISCLI_AUTH="$(cat "$1")"; set -- redis-cli -h "$2" -p "$3" ${4:+--user "$4"}
        "$@" -n 20 SET changed changed; "$@" -n 3 SET elsewhere changed; "$@" -n 20 DEL key:7; "$@" -n 0 SET zero 2"#,
    look: r#"export REDISCLI_AUTH="$(cat "$1")"; set -- redis-cli -h "$2" -p "$3" ${4:+--user "$4"}
        "$@" -n 0 GET zero; "$@" -n 20 DBSIZE; "$@" -n 20 GET key:7; "$@" -n 20 HGET hash field; "$@" -n 20 XLEN stream
        [ "$("$@" -n 20 TTL fading)" -gt 9000 ] && echo fades
        "$@" ROLE | head -n 1; "$@" CONFIG GET masterauth; "$@" -n 3 DBSIZE; "$@" -n 20 GET changed"#,
    leave: r#"export REDISCLI_AUTH="$(cat "$1")"; set -- redis-cli -h "$2" -p "$3" ${4:+--user "$4"}
        mkdir throome-load; echo junk > throome-load/dump.rdb
        "$@" CONFIG SET masterauth junk; "$@" REPLICAOF 127.0.0.1 1"#,
    left: "ls | grep throome-load; true",
};

const POSTGRES: Words = Words {
    fill: r#"export PGPASSWORD="$(cat "$1")" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE="$5"
        psql -qXv ON_ERROR_STOP=1 -v db="$5" <<'END'
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TABLE goods (id serial PRIMARY KEY, name text NOT NULL, price numeric CHECK (price > 0));
INSERT INTO goods (name, price) SELECT 'thing ' || i || repeat(' of some length', i % 20), i FROM generate_series(1, 20000) i;
CREATE INDEX ON goods (name);
CREATE VIEW dear AS SELECT * FROM goods WHERE price > 19990;
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * $1';
ALTER DATABASE :"db" SET search_path TO public, pg_temp;
ALTER DATABASE :"db" SET application_name TO 'it''s set';
END"#,
    change: r#"export PGPASSWORD="$(cat "$1")" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE="$5"
        psql -qXv ON_ERROR_STOP=1 -c 'CREATE TABLE later (a int)' -c 'DELETE FROM goods WHERE id = 7' \
            -c "UPDATE goods SET name = 'changed' WHERE id = 8""#,
    look: r#"export PGPASSWORD="$(cat "$1")" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE="$5"
        psql -qXAtv ON_ERROR_STOP=1 <<'END'
SELECT count(*), sum(price), (SELECT count(*) FROM dear), twice(21) FROM goods;
SELECT current_database(), current_setting('search_path'), current_setting('application_name');
SELECT last_value FROM goods_id_seq;
SELECT pg_get_userbyid(datdba), datcollate, encoding FROM pg_database WHERE datname = current_database();
SELECT 'changed' FROM pg_class WHERE relname = 'later';
END"#,
    leave: r#"export PGPASSWORD="$(cat "$1")" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE=template1
        psql -qXv ON_ERROR_STOP=1 -c 'CREATE DATABASE throome_loading' -c 'CREATE DATABASE throome_replaced'
        PGDATABASE=throome_loading psql -qXc 'CREATE TABLE junk (a int)'"#,
    left: r#"export PGPASSWORD="$(cat "$1")" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE=template1
        psql -qXAtc "SELECT datname FROM pg_database WHERE datname LIKE 'throome%'""#,
};

impl Run<'_> {
    /// An archive of what stands still, where this is how it is dumped.
    pub(crate) async fn archive(&self) -> Option<Vec<u8>> {
        let Dump::AtRest { .. } = self.work.recipe.dump else { return None };
        let mut archive = Vec::new();
        self.provisioner.take_data(&self.work, Box::pin(&mut archive)).await.unwrap();
        Some(archive)
    }

    /// Puts it in the place of what was written since, which was one thing after the first.
    pub(crate) async fn loads(&self, archive: &[u8]) {
        self.provisioner.stop(&self.work.name).await.unwrap();
        let cut = self.provisioner.put_data(&self.work, Box::pin(&archive[..archive.len() / 2])).await;
        assert_eq!(cut.unwrap_err().code(), Code::InvalidRequest);
        self.provisioner.put_data(&self.work, Box::pin(archive)).await.unwrap();
        let at = self.start().await;
        let adapter = self.ready(&at).await;
        assert_eq!(uses(&*adapter).await, 1, "what was written since then is gone");
        adapter.close().await.unwrap();
    }

    fn scripts(&self) -> [&recipe::Run; 2] {
        match &self.work.recipe.dump {
            Dump::Serving { save, load, .. } => [save, load],
            Dump::AtRest { .. } => panic!("{:?}", self.work.recipe.dump),
        }
    }

    async fn asked(&self, script: &str) -> String {
        let [save, _] = self.scripts();
        let mut run = save.clone();
        script.clone_into(&mut run.args[1]);
        let mut out = Vec::new();
        self.provisioner.beside(&self.work, &run, None, Some(Box::pin(&mut out))).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    async fn save(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        let [save, _] = self.scripts();
        self.provisioner.beside(&self.work, save, None, Some(Box::pin(&mut dump))).await.unwrap();
        dump
    }

    async fn load(&self, dump: &[u8]) -> Result<(), Failure> {
        let [_, load] = self.scripts();
        self.provisioner.beside(&self.work, load, Some(Box::pin(dump)), None).await
    }

    /// All that a dump is to be good for. Nothing is left running of what is not.
    async fn is_dumped(&self, words: &Words) {
        let tried = AssertUnwindSafe(self.tried(words)).catch_unwind().await;
        self.provisioner.remove(&self.work.name, Data::Remove).await.unwrap();
        tried.unwrap_or_else(|panic| resume_unwind(panic));
    }

    async fn tried(&self, words: &Words) {
        let at = self.start().await;
        let adapter = self.ready(&at).await;
        self.asked(words.fill).await;
        let filled = self.asked(words.look).await;
        assert!(!filled.contains("changed"), "{filled}");
        let dump = self.save().await;
        assert!(dump.len() > 20_000, "{}", dump.len());
        self.asked(words.change).await;
        let changed = self.asked(words.look).await;
        assert!(changed.contains("changed") && changed != filled, "{changed}");

        let mut damaged = dump.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].iter_mut().for_each(|byte| *byte = !*byte);
        // Redis ends one that it streams with a mark of forty bytes, which nobody misses.
        let end = dump.len() - 40;
        let bad: [&[u8]; 7] = [
            b"",
            b"nonsense",
            &dump[..7],
            &dump[..end / 10],
            &dump[..end * 9 / 10],
            &dump[..end - 1],
            &damaged,
        ];
        for (number, bad) in bad.into_iter().enumerate() {
            let failure = self.load(bad).await.expect_err(&number.to_string());
            assert_eq!(failure.code(), Code::ProvisionFailed, "{failure:?}");
            // It says why, and not by the code alone.
            assert!(failure.detail().contains(":\n"), "{failure:?}");
            assert!(!failure.detail().contains("ca'na"), "{failure:?}");
            assert_eq!(self.asked(words.look).await, changed, "{number}: {failure:?}");
            assert_eq!(self.asked(words.left).await, "", "{number}");
        }

        // One that nobody brings to its end.
        let (mut to, from) = tokio::io::duplex(1 << 24);
        tokio::io::AsyncWriteExt::write_all(&mut to, &dump[..end * 9 / 10]).await.unwrap();
        let [_, load] = self.scripts();
        let half = self.provisioner.beside(&self.work, load, Some(Box::pin(from)), None);
        assert!(tokio::time::timeout(Duration::from_secs(2), half).await.is_err());
        drop(to);
        for tries in 0.. {
            if self.asked(words.left).await.is_empty() {
                break;
            }
            assert!(tries < 100, "{}", self.asked(words.left).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.asked(words.look).await, changed);

        self.load(&dump).await.unwrap();
        assert_eq!(self.asked(words.look).await, filled);
        assert_eq!(self.asked(words.left).await, "");
        // After all that a load may leave behind where it is killed.
        self.asked(words.leave).await;
        // While others ask without a pause.
        let asks = futures_util::future::join_all((0..8).map(|_| asks(&*adapter)));
        tokio::select! {
            loaded = self.load(&dump) => loaded.unwrap(),
            _ = asks => panic!("they ask for ever"),
        }
        assert_eq!(self.asked(words.look).await, filled);
        assert_eq!(self.asked(words.left).await, "");
        // Whoever was connected all the time goes on, perhaps at the second try.
        let _ = adapter.probe(Duration::from_secs(5)).await;
        adapter.probe(Duration::from_secs(5)).await.unwrap();
        let before = uses(&*adapter).await;
        assert_eq!((before, uses(&*adapter).await), (0, 1));
        adapter.close().await.unwrap();
        self.provisioner.stop(&self.work.name).await.unwrap();
        let at = self.start().await;
        let adapter = self.ready(&at).await;
        assert_eq!(uses(&*adapter).await, 1 + u64::from(adapter.sql().is_some()), "it is on the disk");
        adapter.close().await.unwrap();
    }
}

/// Asks for ever, whatever the answers are.
async fn asks(adapter: &dyn Adapter) {
    loop {
        let soon = Instant::now() + Duration::from_secs(2);
        let answered = match (adapter.key_value(), adapter.sql()) {
            (Some(keys), _) => keys.get(b"key:7").await.is_ok(),
            (_, Some(sql)) => {
                let query = Statement { query: "SELECT 1".into(), args: Arc::new([]) };
                sql.execute(&query, soon).await.is_ok()
            }
            _ => panic!("it can neither"),
        };
        // Where nobody answers, nobody asks a thousand times a second.
        tokio::time::sleep(Duration::from_millis(if answered { 0 } else { 5 })).await;
    }
}

fn redis() -> serde_json::Value {
    json!({ "type": "redis", "username": "app", "database": "20", "provision": true })
}

/// With a name that nobody would choose, and with that of the database which is always there.
fn postgres() -> [serde_json::Value; 2] {
    ["the \"shop\" 's dbname=x", "postgres"]
        .map(|database| json!({ "type": "postgres", "database": database, "provision": true }))
}

async fn in_a_container(asked: serde_json::Value, words: &Words) {
    let engine = engines::docker();
    let options = docker::Options { host: Some(engine.host().to_owned()), gateway: "recipes".to_owned() };
    let docker = Docker::new(options);
    Run::called(&docker, asked, "dumped").is_dumped(words).await;
}

async fn as_a_program(asked: serde_json::Value, words: &Words) {
    let dir = tempfile::tempdir().unwrap();
    let options = process::Options { dir: dir.path().to_owned(), gateway: "recipes".into(), user: None };
    let processes = Processes::new(options);
    Run::called(&processes, asked, "dumped").is_dumped(words).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_dumped_and_loaded_in_a_container() {
    in_a_container(redis(), &REDIS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_dumped_and_loaded_as_a_program_of_this_machine() {
    as_a_program(redis(), &REDIS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_dumped_and_loaded_in_a_container() {
    for asked in postgres() {
        in_a_container(asked, &POSTGRES).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_dumped_and_loaded_as_a_program_of_this_machine() {
    for asked in postgres() {
        as_a_program(asked, &POSTGRES).await;
    }
}
