//! One server: where it listens, what it needs to be spoken to, and the ways in which it can be broken.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::script::Script;
use crate::secrets;

/// A server that runs, or did.
#[derive(Debug, Clone)]
pub struct Server {
    script: Arc<Script>,
    name: String,
    /// The port without TLS, and for Kafka without SASL.
    pub port: u16,
    variables: BTreeMap<String, String>,
}

/// What a client needs to speak TLS with a server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Where it listens for TLS, as `localhost` and `127.0.0.1`.
    pub port: u16,
    /// The authority that has signed its certificate, and nobody else's.
    pub ca: PathBuf,
    /// A certificate that it accepts of a client.
    pub client_cert: PathBuf,
    /// The key of that.
    pub client_key: PathBuf,
}

impl Server {
    #[track_caller]
    pub(crate) fn new(script: Arc<Script>, name: &str) -> Server {
        let variables = script.variables();
        let mut server = Server { script, name: name.to_owned(), port: 0, variables };
        server.port = server.number("PORT");
        server
    }

    /// Where all of them listen.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process, which is another after [`Server::restart`].
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let name = self.variable("PID");
        let variables = self.script.variables();
        let pid = variables.get(&name).unwrap_or_else(|| panic!("{} is not running", self.name));
        pid.parse().unwrap_or_else(|_| panic!("{name}={pid} is no process"))
    }

    /// How to speak TLS with it. With PostgreSQL that is the same port; Kafka, where it asks for no password, and
    /// the second of the two Redis want to see the certificate of the client.
    ///
    /// # Panics
    /// When it speaks none.
    #[must_use]
    #[track_caller]
    pub fn tls(&self) -> Tls {
        let (prefix, port) = match self.name.as_str() {
            "redis-auth" => ("REDIS", "REDIS_TLS_PORT"),
            "redis-mtls" => ("REDIS_MTLS", "REDIS_MTLS_TLS_PORT"),
            "postgres" | "postgres-replica" => ("POSTGRES", "POSTGRES_PORT"),
            "kafka" => ("KAFKA", "KAFKA_SSL_PORT"),
            other => panic!("{other} speaks no TLS"),
        };
        let port = if self.name.starts_with("postgres") { self.port } else { self.read(port) };
        let path = |what: &str| PathBuf::from(self.get(&format!("{prefix}_{what}")));
        Tls { port, ca: path("CA"), client_cert: path("CLIENT_CERT"), client_key: path("CLIENT_KEY") }
    }

    /// Where Kafka listens for SASL without TLS.
    #[must_use]
    #[track_caller]
    pub fn sasl_port(&self) -> u16 {
        self.number("SASL_PORT")
    }

    /// Where Kafka listens for SASL over TLS; certificates of clients are of no interest there.
    #[must_use]
    #[track_caller]
    pub fn sasl_tls_port(&self) -> u16 {
        self.number("SASL_SSL_PORT")
    }

    /// Ends it as by a crash.
    #[track_caller]
    pub fn kill(&self) {
        self.change("kill");
    }

    /// Stops all its processes where they stand (SIGSTOP): connections stay, and nobody answers.
    #[track_caller]
    pub fn freeze(&self) {
        self.change("pause");
    }

    /// Lets it go on after [`Server::freeze`].
    #[track_caller]
    pub fn thaw(&self) {
        self.change("resume");
    }

    /// Ends it in order. Its data stays.
    #[track_caller]
    pub fn stop(&self) {
        self.change("stop");
    }

    /// Starts it again on the same port and data, and waits until it serves; one that runs is stopped first.
    #[track_caller]
    pub fn restart(&self) {
        self.change("restart");
    }

    /// Makes a replica of PostgreSQL a primary.
    #[track_caller]
    pub fn promote(&self) {
        self.change("promote");
    }

    /// What `redis-cli` prints of a command, sent without a password.
    #[must_use]
    #[track_caller]
    pub fn redis_cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-h", self.host(), "-p", &port]).args(words);
        said(&mut command, "redis-cli")
    }

    /// What psql prints of statements, run by the superuser in the database of the tests: values alone, a row a line,
    /// `|` between columns.
    #[must_use]
    #[track_caller]
    pub fn psql(&self, statements: &str) -> String {
        self.psql_with(&["-A", "-t", "-c", statements])
    }

    /// What psql prints when it is run so, by the superuser in the database of the tests.
    #[must_use]
    #[track_caller]
    pub fn psql_with(&self, options: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.host(), "-p", &port]);
        command.args(["-U", secrets::POSTGRES.0, "-d", secrets::POSTGRES_DATABASE]).args(options);
        said(command.env("PGPASSWORD", secrets::POSTGRES.1), "psql")
    }

    /// What a program of Kafka's own prints, such as `org.apache.kafka.tools.GetOffsetShell`.
    #[must_use]
    #[track_caller]
    pub fn kafka_tool(&self, class: &str, words: &[&str]) -> String {
        let mut all = vec!["kafka", class];
        all.extend(words);
        self.script.run(&all).trim_end().to_owned()
    }

    #[track_caller]
    fn change(&self, verb: &str) {
        assert!(
            !self.script.is_shared(),
            "{} is shared with other tests, and not to be broken: take it from Engines::own()",
            self.name
        );
        self.script.run(&[verb, &self.name]);
    }

    fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.name.to_uppercase().replace('-', "_"))
    }

    #[track_caller]
    fn number(&self, what: &str) -> u16 {
        self.read(&self.variable(what))
    }

    #[track_caller]
    fn read(&self, name: &str) -> u16 {
        let value = self.get(name);
        value.parse().unwrap_or_else(|_| panic!("{name}={value} is no port"))
    }

    #[track_caller]
    fn get(&self, name: &str) -> &str {
        let value = self.variables.get(name);
        value.unwrap_or_else(|| panic!("scripts/servers.sh says no {name} for {}", self.name))
    }
}

#[track_caller]
fn said(command: &mut Command, program: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {}", err.trim_end());
    out.trim_end().to_owned()
}
