//! Images that the gateway has a kind for, and what their environment says; images of which it has none.

/// The kind of what speaks HTTP.
pub(super) const WEB: &str = "http";

/// A family of images of one kind of service.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) kind: &'static str,
    /// The port at which they listen.
    pub(super) port: u16,
    pub(super) repositories: &'static [&'static str],
    /// Whether the gateway can run them as they are; else it runs its own image of the kind.
    pub(super) as_they_are: bool,
    pub(super) username: &'static [&'static str],
    pub(super) password: &'static [&'static str],
    pub(super) database: &'static [&'static str],
    /// What its own name means to a database that is named nowhere.
    pub(super) names: Option<Names>,
    /// Names of the environment that go along.
    pub(super) along: &'static [&'static str],
    /// Options of the command that say the password.
    pub(super) password_option: &'static str,
}

/// What is taken where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) username: &'static str,
}

const REDIS: Known = Known {
    kind: "redis",
    port: 6379,
    repositories: &["redis", "valkey/valkey"],
    as_they_are: true,
    username: &[],
    password: &[],
    database: &[],
    names: None,
    along: &["TZ"],
    password_option: "--requirepass",
};

const POSTGRES: Known = Known {
    kind: "postgres",
    port: 5432,
    repositories: &["postgres", "postgis/postgis", "pgvector/pgvector", "timescale/timescaledb"],
    as_they_are: true,
    username: &["POSTGRES_USER"],
    password: &["POSTGRES_PASSWORD"],
    database: &["POSTGRES_DB"],
    names: Some(Names { username: "postgres" }),
    along: &["TZ", "PGTZ", "LANG", "LC_ALL"],
    password_option: "",
};

const KAFKA: Known = Known {
    kind: "kafka",
    port: 9092,
    repositories: &["apache/kafka"],
    as_they_are: true,
    username: &[],
    password: &[],
    database: &[],
    names: None,
    along: &["TZ"],
    password_option: "",
};

/// What is known, by family.
const KNOWN: &[Known] = &[
    REDIS,
    POSTGRES,
    KAFKA,
    Known {
        repositories: &["bitnami/redis", "bitnami/valkey", "bitnamilegacy/redis"],
        as_they_are: false,
        password: &["REDIS_PASSWORD", "VALKEY_PASSWORD"],
        ..REDIS
    },
    Known {
        repositories: &["bitnami/postgresql", "bitnamilegacy/postgresql"],
        as_they_are: false,
        username: &["POSTGRESQL_USERNAME", "POSTGRES_USER"],
        password: &["POSTGRESQL_PASSWORD", "POSTGRES_PASSWORD"],
        database: &["POSTGRESQL_DATABASE", "POSTGRES_DB"],
        along: &["TZ"],
        ..POSTGRES
    },
    Known {
        repositories: &[
            "bitnami/kafka",
            "bitnamilegacy/kafka",
            "confluentinc/cp-kafka",
            "confluentinc/confluent-local",
            "wurstmeister/kafka",
            "apache/kafka-native",
        ],
        as_they_are: false,
        ..KAFKA
    },
];

/// Images that speak no HTTP, by the last part of their repository, and what is to be said of them.
const OTHERS: &[(&[&str], &str)] = &[
    (&["zookeeper", "cp-zookeeper"], "the gateway runs brokers that need no ZooKeeper"),
    (&["redis-stack", "redis-stack-server"], "its modules are not in the images that the gateway runs"),
    (
        &[
            "mysql",
            "mariadb",
            "percona",
            "percona-server",
            "mongo",
            "mongodb",
            "memcached",
            "rabbitmq",
            "nats",
            "cassandra",
            "eclipse-mosquitto",
            "mssql-server",
            "azure-sql-edge",
            "cockroach",
            "scylla",
            "etcd",
            "openldap",
        ],
        "the gateway has no kind for it; an address of it can still be reached by a listener of `protocol: tcp`",
    ),
];

/// What an image is, by its repository, wherever it comes from.
pub(super) fn find(image: &str) -> Option<&'static Known> {
    let repository = repository(image);
    KNOWN.iter().find(|known| known.repositories.contains(&repository))
}

/// Why an image is nothing that a gateway stands before by HTTP.
pub(super) fn other(image: &str) -> Option<&'static str> {
    let last = repository(image).rsplit('/').next()?;
    OTHERS.iter().find(|(names, _)| names.contains(&last)).map(|(_, why)| *why)
}

/// `docker.io/library/redis:7@sha256:…` is `redis`.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let image = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    let mirrors = [
        "docker.io/",
        "index.docker.io/",
        "registry-1.docker.io/",
        "public.ecr.aws/docker/",
        "mirror.gcr.io/",
    ];
    let image = mirrors.iter().find_map(|mirror| image.strip_prefix(mirror)).unwrap_or(image);
    image.strip_prefix("library/").unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_wherever_they_come_from() {
        for (image, kind) in [
            ("redis", Some(("redis", true))),
            ("redis:7-alpine", Some(("redis", true))),
            ("docker.io/library/redis:7@sha256:abc", Some(("redis", true))),
            ("valkey/valkey:8", Some(("redis", true))),
            ("public.ecr.aws/docker/library/postgres:16", Some(("postgres", true))),
            ("pgvector/pgvector:pg17", Some(("postgres", true))),
            ("bitnami/postgresql:16", Some(("postgres", false))),
            ("confluentinc/cp-kafka:7.6.0", Some(("kafka", false))),
            ("apache/kafka:3.9.1", Some(("kafka", true))),
            ("localhost:5000/redis", None),
            ("ghcr.io/somebody/redis-tools", None),
            ("mysql:8", None),
        ] {
            let found = find(image).map(|known| (known.kind, known.as_they_are));
            assert_eq!(found, kind, "{image}");
        }
        assert!(other("mysql:8").is_some() && other("confluentinc/cp-zookeeper").is_some());
        assert!(other("nginx").is_none());
    }
}
