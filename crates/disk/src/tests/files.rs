//! Files that cannot be a database: each error names the file and the fix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{insert, numbers, table};
use crate::{Disk, Error, SqlError};

fn refused(path: &Path) -> Error {
    match Disk::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => {
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            error
        }
    }
}

#[tokio::test]
async fn the_file_and_its_log_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, ()) = Disk::open_with(&dir.path().join("numbers.db"), table).unwrap();
    disk.write(insert(1)).await.unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 3, "the file, its log and the index of that");
}

#[test]
fn another_kind_of_file_is_not_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.db");
    fs::write(&path, "dear diary, ".repeat(1000)).unwrap();
    let error = refused(&path);
    assert!(matches!(error, Error::NotADatabase { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary, ".repeat(1000), "it is left as it is");
}

#[tokio::test]
async fn a_damaged_file_is_found_out_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    let (disk, ()) = Disk::open_with(&path, table).unwrap();
    disk.write(|c| (0..5000).try_for_each(|n| insert(n)(c).map(drop))).await.unwrap();
    disk.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("put a backup in its place"), "{error}");
}

#[tokio::test]
async fn a_large_file_is_checked_while_it_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    let (disk, ()) = Disk::open_with(&path, table).unwrap();
    disk.write(|c| (0..5000).try_for_each(|n| insert(n)(c).map(drop))).await.unwrap();
    disk.close().await;
    let (sound, ()) = Disk::open_within(&path, 1000, crate::log::LOG_MOST, |_| Ok(())).unwrap();
    assert_eq!(sound.read(numbers).await.unwrap().len(), 5000);
    assert!(sound.damage().is_none());
    sound.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let (damaged, ()) = Disk::open_within(&path, 1000, crate::log::LOG_MOST, |_| Ok(())).unwrap();
    let mut found = None;
    for _ in 0..1000 {
        found = damaged.damage();
        if found.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(matches!(found, Some(Error::Corrupt { .. })), "{found:?}");
    let error = damaged.read(numbers).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "who reads the damaged part is told as well: {error}");
    let error = damaged.write(|c| c.execute("DELETE FROM numbers", [])).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_said_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for (path, reason) in [
        (file.join("numbers.db"), "Not a directory"),
        (dir.path().join("missing/numbers.db"), "No such file or directory"),
        (dir.path().to_path_buf(), "unable to open database file"),
    ] {
        let error = refused(&path);
        assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_directory_without_write_permission_is_refused_to_others_than_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let root = fs::write(dir.path().join("probe"), "").is_ok();
    match Disk::open_with(&path, table) {
        // Permissions do not bind root, for whom the directory is as good as any.
        Ok((disk, ())) => {
            assert!(root);
            assert!(disk.read(numbers).await.unwrap().is_empty());
        }
        Err(error) => assert!(!root && error.to_string().contains("Permission denied"), "{error}"),
    }
}

#[test]
fn sqlite_codes_of_the_file_have_names() {
    use rusqlite::ffi;
    for (code, name) in [
        (ffi::SQLITE_BUSY, "Busy"),
        (ffi::SQLITE_LOCKED, "Busy"),
        (ffi::SQLITE_FULL, "Full"),
        (ffi::SQLITE_IOERR_SHMSIZE, "Full"),
        (ffi::SQLITE_READONLY_DIRECTORY, "ReadOnly"),
        (ffi::SQLITE_CANTOPEN, "ReadOnly"),
        (ffi::SQLITE_CORRUPT, "Corrupt"),
        (ffi::SQLITE_NOTADB, "NotADatabase"),
        (ffi::SQLITE_IOERR, "Sql"),
        (ffi::SQLITE_CONSTRAINT, "Sql"),
    ] {
        let error = Error::of(SqlError::SqliteFailure(ffi::Error::new(code), None), Path::new("x.db"));
        assert!(format!("{error:?}").starts_with(name), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn every_connection_is_set_to_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&dir.path().join("numbers.db")).unwrap();
    let settings = |c: &crate::Connection| {
        let get = |name| c.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let journal: String = c.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok((journal, get("synchronous")?, get("foreign_keys")?, get("query_only")?, get("busy_timeout")?))
    };
    // 2 is FULL.
    assert_eq!(disk.write(settings).await.unwrap(), ("wal".to_owned(), 2, 1, 0, 5000));
    assert_eq!(disk.read(settings).await.unwrap(), ("wal".to_owned(), 2, 1, 1, 5000));
}
