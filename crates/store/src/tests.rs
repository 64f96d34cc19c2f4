//! What a store keeps, across restarts and versions, and what it never keeps.

mod away;
mod history;
pub(crate) mod home;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use disk::Disk;
use model::{Code, Failure, RouteSpec};

use crate::db::{cells, on_disk};
use crate::migrations::{self, MIGRATIONS, Migration, POSTGRES, Refusal};
use crate::{Db, Deletion, Error, Store, TokenRole, TokenVerdict};
use home::{Home, on_both};

fn route(id: &str, cluster: &str, path: &str) -> RouteSpec {
    let json = serde_json::json!({
        "id": id, "cluster": cluster, "service": "web", "path": path,
        "methods": ["GET"], "timeout": "1500ms", "retry": { "attempts": 2, "on": ["connect"] },
    });
    serde_json::from_value(json).unwrap()
}

impl Store {
    /// The file, where there is one.
    pub(crate) fn disk(&self) -> &Disk {
        match &self.inner.db {
            Db::Disk(disk) => disk,
            Db::Postgres(postgres) => panic!("{postgres:?} is no file"),
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn error(opened: Result<Store, Error>) -> Error {
    opened.err().expect("it is refused")
}

async fn routes_are_kept_replaced_and_forgotten(home: Home) {
    let store = home.open().await;
    for route in [route("b", "shop", "/b"), route("a", "shop", "/a/*"), route("c", "blog", "/c")] {
        store.put_route(&route).await.unwrap();
    }
    let moved = route("a", "blog", "/elsewhere/:id");
    store.put_route(&moved).await.unwrap();
    assert!(matches!(store.put_route(&route("", "shop", "/")).await, Err(Error::NoRouteId)));
    store.close().await;

    let store = home.open().await;
    let kept = [moved.clone(), route("b", "shop", "/b"), route("c", "blog", "/c")];
    assert_eq!(store.routes().await.unwrap(), kept, "all of it, in the order of ids");
    assert!(store.delete_route("b").await.unwrap());
    assert!(!store.delete_route("b").await.unwrap(), "it is gone already");
    assert_eq!(store.delete_routes_of("blog").await.unwrap(), 2, "also the one that moved there");
    assert_eq!(store.delete_routes_of("blog").await.unwrap(), 0);
    assert!(store.routes().await.unwrap().is_empty());
}

async fn deletions_are_known_until_they_end(home: Home) {
    let store = home.open().await;
    let of = |cluster: &str, with_data| Deletion { cluster: cluster.to_owned(), with_data };
    for deletion in [of("shop", false), of("blog", true), of("shop", true)] {
        store.begin_deletion(&deletion).await.unwrap();
    }
    store.close().await;

    let store = home.open().await;
    assert_eq!(
        store.deletions().await.unwrap(),
        [of("blog", true), of("shop", true)],
        "the last word counts"
    );
    store.end_deletion("shop").await.unwrap();
    store.end_deletion("shop").await.unwrap();
    assert_eq!(store.deletions().await.unwrap(), [of("blog", true)]);
}

async fn a_kept_route_that_cannot_be_read_is_named(home: Home) {
    let store = home.open().await;
    let spoil = "INSERT INTO routes VALUES ('odd', 'shop', '{\"path\": 7}', 0)";
    store.write(|s| s.execute(spoil, &[])).await.unwrap();
    let error = store.routes().await.unwrap_err();
    assert!(error.to_string().starts_with("the kept route `odd` is not a route ("), "{error}");
}

async fn the_admin_token_is_shown_once_and_kept_as_a_hash(home: Home) {
    let store = home.open().await;
    assert_eq!(store.admin_token_hash(), None);
    let secret = store.ensure_admin_token().await.unwrap().expect("the first call makes it");
    let text = secret.reveal();
    assert!(text.len() == 47 && text.starts_with("thr_"), "32 bytes in base64url");
    assert_eq!(store.ensure_admin_token().await.unwrap(), None);
    let admin = TokenVerdict::Valid { name: "admin".into(), role: TokenRole::Admin, scope: None };
    assert_eq!(store.check_token(text), admin);
    for wrong in ["", "thr_", &text[..46], &format!("{text}x"), &text.to_uppercase()] {
        assert_eq!(store.check_token(wrong), TokenVerdict::Unknown, "{wrong}");
    }
    let hash = store.admin_token_hash().unwrap();
    assert_eq!(hash, crate::digest::Digest::of(text).to_hex());
    assert_eq!(store.check_token(&hash), TokenVerdict::Unknown, "the hash opens nothing");

    for name in ["store.db", "store.db-wal"] {
        let Some(dir) = home.path() else { continue };
        let bytes = fs::read(dir.join(name)).unwrap();
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{name} has the token");
    }
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.ensure_admin_token().await.unwrap(), None, "nor after a restart");
    assert_eq!(store.check_token(text), admin);
}

async fn of_many_first_calls_one_gets_the_token(home: Home) {
    let store = home.open().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.ensure_admin_token().await.unwrap() })
        })
        .collect();
    let mut made = Vec::new();
    for call in calls {
        made.extend(call.await.unwrap());
    }
    assert_eq!(made.len(), 1);
    assert!(matches!(store.check_token(made[0].reveal()), TokenVerdict::Valid { .. }));
}

async fn a_rotation_revokes_the_old_token(home: Home) {
    let store = home.open().await;
    let first = store.ensure_admin_token().await.unwrap().unwrap();
    let second = store.rotate_admin_token().await.unwrap();
    assert_ne!(first.reveal(), second.reveal());
    store.close().await;
    let again = home.open().await;
    for store in [store, again] {
        assert_eq!(store.check_token(first.reveal()), TokenVerdict::Revoked);
        assert!(matches!(store.check_token(second.reveal()), TokenVerdict::Valid { .. }));
        assert_eq!(store.admin_token_hash().unwrap(), crate::digest::Digest::of(second.reveal()).to_hex());
    }
}

async fn a_rotation_whose_caller_leaves_is_carried_through_in_memory_too(home: Home) {
    let store = home.open().await;
    let first = store.ensure_admin_token().await.unwrap().unwrap();
    let hash = store.admin_token_hash();
    let leaving = tokio::spawn({
        let store = store.clone();
        async move { store.rotate_admin_token().await }
    });
    tokio::task::yield_now().await;
    leaving.abort();
    let _ = leaving.await;
    // Another change takes its turn after it.
    store.ensure_admin_token().await.unwrap();
    let rows = store.read(|s| s.number("SELECT count(*) FROM tokens", &[])).await.unwrap();
    assert_eq!(rows, 2, "the rotation was under way");
    assert_eq!(store.check_token(first.reveal()), TokenVerdict::Revoked);
    assert_ne!(store.admin_token_hash(), hash);
}

async fn a_token_ends_with_its_time(home: Home) {
    let store = home.open().await;
    let now = jiff::Timestamp::now().as_millisecond();
    for (name, role, expires_at) in [("past", "viewer", now - 1), ("future", "operator", now + 3_600_000)] {
        let hash = *crate::digest::Digest::of(name).as_bytes();
        let insert =
            "INSERT INTO tokens (name, hash, role, created_at, expires_at) VALUES (?1, ?2, ?3, 0, ?4)";
        store.write(move |s| s.execute(insert, cells![name, &hash, role, expires_at])).await.unwrap();
    }
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.check_token("past"), TokenVerdict::Expired);
    let valid = TokenVerdict::Valid { name: "future".into(), role: TokenRole::Operator, scope: None };
    assert_eq!(store.check_token("future"), valid);

    store.write(|s| s.execute("UPDATE tokens SET role = 'emperor'", &[])).await.unwrap();
    store.close().await;
    let error = error(home.try_open().await);
    assert!(matches!(&error, Error::UnknownRole { role, .. } if role == "emperor"), "{error}");
}

on_both! {
    routes_are_kept_replaced_and_forgotten
    deletions_are_known_until_they_end
    a_kept_route_that_cannot_be_read_is_named
    the_admin_token_is_shown_once_and_kept_as_a_hash
    of_many_first_calls_one_gets_the_token
    a_rotation_revokes_the_old_token
    a_rotation_whose_caller_leaves_is_carried_through_in_memory_too
    a_token_ends_with_its_time
}

#[tokio::test]
async fn directory_and_files_are_for_their_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("made/here");
    let store = Store::open(&dir).unwrap();
    store.put_route(&route("a", "shop", "/a")).await.unwrap();
    assert_eq!(mode(&dir), 0o700);
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    store.close().await;
    fs::set_permissions(dir.join("store.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Store::open(&dir).unwrap();
    assert_eq!(mode(&dir.join("store.db")), 0o600, "taken back");
}

#[test]
fn a_place_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = error(Store::open(&dir));
        assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
    }
}

#[tokio::test]
async fn a_file_from_the_future_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let future = "INSERT INTO migrations VALUES (99, 'later', 'x', 0)";
    store.disk().write(|c| c.execute(future, [])).await.unwrap();
    store.close().await;
    let before = fs::read(dir.path().join("store.db")).unwrap();
    let error = error(Store::open(dir.path()));
    let newest = MIGRATIONS.last().unwrap().number;
    assert!(matches!(error, Error::Newer { found: 99, known, .. } if known == newest), "{error:?}");
    assert!(error.to_string().contains("written by a newer version"), "{error}");
    assert_eq!(fs::read(dir.path().join("store.db")).unwrap(), before);
}

#[test]
fn migrations_run_once_in_order_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.db");
    let step = |number, sql| Migration { number, name: "step", sql };
    let open = |steps: &[Migration]| {
        let run = |c: &disk::Connection| on_disk(c, |s| migrations::run(s, steps));
        Disk::open_with(&path, run).map(|(_, ran)| ran)
    };
    let first = step(1, "CREATE TABLE a (n INTEGER); INSERT INTO a VALUES (1)");
    let second = step(2, "INSERT INTO a VALUES (2)");
    let broken = step(3, "INSERT INTO a VALUES (3); INSERT INTO nowhere VALUES (3)");
    let edited = step(1, "CREATE TABLE a (n TEXT)");

    let steps = [first, second];
    assert_eq!(open(&steps[..1]).unwrap(), Ok(()));
    assert_eq!(open(&steps).unwrap(), Ok(()));
    assert_eq!(open(&steps).unwrap(), Ok(()), "again, and nothing is done twice");
    assert_eq!(open(&steps[..1]).unwrap(), Err(Refusal::Newer(2)));
    let [first, second] = steps;
    assert!(open(&[first, second, broken]).is_err());
    assert_eq!(open(&[edited, step(2, "INSERT INTO a VALUES (2)")]).unwrap(), Err(Refusal::Changed(1)));
    let sum = |c: &disk::Connection| c.query_row("SELECT sum(n) FROM a", [], |row| row.get::<_, i64>(0));
    assert_eq!(Disk::open_with(&path, sum).unwrap().1, 3, "of the broken one nothing stayed");
}

#[test]
fn the_migrations_are_numbered_from_one() {
    for steps in [MIGRATIONS, POSTGRES] {
        for (index, migration) in steps.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), index + 1, "{}", migration.name);
        }
    }
}

#[tokio::test]
async fn failures_say_what_can_be_done_and_hide_the_rest() {
    let store = Store::in_memory().unwrap();
    store.close().await;
    let failure = Failure::from(store.routes().await.unwrap_err());
    assert_eq!((failure.code(), failure.retryable()), (Code::Draining, true));
    let busy = disk::Error::Busy { path: "/var/lib/throome/store.db".into() };
    let full = disk::Error::Full { path: "/var/lib/throome/store.db".into() };
    for (error, code, retryable) in [(busy, Code::Busy, true), (full, Code::Internal, false)] {
        let failure = Failure::from(Error::from(error));
        assert_eq!((failure.code(), failure.retryable()), (code, retryable));
        assert!(!failure.detail().contains("/var"), "paths are for the log: {failure}");
    }
}
