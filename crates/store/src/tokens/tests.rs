//! Tokens from the first to the ten thousandth: judged, listed, revoked, forgotten, and never shown again.

use std::sync::Arc;
use std::time::Duration;

use model::{Code, Failure, Secret};

use super::table::MOST_DEAD;
use super::*;
use crate::db::{cells, on_disk};
use crate::migrations::{self, MIGRATIONS};
use crate::tests::home::{Home, on_both};

fn named(name: &str, role: TokenRole) -> NewToken {
    NewToken { name: name.parse().unwrap(), role, scope: None, lifetime: None }
}

fn for_service(name: &str, scope: &str) -> NewToken {
    NewToken { scope: Some(scope.parse().unwrap()), ..named(name, TokenRole::Operator) }
}

async fn make(store: &Store, new: NewToken) -> (i64, Secret) {
    let (info, secret) = store.create_token(new).await.unwrap();
    (info.id, secret)
}

async fn count(store: &Store) -> i64 {
    store.read(|s| s.number("SELECT count(*) FROM tokens", &[])).await.unwrap()
}

/// A token as it might have been made long ago.
async fn old(store: &Store, name: String, expires_at: Option<i64>, revoked_at: Option<i64>) {
    let insert = "INSERT INTO tokens (name, hash, role, created_at, expires_at, revoked_at)
                  VALUES (?1, ?2, 'viewer', 0, ?3, ?4)";
    let hash = *Digest::of(&name).as_bytes();
    let made = store.write(move |s| s.execute(insert, cells![&name, &hash, expires_at, revoked_at]));
    made.await.unwrap();
}

on_both! {
    a_token_is_shown_once_and_kept_as_a_hash
    a_list_comes_in_pages_by_number
    a_revoked_token_is_refused_at_once_and_for_good
    neither_expired_nor_service_tokens_are_a_way_in_for_administrators
    a_lifetime_ends
    a_change_takes_the_uses_along
    ended_tokens_are_forgotten_after_a_while_and_their_numbers_never_given_again
    of_too_many_ended_tokens_the_oldest_go
    a_creation_whose_caller_leaves_is_carried_through_in_memory_too
}

async fn a_token_is_shown_once_and_kept_as_a_hash(home: Home) {
    let store = home.open().await;
    let (info, secret) = store.create_token(for_service("web", "shop/cache")).await.unwrap();
    let text = secret.reveal();
    assert!(text.len() == 47 && text.starts_with("thr_"), "32 bytes in base64url");
    let valid = TokenVerdict::Valid {
        name: "web".into(),
        role: TokenRole::Operator,
        scope: Some(Arc::new("shop/cache".parse().unwrap())),
    };
    assert_eq!(store.check_token(text), valid);
    assert_eq!((info.standing, info.revoked_at, info.last_used_at), (TokenStanding::Active, None, None));
    let shown =
        format!("{info:?} {secret:?} {secret} {:?} {:?}", store.tokens(0, 10), store.check_token(text));
    let hash = Digest::of(text).to_hex();
    for hidden in [text, &hash, &hash.to_uppercase()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    for name in ["store.db", "store.db-wal"] {
        let Some(dir) = home.path() else { continue };
        let bytes = std::fs::read(dir.join(name)).unwrap();
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{name} has the token");
    }
    store.close().await;
    let again = home.open().await;
    assert_eq!(again.check_token(text), valid, "also after a restart");
}

async fn a_list_comes_in_pages_by_number(home: Home) {
    let store = home.open().await;
    assert!(store.tokens(0, 10).is_empty());
    for name in ["a", "b", "a"] {
        make(&store, named(name, TokenRole::Viewer)).await;
    }
    let names = |after, limit| {
        let page = store.tokens(after, limit);
        page.iter().map(|info| (info.id, info.name.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(names(0, 2), [(1, "a".to_owned()), (2, "b".to_owned())]);
    assert_eq!(names(2, 2), [(3, "a".to_owned())], "two may have the same name");
    assert!(names(3, 2).is_empty() && store.token(4).is_none());
    assert_eq!(store.token(2).unwrap().role, TokenRole::Viewer);
}

async fn a_revoked_token_is_refused_at_once_and_for_good(home: Home) {
    let store = home.open().await;
    let (id, secret) = make(&store, named("ci", TokenRole::Admin)).await;
    let (kept, _) = make(&store, named("ci", TokenRole::Admin)).await;
    let (info, by_this) = store.revoke_token(id, LastAdmin::Stays).await.unwrap().unwrap();
    assert!(by_this && info.standing == TokenStanding::Revoked && info.revoked_at.is_some());
    assert_eq!(store.check_token(secret.reveal()), TokenVerdict::Revoked);
    let again = store.revoke_token(id, LastAdmin::Stays).await.unwrap().unwrap();
    assert_eq!(again, (info, false), "it was revoked when it was");
    assert_eq!(store.revoke_token(99, LastAdmin::Stays).await.unwrap(), None);

    let refused = store.revoke_token(kept, LastAdmin::Stays).await.unwrap_err();
    assert_eq!(Failure::from(refused).code(), Code::Conflict, "nobody could come in after it");
    assert_eq!(store.token(kept).unwrap().standing, TokenStanding::Active);
    assert!(store.revoke_token(kept, LastAdmin::MayGo).await.unwrap().unwrap().1);
    store.close().await;
    let again = home.open().await;
    assert_eq!(again.check_token(secret.reveal()), TokenVerdict::Revoked);
}

async fn neither_expired_nor_service_tokens_are_a_way_in_for_administrators(home: Home) {
    let store = home.open().await;
    let (id, _) = make(&store, named("ci", TokenRole::Admin)).await;
    let short = NewToken { lifetime: Some(Duration::ZERO), ..named("short", TokenRole::Admin) };
    make(&store, short).await;
    make(&store, NewToken { role: TokenRole::Admin, ..for_service("web", "shop/cache") }).await;
    make(&store, named("ops", TokenRole::Operator)).await;
    assert!(matches!(store.revoke_token(id, LastAdmin::Stays).await, Err(Error::LastAdmin)));
}

async fn a_lifetime_ends(home: Home) {
    let store = home.open().await;
    let short = NewToken { lifetime: Some(Duration::from_millis(40)), ..named("ci", TokenRole::Viewer) };
    let (info, secret) = store.create_token(short).await.unwrap();
    let lived = info.expires_at.unwrap().as_millisecond() - info.created_at.as_millisecond();
    assert_eq!(lived, 40);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(store.check_token(secret.reveal()), TokenVerdict::Expired);
    assert_eq!(store.token(info.id).unwrap().standing, TokenStanding::Expired);
    assert_eq!(store.token(info.id).unwrap().last_used_at, None, "being refused is no use");
}

#[tokio::test]
async fn the_last_use_is_seen_at_once_and_kept_without_a_write_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (first, first_secret) = make(&store, named("a", TokenRole::Viewer)).await;
    let (second, second_secret) = make(&store, named("b", TokenRole::Viewer)).await;
    let before = store.disk().commits();
    for _ in 0..1000 {
        let _ = (store.check_token(first_secret.reveal()), store.check_token(second_secret.reveal()));
    }
    let used = |store: &Store, id| store.token(id).unwrap().last_used_at;
    let seen = (used(&store, first), used(&store, second));
    assert!(seen.0.is_some() && seen.1.is_some());
    for _ in 0..500 {
        if store.disk().commits() > before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.disk().commits(), before + 1, "the first use of a minute is written down");
    store.close().await;
    let again = Store::open(dir.path()).unwrap();
    assert_eq!((used(&again, first), used(&again, second)), seen, "and the rest before the end");
}

async fn a_change_takes_the_uses_along(home: Home) {
    let store = home.open().await;
    let (id, secret) = make(&store, named("a", TokenRole::Viewer)).await;
    // Spends the one write of this minute.
    assert!(store.uses_due().pass() && !store.uses_due().pass());
    let _ = store.check_token(secret.reveal());
    let seen = store.token(id).unwrap().last_used_at.unwrap();
    make(&store, named("b", TokenRole::Viewer)).await;
    assert_eq!(store.token(id).unwrap().last_used_at, Some(seen), "the next keyring knows as well");
    let kept = "SELECT last_used_at FROM tokens WHERE id = 1";
    let kept = store.read(|s| s.number(kept, &[])).await.unwrap();
    assert_eq!(kept, seen.as_millisecond());
}

#[tokio::test]
async fn tokens_in_use_are_bounded() {
    let store = Store::in_memory().unwrap();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                INSERT INTO tokens (name, hash, role, created_at)
                SELECT 'x', unhex(printf('%064x', i)), 'viewer', 0 FROM n";
    store.disk().write(move |c| c.execute(fill, [MOST - 1])).await.unwrap();
    let (id, _) = make(&store, named("last", TokenRole::Viewer)).await;
    let refused = store.create_token(named("one more", TokenRole::Viewer)).await.unwrap_err();
    assert!(matches!(refused, Error::TooManyTokens { most: MOST }));
    assert_eq!(Failure::from(refused).code(), Code::Conflict);
    assert_eq!(count(&store).await, MOST);
    store.revoke_token(id, LastAdmin::Stays).await.unwrap();
    make(&store, named("one more", TokenRole::Viewer)).await;
}

async fn ended_tokens_are_forgotten_after_a_while_and_their_numbers_never_given_again(home: Home) {
    let store = home.open().await;
    let day = 24 * 3600 * 1000;
    let admin = store.ensure_admin_token().await.unwrap().unwrap();
    let long_ago = now() - 31 * day;
    let spoil = "UPDATE tokens SET revoked_at = ?1";
    store.write(move |s| s.execute(spoil, cells![long_ago])).await.unwrap();
    old(&store, "revoked lately".to_owned(), None, Some(now() - 29 * day)).await;
    old(&store, "revoked long ago".to_owned(), None, Some(long_ago)).await;
    old(&store, "expired long ago, revoked lately".to_owned(), Some(long_ago), Some(now())).await;
    let (id, _) = make(&store, named("new", TokenRole::Viewer)).await;
    assert_eq!(id, 5);
    let ids: Vec<i64> = store.tokens(0, 10).iter().map(|info| info.id).collect();
    assert_eq!(ids, [1, 2, 5], "the gateway's own stays: it is made once");
    assert_eq!(store.check_token(admin.reveal()), TokenVerdict::Revoked);
    assert_eq!(store.ensure_admin_token().await.unwrap(), None);

    store.write(|s| s.execute("DELETE FROM tokens WHERE id = 5", &[])).await.unwrap();
    assert_eq!(make(&store, named("next", TokenRole::Viewer)).await.0, 6);
}

async fn of_too_many_ended_tokens_the_oldest_go(home: Home) {
    let store = home.open().await;
    let start = now() - MOST_DEAD - 100;
    for i in 0..MOST_DEAD + 10 {
        old(&store, format!("x{i}"), None, Some(start + i)).await;
    }
    let (id, _) = make(&store, named("new", TokenRole::Viewer)).await;
    assert_eq!(count(&store).await, MOST_DEAD + 1);
    assert_eq!(store.tokens(0, 1)[0].id, 11);
    assert_eq!(store.token(id).unwrap().standing, TokenStanding::Active);
}

async fn a_creation_whose_caller_leaves_is_carried_through_in_memory_too(home: Home) {
    let store = home.open().await;
    let leaving = tokio::spawn({
        let store = store.clone();
        async move { store.create_token(named("a", TokenRole::Viewer)).await.map(drop) }
    });
    tokio::task::yield_now().await;
    leaving.abort();
    let _ = leaving.await;
    // Another change takes its turn after it.
    make(&store, named("b", TokenRole::Viewer)).await;
    assert_eq!(i64::try_from(store.tokens(0, 10).len()).unwrap(), count(&store).await);
}

#[test]
fn tokens_of_the_first_tables_are_brought_forward() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let first = |s: &Session<'_>| {
        let ran = migrations::run(s, &MIGRATIONS[..1])?;
        let insert = "INSERT INTO tokens (id, name, hash, role, created_at, last_used_at)
                      VALUES (7, 'admin', ?1, 'admin', 5, 6)";
        s.execute(insert, cells![Digest::of("thr_old").as_bytes()])?;
        Ok(ran)
    };
    let (disk, ran) = disk::Disk::open_with(&path, |c| on_disk(c, first)).unwrap();
    assert_eq!(ran, Ok(()));
    drop(disk);
    let store = Store::open(dir.path()).unwrap();
    let info = store.token(7).unwrap();
    assert_eq!((info.created_at.as_millisecond(), info.last_used_at.unwrap().as_millisecond()), (5, 6));
    let valid = TokenVerdict::Valid { name: "admin".into(), role: TokenRole::Admin, scope: None };
    assert_eq!(store.check_token("thr_old"), valid);
}
