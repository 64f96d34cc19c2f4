//! Which native commands are let through, by the table and by what the service says.

use std::collections::HashSet;

use bytes::Bytes;
use model::{Code, Failure};

use super::script;
use super::table::{self, Class, Row};

/// The lists of a service.
#[derive(Debug, Default)]
pub(super) struct Gate {
    allow: HashSet<Box<str>>,
    deny: HashSet<Box<str>>,
}

impl Gate {
    pub(super) fn new(
        allow: impl IntoIterator<Item = Box<str>>,
        deny: impl IntoIterator<Item = Box<str>>,
    ) -> Self {
        Gate { allow: allow.into_iter().collect(), deny: deny.into_iter().collect() }
    }

    /// The row of a command that may be sent; `None` for one that only the server knows, and the service allows.
    pub(super) fn pass(&self, words: &[Bytes]) -> Result<Option<&'static Row>, Failure> {
        let Some(first) = words.first().filter(|word| !word.is_empty()) else {
            return Err(
                Failure::client(Code::CommandFailed, "There is no command.").with_native("redis", "ERR")
            );
        };
        let Some(row) = table::find(words) else { return self.pass_unknown(first) };
        let (denied, allowed) = (lists(&self.deny, row.name), lists(&self.allow, row.name));
        match row.class {
            Class::Bound(why) => {
                Err(unsupported(format!("{} is not sent by the gateway.", row.name)).with_hint(why))
            }
            _ if denied => Err(refused(row.name, "The service denies it: `commands.deny`.")),
            Class::Closed if !allowed => {
                Err(refused(row.name, "An operator can allow it: `commands.allow` of the service."))
            }
            // What is denied is denied in earnest only where nothing runs it all the same.
            Class::Open if !self.deny.is_empty() && script::runs(row.name) && !allowed => {
                let hint = "A script can do what the service denies. An operator can allow it all the same: \
                            `commands.allow` of the service.";
                Err(refused(row.name, hint))
            }
            Class::Open | Class::Closed => Ok(Some(row)),
        }
    }

    fn pass_unknown(&self, first: &Bytes) -> Result<Option<&'static Row>, Failure> {
        let name = String::from_utf8_lossy(first).to_ascii_uppercase();
        if self.deny.contains(name.as_str()) {
            return Err(refused(&name, "The service denies it: `commands.deny`."));
        }
        if self.allow.contains(name.as_str()) {
            return Ok(None);
        }
        let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        Err(unsupported(format!("`{shown}` is no command that the gateway knows."))
            .with_hint("An operator can allow it by its name: `commands.allow` of the service."))
    }
}

/// Whether a list names a command, or the first word of one with parts.
fn lists(list: &HashSet<Box<str>>, name: &str) -> bool {
    !list.is_empty()
        && (list.contains(name) || name.split_once(' ').is_some_and(|(first, _)| list.contains(first)))
}

fn refused(name: &str, hint: &'static str) -> Failure {
    Failure::client(Code::PermissionDenied, format!("{name} is not allowed here.")).with_hint(hint)
}

fn unsupported(detail: String) -> Failure {
    Failure::client(Code::UnsupportedCommand, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(gate: &Gate, line: &str) -> Option<Code> {
        let words: Vec<_> = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        gate.pass(&words).err().map(|failure| failure.code())
    }

    fn gate(allow: &[&str], deny: &[&str]) -> Gate {
        let list = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<_>>();
        Gate::new(list(allow), list(deny))
    }

    #[test]
    fn by_default_data_passes_and_administration_does_not() {
        let plain = Gate::default();
        assert_eq!(code(&plain, "HSET h f v"), None);
        assert_eq!(code(&plain, "flushall"), Some(Code::PermissionDenied));
        assert_eq!(code(&plain, "config get *"), Some(Code::PermissionDenied));
        assert_eq!(code(&plain, "SUBSCRIBE c"), Some(Code::UnsupportedCommand));
        assert_eq!(code(&plain, "NOSUCH x"), Some(Code::UnsupportedCommand));
        assert_eq!(code(&plain, ""), Some(Code::CommandFailed));
    }

    #[test]
    fn a_service_opens_and_closes() {
        let own = gate(&["FLUSHDB", "CONFIG GET", "SLOWLOG", "FT.SEARCH", "SUBSCRIBE"], &["KEYS", "SCRIPT"]);
        for open in ["FLUSHDB", "CONFIG GET *", "SLOWLOG LEN", "ft.search i q"] {
            assert_eq!(code(&own, open), None, "{open}");
        }
        for closed in ["FLUSHALL", "CONFIG SET a b", "KEYS *", "SCRIPT LOAD x"] {
            assert_eq!(code(&own, closed), Some(Code::PermissionDenied), "{closed}");
        }
        assert_eq!(code(&own, "SUBSCRIBE c"), Some(Code::UnsupportedCommand), "no list opens what binds");
    }

    #[test]
    fn a_service_that_denies_anything_takes_scripts_by_their_names_alone() {
        for script in
            ["EVAL s 0", "evalsha s 0", "EVAL_RO s 0", "EVALSHA_RO s 0", "FCALL f 0", "FCALL_RO f 0"]
        {
            assert_eq!(code(&gate(&["FLUSHDB"], &[]), script), None, "{script}");
            assert_eq!(code(&gate(&[], &["KEYS"]), script), Some(Code::PermissionDenied), "{script}");
            let name = script.split(' ').next().unwrap().to_ascii_uppercase();
            assert_eq!(code(&gate(&[&name], &["KEYS"]), script), None, "{script}");
        }
        assert_eq!(code(&gate(&[], &["KEYS"]), "SCRIPT EXISTS s"), None);
    }

    #[test]
    fn denying_is_the_last_word() {
        assert_eq!(code(&gate(&["CONFIG"], &["CONFIG SET"]), "CONFIG SET a b"), Some(Code::PermissionDenied));
        assert_eq!(code(&gate(&["CONFIG"], &["CONFIG SET"]), "CONFIG GET a"), None);
    }
}
