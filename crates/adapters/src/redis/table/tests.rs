//! The table of commands: no name twice, and the rows that people rely on.

use super::*;

fn row(line: &str) -> Option<&'static Row> {
    let words: Vec<Bytes> = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    find(&words)
}

#[test]
fn no_command_stands_twice() {
    let names: Vec<_> = groups::GROUPS.iter().flat_map(|group| group.names).collect();
    assert_eq!(TABLE.rows.len(), names.len());
    for name in names {
        assert!(name.len() < LONGEST && !name.bytes().any(|b| b.is_ascii_lowercase()), "{name}");
    }
}

#[test]
fn names_are_found_in_any_spelling() {
    assert_eq!(row("get k").unwrap().name, "GET");
    assert_eq!(row("xInfo stream k").unwrap().name, "XINFO STREAM");
    assert_eq!(row("Command").unwrap().name, "COMMAND");
    for unknown in ["", "gett", "config", "xinfo nonsense", "GET ", &"x".repeat(200)] {
        assert_eq!(row(unknown).filter(|row| row.name != "GET"), None, "{unknown:?}");
    }
    assert_eq!(find(&[]), None);
    assert_eq!(find(&[Bytes::from_static(b"\xff\xfe")]), None);
}

#[test]
fn what_is_dangerous_is_closed_and_what_binds_is_never_sent() {
    for line in ["CONFIG GET x", "FLUSHALL", "SHUTDOWN", "DEBUG SLEEP 0", "ACL LIST", "MODULE LOAD x", "SAVE"]
    {
        assert_eq!(row(line).unwrap().class, Class::Closed, "{line}");
    }
    for line in
        ["SUBSCRIBE c", "MULTI", "WATCH k", "SELECT 1", "AUTH x", "HELLO 3", "CLIENT REPLY OFF", "MONITOR"]
    {
        assert!(matches!(row(line).unwrap().class, Class::Bound(_)), "{line}");
    }
}

#[test]
fn lists_of_a_service_name_commands_that_could_be_sent() {
    for good in ["FLUSHDB", "config", "CONFIG GET", "FT.SEARCH", "get"] {
        assert_eq!(nameable(good), Ok(()), "{good}");
    }
    for bad in ["", "SUBSCRIBE", "CONFIG GET maxmemory", "GET\r\nSET", "client reply"] {
        assert!(nameable(bad).is_err(), "{bad:?}");
    }
}
