//! A PostgreSQL that is late, gone, frozen, too new or not what it says: said, and never with a password.

use std::time::Duration;

use engines::{Engines, Server, secrets};
use model::{Code, Failure};

use super::home::{admin, new_database};
use super::{error, route};
use crate::migrations::POSTGRES;
use crate::{Error, Pool, Store, TokenVerdict};

/// A server that may be broken, and a database on it.
async fn own() -> (Server, String) {
    let server = tokio::task::spawn_blocking(|| Engines::own().postgres()).await.unwrap();
    let url = new_database(server.port).await;
    (server, url)
}

async fn shared() -> (u16, String) {
    let port = tokio::task::spawn_blocking(|| Engines::shared().postgres().port).await.unwrap();
    (port, new_database(port).await)
}

async fn change(server: &Server, change: fn(&Server)) {
    let server = server.clone();
    tokio::task::spawn_blocking(move || change(&server)).await.unwrap();
}

fn store(url: &str) -> Store {
    Store::at(url, Pool { max: 3, idle: 1 }).unwrap()
}

#[tokio::test]
async fn one_that_is_late_is_waited_for() {
    let (server, url) = own().await;
    change(&server, Server::kill).await;
    let store = store(&url);
    let why = store.begin().await.unwrap_err();
    assert!(why.is_passing() && matches!(why, Error::Away { .. }), "{why}");
    assert!(!store.is_ready());
    let asked = store.put_route(&route("a", "shop", "/a")).await.unwrap_err();
    assert!(asked.to_string().contains("has not answered since the start"), "{asked}");
    assert_eq!(Failure::from(asked).code(), Code::Busy);
    assert_eq!(store.check_token("thr_x"), TokenVerdict::Unknown);

    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.ready().await }
    });
    change(&server, Server::restart).await;
    store.begin().await.unwrap();
    waiting.await.unwrap();
    store.put_route(&route("a", "shop", "/a")).await.unwrap();
    assert!(store.ensure_admin_token().await.unwrap().is_some());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn one_that_goes_and_comes_back_is_found_again() {
    let (server, url) = own().await;
    let store = store(&url);
    store.begin().await.unwrap();
    let token = store.ensure_admin_token().await.unwrap().unwrap();
    store.put_route(&route("a", "shop", "/a")).await.unwrap();
    change(&server, Server::kill).await;
    for _ in 0..3 {
        let why = store.put_route(&route("b", "shop", "/b")).await.unwrap_err();
        assert!(why.is_passing(), "{why}");
        assert!(store.ping().await.is_err());
    }
    assert!(matches!(store.check_token(token.reveal()), TokenVerdict::Valid { .. }), "memory goes on");
    change(&server, Server::restart).await;
    store.ping().await.unwrap();
    store.put_route(&route("b", "shop", "/b")).await.unwrap();
    let ids: Vec<String> = store.routes().await.unwrap().into_iter().map(|route| route.id).collect();
    assert_eq!(ids, ["a", "b"], "what was acknowledged is there, and what was refused was not done twice");
}

#[tokio::test]
async fn one_that_is_frozen_holds_nobody_up_for_ever() {
    let (server, url) = own().await;
    let store = store(&url);
    store.begin().await.unwrap();
    change(&server, Server::freeze).await;
    let asked = tokio::time::timeout(Duration::from_secs(30), store.ping()).await.expect("it gives up");
    assert!(asked.unwrap_err().is_passing());
    change(&server, Server::thaw).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn tables_from_the_future_are_refused_and_left_alone() {
    let (_, url) = shared().await;
    let first = store(&url);
    first.begin().await.unwrap();
    first.put_route(&route("a", "shop", "/a")).await.unwrap();
    let future = "INSERT INTO migrations VALUES (99, 'later', 'x', 0)";
    first.write(|s| s.execute(future, &[])).await.unwrap();
    let later = store(&url);
    let error = error(later.begin().await.map(|()| later.clone()));
    let newest = POSTGRES.last().unwrap().number;
    assert!(matches!(error, Error::Newer { found: 99, known, .. } if known == newest), "{error:?}");
    assert!(!error.is_passing() && error.to_string().contains("written by a newer version"), "{error}");
    assert!(later.routes().await.is_err(), "nothing of it is read");
    assert_eq!(first.routes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_many_that_begin_at_once_one_makes_the_tables() {
    let (_, url) = shared().await;
    let begun: Vec<_> = (0..8)
        .map(|_| {
            let store = store(&url);
            tokio::spawn(async move { store.begin().await.map(|()| store) })
        })
        .collect();
    let mut admins = 0;
    for begun in begun {
        let store = begun.await.unwrap().unwrap();
        admins += u32::from(store.ensure_admin_token().await.unwrap().is_some());
    }
    assert_eq!(admins, 1, "and one makes the token of the administrator");
}

#[tokio::test]
async fn no_more_connections_are_opened_than_may_be_and_few_stay() {
    let (port, url) = shared().await;
    let store = store(&url);
    store.begin().await.unwrap();
    let writes: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.put_route(&route(&format!("r{n}"), "shop", "/a")).await })
        })
        .collect();
    let admin = admin(port).await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    let open = async || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        admin.query_one(count, &[&name]).await.unwrap().get::<_, i64>(0)
    };
    assert!(open().await <= 3);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(store.routes().await.unwrap().len(), 50);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(open().await <= 1, "{} stay", open().await);
}

#[tokio::test]
async fn the_way_there_is_secured_as_asked() {
    let server = tokio::task::spawn_blocking(|| Engines::shared().postgres()).await.unwrap();
    let url = new_database(server.port).await;
    let tls = server.tls();
    let with = |more: &str| store(&format!("{url}?sslmode={more}"));
    let secured = "SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    for (mode, is_secured) in [
        ("disable".to_owned(), 0),
        ("prefer".to_owned(), 1),
        ("require".to_owned(), 1),
        (format!("verify-full&sslrootcert={}", tls.ca.display()), 1),
    ] {
        let store = with(&mode);
        store.begin().await.unwrap_or_else(|why| panic!("{mode}: {why}"));
        assert_eq!(store.read(|s| s.number(secured, &[])).await.unwrap(), is_secured, "{mode}");
    }
    let stranger = with("verify-full").begin().await.unwrap_err();
    assert!(
        stranger.to_string().contains("certificate"),
        "an authority that this machine does not know: {stranger}"
    );
}

#[tokio::test]
async fn a_password_is_in_no_error() {
    let (port, _) = shared().await;
    let (user, password) = secrets::POSTGRES_OWNER;
    for url in [
        format!("postgres://{user}:wrong-canary@127.0.0.1:{port}/throome"),
        format!("postgres://{user}:{password}-canary@127.0.0.1:{port}/nowhere"),
        format!("postgres://{user}:canary@127.0.0.1:1/throome"),
        format!("postgres://{user}:canary@nowhere.invalid/throome?connect_timeout=1"),
    ] {
        let store = store(&url);
        let why = store.begin().await.unwrap_err();
        let asked = store.ping().await.unwrap_err();
        let shown = format!("{why} {why:?} {asked} {asked:?}");
        let shown = format!("{shown} {}", Failure::from(asked));
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("postgres://"), "it names the place: {shown}");
    }
    let shown = crate::place("postgres://u:canary@h/x").unwrap().unwrap();
    assert_eq!(shown, "postgres://u:***@h:5432/x?sslmode=prefer");
    assert_eq!(crate::place("sqlite:"), Ok(None));
    assert!(crate::place("sqlite:elsewhere.db").is_err() && crate::place("mysql://u:canary@h").is_err());
}
