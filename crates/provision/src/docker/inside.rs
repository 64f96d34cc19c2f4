//! Whether the gateway itself is a container of the engine, and which.

use model::Failure;

use crate::docker::engine::Engine;
use crate::docker::wrong;

/// The id of the container that we are in, where the engine knows it and it can join networks.
pub(super) async fn container(engine: &Engine) -> Result<Option<String>, Failure> {
    for id in candidates() {
        let seen = engine.ask().inspect_container(&id, None).await;
        let seen = wrong::or_none(seen)
            .map_err(wrong::asked(engine, "say whether the gateway is a container of it"))?;
        let Some(seen) = seen else { continue };
        // In the network of the machine it sees what is published there, and may join no other network.
        let mode = seen.host_config.and_then(|config| config.network_mode).unwrap_or_default();
        return Ok(seen.id.filter(|_| mode != "host" && !mode.starts_with("container:")));
    }
    Ok(None)
}

/// What our id would be, from the files that the kernel and an engine leave about it. Each may be missing or of another
/// engine, so that the engine has the last word.
fn candidates() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut ids: Vec<String> = Vec::new();
    ids.extend(of_mounts(&read("/proc/self/mountinfo")));
    ids.extend(of_groups(&read("/proc/self/cgroup")));
    ids.extend(of_hostname(read("/etc/hostname").trim()));
    ids.dedup();
    ids
}

/// An engine puts three files of its own into each container. The mounts of the machine itself name containers too, at
/// other places.
fn of_mounts(table: &str) -> Option<String> {
    table.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        if !["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&at) {
            return None;
        }
        root.split('/').rev().nth(1).filter(|part| is_id(part)).map(str::to_owned)
    })
}

/// `12:pids:/docker/<id>` of the first version of control groups, `0::/system.slice/docker-<id>.scope` of the second.
fn of_groups(table: &str) -> Option<String> {
    table.lines().find_map(|line| {
        let last = line.rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        let last = last.strip_prefix("docker-").unwrap_or(last);
        is_id(last).then(|| last.to_owned())
    })
}

/// Where nobody says otherwise, a container's host name is how its id begins.
fn of_hostname(name: &str) -> Option<String> {
    (name.len() == 12 && is_hex(name)).then(|| name.to_owned())
}

fn is_id(word: &str) -> bool {
    word.len() == 64 && is_hex(word)
}

fn is_hex(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_mounts_of_a_container_name_it_and_those_of_a_machine_do_not() {
        let inside = format!(
            "1 0 0:50 / / rw - overlay overlay rw\n\
             2 1 254:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(of_mounts(&inside).as_deref(), Some(ID));
        let machine = format!(
            "1 0 254:1 / / rw - ext4 /dev/vda rw\n\
             2 1 0:60 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n"
        );
        assert_eq!(of_mounts(&machine), None);
        assert_eq!(of_mounts("cut off"), None);
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        assert_eq!(of_groups(&format!("12:pids:/docker/{ID}\n")).as_deref(), Some(ID));
        assert_eq!(of_groups(&format!("0::/system.slice/docker-{ID}.scope\n")).as_deref(), Some(ID));
        assert_eq!(of_groups("0::/user.slice/user-0.slice/session-1.scope\n0::/\n"), None);
    }

    #[test]
    fn only_the_beginning_of_an_id_is_a_host_name_to_ask_about() {
        assert_eq!(of_hostname("0123456789ab").as_deref(), Some("0123456789ab"));
        assert_eq!(of_hostname("laptop"), None);
        assert_eq!(of_hostname("buildserver1"), None);
    }
}
