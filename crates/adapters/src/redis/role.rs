//! What a server says of itself: whether it takes writes, whose data it has, and how far it is behind.

use std::time::Duration;

use model::{History, Role, Seen};
use redis::Value;

use super::reply::text;

/// Reads `INFO replication`; `None` when it is none.
pub(super) fn replication(answer: &Value) -> Option<Seen> {
    let told = text(answer)?;
    let field =
        |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let role = match field("role")? {
        "master" => Role::Primary,
        _ => Role::Replica,
    };
    let id = |name| field(name).filter(|id| !id.is_empty() && id.bytes().any(|b| b != b'0'));
    let history = id("master_replid").map(|own| History {
        id: own.into(),
        number: 0,
        came_from: id("master_replid2").map(Into::into),
        // Two servers that stand alone side by side are two caches, and both may be written to.
        shared: false,
    });
    let linked = field("master_link_status").is_none_or(|status| status == "up");
    // A primary that has nothing to say says so every ten seconds; seconds are all that is told.
    let silent = field("master_last_io_seconds_ago").and_then(|seconds| seconds.parse::<u64>().ok());
    let down = field("master_link_down_since_seconds").and_then(|seconds| seconds.parse::<u64>().ok());
    let lag = match role {
        Role::Primary => None,
        Role::Replica if linked => silent.map(Duration::from_secs),
        Role::Replica => down.map(Duration::from_secs),
    };
    Some(Seen { role, history, lag, cut_off: role == Role::Replica && !linked })
}

/// Whether what a replica has is not yet what its primary had at any time: it receives it, or never did since it was
/// started.
pub(super) fn unfilled(answer: &Value) -> bool {
    let Some(told) = text(answer) else { return false };
    let says = |words: &str| told.lines().any(|line| line.trim() == words);
    says("master_sync_in_progress:1") || says("master_link_down_since_seconds:-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Seen> {
        replication(&Value::BulkString(text.replace('\n', "\r\n").into_bytes()))
    }

    #[test]
    fn a_primary_tells_its_history() {
        let told = "# Replication\nrole:master\nconnected_slaves:0\nmaster_replid:abc1\n\
                    master_replid2:0000000000000000000000000000000000000000\n";
        let seen = read(told).unwrap();
        assert_eq!((seen.role, seen.lag, seen.cut_off), (Role::Primary, None, false));
        let history = seen.history.unwrap();
        assert_eq!((&*history.id, history.came_from, history.shared), ("abc1", None, false));

        let promoted = read("role:master\nmaster_replid:new\nmaster_replid2:old\n").unwrap();
        assert_eq!(promoted.history.unwrap().came_from.as_deref(), Some("old"));
    }

    #[test]
    fn a_replica_tells_how_far_it_is_behind() {
        let up = read("role:slave\nmaster_link_status:up\nmaster_last_io_seconds_ago:3\nmaster_replid:a\n")
            .unwrap();
        assert_eq!((up.role, up.lag, up.cut_off), (Role::Replica, Some(Duration::from_secs(3)), false));
        let down = read(
            "role:slave\nmaster_link_status:down\nmaster_last_io_seconds_ago:-1\nmaster_link_down_since_seconds:40\n",
        );
        let down = down.unwrap();
        assert_eq!((down.lag, down.cut_off), (Some(Duration::from_secs(40)), true));
    }

    #[test]
    fn a_replica_that_never_had_its_primarys_data_says_so() {
        let told = "role:slave\r\nmaster_link_status:down\r\n";
        for (words, expected) in [
            ("master_sync_in_progress:1", true),
            ("master_link_down_since_seconds:-1", true),
            ("master_sync_in_progress:0\r\nmaster_link_down_since_seconds:40", false),
        ] {
            let answer = Value::BulkString(format!("{told}{words}\r\n").into_bytes());
            assert_eq!(unfilled(&answer), expected, "{words}");
        }
    }

    #[test]
    fn anything_else_tells_nothing() {
        assert_eq!(read("nonsense"), None);
        assert_eq!(replication(&Value::Int(1)), None);
    }
}
