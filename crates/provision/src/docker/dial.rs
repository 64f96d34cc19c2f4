//! Where the engine is: what is said, or what Docker's own client would find.

use std::fmt;
use std::path::{Path, PathBuf};

use model::{Code, Failure};
use serde::Deserialize;

/// The engine of the machine, as packages set it up.
const MACHINE: &str = "/var/run/docker.sock";

/// The port of an engine without TLS.
const PORT: u16 = 2375;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dial {
    /// At a socket of this machine.
    Unix(String),
    /// At a host and a port.
    Tcp {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dial::Unix(path) => write!(f, "unix://{path}"),
            Dial::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
        }
    }
}

/// An address of IPv6 as it stands before a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// The engine that is said, or else the one of the surroundings: `DOCKER_HOST`, the context that is chosen, the socket of
/// the machine, that of the user.
pub(super) fn find(said: Option<&str>, var: &dyn Fn(&str) -> Option<String>) -> Result<Dial, Failure> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if let Some(said) = said {
        return read(said, "`provision.docker.host`", false);
    }
    if let Some(host) = var("DOCKER_HOST") {
        return read(&host, "`DOCKER_HOST`", var("DOCKER_TLS_VERIFY").is_some());
    }
    if let Some(host) = of_context(&var)? {
        return Ok(host);
    }
    let of_user = var("XDG_RUNTIME_DIR").map(|dir| format!("{dir}/docker.sock"));
    let socket = match of_user {
        Some(path) if !Path::new(MACHINE).exists() && Path::new(&path).exists() => path,
        _ => MACHINE.to_owned(),
    };
    Ok(Dial::Unix(socket))
}

/// Reads `unix://PATH` or `tcp://HOST[:PORT]`. `place` is where it stands.
fn read(said: &str, place: &str, tls: bool) -> Result<Dial, Failure> {
    let wrong = |why: &str| {
        Failure::gateway(Code::InvalidConfig, format!("{place} says `{said}`: {why}."))
            .with_hint("Say `unix:///path/of/docker.sock` or `tcp://host:port`.")
    };
    match said.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Dial::Unix(path.to_owned())),
        Some(("unix", _)) => Err(wrong("the path of a socket begins with `/`")),
        Some(("tcp" | "http", _)) if tls => {
            Err(wrong("an engine behind TLS (`DOCKER_TLS_VERIFY`) cannot be used; one on a socket can"))
        }
        Some(("tcp" | "http", address)) => {
            authority(address.trim_end_matches('/')).ok_or_else(|| wrong("that is no host and port"))
        }
        Some(("ssh", _)) => Err(wrong(
            "an engine behind SSH cannot be used; forward its socket (`ssh -L ~/docker.sock:/var/run/docker.sock`)",
        )),
        _ => Err(wrong("it begins with neither `unix://` nor `tcp://`")),
    }
}

fn authority(address: &str) -> Option<Dial> {
    if address.is_empty() || address.contains(['/', '@', '?']) {
        return None;
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => PORT,
    };
    (!host.is_empty()).then(|| Dial::Tcp { host: host.to_owned(), port })
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// The engine of the context that `DOCKER_CONTEXT` or Docker's configuration names, where one does.
fn of_context(var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Dial>, Failure> {
    let home = || var("HOME").map(|home| Path::new(&home).join(".docker"));
    let Some(dir) = var("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else { return Ok(None) };
    let name = match var("DOCKER_CONTEXT") {
        Some(name) => name,
        None => match parsed::<Config>(&dir.join("config.json"))? {
            Some(config) => config.current_context,
            None => return Ok(None),
        },
    };
    // The one that is not written down: what is found without any.
    if name.is_empty() || name == "default" {
        return Ok(None);
    }
    let contexts = dir.join("contexts/meta");
    for entry in std::fs::read_dir(&contexts).into_iter().flatten().flatten() {
        let Some(context) = parsed::<Context>(&entry.path().join("meta.json"))? else { continue };
        if context.name != name {
            continue;
        }
        let host = context.endpoints.docker.map(|docker| docker.host).unwrap_or_default();
        return read(&host, &format!("Docker's context `{name}`"), false).map(Some);
    }
    let detail = format!("Docker's context `{name}` is not in {}.", contexts.display());
    Err(Failure::gateway(Code::InvalidConfig, detail)
        .with_hint("Choose another one (`docker context use default`), or set `DOCKER_HOST`."))
}

/// Nothing where there is no such file.
fn parsed<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, Failure> {
    let Ok(text) = std::fs::read(path) else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::gateway(Code::InvalidConfig, format!("{} cannot be read: {error}.", path.display()))
            .with_hint("Mend the file, or set `DOCKER_HOST`.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(said: Option<&str>, vars: &[(&str, &str)]) -> Result<String, String> {
        let var =
            |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        find(said, &var).map(|dial| dial.to_string()).map_err(|failure| failure.detail().to_owned())
    }

    #[test]
    fn what_is_said_comes_before_what_the_surroundings_say() {
        let host = ("DOCKER_HOST", "tcp://10.0.0.1:2376");
        assert_eq!(found(Some("unix:///x.sock"), &[host]).as_deref(), Ok("unix:///x.sock"));
        assert_eq!(found(None, &[host]).as_deref(), Ok("tcp://10.0.0.1:2376"));
        assert_eq!(found(None, &[("DOCKER_HOST", "")]).as_deref(), Ok("unix:///var/run/docker.sock"));
        assert_eq!(found(None, &[]).as_deref(), Ok("unix:///var/run/docker.sock"));
    }

    #[test]
    fn hosts_are_read_as_docker_writes_them() {
        for (said, read) in [
            ("tcp://engine", "tcp://engine:2375"),
            ("tcp://engine:4000/", "tcp://engine:4000"),
            ("http://127.0.0.1:1", "tcp://127.0.0.1:1"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ] {
            assert_eq!(found(Some(said), &[]).as_deref(), Ok(read), "{said}");
        }
        for said in [
            "engine:2375",
            "unix://x",
            "tcp://",
            "tcp://:1",
            "tcp://a:0",
            "tcp://u@h:1",
            "ssh://h",
            "npipe:////x",
        ] {
            let why = found(Some(said), &[]).expect_err(said);
            assert!(why.contains("`provision.docker.host`") && why.contains(said), "{why}");
        }
        let tls = [("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")];
        assert!(found(None, &tls).expect_err("TLS").contains("TLS"));
    }

    #[test]
    fn the_chosen_context_is_found_among_those_that_are_written_down() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let at = dir.path().to_str().expect("UTF-8");
        let config = ("DOCKER_CONFIG", at);
        assert_eq!(found(None, &[config]).as_deref(), Ok("unix:///var/run/docker.sock"), "none chosen");
        write("config.json", r#"{"currentContext":"far","auths":{}}"#);
        write(
            "contexts/meta/a/meta.json",
            r#"{"Name":"near","Endpoints":{"docker":{"Host":"unix:///n.sock"}}}"#,
        );
        write(
            "contexts/meta/b/meta.json",
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://f:1","SkipTLSVerify":false}}}"#,
        );
        assert_eq!(found(None, &[config]).as_deref(), Ok("tcp://f:1"));
        let near = ("DOCKER_CONTEXT", "near");
        assert_eq!(found(None, &[config, near]).as_deref(), Ok("unix:///n.sock"));
        assert_eq!(
            found(None, &[config, ("DOCKER_CONTEXT", "default")]).as_deref(),
            Ok("unix:///var/run/docker.sock")
        );
        assert!(found(None, &[config, ("DOCKER_CONTEXT", "lost")]).expect_err("unknown").contains("`lost`"));
        write("config.json", "{");
        assert!(found(None, &[config]).expect_err("no JSON").contains("config.json"));
    }
}
