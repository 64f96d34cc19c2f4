//! The gateway file as a table: every key once, with its shape, meaning and default; and what it becomes.

use std::path::PathBuf;

use model::field::{Field, Shape, field, later_word, word};
use model::{Secret, Span};
use serde::Deserialize;

use crate::listeners::{LISTENER, Listener, PROXY_PROTOCOL, ProxyProtocol};

const OF_ALL: &str = "a limit for the whole gateway";
const IDENTITY: &str = "users, roles and tokens";
const MORE: &str = "a later stage";
pub(crate) const PORT: Shape = Shape::Integer(1, 65535);

/// `throome.yaml`.
pub(crate) const FIELDS: &[Field] = &[
    field("server", Shape::Fields(SERVER), "The control door: dashboard, API, metrics."),
    field("gateway", Shape::Fields(GATEWAY), "The clusters."),
    field("proxy", Shape::Fields(PROXY), "The traffic door."),
    field("monitoring", Shape::Fields(MONITORING), "What the gateway shows of itself."),
    field("logging", Shape::Fields(LOGGING), "How the gateway talks of itself."),
    field("dashboard", Shape::Fields(DASHBOARD), "The dashboard."),
    field("auth", Shape::Fields(AUTH), "Who may use the control door."),
    field("errors", Shape::Fields(ERRORS), "How failures are told."),
    field(
        "data_dir",
        Shape::Text,
        "What the gateway must not forget; `<clusters_dir>/.throome` when left out.",
    ),
    field(
        "data",
        Shape::Fields(DATA),
        "The data door: the data API alone, on the cores. Off without a port.",
    ),
    field(
        "store",
        Shape::Fields(STORE),
        "Where the gateway keeps its own state: routes of the API, tokens, history.",
    ),
    field("provision", Shape::Fields(PROVISION), "How services without a `host` are run."),
    field("limits", Shape::Fields(LIMITS_OF_ALL), "Limits of the whole gateway."),
    field("tracing", Shape::Any, "Traces.").later(MORE),
    field("request_log", Shape::Any, "The log of proxied requests.").later(MORE),
    field("response_cache", Shape::Any, "The cache of answers.").later(MORE),
    field("compat", Shape::Any, "The shapes of a predecessor.").later(MORE),
];

const STORE: &[Field] = &[
    field(
        "url",
        Shape::Secret,
        "`sqlite:` is a file in `data_dir`; `postgres://user:password@host:5432/database` a PostgreSQL.",
    )
    .default("\"sqlite:\""),
    field("pool", Shape::Fields(POOL), "Connections to a PostgreSQL; a file takes none."),
];

const POOL: &[Field] = &[
    field("max", Shape::Integer(1, 1000), "At once; left out, 10."),
    field("idle", Shape::Integer(0, 1000), "That stay open while nobody needs them; left out, 2."),
];

const PROVISION: &[Field] = &[
    field("docker", Shape::Fields(DOCKER), "As containers."),
    field("process", Shape::Fields(PROCESS), "As programs of this machine."),
    field(
        "prefer",
        Shape::Choice(&[word("docker"), word("process")]),
        "Which of them is tried first for a service that says `provision: true` or nothing; the other one where it cannot.",
    )
    .default("docker"),
    field(
        "ready_timeout",
        Shape::SpanFrom(1000),
        "How long a service may take from its start to its first answer. Then its creation has failed.",
    )
    .default("1m"),
];

const DOCKER: &[Field] = &[
    field("enabled", Shape::Bool, "Whether services may be run as containers.").default("true"),
    field(
        "host",
        Shape::Text,
        "Where the engine is, as `unix:///var/run/docker.sock` or `tcp://10.0.0.5:2375`; left out, where the command `docker` \
         finds it: `DOCKER_HOST`, its context, the usual socket.",
    ),
];

const PROCESS: &[Field] = &[
    field("enabled", Shape::Bool, "Whether services may be run as programs of this machine.").default("true"),
    field(
        "user",
        Shape::Text,
        "As whom they run when the gateway is root, since their programs should not, and some refuse to.",
    ),
    field(
        "on_stop",
        Shape::Choice(&[word("stop"), word("leave")]),
        "What becomes of them when the gateway is stopped: they stop too, or are left running for its next start.",
    )
    .default("stop"),
];

const SERVER: &[Field] = &[
    field("host", Shape::Text, "Address it listens on. Beyond loopback a token is required.")
        .default("127.0.0.1"),
    field("port", PORT, "Port it listens on.").default("9000"),
    field("read_timeout", Shape::Span, "Without progress in reading a request.").default("30s"),
    field("write_timeout", Shape::Span, "Without progress in writing an answer.").default("30s"),
    field("shutdown_timeout", Shape::Span, "For requests under way when the gateway is stopped.")
        .default("30s"),
    field("max_body", Shape::Integer(1024, 1 << 30), "The largest body of a call, in bytes.")
        .default("2097152"),
    field("tls", Shape::Fields(TLS), SECURED),
];

pub(crate) const SECURED: &str = "How the door is secured; left out, connections are in the clear.";

/// None of them has a default: whoever says anything of TLS wants it.
pub(crate) const TLS: &[Field] = &[CERTIFICATES, MIN_VERSION, OF_CLIENTS];

const TRAFFIC_TLS: &[Field] = &[
    CERTIFICATES,
    field("acme", Shape::Fields(ACME), "A certificate that an authority issues by itself, and renews."),
    MIN_VERSION,
    OF_CLIENTS,
];

const CERTIFICATES: Field = field(
    "certificates",
    Shape::List(&Shape::Fields(PAIR)),
    "Chosen by the name that a client asks for; the first is for all others. Files that change are picked up.",
);
const MIN_VERSION: Field = field(
    "min_version",
    Shape::Choice(&[word("1.2"), word("1.3")]),
    "The least version of TLS that is spoken; 1.2 when left out.",
);
const OF_CLIENTS: Field = field("client_auth", Shape::Fields(CLIENT_AUTH), "Certificates that clients show.");

const ACME: &[Field] = &[
    field(
        "names",
        Shape::List(&Shape::Text),
        "The names of the certificate; each must lead to this door, port 443.",
    )
    .required(),
    field("terms_agreed", Shape::Bool, "Whether the authority's terms of service are agreed to; `true`.")
        .required(),
    field("contact", Shape::Text, "A mail address that the authority may write to."),
    field("directory", Shape::Text, "Where the authority is; Let's Encrypt when left out."),
    field("ca", Shape::Text, "A PEM file with whom to trust there; left out, whom this machine trusts."),
];

const PAIR: &[Field] = &[
    field("cert", Shape::Text, "A PEM file: the certificate, then those that lead to its authority.")
        .required()
        .aliases(&["cert_file"]),
    field("key", Shape::Text, "A PEM file of its private key.").required().aliases(&["key_file"]),
];

const CLIENT_AUTH: &[Field] = &[
    field(
        "mode",
        Shape::Choice(&[word("off"), word("optional"), word("required")]),
        "Whether a client shows one; off when left out.",
    ),
    field("ca", Shape::Text, "A PEM file of the authorities whose clients are let in.").aliases(&["ca_file"]),
];

const GATEWAY: &[Field] = &[
    field("clusters_dir", Shape::Text, "Where the cluster files are.").default("./clusters"),
    field("enable_ai", Shape::Bool, "Makes `adaptive` the strategy of clusters that name none.")
        .default("false")
        .later("adaptive balancing"),
];

const PROXY: &[Field] = &[
    field("host", Shape::Text, "Address it listens on.").default("0.0.0.0"),
    field("port", PORT, "Port it listens on.").default("8080"),
    field("workers", Shape::Integer(0, 1024), "Cores that serve traffic; 0 is all there are.").default("0"),
    field("trusted_proxies", Shape::List(&Shape::Text), "Networks whose word on forwarding is believed.")
        .default("[]"),
    field("limits", Shape::Fields(LIMITS), "How much is taken from a client, and how long it is waited for."),
    // What `routing.timeout_ms` is where nobody says it.
    field("request_timeout", Shape::Span, "For requests whose route and cluster say nothing.")
        .default("5s")
        .later(OF_ALL),
    field("tls", Shape::Fields(TRAFFIC_TLS), SECURED),
    field(
        "listeners",
        Shape::List(&Shape::Fields(LISTENER)),
        "Further addresses: for the same routes, or for bytes that are carried to a service; each with its own TLS.",
    )
    .default("[]"),
    PROXY_PROTOCOL.default("off"),
];

const DATA: &[Field] = &[
    field("host", Shape::Text, "Address it listens on. Beyond loopback a token is required.")
        .default("127.0.0.1"),
    field("port", PORT, "Port it listens on; left out, there is no data door."),
    field("tls", Shape::Fields(TRAFFIC_TLS), SECURED),
];

const LIMITS: &[Field] = &[
    field("head", Shape::Integer(1024, 1 << 20), "The head of a request, in bytes.").default("65536"),
    field("headers", Shape::Integer(8, 256), "Its fields.").default("100"),
    field("body", Shape::Integer(0, 1 << 40), "The body of a request, in bytes.").default("104857600"),
    field("connections", Shape::Integer(1, 10_000_000), "Connections open at once.").default("20000"),
    field("streams", Shape::Integer(1, 10_000), "Requests under way at once on one connection of HTTP/2.")
        .default("128"),
    field("head_timeout", Shape::Span, "From a request's first byte to the end of its head.").default("10s"),
    field("body_timeout", Shape::Span, "Without progress in a request's body.").default("30s"),
    field("write_timeout", Shape::Span, "Without progress in sending an answer.").default("30s"),
    field("idle_timeout", Shape::Span, "Between two requests of a connection.").default("75s"),
    field("stream_timeout", Shape::Span, "Without a byte on an event stream or an upgraded connection.")
        .default("1h"),
];

const LIMITS_OF_ALL: &[Field] = &[
    field("concurrent", Shape::Any, "Requests under way at once; left out, as many as there are.")
        .later(OF_ALL),
    field("rate", Shape::Any, "Requests in a second; left out, as many as come.").later(OF_ALL),
];

const MONITORING: &[Field] = &[
    field("enabled", Shape::Bool, "Whether metrics are served.").default("true"),
    field("metrics_path", Shape::Text, "Where.").default("/metrics"),
    field("public", Shape::Bool, "Whether they need no token beyond loopback.").default("false"),
    field("collection_interval", Shape::Span, "How often gauges are sampled.")
        .default("10s")
        .later("metrics history"),
];

const LOGGING: &[Field] = &[
    field(
        "level",
        Shape::Choice(&[word("error"), word("warn"), word("info"), word("debug"), word("trace")]),
        "What is worth a line.",
    )
    .default("info"),
    field("format", Shape::Choice(&[word("text"), word("json")]), "How a line looks.").default("text"),
    field("output_path", Shape::Text, "`stderr`, `stdout` or a file.").default("stderr"),
];

const DASHBOARD: &[Field] =
    &[field("enabled", Shape::Bool, "Whether a browser is shown a page.").default("true")];

const AUTH: &[Field] = &[
    field(
        "mode",
        Shape::Choice(&[word("auto"), word("off"), later_word("required", IDENTITY)]),
        "`auto`: a token beyond loopback, none on it. `off` beyond loopback also needs --insecure.",
    )
    .default("auto"),
    field("jwt", Shape::Any, "Tokens that somebody else issues.").later(IDENTITY),
    field("users", Shape::Any, "Users.").later(IDENTITY),
];

const ERRORS: &[Field] =
    &[field("timeout_status", Shape::Integer(400, 599), "HTTP status of a timeout: 504, or 408.")
        .default("504")];

/// The settings, checked and ready. Each stands under the key of the table that it comes from.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) gateway: Gateway,
    pub(crate) proxy: Proxy,
    pub(crate) monitoring: Monitoring,
    pub(crate) logging: Logging,
    pub(crate) dashboard: Dashboard,
    pub(crate) auth: Auth,
    pub(crate) errors: Errors,
    pub(crate) data: DataDoor,
    pub(crate) store: StorePlace,
    pub(crate) provision: Provision,
    data_dir: Option<PathBuf>,
}

/// How services without a host are run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Provision {
    pub(crate) docker: Docker,
    pub(crate) process: Process,
    /// The word of the one that is tried first.
    pub(crate) prefer: String,
    pub(crate) ready_timeout: Span,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Docker {
    pub(crate) enabled: bool,
    pub(crate) host: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Process {
    pub(crate) enabled: bool,
    pub(crate) user: Option<String>,
    pub(crate) on_stop: OnStop,
}

/// What becomes of local processes when the gateway is stopped in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnStop {
    Stop,
    Leave,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) read_timeout: Span,
    pub(crate) write_timeout: Span,
    pub(crate) shutdown_timeout: Span,
    pub(crate) max_body: usize,
    pub(crate) tls: Option<Tls>,
}

/// How a door is secured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tls {
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) acme: Option<Acme>,
    pub(crate) min_version: Option<String>,
    pub(crate) client_auth: ClientAuth,
}

/// A certificate that an authority issues by itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Acme {
    pub(crate) names: Vec<String>,
    pub(crate) terms_agreed: bool,
    pub(crate) contact: Option<String>,
    pub(crate) directory: Option<String>,
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClientAuth {
    pub(crate) mode: Option<String>,
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) clusters_dir: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) workers: usize,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<Tls>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) proxy_protocol: ProxyProtocol,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DataDoor {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StorePlace {
    pub(crate) url: Secret,
    #[serde(default)]
    pub(crate) pool: PoolSize,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct PoolSize {
    pub(crate) max: Option<usize>,
    pub(crate) idle: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Limits {
    pub(crate) head: usize,
    pub(crate) headers: usize,
    pub(crate) body: u64,
    pub(crate) connections: usize,
    pub(crate) streams: u32,
    pub(crate) head_timeout: Span,
    pub(crate) body_timeout: Span,
    pub(crate) write_timeout: Span,
    pub(crate) idle_timeout: Span,
    pub(crate) stream_timeout: Span,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Monitoring {
    pub(crate) enabled: bool,
    pub(crate) metrics_path: String,
    pub(crate) public: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Logging {
    pub(crate) level: String,
    pub(crate) format: String,
    pub(crate) output_path: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dashboard {
    pub(crate) enabled: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Auth {
    pub(crate) mode: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Errors {
    pub(crate) timeout_status: u16,
}

impl Settings {
    /// Where the gateway keeps what it must not forget.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.gateway.clusters_dir.join(".throome"))
    }
}
