//! Real servers for tests, started by `scripts/servers.sh`, and Docker Engines, by `scripts/docker.sh`. Those of
//! [`Engines::shared`] and [`docker`] run on for the next test; whoever stops or freezes one takes [`Engines::own`] or
//! [`own_docker`]. What is asked of them is left to the tests.
//!
//! ```no_run
//! let engines = throome_engines::Engines::own();
//! let (redis, replica) = (engines.redis(), engines.redis_replica());
//! redis.kill();
//! assert_eq!(replica.redis_cli(&["PING"]), "PONG");
//! redis.restart();
//! ```

mod docker;
mod registry;
mod script;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

pub use docker::{Docker, Image, docker, own_docker};
pub use registry::{Registry, RegistryOptions, registry};
pub use server::{Server, Tls};

use crate::script::Script;

/// Users and passwords, as the first lines of `scripts/servers.sh` have them.
pub mod secrets {
    /// The default user of the Redis that asks for a password.
    pub const REDIS: (&str, &str) = ("default", "redis-secret");
    /// A user of that Redis who may do all but administer it.
    pub const REDIS_APP: (&str, &str) = ("app", "app-secret");
    /// A user of that Redis who may only read.
    pub const REDIS_READER: (&str, &str) = ("reader", "reader-secret");
    /// Who may do anything in PostgreSQL.
    pub const POSTGRES: (&str, &str) = ("postgres", "postgres-secret");
    /// Who owns the database `throome`.
    pub const POSTGRES_OWNER: (&str, &str) = ("throome", "throome-secret");
    /// Who may only `SELECT` there.
    pub const POSTGRES_READER: (&str, &str) = ("reader", "reader-secret");
    /// Who shows a client certificate over TLS and has no password.
    pub const POSTGRES_CERTIFIED: &str = "certified";
    /// The database that they use.
    pub const POSTGRES_DATABASE: &str = "throome";
    /// A user of Kafka by SASL PLAIN.
    pub const KAFKA_PLAIN: (&str, &str) = ("plain", "plain-secret");
    /// A user of Kafka by SCRAM-SHA-256 and SCRAM-SHA-512.
    pub const KAFKA_SCRAM: (&str, &str) = ("scram", "scram-secret");
    /// What the sentinels call their master.
    pub const SENTINEL_MASTER: &str = "main";
}

/// A set of servers, each of which starts when it is first asked for.
#[derive(Debug, Clone)]
pub struct Engines {
    script: Arc<Script>,
}

impl Engines {
    /// The servers that all tests share. They run on when the test ends; `make test-teardown` stops them.
    #[must_use]
    pub fn shared() -> Engines {
        Engines { script: Arc::new(Script::shared()) }
    }

    /// Servers of one's own, which one may break. They end with the last of these, and with the process.
    #[must_use]
    pub fn own() -> Engines {
        Engines { script: Arc::new(Script::own()) }
    }

    /// Starts any server, or a process of a group, that `scripts/servers.sh` knows.
    ///
    /// # Panics
    /// When it does not start, with what the script says of it.
    #[must_use]
    #[track_caller]
    pub fn start(&self, name: &str) -> Server {
        self.script.run(&["start", name]);
        self.server(name.split_once('@').map_or(name, |(name, _)| name))
    }

    /// Redis without a password; what it has answered outlives a kill.
    #[must_use]
    #[track_caller]
    pub fn redis(&self) -> Server {
        self.start("redis")
    }

    /// A replica of [`Engines::redis`].
    #[must_use]
    #[track_caller]
    pub fn redis_replica(&self) -> Server {
        self.start("redis-replica")
    }

    /// Redis with users and passwords, and TLS where a client need not show a certificate.
    #[must_use]
    #[track_caller]
    pub fn redis_auth(&self) -> Server {
        self.start("redis-auth")
    }

    /// The same, where over TLS a client must show a certificate.
    #[must_use]
    #[track_caller]
    pub fn redis_mtls(&self) -> Server {
        self.start("redis-mtls")
    }

    /// Three sentinels, after their master and its replica.
    #[must_use]
    #[track_caller]
    pub fn redis_sentinel(&self) -> Sentinels {
        self.script.run(&["start", "redis-sentinel"]);
        Sentinels {
            master: self.server("redis-sentinel-master"),
            replica: self.server("redis-sentinel-replica"),
            sentinels: [1, 2, 3].map(|number| self.server(&format!("redis-sentinel-{number}"))),
        }
    }

    /// A cluster of three masters.
    #[must_use]
    #[track_caller]
    pub fn redis_cluster(&self) -> [Server; 3] {
        self.script.run(&["start", "redis-cluster"]);
        [1, 2, 3].map(|number| self.server(&format!("redis-cluster-{number}")))
    }

    /// PostgreSQL, a primary.
    #[must_use]
    #[track_caller]
    pub fn postgres(&self) -> Server {
        self.start("postgres")
    }

    /// A streaming replica of [`Engines::postgres`].
    #[must_use]
    #[track_caller]
    pub fn postgres_replica(&self) -> Server {
        self.start("postgres-replica")
    }

    /// `PgBouncer` before [`Engines::postgres`], a connection for each transaction.
    #[must_use]
    #[track_caller]
    pub fn pgbouncer(&self) -> Server {
        self.start("pgbouncer")
    }

    /// A Kafka of one broker.
    #[must_use]
    #[track_caller]
    pub fn kafka(&self) -> Server {
        self.start("kafka")
    }

    /// webdis before [`Engines::redis`].
    #[must_use]
    #[track_caller]
    pub fn webdis(&self) -> Server {
        self.start("webdis")
    }

    /// Where the files of these servers are.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.script.directory()
    }

    #[track_caller]
    fn server(&self, name: &str) -> Server {
        Server::new(self.script.clone(), name)
    }
}

/// A Redis whose sentinels choose another master when it is gone.
#[derive(Debug, Clone)]
pub struct Sentinels {
    /// The master at the start.
    pub master: Server,
    /// Its replica at the start.
    pub replica: Server,
    /// Those who watch over them.
    pub sentinels: [Server; 3],
}
