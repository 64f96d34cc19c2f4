//! The URL of a PostgreSQL, taken apart: whom to ask, how the way there is secured, and what of it may be shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// For each address of a host.
const CONNECT: Duration = Duration::from_secs(5);

/// Where it is, and how it is reached.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    mode: &'static str,
}

/// How far the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Not at all: what is said is only hidden from those who listen.
    Anyone,
    /// Its authority, one of this file or else of this machine, and its name.
    Full(Option<PathBuf>),
}

/// Whether a URL names a PostgreSQL.
pub(crate) fn is_one(url: &str) -> bool {
    scheme(url).is_some()
}

fn scheme(url: &str) -> Option<&str> {
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

impl Place {
    /// Reads a URL. What is wrong is said without a word of it, since it may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Place, String> {
        let rest = scheme(url).ok_or("must begin with `postgres://`")?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut mode, mut root) = ("prefer".to_owned(), None);
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => value.clone_into(&mut mode),
                Some(("sslrootcert", value)) => root = Some(PathBuf::from(value)),
                _ => others.push(pair),
            }
        }
        let plain = format!("postgres://{address}?{}", others.join("&"));
        let mut config: Config = plain.parse().map_err(|error| about(&error))?;
        if config.get_hosts().is_empty() {
            return Err("names no host".to_owned());
        }
        let (mode, ssl, trust) = match (mode.as_str(), root) {
            ("verify-full", root) => ("verify-full", SslMode::Require, Trust::Full(root)),
            (_, Some(_)) => return Err("has `sslrootcert`, which `sslmode=verify-full` goes by".to_owned()),
            ("disable", None) => ("disable", SslMode::Disable, Trust::Anyone),
            ("prefer", None) => ("prefer", SslMode::Prefer, Trust::Anyone),
            ("require", None) => ("require", SslMode::Require, Trust::Anyone),
            _ => {
                return Err(
                    "has a `sslmode` that is none of disable, prefer, require, verify-full".to_owned()
                );
            }
        };
        config.ssl_mode(ssl);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("throome");
        }
        config.keepalives_idle(Duration::from_secs(30));
        Ok(Place { config, trust, mode })
    }

    /// The URL, without what opens it.
    pub(crate) fn masked(&self) -> String {
        let secret = if self.config.get_password().is_some() { ":***" } else { "" };
        let (user, rest) = (self.config.get_user().unwrap_or_default(), self.hosts());
        let at = if user.is_empty() { "" } else { "@" };
        format!("postgres://{user}{secret}{at}{rest}?sslmode={}", self.mode)
    }

    fn hosts(&self) -> String {
        let ports = self.config.get_ports();
        let host = |(at, host): (usize, &Host)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(path) => path.display().to_string(),
            }
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().enumerate().map(host).collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{}/{database}", hosts.join(","))
    }
}

/// As errors and the log name it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}", self.hosts())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.masked())
    }
}

/// Only the names of options are repeated.
fn about(error: &tokio_postgres::Error) -> String {
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if why.starts_with("unknown option") || why.starts_with("invalid value for option") {
        format!("has an {why}")
    } else {
        "cannot be read: it looks like `postgres://user:password@host:5432/database`, with `%40` for an `@` in a password"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_secret() {
        for (url, shown, masked) in [
            (
                "postgres://u:s3cret@db.test/x",
                "postgres://db.test:5432/x",
                "postgres://u:***@db.test:5432/x?sslmode=prefer",
            ),
            (
                "postgresql://u@h:5433/x?sslmode=disable",
                "postgres://h:5433/x",
                "postgres://u@h:5433/x?sslmode=disable",
            ),
            (
                "postgres://h/x?password=s3cret&user=u&sslmode=require",
                "postgres://h:5432/x",
                "postgres://u:***@h:5432/x?sslmode=require",
            ),
            (
                "postgres://u:s3cret@a:1,b:2/x?sslmode=verify-full&target_session_attrs=read-write",
                "postgres://a:1,b:2/x",
                "postgres://u:***@a:1,b:2/x?sslmode=verify-full",
            ),
            (
                "postgres://u:s3%40cret@[::1]:5433/x",
                "postgres://[::1]:5433/x",
                "postgres://u:***@[::1]:5433/x?sslmode=prefer",
            ),
        ] {
            let place = Place::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!((place.to_string().as_str(), place.masked().as_str()), (shown, masked));
            assert!(!format!("{place} {place:?} {:?}", place.config).contains("s3"), "{place:?}");
        }
        let place = Place::parse("postgres://h/x?sslmode=verify-full&sslrootcert=ca.pem").unwrap();
        assert_eq!(place.trust, Trust::Full(Some("ca.pem".into())));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_it() {
        for (url, said) in [
            ("mysql://u:s3cret@h/x", "postgres://"),
            ("postgres://u:s3cret@h:s3cret/x", "option"),
            ("postgres://u:s3cret@h/x?sslmode=maybe", "sslmode"),
            ("postgres://u:s3cret@h/x?sslmode=require&sslrootcert=a", "verify-full"),
            ("postgres://u:s3cret@h/x?colour=s3cret", "unknown option"),
            ("postgres:///x", "no host"),
        ] {
            let why = Place::parse(url).err().unwrap_or_else(|| panic!("{url} was read"));
            assert!(why.contains(said) && !why.contains("s3cret"), "{url}: {why}");
        }
    }
}
