//! Scripts: commands that answer in words of their own, which may look like those of a server.
//!
//! Words of a server say that nothing was done, or send us to another. Of a script they are believed only where they are
//! the server's, word for word.

use redis::{Arg, Cmd, ServerError};

use super::decode;

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

/// What the server says itself, where a script answers that: before it ran, or of the first thing that it tried.
pub(super) fn word_of_server(refusal: &ServerError) -> Option<ServerError> {
    let details = refusal.details().unwrap_or_default();
    let theirs = |code: &str, details: &str| {
        OF_SERVERS.iter().any(|(known, words)| *known == code && details.contains(words))
    };
    if theirs(refusal.code(), details) {
        return Some(refusal.clone());
    }
    // Redis 6 tells it behind the script's name and line. Who only reads has done nothing of the script.
    let (_, inner) = details.strip_prefix("Error running script (call to f_")?.split_once(": -READONLY ")?;
    theirs("READONLY", inner).then(|| decode::refusal(&format!("READONLY {inner}"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(line: &str) -> Option<String> {
        word_of_server(&decode::refusal(line).unwrap()).map(|refusal| refusal.code().to_owned())
    }

    #[test]
    fn words_of_servers_are_told_from_those_of_scripts() {
        for (line, code) in [
            (
                "READONLY You can't write against a read only replica. script: 4e6d, on @user_script:1.",
                "READONLY",
            ),
            (
                "ERR Error running script (call to f_61): @user_script:1: @user_script: 1: -READONLY You can't write \
                 against a read only replica.",
                "READONLY",
            ),
            ("LOADING Redis is loading the dataset in memory", "LOADING"),
            ("LOADING Valkey is loading the dataset in memory", "LOADING"),
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                "BUSY",
            ),
        ] {
            assert_eq!(word(line).as_deref(), Some(code), "{line}");
        }
        for line in [
            "BUSY locked by another",
            "READONLY not today",
            "MOVED 1 10.0.0.1:6379",
            "ERR Error running script (call to f_61): @user_script:1: -READONLY not today",
            "ERR Error running script (call to f_61): @user_script:1: @user_script: 1: -WRONGTYPE Operation against",
            "ERR said: -READONLY You can't write against a read only replica.",
        ] {
            assert_eq!(word(line), None, "{line}");
        }
    }
}
