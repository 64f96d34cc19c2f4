//! Commands on values, numbers and whole keys, each while its keys are held.

use std::time::Duration;

use adapters::key_value::{HeldKeys, Reply, Ttl, Value};
use bytes::Bytes;
use model::Failure;

use super::command::refusal;
use super::reply;
use super::times::Unit;

type Done = Result<Reply, Failure>;

pub(super) fn ping(args: &[Bytes]) -> Done {
    Ok(args.first().map_or(Reply::Word("PONG"), |text| Reply::Bytes(text.clone())))
}

pub(super) fn echo(args: &[Bytes]) -> Done {
    Ok(Reply::Bytes(args[0].clone()))
}

pub(super) fn get(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(reply::found(held.get(&args[0])))
}

pub(super) fn mget(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(Reply::List(args.iter().map(|key| reply::found(held.get(key))).collect()))
}

pub(super) fn strlen(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(reply::count(held.get(&args[0]).map_or(0, |value| value.bytes.len())))
}

/// From one place to another, both counted from the end where they are negative.
pub(super) fn getrange(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let (from, to) = (whole(&args[1])?, whole(&args[2])?);
    let bytes = held.get(&args[0]).map_or_else(Bytes::new, |value| value.bytes);
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(length - 1));
    if from > to {
        return Ok(Reply::Bytes(Bytes::new()));
    }
    let index = |at: i64| usize::try_from(at).unwrap_or(0);
    Ok(Reply::Bytes(bytes.slice(index(from)..=index(to))))
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let (key, value) = (&args[0], &args[1]);
    let options = SetOptions::of(&args[2..])?;
    let before = held.get(key);
    let stored = match (options.if_absent, options.if_present) {
        (true, _) => before.is_none(),
        (_, true) => before.is_some(),
        (false, false) => true,
    };
    if stored {
        let ttl = match options.end {
            End::Never => None,
            End::AsItWas => end_of(held, key),
            End::In(left) => Some(left),
        };
        held.set(key, Value::plain(value.clone()), ttl)?;
    }
    match (options.get, stored) {
        (true, _) => Ok(reply::found(before)),
        (false, true) => Ok(Reply::Ok),
        (false, false) => Ok(Reply::Nil),
    }
}

/// How a `SET` is meant.
struct SetOptions {
    if_absent: bool,
    if_present: bool,
    get: bool,
    end: End,
}

enum End {
    Never,
    AsItWas,
    In(Duration),
}

impl SetOptions {
    fn of(options: &[Bytes]) -> Result<Self, Failure> {
        let mut set = SetOptions { if_absent: false, if_present: false, get: false, end: End::Never };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let unit = Unit::of_option(option);
            let fresh = matches!(set.end, End::Never);
            match (option.to_ascii_uppercase().as_slice(), unit) {
                (b"NX", _) if !set.if_present => set.if_absent = true,
                (b"XX", _) if !set.if_absent => set.if_present = true,
                (b"GET", _) => set.get = true,
                (b"KEEPTTL", _) if fresh => set.end = End::AsItWas,
                (_, Some(unit)) if fresh => {
                    let number = options.next().ok_or_else(syntax)?;
                    set.end = End::In(unit.left_of_positive(number, "set")?);
                }
                _ => return Err(syntax()),
            }
        }
        Ok(set)
    }
}

pub(super) fn setex(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    set_for(held, args, Unit::Seconds, "setex")
}

pub(super) fn psetex(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    set_for(held, args, Unit::Millis, "psetex")
}

fn set_for(held: &mut dyn HeldKeys, args: &[Bytes], unit: Unit, command: &str) -> Done {
    let left = unit.left_of_positive(&args[1], command)?;
    held.set(&args[0], Value::plain(args[2].clone()), Some(left))?;
    Ok(Reply::Ok)
}

pub(super) fn setnx(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    msetnx(held, args)
}

pub(super) fn mset(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    set_all(held, args)?;
    Ok(Reply::Ok)
}

/// All, or none if one of them is there.
pub(super) fn msetnx(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    if args.iter().step_by(2).any(|key| held.get(key).is_some()) {
        return Ok(Reply::Integer(0));
    }
    set_all(held, args)?;
    Ok(Reply::Integer(1))
}

/// Sets all of them; where one cannot be, those before it are as they were.
fn set_all(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<(), Failure> {
    let mut before: Vec<(&Bytes, Option<Value>, Option<Duration>)> = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        before.push((key, held.get(key), end_of(held, key)));
        if let Err(failure) = held.set(key, Value::plain(value.clone()), None) {
            while let Some((key, value, ttl)) = before.pop() {
                match value {
                    // It was kept once, so it can be again.
                    Some(value) => drop(held.set(key, value, ttl)),
                    None => drop(held.delete(key)),
                }
            }
            return Err(failure);
        }
    }
    Ok(())
}

pub(super) fn getset(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let before = held.get(&args[0]);
    held.set(&args[0], Value::plain(args[1].clone()), None)?;
    Ok(reply::found(before))
}

pub(super) fn getdel(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let before = held.get(&args[0]);
    held.delete(&args[0]);
    Ok(reply::found(before))
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(super) fn getex(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let (key, options) = (&args[0], &args[1..]);
    let ttl = match options {
        [] => return get(held, args),
        [persist] if persist.eq_ignore_ascii_case(b"PERSIST") => None,
        [option, number] => {
            Some(Unit::of_option(option).ok_or_else(syntax)?.left_of_positive(number, "getex")?)
        }
        _ => return Err(syntax()),
    };
    let value = held.get(key);
    held.expire(key, ttl);
    Ok(reply::found(value))
}

pub(super) fn append(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let (key, more) = (&args[0], &args[1]);
    let ttl = end_of(held, key);
    let Value { bytes, content_type } = held.get(key).unwrap_or_else(|| Value::plain(Bytes::new()));
    let bytes = Bytes::from([&bytes[..], more].concat());
    let length = bytes.len();
    held.set(key, Value { bytes, content_type }, ttl)?;
    Ok(reply::count(length))
}

pub(super) fn incr(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    add(held, &args[0], 1)
}

pub(super) fn incrby(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    add(held, &args[0], whole(&args[1])?)
}

pub(super) fn decr(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    add(held, &args[0], -1)
}

pub(super) fn decrby(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    let by = whole(&args[1])?.checked_neg().ok_or_else(|| refusal("ERR decrement would overflow"))?;
    add(held, &args[0], by)
}

fn add(held: &mut dyn HeldKeys, key: &[u8], by: i64) -> Done {
    let ttl = end_of(held, key);
    let (number, content_type) = match held.get(key) {
        Some(value) => (whole(&value.bytes)?, value.content_type),
        None => (0, None),
    };
    let overflow = || refusal("ERR increment or decrement would overflow");
    let sum = number.checked_add(by).ok_or_else(overflow)?;
    held.set(key, Value { bytes: Bytes::from(sum.to_string()), content_type }, ttl)?;
    Ok(Reply::Integer(sum))
}

/// How many are there; one that is named twice counts twice.
pub(super) fn exists(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(reply::count(args.iter().filter(|key| held.get(key).is_some()).count()))
}

pub(super) fn delete(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(reply::count(args.iter().filter(|key| held.delete(key)).count()))
}

pub(super) fn kind(held: &mut dyn HeldKeys, args: &[Bytes]) -> Done {
    Ok(Reply::Word(if held.get(&args[0]).is_some() { "string" } else { "none" }))
}

/// What is left of a key's time, if it has an end.
fn end_of(held: &mut dyn HeldKeys, key: &[u8]) -> Option<Duration> {
    match held.ttl(key) {
        Ttl::Left(left) => Some(left),
        Ttl::Forever | Ttl::Missing => None,
    }
}

/// A whole number as Redis reads it: no sign but a minus, no leading zero, no space.
pub(super) fn whole(text: &[u8]) -> Result<i64, Failure> {
    let plain = matches!(text, [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    let number = std::str::from_utf8(text).ok().filter(|_| plain).and_then(|text| text.parse().ok());
    number.ok_or_else(|| refusal("ERR value is not an integer or out of range"))
}

pub(super) fn syntax() -> Failure {
    refusal("ERR syntax error")
}
