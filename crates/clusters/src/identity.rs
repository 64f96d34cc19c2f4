//! What tells this gateway from others that share its store or its machine: a word that is made once, and stands in its
//! data directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file in the data directory.
const FILE: &str = "gateway.id";

/// The word by which this gateway is told from others; made now, where there is none yet.
///
/// # Errors
/// Its file cannot be read or made, or holds something else.
pub fn read_or_make(data_dir: &Path) -> io::Result<String> {
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return checked(read?),
    }
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let word = format!("{:016x}", crate::choice::random());
    let new = data_dir.join(format!(".{FILE}.{word}"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(word.as_bytes())?;
    file.sync_all()?;
    // Another process may make one at the same time: the first one counts, and nobody ever sees half of it.
    let linked = fs::hard_link(&new, &path);
    fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => checked(fs::read_to_string(&path)?),
    }
}

fn checked(text: String) -> io::Result<String> {
    let word = text.trim();
    if word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(word.to_owned());
    }
    let message = format!("`{FILE}` is not what a gateway has written: put the right one back, or remove it");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_told_from_nonsense() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("not/there/yet");
        let word = read_or_make(&data).unwrap();
        assert_eq!(read_or_make(&data).unwrap(), word);
        assert_ne!(read_or_make(dir.path()).unwrap(), word);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing else is left");
        fs::write(data.join(FILE), "x").unwrap();
        assert!(read_or_make(&data).unwrap_err().to_string().contains("remove it"));
    }
}
