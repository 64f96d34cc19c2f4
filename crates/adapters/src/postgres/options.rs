//! What only a `postgres` service can say.

use std::time::Duration;

use model::check::{Problems, is_provisioned};
use model::cluster_fields::{DATABASE, PASSWORD, USERNAME};
use model::field::{Field, Shape, field, word};
use model::tree::Node;
use model::{Failure, Secret, ServiceSpec};

use crate::options::Said;
use crate::recipe;
use crate::sql::limits::{self, Limits};
use crate::tls::{self, Tls, Trust};

const SSLMODE: &str = "sslmode";
const POOL: &str = "pool";
const MIN_CONNECTIONS: &str = "min_connections";
const MAX_CONNECTIONS: &str = "max_connections";
const MAX_IDLE_TIME: &str = "max_idle_time";
const MAX_LIFETIME: &str = "max_lifetime";
const APPLICATION_NAME: &str = "application_name";
const OPTIONS: &str = "options";
const STATEMENT_CACHE: &str = "statement_cache";
const MAX_LAG: &str = "max_lag";
const ALLOW_ADMIN: &str = "allow_admin";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    USERNAME,
    PASSWORD,
    DATABASE,
    field(
        SSLMODE,
        Shape::Choice(&[
            word("disable"),
            word("allow"),
            word("prefer"),
            word("require"),
            word("verify-ca"),
            word("verify-full"),
        ]),
        "Whether the connection is encrypted and how far the server's certificate is checked, as libpq has it; \
         with `tls` and without this, `verify-full`.",
    )
    .default("prefer"),
    tls::FIELD,
    field(POOL, Shape::Fields(POOL_FIELDS), "Connections to each endpoint."),
    field(APPLICATION_NAME, Shape::Text, "What the server lists its connections as.").default("throome"),
    field(OPTIONS, Shape::Text, "Settings for its sessions, as `-c search_path=shop -c jit=off`."),
    field(
        STATEMENT_CACHE,
        Shape::Integer(0, 10_000),
        "Statements that each connection keeps prepared; 0 behind a pooler that hands every transaction to another \
         server connection and knows nothing of prepared statements.",
    )
    .default("128"),
    field(
        MAX_LAG,
        Shape::Span,
        "How far behind a standby may be in applying what it received and still be asked.",
    )
    .default("10s"),
    field(ALLOW_ADMIN, Shape::Bool, "Whether `ALTER SYSTEM` and `COPY … PROGRAM` are let through.")
        .default("false"),
    limits::READ_ONLY,
    limits::MAX_ROWS,
    limits::MAX_RESULT,
    limits::max_collected(
        "The largest result that is held whole, as those of a batch together and in a transaction; the answer says \
         so when more is cut.",
    ),
    limits::max_result_time(
        "How long a client may take to read a result: it has a connection meanwhile. Then it is cut off.",
    ),
    limits::MAX_STATEMENT,
    limits::max_value("The largest argument, or row of a result in the server's text, at most `512mb`."),
    limits::transaction_idle(
        "How long a transaction may lie idle before it is rolled back; it has a connection meanwhile.",
    ),
];

const POOL_FIELDS: &[Field] = &[
    field(MIN_CONNECTIONS, Shape::Integer(0, 10_000), "Connections that are kept open though nobody asks.")
        .default("0"),
    field(
        MAX_CONNECTIONS,
        Shape::Integer(1, 10_000),
        "Connections of the whole process to one endpoint at most; one more watches over it.",
    )
    .default("10"),
    field(MAX_IDLE_TIME, Shape::SpanFrom(1000), "How long a connection that nobody uses is kept.")
        .default("300s"),
    field(
        MAX_LIFETIME,
        Shape::SpanFrom(1000),
        "How long a connection is used before another takes its place.",
    )
    .default("3600s"),
];

/// The server cuts off names that are longer, in bytes.
const LONGEST_NAME: usize = 63;

/// Settings of a session that values are read by.
const OWN_SETTINGS: [&str; 3] = ["timezone", "datestyle", "client_encoding"];

/// The checked options.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) login: Login,
    pub(super) security: Security,
    pub(super) pool: PoolOptions,
    pub(super) limits: Limits,
    /// Whether what is the administrator's of the server is let through.
    pub(super) allow_admin: bool,
    pub(super) max_lag: Duration,
}

/// Who we are to the server.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) database: String,
    pub(super) application_name: String,
    pub(super) options: Option<String>,
}

/// Whether connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Security {
    pub(super) asks: Asks,
    /// What encrypted connections are made with.
    pub(super) tls: Tls,
}

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Never,
    /// When the server does not take us otherwise.
    IfNeeded,
    /// When the server can.
    IfPossible,
    Always,
}

/// How many connections, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolOptions {
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) idle: Duration,
    pub(super) lifetime: Duration,
    /// Statements that a connection keeps prepared.
    pub(super) statements: usize,
}

/// What the table cannot say.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    tls::check(service, problems);
    Limits::check(service, problems);
    let said = |key| service.get(key).filter(|node| !node.is_null());
    for key in [APPLICATION_NAME, OPTIONS, "username", "database"] {
        if let Some(node) = said(key)
            && node.as_text().is_some_and(|text| text.contains('\0'))
        {
            problems.at(node, key, "holds a NUL character, which the protocol has no room for");
        }
    }
    if let Some(node) = said(OPTIONS)
        && let Some(text) = node.as_text().map(|text| text.to_ascii_lowercase())
        && let Some(own) = OWN_SETTINGS.iter().find(|own| text.contains(*own))
    {
        problems.at(node, OPTIONS, format!("sets `{own}`, which the gateway sets itself to read values by"));
    }
    if let Some(pool) = said(POOL) {
        let number =
            |key| pool.get(key).and_then(|node| node.as_text()?.parse::<u64>().ok().map(|n| (node, n)));
        if let (Some((node, least)), Some((_, most))) = (number(MIN_CONNECTIONS), number(MAX_CONNECTIONS))
            && least > most
        {
            problems.add(
                "pool.min_connections",
                node.at,
                format!("is more than `{MAX_CONNECTIONS}`, which is {most}"),
            );
        }
    }
    let enabled = said(tls::TLS).and_then(|tls| tls.get("enabled")).map(Node::to_json);
    if let Some(mode) = said(SSLMODE)
        && mode.as_str() == Some("disable")
        && enabled == Some(true.into())
    {
        problems.at(mode, SSLMODE, "says no to what `tls.enabled` says yes to; leave one of them out");
    }
    if is_provisioned(service) {
        check_provisioned(service, problems);
    }
}

/// What a server that the gateway runs cannot be.
fn check_provisioned(service: &Node, problems: &mut Problems) {
    let said = |key| service.get(key).filter(|node| !node.is_null());
    if let Some(mode) = said(SSLMODE)
        && matches!(mode.as_str(), Some("require" | "verify-ca" | "verify-full"))
    {
        problems.at(mode, SSLMODE, recipe::NO_TLS).suggestion = Some(recipe::ELSEWHERE.to_owned());
    }
    for key in ["username", "database"] {
        let Some((node, name)) = said(key).and_then(|node| Some((node, node.as_text()?))) else { continue };
        if name.len() > LONGEST_NAME {
            problems.at(
                node,
                key,
                format!("is longer than {LONGEST_NAME} bytes, which the server would cut off"),
            );
        }
        if let Some(odd) = name.chars().find(|c| matches!(c, '"' | '\'' | '\\') || c.is_control()) {
            problems.at(node, key, format!("holds `{}`, with which nobody can be made", odd.escape_debug()));
        }
        if key == "username" && name.starts_with("pg_") {
            problems.at(node, key, "begins with `pg_`, as only roles of the server itself do");
        }
        if key == "database" && matches!(&*name, "template0" | "template1") {
            problems.at(node, key, format!("`{name}` is what the server makes other databases from"));
        }
    }
    recipe::check_tls(service, problems);
    let is_ours = |name: &str| name == "PGDATA" || name.starts_with("POSTGRES_");
    recipe::check_env(service, |name| is_ours(name).then_some(recipe::SAID_ELSEWHERE), problems);
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let said = Said::of(service);
    let pool = Said::within(service, POOL);
    let user = service.username.clone().unwrap_or_else(|| "postgres".to_owned());
    let most = pool.parsed(MAX_CONNECTIONS, 10)?;
    Ok(Options {
        login: Login {
            database: service.database.clone().unwrap_or_else(|| user.clone()),
            user,
            password: service.password.clone(),
            application_name: said.text(APPLICATION_NAME).unwrap_or_else(|| "throome".to_owned()),
            options: said.text(OPTIONS),
        },
        security: security(service)?,
        pool: PoolOptions {
            least: pool.parsed(MIN_CONNECTIONS, 0)?.min(most),
            most,
            idle: pool.span(MAX_IDLE_TIME, Duration::from_secs(300))?,
            lifetime: pool.span(MAX_LIFETIME, Duration::from_secs(3600))?,
            statements: said.parsed(STATEMENT_CACHE, 128)?,
        },
        limits: Limits::of(said)?,
        allow_admin: said.parsed(ALLOW_ADMIN, false)?,
        max_lag: said.span(MAX_LAG, Duration::from_secs(10))?,
    })
}

/// Reads the files that such a service names, unless it never asks for encryption.
pub(super) fn check_files(service: &ServiceSpec) -> Result<(), Failure> {
    match security(service)? {
        Security { asks: Asks::Never, .. } => Ok(()),
        Security { tls, .. } => tls.client().map(drop),
    }
}

/// What `sslmode` and `tls` come to together.
fn security(service: &ServiceSpec) -> Result<Security, Failure> {
    let tls = tls::of(service)?;
    let mode = Said::of(service).text(SSLMODE);
    let said_no = Said::within(service, tls::TLS).text("enabled").as_deref() == Some("false");
    let mode = match (mode.as_deref(), &tls) {
        (Some(mode), _) => mode,
        (None, Some(tls)) if tls.client.trust == Trust::Anyone => "require",
        (None, Some(_)) => "verify-full",
        (None, None) if said_no => "disable",
        (None, None) => "prefer",
    };
    let mut tls = tls.unwrap_or_default();
    // As libpq: who names an authority means it.
    let names_one = tls.client.ca.is_some() && tls.client.trust != Trust::Anyone;
    let unnamed = if names_one { Trust::Authority } else { Trust::Anyone };
    let (asks, trust) = match mode {
        "disable" => (Asks::Never, Trust::Anyone),
        "allow" => (Asks::IfNeeded, Trust::Anyone),
        "prefer" => (Asks::IfPossible, Trust::Anyone),
        "require" => (Asks::Always, unnamed),
        "verify-ca" => (Asks::Always, Trust::Authority),
        _ => (Asks::Always, Trust::Full),
    };
    tls.client.trust = trust;
    Ok(Security { asks, tls })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::recipe::tests::connected;

    fn service(keys: &[(&str, Value)]) -> ServiceSpec {
        let mut service = ServiceSpec::of_kind("postgres");
        service.options.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        service
    }

    #[test]
    fn a_document_is_told_which_key_is_wrong() {
        for (yaml, path) in [
            ("max_value: 1gb", "max_value"),
            ("max_result: lots", "max_result"),
            ("application_name: \"a\\0b\"", "application_name"),
            ("pool: {min_connections: 5, max_connections: 4}", "pool.min_connections"),
            ("{sslmode: disable, tls: {enabled: true}}", "sslmode"),
            ("tls: {cert: a.pem}", "tls.cert"),
            ("options: \"-c TimeZone=Europe/Berlin\"", "options"),
        ] {
            let mut problems = Problems::new(None);
            check(&connected(yaml), &mut problems);
            let found = problems.into_vec();
            assert_eq!(
                found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
                [path],
                "{yaml}"
            );
        }
        for yaml in
            ["{}", "pool: {min_connections: 5}", "{sslmode: disable, tls: {enabled: false}}", "max_value: ~"]
        {
            let mut problems = Problems::new(None);
            check(&connected(yaml), &mut problems);
            assert!(problems.is_empty(), "{yaml}: {problems:?}");
        }
    }

    #[test]
    fn what_is_said_of_security_comes_to_one_thing() {
        let of = |keys: &[(&str, Value)]| {
            let security = security(&service(keys)).unwrap();
            (security.asks, security.tls.client.trust)
        };
        let mode = |mode: &str| (SSLMODE, json!(mode));
        let ca = || ("tls", json!({"ca": "ca.pem"}));
        assert_eq!(of(&[]), (Asks::IfPossible, Trust::Anyone));
        assert_eq!(of(&[ca()]), (Asks::Always, Trust::Full));
        assert_eq!(of(&[("tls", json!({"enabled": true}))]), (Asks::Always, Trust::Full));
        assert_eq!(of(&[("tls", json!({"enabled": false}))]), (Asks::Never, Trust::Anyone));
        assert_eq!(of(&[("tls", json!({"verify": false}))]), (Asks::Always, Trust::Anyone));
        assert_eq!(of(&[("tls", json!({"insecure_skip_verify": true}))]), (Asks::Always, Trust::Anyone));
        assert_eq!(of(&[mode("disable")]), (Asks::Never, Trust::Anyone));
        assert_eq!(of(&[mode("allow")]), (Asks::IfNeeded, Trust::Anyone));
        assert_eq!(of(&[mode("require")]), (Asks::Always, Trust::Anyone));
        assert_eq!(of(&[mode("require"), ca()]), (Asks::Always, Trust::Authority), "as libpq");
        assert_eq!(of(&[mode("verify-ca"), ca()]), (Asks::Always, Trust::Authority));
        assert_eq!(of(&[mode("verify-full"), ca()]), (Asks::Always, Trust::Full));
    }

    #[test]
    fn what_is_said_is_read_and_what_is_left_out_has_a_default() {
        let options = of(&service(&[])).unwrap();
        assert_eq!((options.login.user.as_str(), options.login.database.as_str()), ("postgres", "postgres"));
        let pool = PoolOptions {
            least: 0,
            most: 10,
            idle: Duration::from_secs(300),
            lifetime: Duration::from_secs(3600),
            statements: 128,
        };
        assert_eq!(options.pool, pool);
        assert_eq!((options.allow_admin, options.max_lag), (false, Duration::from_secs(10)));
        let options = of(&ServiceSpec { username: Some("shop".to_owned()), ..service(&[
            (POOL, json!({"min_connections": 2, "max_connections": 3, "max_idle_time": 5, "max_lifetime": "1m"})),
            (STATEMENT_CACHE, json!(0)),
            (MAX_LAG, json!("3s")),
            (ALLOW_ADMIN, json!(true)),
            (limits::READ_ONLY.name, json!(true)),
            (APPLICATION_NAME, json!("till")),
            (OPTIONS, json!("-c jit=off")),
        ]) }).unwrap();
        assert_eq!((options.login.user.as_str(), options.login.database.as_str()), ("shop", "shop"));
        assert_eq!(
            (options.login.application_name.as_str(), options.login.options.as_deref()),
            ("till", Some("-c jit=off"))
        );
        assert_eq!((options.allow_admin, options.max_lag), (true, Duration::from_secs(3)));
        assert!(options.limits.read_only);
        let (idle, lifetime) = (Duration::from_secs(5), Duration::from_secs(60));
        assert_eq!(options.pool, PoolOptions { least: 2, most: 3, idle, lifetime, statements: 0 });
    }
}
