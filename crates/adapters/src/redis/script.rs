//! Scripts: commands that answer in words of their own, which may look like those of a server.
//!
//! Words of a server say that nothing was done, or send us to another. Of a script they are believed only where they are
//! the server's, word for word.

use redis::{Arg, Cmd, ServerError};

const NAMES: &[&str] = &["EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"];

/// What servers say themselves, of whatever make, where a script runs or would.
const OF_SERVERS: &[(&str, &str)] = &[
    ("CLUSTERDOWN", "cluster is down"),
    ("CLUSTERDOWN", "Hash slot not served"),
    ("LOADING", "is loading the dataset in memory"),
    ("BUSY", "is busy running a script"),
    ("MASTERDOWN", "Link with MASTER is down"),
    ("MISCONF", "is configured to save"),
    ("NOAUTH", "Authentication required"),
    ("NOREPLICAS", "Not enough good replicas"),
    ("OOM", "command not allowed when used memory"),
    ("READONLY", "You can't write against a read only"),
    ("TRYAGAIN", "Multiple keys request during rehashing"),
];

/// Whether a command of this name runs a script.
pub(super) fn runs(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether a command runs one.
pub(super) fn is_one(command: &Cmd) -> bool {
    let Some(Arg::Simple(name)) = command.args_iter().next() else { return false };
    NAMES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether what a script answers are words of the server.
pub(super) fn is_of_server(refusal: &ServerError) -> bool {
    let details = refusal.details().unwrap_or_default();
    OF_SERVERS.iter().any(|(code, words)| *code == refusal.code() && details.contains(words))
}
