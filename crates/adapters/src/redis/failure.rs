//! What goes wrong with a server, as failures of the house: one table from the first word of a refusal to code,
//! origin and whether anything was done.

use std::fmt;
use std::io;

use model::{Address, Code, Failure, Origin};
use redis::ServerError;

use super::decode::TOO_LARGE;
use super::talk::Broke;
use crate::key_value::NATIVE;

/// Why there is no connection. Nothing of any command has left. Several callers may wait for one connection, so that
/// it can be told to each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    origin: Origin,
    code: Code,
    detail: Box<str>,
    native: Option<Box<str>>,
    hint: Option<&'static str>,
}

impl Refusal {
    fn service(code: Code, detail: impl Into<Box<str>>) -> Self {
        Refusal { origin: Origin::Service, code, detail: detail.into(), native: None, hint: None }
    }

    /// No connection could be opened.
    pub(super) fn unreached(to: impl fmt::Display, error: &io::Error) -> Self {
        Refusal::service(Code::BadGateway, format!("{to}: {}", told(error)))
    }

    /// It was opened, and nobody spoke in time. The kernel of a frozen process opens connections too.
    pub(super) fn late(to: impl fmt::Display, millis: u128) -> Self {
        Refusal::service(Code::Timeout, format!("{to}: no answer on a new connection within {millis} ms"))
    }

    /// It broke before it could be used.
    pub(super) fn broken(to: impl fmt::Display, broke: &Broke) -> Self {
        Refusal::service(Code::BadGateway, format!("{to}: the connection broke at once: {}", broke.why))
    }

    /// The limit of the service's pool is reached, and no connection can be shared.
    pub(super) fn full(most: usize) -> Self {
        Refusal {
            origin: Origin::Gateway,
            code: Code::Overloaded,
            detail: format!("All {most} connections are in use.").into(),
            native: None,
            hint: Some("Raise `pool.max_connections` of the service."),
        }
    }

    /// The service was deleted, or the gateway stops.
    pub(super) fn closed() -> Self {
        let detail = "The service is closed.".into();
        Refusal { origin: Origin::Gateway, code: Code::Draining, detail, native: None, hint: None }
    }

    /// Nobody knows a server to ask.
    pub(super) fn nobody(detail: impl Into<Box<str>>) -> Self {
        Refusal::service(Code::NoEndpoint, detail)
    }

    /// The server does not let us in. Its own words stay here: those of an old server repeat what it was sent, and
    /// that was a password.
    pub(super) fn unwelcome(to: impl fmt::Display, refusal: &ServerError) -> Self {
        let native = refusal.code();
        let words = refusal.details().unwrap_or_default();
        let (why, hint) = match native {
            "WRONGPASS" => ("wrong username or password", Some(CREDENTIALS)),
            "NOAUTH" => ("the server asks for a password", Some(CREDENTIALS)),
            "NOPERM" => ("the user may not do what every connection begins with", Some(CREDENTIALS)),
            "LOADING" => ("the server is loading its data", None),
            "MASTERDOWN" => ("a replica that has lost its primary", None),
            "DENIED" => {
                ("the server is in protected mode and takes connections of its own machine only", None)
            }
            _ if words.contains("without any password configured") => {
                ("a password is given, and the server has none", Some(CREDENTIALS))
            }
            _ if words.contains("max number of clients") => ("the server has too many clients", None),
            _ if words.contains("DB index") => {
                ("the server has no such database", Some("Check `database` of the service."))
            }
            _ => ("the server refuses the connection", None),
        };
        let mut told = Refusal::service(Code::BadGateway, format!("{to}: {why} ({native})"));
        told.native = Some(native.into());
        told.hint = hint;
        told
    }

    /// The same as a failure that was told already.
    pub(super) fn of(failure: &Failure) -> Self {
        Refusal {
            origin: failure.origin(),
            code: failure.code(),
            detail: failure.detail().into(),
            native: failure.native().map(|(_, code)| code.into()),
            hint: None,
        }
    }

    /// As an answer to whoever asked.
    pub(super) fn failure(&self) -> Failure {
        let mut failure = Failure::new(self.code, self.origin, self.detail.to_string()).with_retryable(true);
        if let Some(native) = &self.native {
            failure = failure.with_native(NATIVE, &**native);
        }
        match self.hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

const TAG: &str = "What stands in braces decides where a key is: `{cart}:1` and `{cart}:2` are at one place.";
const CREDENTIALS: &str = "Check `username` and `password` of the service.";

/// The connection broke with the command on it: what has left of it may have been carried out.
pub(super) fn broken(to: impl fmt::Display, broke: &Broke) -> Failure {
    let detail = format!("{to}: the connection broke before the answer: {}.", broke.why);
    Failure::service(Code::BadGateway, detail).with_retryable(!broke.sent)
}

/// An answer that does not belong to what was asked.
pub(super) fn odd(command: &str) -> Failure {
    Failure::service(Code::BadGateway, format!("The answer to {command} is none that belongs to it."))
}

/// A refusal in the server's words, as clients of its protocol know them.
pub(super) fn words(refusal: &ServerError) -> String {
    match refusal.details() {
        Some(details) => format!("{} {details}", refusal.code()),
        None => refusal.code().to_owned(),
    }
}

/// Why the server refused a command. It has done nothing of it, but for what a script did before it failed.
pub(super) fn refused(refusal: &ServerError) -> Failure {
    let native = refusal.code();
    let failure = match native {
        // Of ours, and no word of the server.
        TOO_LARGE => return too_large(),
        "READONLY" => Failure::service(Code::NoEndpoint, "The server is a replica and takes no writes.")
            .with_retryable(true)
            .with_primary_wanted(),
        "LOADING" => not_now(Code::Busy, "The server is loading its data."),
        "BUSY" => not_now(Code::Busy, "The server is busy with a script and does nothing else."),
        "TRYAGAIN" => moving(),
        "MASTERDOWN" => not_now(Code::NoEndpoint, "The server is a replica that has lost its primary."),
        "CLUSTERDOWN" => not_now(Code::NoEndpoint, "The cluster is down, or a part of it."),
        "NOAUTH" | "WRONGPASS" => {
            not_now(Code::BadGateway, "The server does not accept the gateway's credentials.")
                .with_hint(CREDENTIALS)
        }
        "MOVED" | "ASK" => not_now(Code::BadGateway, "The server is a node of a cluster.")
            .with_hint("Set `mode: cluster` of the service."),
        // Writes alone are refused. Who reads must still be let in, so that the endpoint is not to blame.
        "OOM" => Failure::gateway(Code::Overloaded, "The server's memory is full."),
        "MISCONF" => {
            Failure::gateway(Code::Overloaded, "The server cannot save to its disk and takes no writes.")
        }
        "NOREPLICAS" => Failure::gateway(Code::Overloaded, "The server has too few replicas to take writes."),
        "CROSSSLOT" => Failure::client(Code::CommandFailed, words(refusal)).with_hint(TAG),
        "NOPERM" => Failure::client(Code::PermissionDenied, words(refusal))
            .with_hint("The server does not allow it to the user that the gateway is."),
        _ => Failure::client(Code::CommandFailed, words(refusal)),
    };
    failure.with_native(NATIVE, native)
}

/// Why a script failed, in words of its own: an answer to whoever sent it, whatever it begins with.
pub(super) fn refused_by_script(refusal: &ServerError) -> Failure {
    let native = refusal.code();
    if matches!(native, TOO_LARGE | "NOPERM" | "CROSSSLOT") {
        return refused(refusal);
    }
    Failure::client(Code::CommandFailed, words(refusal)).with_native(NATIVE, native)
}

/// The keys of one command, or of one transaction, are at several places: no cluster can do that at once.
pub(super) fn crossslot() -> Failure {
    Failure::client(Code::CommandFailed, "CROSSSLOT Keys in request don't hash to the same slot")
        .with_native(NATIVE, "CROSSSLOT")
        .with_hint(TAG)
}

/// Nobody answered in time. What the servers go on with is not known.
pub(super) fn silent(asked: &[Address], millis: u128) -> Failure {
    let then = format!("within {millis} ms; the command may be carried out all the same.");
    let detail = match asked {
        [] => format!("No answer {then}"),
        asked => {
            let names: Vec<_> = asked.iter().map(ToString::to_string).collect();
            format!("{} did not answer {then}", names.join(" or "))
        }
    };
    Failure::service(Code::Timeout, detail)
}

/// An answer for which there is no space.
fn too_large() -> Failure {
    let detail = "The command was carried out, and what it gives is too large: the answers to one request have 64 MB \
                  at most, where each item of a list counts as 64 bytes more, and lists stand at most 96 deep.";
    Failure::client(Code::TooLarge, detail).with_hint("Ask for a part, as by GETRANGE, LRANGE or SCAN.")
}

/// Some nodes of a cluster have done it, and one has not.
pub(super) fn half_done(failure: &Failure) -> Failure {
    let detail = format!("Some nodes of the cluster have done it, and then one failed: {}", failure.detail());
    let half = Failure::new(failure.code(), failure.origin(), detail).with_retryable(false);
    let half = if failure.is_of_part() { half.with_part() } else { half };
    match failure.native() {
        Some((_, native)) => half.with_native(NATIVE, native.to_owned()),
        None => half,
    }
}

/// Nodes of a cluster send a command from one to another, and nobody does it.
pub(super) fn sent_around() -> Failure {
    not_now(Code::NoEndpoint, "The nodes of the cluster do not agree on who has the key.").with_part()
}

/// The keys are on their way from one node to another, and so at neither for several commands at once.
pub(super) fn moving() -> Failure {
    not_now(Code::Busy, "The keys are being moved to another node of the cluster.").with_part()
}

/// Whether a refusal says more of the server, as it is now, than of the command.
pub(super) fn is_not_now(refusal: &ServerError) -> bool {
    refused(refusal).origin() == Origin::Service
}

/// It has done nothing, and neither would it do anything else now.
fn not_now(code: Code, detail: &'static str) -> Failure {
    Failure::service(code, detail).with_retryable(true)
}

/// What a server means that hangs up on whoever comes. Its words may repeat what it was sent.
pub(super) fn farewell(refusal: &ServerError) -> String {
    if refusal.details().is_some_and(|details| details.contains("max number of clients")) {
        return "the server has too many clients".to_owned();
    }
    format!("the server hangs up ({})", refusal.code())
}

/// The kind says more to a reader than the system's text with its number, where there is one.
pub(super) fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "closed by the server".to_owned(),
        kind @ (io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::TimedOut) => kind.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn refusal(line: &str) -> ServerError {
        match parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(Value::ServerError(refusal)) => refusal,
            other => panic!("{line} is no refusal: {other:?}"),
        }
    }

    #[test]
    fn each_refusal_has_its_code_its_origin_and_whether_anything_was_done() {
        use Origin::{Client, Gateway, Service};
        for (line, code, origin, retryable) in [
            ("ERR syntax error", Code::CommandFailed, Client, false),
            ("WRONGTYPE Operation against a key", Code::CommandFailed, Client, false),
            ("BUSYGROUP Consumer Group name already exists", Code::CommandFailed, Client, false),
            ("CROSSSLOT Keys in request", Code::CommandFailed, Client, false),
            ("MINE of a script", Code::CommandFailed, Client, false),
            ("NOPERM this user", Code::PermissionDenied, Client, false),
            ("READONLY You can't write", Code::NoEndpoint, Service, true),
            ("LOADING Redis is loading", Code::Busy, Service, true),
            ("BUSY Redis is busy running a script", Code::Busy, Service, true),
            ("TRYAGAIN Multiple keys", Code::Busy, Service, true),
            ("MASTERDOWN Link with MASTER is down", Code::NoEndpoint, Service, true),
            ("CLUSTERDOWN Hash slot not served", Code::NoEndpoint, Service, true),
            ("NOAUTH Authentication required.", Code::BadGateway, Service, true),
            ("MOVED 1 127.0.0.1:1", Code::BadGateway, Service, true),
            ("OOM command not allowed", Code::Overloaded, Gateway, true),
            ("MISCONF Redis is configured", Code::Overloaded, Gateway, true),
            ("NOREPLICAS Not enough good replicas", Code::Overloaded, Gateway, true),
        ] {
            let failure = refused(&refusal(line));
            assert_eq!((failure.code(), failure.origin()), (code, origin), "{line}");
            assert_eq!(failure.retryable(), retryable, "{line}");
            assert_eq!(failure.native(), line.split_once(' ').map(|(word, _)| (NATIVE, word)), "{line}");
            assert_eq!(failure.wants_primary(), line.starts_with("READONLY"), "{line}");
        }
        assert_eq!(refused(&refusal("ERR syntax error")).detail(), "ERR syntax error");
        assert!(refused(&refusal("TRYAGAIN Multiple keys")).is_of_part(), "of one slot");
    }

    #[test]
    fn a_server_that_lets_nobody_in_is_not_quoted() {
        let echo = "ERR unknown command 'AUTH', with args beginning with: 'app' 'canary'";
        for line in [echo, "WRONGPASS canary", "NOAUTH canary", "SOMETHING canary"] {
            let failure = Refusal::unwelcome("10.0.0.1:6379", &refusal(line)).failure();
            assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure:?}");
            assert!(failure.detail().starts_with("10.0.0.1:6379: "), "{failure}");
            assert!(failure.retryable());
        }
        let many = Refusal::unwelcome("a", &refusal("ERR max number of clients reached")).failure();
        assert!(many.detail().contains("too many clients"), "{many}");
    }

    #[test]
    fn errors_of_the_network_are_told_in_words() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(told(&refused), "connection refused");
        assert_eq!(told(&io::Error::from(io::ErrorKind::BrokenPipe)), "closed by the server");
        assert_eq!(told(&io::Error::other("tls: no")), "tls: no");
    }
}
