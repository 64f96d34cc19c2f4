//! What cannot be done, why, and what helps.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use model::Failure;
use model::failure::Code;

use crate::{Holder, Name};

/// What is only for containers was asked of a process.
pub(super) fn only_containers(name: &Name, key: &str, why: &str) -> Failure {
    let detail = format!("`{key}` of `{}` is not for a local process: {why}.", name.service);
    Failure::client(Code::InvalidConfig, detail)
        .with_hint(format!("Remove `{key}`, or say `provision: docker`."))
        .with_service(name.service.clone())
}

/// A program is not on this machine.
pub(super) fn no_program(program: &str, looked: &[PathBuf]) -> Failure {
    let detail = if looked.is_empty() {
        format!("`{program}` is not a program on this machine.")
    } else {
        let looked: Vec<_> = looked.iter().map(|dir| dir.display().to_string()).collect();
        format!("The program `{program}` is not on this machine: it is not in {}.", looked.join(", "))
    };
    Failure::gateway(Code::ProvisionFailed, detail).with_hint(format!(
        "Install what has `{program}`, or say `provision: docker` where there is a Docker Engine, or take an embedded kind."
    ))
}

/// No user of this name.
pub(super) fn no_user(name: &str) -> Failure {
    let detail = format!(
        "There is no user `{name}` on this machine to run programs as, and they are not run as root."
    );
    Failure::gateway(Code::ProvisionFailed, detail).with_hint(format!(
        "Make one (`useradd --system {name}`), or name another one in `provision.process.user`."
    ))
}

/// Only root starts programs as others.
pub(super) fn other_user(name: &str) -> Failure {
    let detail = format!(
        "Programs cannot be run as `{name}`: the gateway is not root, and runs them as the user that it is."
    );
    Failure::gateway(Code::ProvisionFailed, detail)
        .with_hint("Remove `provision.process.user`, or run the gateway as root or as that user.")
}

/// A directory on the way that we leave as it is.
pub(super) fn no_way(user: &str, shut: &Path, dir: &Path) -> Failure {
    let (shut, dir) = (shut.display(), dir.display());
    let detail = format!("The user `{user}` cannot reach {dir}: {shut} is somebody's home, and closed.");
    Failure::gateway(Code::ProvisionFailed, detail)
        .with_hint("Choose another `data_dir`, such as /var/lib/throome.")
}

/// Somebody listens there.
pub(super) fn port_taken(name: &Name, bind: IpAddr, port: u16, holder: Option<&Holder>) -> Failure {
    let by = holder.map(|holder| format!(" by {holder}")).unwrap_or_default();
    let detail = format!("Port {port} of {bind}, where `{}` is to be reached, is in use{by}.", name.service);
    let free = port.checked_add(1).and_then(|next| crate::free(bind, next).ok());
    let free = free.map(|free| format!(", or take another port: {free} is free")).unwrap_or_default();
    Failure::gateway(Code::Conflict, detail)
        .with_hint(format!("End what listens there{free}."))
        .with_service(name.service.clone())
}

/// A program did not even begin.
pub(super) fn no_start(name: &Name, program: &Path, error: io::Error) -> Failure {
    let detail = format!("{} of `{}` cannot be started: {error}.", program.display(), name.service);
    Failure::gateway(Code::ProvisionFailed, detail).with_service(name.service.clone()).with_cause(error)
}

/// A preparation failed, with what it said last.
pub(super) fn not_prepared(name: &Name, what: &str, program: &str, how: &str, said: &[String]) -> Failure {
    let mut detail = format!("`{program}`, which is to {what} for `{}`, {how}", name.service);
    detail.push_str(if said.is_empty() { "." } else { ": " });
    detail.push_str(&said.join("\n"));
    Failure::gateway(Code::ProvisionFailed, detail).with_service(name.service.clone())
}

/// A process that does not end, even by SIGKILL.
pub(super) fn no_end(name: &Name, pid: u32) -> Failure {
    let detail = format!("The process {pid} of `{}` does not end, although it was killed.", name.service);
    Failure::gateway(Code::ProvisionFailed, detail)
        .with_hint("It waits for a disk or a device; see the log of the system.")
        .with_service(name.service.clone())
}

/// A file or directory.
pub(super) fn disk(what: &str, path: &Path, error: io::Error) -> Failure {
    let detail = format!("Cannot {what} {}: {error}.", path.display());
    Failure::gateway(Code::ProvisionFailed, detail).with_cause(error)
}

/// There is nothing of it here.
pub(super) fn nothing(name: &Name) -> Failure {
    let detail = format!("No process of `{}` was started here.", name.service);
    Failure::client(Code::NotFound, detail).with_service(name.service.clone())
}

/// Another program has the processes.
pub(super) fn left() -> Failure {
    Failure::gateway(Code::Draining, "Another gateway has taken over the processes of this one.")
}

/// A system that we cannot watch processes of.
pub(super) fn other_system() -> Failure {
    let detail = "Local processes are run on Linux only, by now: /proc is what tells of them.";
    Failure::gateway(Code::NotBuilt, detail).with_hint("Say `provision: docker`, or take an embedded kind.")
}
