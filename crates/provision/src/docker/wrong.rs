//! What an engine's errors mean, in the words of a failure: what happened, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind;

use bollard::errors::Error;
use model::{Code, Failure};

use crate::docker::dial::Dial;
use crate::docker::engine::Engine;

/// What an engine was asked to do, for when it does not: `create the container ...`.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    dial: Dial,
    what: String,
}

impl Asked {
    pub(super) fn new(engine: &Engine, what: impl Into<String>) -> Self {
        Asked { dial: engine.dial().clone(), what: what.into() }
    }

    /// What this error of it means.
    pub(super) fn failed(&self, error: Error) -> Failure {
        let said = match said(&error) {
            Some(said) => said,
            None => return gone(&self.dial, error, Some(&self.what)),
        };
        let failure = Failure::gateway(
            Code::ProvisionFailed,
            format!("Docker could not {}: {}.", self.what, said.trim_end_matches(['.', '\n'])),
        );
        match hint(&said) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
        .with_cause(error)
    }

    /// The engine has said only half of it.
    pub(super) fn broke_off(&self) -> Failure {
        let error = std::io::Error::from(ErrorKind::UnexpectedEof);
        gone(&self.dial, Error::IOError { err: error }, Some(&self.what))
    }
}

/// For `map_err`.
pub(super) fn asked(engine: &Engine, what: impl Into<String>) -> impl FnOnce(Error) -> Failure {
    let asked = Asked::new(engine, what);
    move |error| asked.failed(error)
}

/// The status of a refusal.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Nothing where the engine knows of none.
pub(super) fn or_none<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the engine itself has said; nothing where it could not be asked.
pub(super) fn said(error: &Error) -> Option<String> {
    match error {
        Error::DockerResponseServerError { message, .. } => Some(message.trim().to_owned()),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => {
            Some(error.trim().to_owned())
        }
        _ => None,
    }
}

/// What to do about the faults of an engine that have one remedy, whatever was asked.
fn hint(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["no space left on device"]) {
        return Some(
            "The engine's disk is full: `docker system df` shows what fills it, `docker image prune` and \
             `docker builder prune` free what nothing uses.",
        );
    }
    if has(&["non-overlapping ipv4 address pool", "all predefined address pools"]) {
        return Some(
            "The engine has no address range left for one more network: `docker network prune` removes \
             those that nothing uses.",
        );
    }
    if has(&["does not support reading"]) {
        return Some(
            "The engine's log driver keeps nothing to read: `json-file`, `local` and `journald` do.",
        );
    }
    if has(&["minimum memory limit"]) {
        return Some("Say more in `run.memory`.");
    }
    None
}

/// Why an engine cannot be asked. `what` is what it was asked, where it was.
pub(super) fn gone(dial: &Dial, error: Error, what: Option<&str>) -> Failure {
    const START: &str = "Start it (`systemctl start docker`), say where it is with `DOCKER_HOST` or \
                         `provision.docker.host`, or run services without it: `provision: process`.";
    let (detail, hint) = match cause(&error) {
        Cause::Io(ErrorKind::PermissionDenied) => (
            format!("This user may not use the Docker engine at `{dial}`: permission denied."),
            "Run the gateway as root or as a member of the group `docker`, or run services without an engine: \
             `provision: process`.",
        ),
        Cause::NotThere | Cause::Io(ErrorKind::NotFound) => {
            (format!("There is no Docker engine at `{dial}`: no such socket."), START)
        }
        Cause::Io(ErrorKind::ConnectionRefused) => {
            (format!("No Docker engine answers at `{dial}`: it refuses connections."), START)
        }
        Cause::Silent => (
            format!("The Docker engine at `{dial}` did not answer in time{}.", Doing(what)),
            "See how the engine is: `docker info`, `systemctl status docker`.",
        ),
        Cause::Io(_) | Cause::Other => (
            format!("The connection to the Docker engine at `{dial}` broke{}: {error}.", Doing(what)),
            "See how the engine is: `docker info`, `systemctl status docker`.",
        ),
    };
    Failure::gateway(Code::ProvisionFailed, detail).with_hint(hint).with_retryable(true).with_cause(error)
}

struct Doing<'a>(Option<&'a str>);

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(what) => write!(f, " when it was to {what}"),
            None => Ok(()),
        }
    }
}

enum Cause {
    NotThere,
    Silent,
    Io(ErrorKind),
    Other,
}

fn cause(error: &Error) -> Cause {
    match error {
        Error::SocketNotFoundError(_) => return Cause::NotThere,
        Error::RequestTimeoutError => return Cause::Silent,
        // It does not name this one as its source.
        Error::IOError { err } => return Cause::Io(err.kind()),
        _ => {}
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Cause::Io(io.kind());
        }
        next = error.source();
    }
    Cause::Other
}

/// Something without our labels has a name that we need.
pub(super) fn of_a_stranger(what: &str, called: &str) -> Failure {
    let remove = removing(what, called);
    Failure::gateway(Code::Conflict, format!("There is a {what} `{called}` that no gateway has made."))
        .with_hint(format!("It is left as it is. Remove it (`{remove}`), or give the service another name."))
}

/// Something of another gateway is not as we would have it, or not ours to end.
pub(super) fn of_another_gateway(what: &str, called: &str, gateway: &str) -> Failure {
    let remove = removing(what, called);
    let detail = format!("The {what} `{called}` is of another gateway, `{gateway}`.");
    Failure::gateway(Code::Conflict, detail).with_hint(format!(
        "It is left as it is. Remove it by that gateway or by hand (`{remove}`), or give the cluster another name."
    ))
}

/// Something of another service has the name, since two pairs of names may read the same when they are joined.
pub(super) fn of_another_service(what: &str, called: &str, cluster: &str, service: &str) -> Failure {
    let detail = format!("The {what} `{called}` is of the service `{service}` of the cluster `{cluster}`.");
    Failure::gateway(Code::Conflict, detail).with_hint("Give one of the two services another name.")
}

fn removing(what: &str, called: &str) -> String {
    match what {
        "container" => format!("docker rm --force {called}"),
        other => format!("docker {other} rm {called}"),
    }
}

/// There is no container of that name.
pub(super) fn no_container(called: &str) -> Failure {
    Failure::gateway(Code::NotFound, format!("There is no container `{called}`."))
        .with_hint("Start the service first.")
}

/// Somebody changes it while we do.
pub(super) fn changed_meanwhile(called: &str) -> Failure {
    let detail = format!("Somebody else changed the container `{called}` or its network meanwhile.");
    Failure::gateway(Code::Conflict, detail).with_retryable(true).with_hint("Try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str) -> Error {
        Error::DockerResponseServerError { status_code: 500, message: message.to_owned() }
    }

    #[test]
    fn faults_that_have_one_remedy_say_it() {
        let dial = Dial::Unix("/run/x.sock".to_owned());
        let asked = Asked { dial, what: "create the container `throome-a-b`".to_owned() };
        let failure = asked.failed(refusal("write /x: no space left on device\n"));
        assert_eq!(
            failure.detail(),
            "Docker could not create the container `throome-a-b`: write /x: no space left on device."
        );
        assert!(failure.hint().expect("a remedy").contains("docker system df"));
        assert!(!failure.retryable());
        assert_eq!(asked.failed(refusal("who knows")).hint(), None);
    }

    #[test]
    fn an_engine_that_cannot_be_asked_is_told_from_one_that_refuses() {
        let dial = Dial::Unix("/run/x.sock".to_owned());
        let io = |kind: ErrorKind| Error::IOError { err: kind.into() };
        for (error, words) in [
            (io(ErrorKind::PermissionDenied), ["may not use", "group `docker`"]),
            (io(ErrorKind::ConnectionRefused), ["refuses connections", "DOCKER_HOST"]),
            (Error::SocketNotFoundError("/run/x.sock".to_owned()), ["no such socket", "provision: process"]),
            (Error::RequestTimeoutError, ["did not answer in time", "docker info"]),
            (io(ErrorKind::BrokenPipe), ["broke", "docker info"]),
        ] {
            let failure = gone(&dial, error, None);
            assert!(failure.detail().contains(words[0]), "{failure}");
            assert!(failure.detail().contains("/run/x.sock"), "{failure}");
            assert!(failure.hint().expect("a remedy").contains(words[1]), "{:?}", failure.hint());
            assert!(failure.retryable());
        }
    }
}
