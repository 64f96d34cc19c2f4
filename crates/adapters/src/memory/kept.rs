//! The entries as a file, from one process to the one that takes its place. Nothing else reads it: there is one version
//! of its form, and a file that has another is passed over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::shard::Entry;
use super::store::Store;
use crate::key_value::{MAX_KEY, SetOptions, Value};

/// What a file begins with.
const FORM: &[u8; 16] = b"throome memory 1";

/// A length that says that there is nothing.
const NONE: u32 = u32::MAX;

/// An expiry that says never, in microseconds of the wall clock, which both processes share.
const NEVER: u64 = u64::MAX;

/// Writes every live entry, readable by its owner alone; what cannot be written by then is given up, which a cache may.
/// Under its name there is a whole file or none. Nothing is written to the store from then on.
pub(super) fn leave(store: &Store, path: &Path, until: Instant) -> io::Result<()> {
    store.end();
    let part = path.with_extension("part");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(FORM)?;
    let (began, today) = (Instant::now(), now_us());
    let mut index = 0;
    'all: while let Some(shard) = store.nth(index) {
        for (key, entry) in shard.entries() {
            if Instant::now() > until {
                tracing::warn!(path = %path.display(), "a cache is too large to be left whole in time: a part of it is lost");
                break 'all;
            }
            write_entry(&mut out, key, entry, began, today)?;
        }
        index += 1;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?;
    fs::rename(part, path)
}

/// Puts what is in the file into the store, as far as it comes by then, and takes the file away. Without a file there is
/// nothing to do.
pub(super) fn take_up(store: &Store, path: &Path, until: Instant) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    fs::remove_file(path)?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut form = [0; FORM.len()];
    file.read_exact(&mut form)?;
    if &form != FORM {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has a form of another version"));
    }
    let today = now_us();
    while let Some((key, entry)) = read_entry(&mut file, today)? {
        if Instant::now() > until {
            tracing::warn!(path = %path.display(), "a cache is too large to be taken up in time: a part of it is lost");
            break;
        }
        let Some((value, ttl)) = entry else { continue };
        if store.set(&key, value, SetOptions { ttl, if_absent: false }, Instant::now()).is_err() {
            break;
        }
    }
    Ok(())
}

fn write_entry(out: &mut impl Write, key: &[u8], entry: &Entry, now: Instant, today: u64) -> io::Result<()> {
    let over = match entry.expires {
        None => NEVER,
        Some(at) => match at.checked_duration_since(now) {
            None => return Ok(()),
            Some(left) => today.saturating_add(micros(left)).min(NEVER - 1),
        },
    };
    let Value { bytes, content_type } = &entry.value;
    out.write_all(&over.to_le_bytes())?;
    write_text(out, Some(key))?;
    write_text(out, content_type.as_deref().map(str::as_bytes))?;
    write_text(out, Some(bytes))
}

fn write_text(out: &mut impl Write, text: Option<&[u8]>) -> io::Result<()> {
    let length = text.map_or(NONE, |text| u32::try_from(text.len()).unwrap_or(NONE));
    out.write_all(&length.to_le_bytes())?;
    out.write_all(text.filter(|_| length != NONE).unwrap_or_default())
}

type Carried = (Vec<u8>, Option<(Value, Option<Duration>)>);

/// The next entry; without a value when its time is over. Nothing at the end.
fn read_entry(from: &mut impl Read, today: u64) -> io::Result<Option<Carried>> {
    let mut over = [0; 8];
    match from.read_exact(&mut over) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let key = read_text(from)?.filter(|key| key.len() <= MAX_KEY).ok_or_else(bad)?;
    let content_type = match read_text(from)? {
        Some(text) => Some(String::from_utf8(text).map_err(|_| bad())?.into_boxed_str()),
        None => None,
    };
    let Some(bytes) = read_text(from)? else { return Ok(Some((key, None))) };
    let value = Value { bytes: Bytes::from(bytes), content_type };
    let entry = match u64::from_le_bytes(over) {
        NEVER => Some((value, None)),
        over => over.checked_sub(today).map(|left| (value, Some(Duration::from_micros(left)))),
    };
    Ok(Some((key, entry)))
}

fn read_text(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length == NONE {
        return Ok(None);
    }
    let mut text = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut text)?;
    if text.len() as u64 == u64::from(length) { Ok(Some(text)) } else { Err(bad()) }
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

fn now_us() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, micros)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_value::Ttl;
    use crate::memory::options::Options;

    fn store() -> Store {
        Store::new(Options { max_memory: 8 << 20, max_value: 1 << 20 })
    }

    #[test]
    fn what_one_store_leaves_another_takes_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let (one, now) = (store(), Instant::now());
        let typed =
            Value { bytes: Bytes::from_static(b"\0{}"), content_type: Some("application/json".into()) };
        one.set(b"typed", typed, SetOptions::default(), now).unwrap();
        let soon = SetOptions { ttl: Some(Duration::from_secs(60)), if_absent: false };
        one.set(b"soon", Value::plain("x"), soon, now).unwrap();
        let past = SetOptions { ttl: Some(Duration::from_millis(1)), if_absent: false };
        one.set(b"past", Value::plain("x"), past, now).unwrap();
        for n in 0..1000 {
            one.set(format!("k{n}").as_bytes(), Value::plain(vec![7; n]), SetOptions::default(), now)
                .unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
        leave(&one, &path, later()).unwrap();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (other, now) = (store(), Instant::now());
        take_up(&other, &path, later()).unwrap();
        assert!(!path.exists());
        assert_eq!(other.len(), 1002);
        let typed = other.get(b"typed", now).unwrap();
        assert_eq!(
            (&typed.bytes[..], typed.content_type.as_deref()),
            (&b"\0{}"[..], Some("application/json"))
        );
        assert!(
            matches!(other.ttl(b"soon", now), Ttl::Left(left) if left.as_secs() >= 58),
            "its time goes on"
        );
        assert!(matches!(other.ttl(b"typed", now), Ttl::Forever));
        assert!(other.get(b"past", now).is_none());
        assert_eq!(other.get(b"k999", now).unwrap().bytes.len(), 999);
        take_up(&other, &path, later()).unwrap();
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_is_acknowledged_while_it_is_left_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let one = store();
        let key = |n: usize| format!("k{}", n % 100).into_bytes();
        let write =
            |n: usize| one.set(&key(n), Value::plain(n.to_string()), SetOptions::default(), Instant::now());
        let acknowledged = std::thread::scope(|scope| {
            let writing = scope.spawn(|| (0..).take_while(|n| write(*n).is_ok()).count());
            std::thread::sleep(Duration::from_millis(5));
            leave(&one, &path, later()).unwrap();
            writing.join().unwrap()
        });
        let (other, now) = (store(), Instant::now());
        take_up(&other, &path, later()).unwrap();
        for n in acknowledged.saturating_sub(100)..acknowledged {
            assert_eq!(other.get(&key(n), now).unwrap().bytes, n.to_string(), "{n} of {acknowledged}");
        }
        assert!(acknowledged > 0 && one.delete(b"a", now).is_err() && one.incr(b"a", 1, now).is_err());
        assert!(one.expire(b"a", None, now).is_err() && one.hold(&[b"a", b"b"], now).is_err());
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let (one, now) = (store(), Instant::now());
        one.set(b"a", Value::plain("v"), SetOptions::default(), now).unwrap();
        leave(&one, &path, now).unwrap();
        let other = store();
        take_up(&other, &path, later()).unwrap();
        assert_eq!(other.len(), 0);
        assert!(one.set(b"a", Value::plain("v"), SetOptions::default(), now).is_err());
    }

    #[test]
    fn a_file_that_is_damaged_is_told_and_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let one = store();
        one.set(b"key", Value::plain("a long value"), SetOptions::default(), Instant::now()).unwrap();
        leave(&one, &path, later()).unwrap();
        let whole = fs::read(&path).unwrap();
        for (bytes, why) in [(&whole[..whole.len() - 3], "damaged"), (&b"another form of it"[..], "version")]
        {
            fs::write(&path, bytes).unwrap();
            let error = take_up(&store(), &path, later()).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(!path.exists());
        }
    }
}
