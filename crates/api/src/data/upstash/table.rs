//! Every command there is for services of plain values: its name, how many arguments it takes, which of them are
//! keys, and what it does.

use std::ops::RangeInclusive;

use adapters::key_value::{HeldKeys, Reply};
use bytes::Bytes;
use clusters::Access;
use model::Failure;

use super::{strings, times};

/// A command.
#[derive(Debug)]
pub(super) struct Row {
    /// In capitals, as metrics and activity have it.
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) args: RangeInclusive<usize>,
    pub(super) keys: Keys,
    pub(super) access: Access,
    pub(super) work: Work,
}

/// Which arguments are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    None,
    First,
    All,
    /// Each is followed by its value.
    Pairs,
}

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Something that needs no keys.
    Alone(fn(&[Bytes]) -> Result<Reply, Failure>),
    /// Something with its keys, at one moment.
    Held(fn(&mut dyn HeldKeys, &[Bytes]) -> Result<Reply, Failure>),
    /// A page of all keys.
    Scan,
    /// All keys that match.
    Keys,
}

const MANY: usize = usize::MAX;

const fn read(name: &'static str, args: RangeInclusive<usize>, keys: Keys, work: Work) -> Row {
    Row { name, args, keys, access: Access::Read, work }
}

const fn write(name: &'static str, args: RangeInclusive<usize>, keys: Keys, work: Work) -> Row {
    Row { name, args, keys, access: Access::Write, work }
}

/// All of them.
pub(super) static TABLE: &[Row] = &[
    read("PING", 0..=1, Keys::None, Work::Alone(strings::ping)),
    read("ECHO", 1..=1, Keys::None, Work::Alone(strings::echo)),
    // Values.
    read("GET", 1..=1, Keys::First, Work::Held(strings::get)),
    read("MGET", 1..=MANY, Keys::All, Work::Held(strings::mget)),
    read("STRLEN", 1..=1, Keys::First, Work::Held(strings::strlen)),
    read("GETRANGE", 3..=3, Keys::First, Work::Held(strings::getrange)),
    write("SET", 2..=MANY, Keys::First, Work::Held(strings::set)),
    write("SETEX", 3..=3, Keys::First, Work::Held(strings::setex)),
    write("PSETEX", 3..=3, Keys::First, Work::Held(strings::psetex)),
    write("SETNX", 2..=2, Keys::First, Work::Held(strings::setnx)),
    write("MSET", 2..=MANY, Keys::Pairs, Work::Held(strings::mset)),
    write("MSETNX", 2..=MANY, Keys::Pairs, Work::Held(strings::msetnx)),
    write("GETSET", 2..=2, Keys::First, Work::Held(strings::getset)),
    write("GETDEL", 1..=1, Keys::First, Work::Held(strings::getdel)),
    write("GETEX", 1..=MANY, Keys::First, Work::Held(strings::getex)),
    write("APPEND", 2..=2, Keys::First, Work::Held(strings::append)),
    // Numbers.
    write("INCR", 1..=1, Keys::First, Work::Held(strings::incr)),
    write("INCRBY", 2..=2, Keys::First, Work::Held(strings::incrby)),
    write("DECR", 1..=1, Keys::First, Work::Held(strings::decr)),
    write("DECRBY", 2..=2, Keys::First, Work::Held(strings::decrby)),
    // Keys.
    read("EXISTS", 1..=MANY, Keys::All, Work::Held(strings::exists)),
    read("TOUCH", 1..=MANY, Keys::All, Work::Held(strings::exists)),
    read("TYPE", 1..=1, Keys::First, Work::Held(strings::kind)),
    write("DEL", 1..=MANY, Keys::All, Work::Held(strings::delete)),
    write("UNLINK", 1..=MANY, Keys::All, Work::Held(strings::delete)),
    read("SCAN", 1..=7, Keys::None, Work::Scan),
    read("KEYS", 1..=1, Keys::None, Work::Keys),
    // Times.
    read("TTL", 1..=1, Keys::First, Work::Held(times::ttl)),
    read("PTTL", 1..=1, Keys::First, Work::Held(times::pttl)),
    read("EXPIRETIME", 1..=1, Keys::First, Work::Held(times::expiretime)),
    read("PEXPIRETIME", 1..=1, Keys::First, Work::Held(times::pexpiretime)),
    write("EXPIRE", 2..=MANY, Keys::First, Work::Held(times::expire)),
    write("PEXPIRE", 2..=MANY, Keys::First, Work::Held(times::pexpire)),
    write("EXPIREAT", 2..=MANY, Keys::First, Work::Held(times::expireat)),
    write("PEXPIREAT", 2..=MANY, Keys::First, Work::Held(times::pexpireat)),
    write("PERSIST", 1..=1, Keys::First, Work::Held(times::persist)),
];
