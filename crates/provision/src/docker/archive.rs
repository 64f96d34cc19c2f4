//! Files as the engine takes and gives them: a tar archive, of which we need only plain files in one directory.

use std::io::{self, Read};

use model::Failure;
use model::recipe::File;
use tar::{Archive, Builder, EntryType, Header};

/// A directory, as a path without its first `/`, with these files in it. Everybody in the container may read them: which
/// user a program becomes there is known to its image alone, and nobody else is in it.
pub(super) fn pack(dir: &str, files: &[File]) -> Result<Vec<u8>, Failure> {
    let put = || {
        let mut tar = Builder::new(Vec::new());
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), dir, io::empty())?;
        for File { name, text } in files {
            let text = text.reveal().as_bytes();
            let mut header = header(EntryType::Regular, 0o444, text.len() as u64);
            tar.append_data(&mut header, format!("{dir}/{name}"), text)?;
        }
        tar.into_inner()
    };
    put().map_err(|error: io::Error| {
        let detail = format!("The files of `{dir}` cannot be put into a container: {error}.");
        Failure::gateway(model::Code::InvalidConfig, detail).with_cause(error)
    })
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// The plain files of an archive: names without directories, and what stands in them. What cannot be read ends it.
pub(super) fn unpack(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = Archive::new(tar);
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let whole = entries.map_while(|entry| {
        let mut entry = entry.ok()?;
        let name = entry.path().ok()?.file_name()?.to_string_lossy().into_owned();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).ok()?;
        let is_file = entry.header().entry_type() == EntryType::Regular;
        (text.len() as u64 == entry.size()).then_some((is_file, name, text))
    });
    whole.filter(|(is_file, ..)| *is_file).map(|(_, name, text)| (name, text)).collect()
}

#[cfg(test)]
mod tests {
    use model::secret::Secret;

    use super::*;

    #[test]
    fn what_is_packed_is_what_comes_out() {
        let file = |name: &str, text: String| File { name: name.to_owned(), text: Secret::new(text) };
        let files = [file("a.conf", "one".to_owned()), file("b", "x".repeat(512)), file("c", String::new())];
        let tar = pack("throome", &files).expect("short names");
        let read: Vec<_> = unpack(&tar).into_iter().map(|(name, text)| (name, text.len())).collect();
        assert_eq!(read, [("a.conf".to_owned(), 3), ("b".to_owned(), 512), ("c".to_owned(), 0)]);
        assert!(pack("throome", &[file("../n", String::new())]).is_err());
    }

    #[test]
    fn other_peoples_tar_reads_it_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = Secret::new("requirepass canary\n");
        let tar = pack("throome", &[File { name: "redis.conf".to_owned(), text }]).expect("short names");
        std::fs::write(dir.path().join("x.tar"), tar).expect("written");
        let listed = std::process::Command::new("tar")
            .args(["--list", "--verbose", "--file", "x.tar"])
            .current_dir(dir.path())
            .output()
            .expect("tar");
        let said = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        assert!(said.contains("-r--r--r--") && said.contains("throome/redis.conf"), "{said}");
        assert!(said.contains("drwxr-xr-x"), "{said}");
    }

    #[test]
    fn what_is_cut_off_or_no_archive_is_read_as_far_as_it_goes() {
        let file = File { name: "a".to_owned(), text: Secret::new("text") };
        let tar = pack("t", &[file]).expect("short names");
        for length in 0..tar.len() {
            let _ = unpack(&tar[..length]);
        }
        assert!(unpack(&[0xff; 2048]).is_empty());
    }
}
