//! Commands on how long keys stay, and times as commands write them.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapters::key_value::{HeldKeys, Reply, Ttl};
use bytes::Bytes;
use model::Failure;

use super::command::refusal;
use super::reply;
use super::strings::whole;

/// How a time is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since 1970.
    AtSeconds,
    /// Milliseconds since 1970.
    AtMillis,
}

impl Unit {
    /// The unit that an option names.
    pub(super) fn of_option(option: &[u8]) -> Option<Unit> {
        let units = [
            (&b"EX"[..], Unit::Seconds),
            (b"PX", Unit::Millis),
            (b"EXAT", Unit::AtSeconds),
            (b"PXAT", Unit::AtMillis),
        ];
        units.iter().find(|(name, _)| name.eq_ignore_ascii_case(option)).map(|(_, unit)| *unit)
    }

    /// How long it is until then; what is over is no time at all.
    pub(super) fn left(self, number: &[u8], command: &str) -> Result<Duration, Failure> {
        let amount = whole(number)?;
        let millis = match self {
            Unit::Seconds | Unit::AtSeconds => amount.checked_mul(1000),
            Unit::Millis | Unit::AtMillis => Some(amount),
        };
        // Its end must be a time that can be said.
        let micros = millis
            .and_then(|millis| millis.checked_mul(1000))
            .filter(|micros| micros.checked_add(now()).is_some());
        let micros = micros.ok_or_else(|| invalid(command))?;
        let left = match self {
            Unit::Seconds | Unit::Millis => micros,
            Unit::AtSeconds | Unit::AtMillis => micros.saturating_sub(now()),
        };
        Ok(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
    }

    /// The same where only a time after the beginning of all times makes sense.
    pub(super) fn left_of_positive(self, number: &[u8], command: &str) -> Result<Duration, Failure> {
        if whole(number)? <= 0 { Err(invalid(command)) } else { self.left(number, command) }
    }
}

fn invalid(command: &str) -> Failure {
    refusal(format!("ERR invalid expire time in '{command}' command"))
}

/// Microseconds since 1970: the clock of what stays and this one are read one after the other, so that in whole
/// milliseconds a time that was set would come back as the one beside it.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn ttl(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    told(held, &args[0], |left| rounded(left, 1_000_000))
}

pub(super) fn pttl(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    told(held, &args[0], |left| rounded(left, 1000))
}

pub(super) fn expiretime(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    told(held, &args[0], |left| rounded(left.saturating_add(now()), 1_000_000))
}

pub(super) fn pexpiretime(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    told(held, &args[0], |left| rounded(left.saturating_add(now()), 1000))
}

/// Microseconds in a larger unit, of which they are so many.
fn rounded(micros: i64, unit: i64) -> i64 {
    micros.saturating_add(unit / 2) / unit
}

fn told(held: &mut dyn HeldKeys, key: &[u8], write: fn(i64) -> i64) -> Result<Reply, Failure> {
    Ok(Reply::Integer(match held.ttl(key) {
        Ttl::Missing => -2,
        Ttl::Forever => -1,
        Ttl::Left(left) => write(i64::try_from(left.as_micros()).unwrap_or(i64::MAX)),
    }))
}

pub(super) fn expire(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    set_end(held, args, Unit::Seconds, "expire")
}

pub(super) fn pexpire(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    set_end(held, args, Unit::Millis, "pexpire")
}

pub(super) fn expireat(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    set_end(held, args, Unit::AtSeconds, "expireat")
}

pub(super) fn pexpireat(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    set_end(held, args, Unit::AtMillis, "pexpireat")
}

pub(super) fn persist(held: &mut dyn HeldKeys, args: &[Bytes]) -> Result<Reply, Failure> {
    let had_an_end = matches!(held.ttl(&args[0]), Ttl::Left(_));
    Ok(reply::yes(had_an_end && held.expire(&args[0], None)))
}

fn set_end(held: &mut dyn HeldKeys, args: &[Bytes], unit: Unit, command: &str) -> Result<Reply, Failure> {
    let (key, left) = (&args[0], unit.left(&args[1], command)?);
    let when = When::of(&args[2..])?;
    let wanted = match held.ttl(key) {
        Ttl::Missing => return Ok(Reply::Integer(0)),
        // No end is later than any.
        Ttl::Forever => !when.only_with_end && when.order.is_none_or(|order| order == Ordering::Less),
        Ttl::Left(now) => !when.only_without_end && when.order.is_none_or(|order| left.cmp(&now) == order),
    };
    Ok(reply::yes(wanted && held.expire(key, Some(left))))
}

/// When a new end counts.
#[derive(Default)]
struct When {
    only_without_end: bool,
    only_with_end: bool,
    /// How it must compare with the one that is there.
    order: Option<Ordering>,
}

impl When {
    fn of(options: &[Bytes]) -> Result<Self, Failure> {
        let mut when = When::default();
        let mut orders = [false; 2];
        for option in options {
            match option.to_ascii_uppercase().as_slice() {
                b"NX" => when.only_without_end = true,
                b"XX" => when.only_with_end = true,
                b"GT" => orders[0] = true,
                b"LT" => orders[1] = true,
                _ => return Err(refusal("ERR Unsupported option")),
            }
        }
        when.order = match orders {
            [true, true] => {
                return Err(refusal("ERR GT and LT options at the same time are not compatible"));
            }
            [true, false] => Some(Ordering::Greater),
            [false, true] => Some(Ordering::Less),
            [false, false] => None,
        };
        if when.only_without_end && (when.only_with_end || when.order.is_some()) {
            let detail = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(refusal(detail));
        }
        Ok(when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_are_left_are_the_nearest() {
        assert_eq!(rounded(99_600_000, 1_000_000), 100, "a key that was just given 100 seconds has 100");
        assert_eq!(rounded(99_400_000, 1_000_000), 99);
        assert_eq!(rounded(1500, 1000), 2);
        assert_eq!(rounded(i64::MAX, 1000), i64::MAX / 1000);
    }
}
