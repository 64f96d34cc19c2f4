//! Where the store of a test is: in a directory, or in a database of its own on a real PostgreSQL.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use engines::{Engines, secrets};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::{Error, Pool, Store};

/// Where the store of a test is.
pub(crate) enum Home {
    Directory(TempDir),
    /// The URL of a database.
    Database(String),
}

impl Home {
    pub(crate) fn directory() -> Home {
        Home::Directory(tempfile::tempdir().unwrap())
    }

    /// A new database on the server that all tests share.
    pub(crate) async fn database() -> Home {
        let server = tokio::task::spawn_blocking(|| Engines::shared().postgres()).await.unwrap();
        Home::Database(new_database(server.port).await)
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn try_open(&self) -> Result<Store, Error> {
        match self {
            Home::Directory(dir) => Store::open(dir.path()),
            Home::Database(url) => {
                let store = Store::at(url, Pool::default())?;
                store.begin().await.map(|()| store)
            }
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Home::Directory(dir) => Some(dir.path()),
            Home::Database(_) => None,
        }
    }
}

/// Makes a database that belongs to an ordinary user, and says its URL.
pub(crate) async fn new_database(port: u16) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let name = format!("store_{}_{}", std::process::id(), LAST.fetch_add(1, Relaxed));
    let (owner, password) = secrets::POSTGRES_OWNER;
    let server = admin(port).await;
    server.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
    server.batch_execute(&format!("CREATE DATABASE {name} OWNER {owner}")).await.unwrap();
    format!("postgres://{owner}:{password}@127.0.0.1:{port}/{name}")
}

pub(crate) async fn admin(port: u16) -> tokio_postgres::Client {
    let (user, password) = secrets::POSTGRES;
    let url = format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs tests over a directory and over a database, the same.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod in_a_directory {
            $(#[tokio::test] async fn $name() { super::$name($crate::tests::home::Home::directory()).await })*
        }
        mod in_postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::tests::home::Home::database().await).await })*
        }
    };
}
pub(crate) use on_both;
