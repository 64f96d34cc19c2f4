//! Archives that come from anybody.

use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use super::*;

/// One entry, as it stands there: nothing is made right.
struct Entry {
    path: &'static str,
    kind: EntryType,
    target: &'static str,
    body: &'static str,
}

fn file(path: &'static str, body: &'static str) -> Entry {
    Entry { path, kind: EntryType::Regular, target: "", body }
}

fn dir(path: &'static str) -> Entry {
    Entry { path, kind: EntryType::Directory, target: "", body: "" }
}

fn link(path: &'static str, target: &'static str) -> Entry {
    Entry { path, kind: EntryType::Symlink, target, body: "" }
}

fn hard(path: &'static str, target: &'static str) -> Entry {
    Entry { path, kind: EntryType::Link, target, body: "" }
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_link_name_literal(entry.target).unwrap();
        header.set_mode(0o6751);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(entry.body.len() as u64);
        header.set_cksum();
        builder.append(&header, entry.body.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What is said of it, by both ways of taking it; and nothing stands outside of where it was to be put.
fn refused(tar: &[u8]) -> String {
    let outer = TempDir::new().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let why = match unpack(tar, &inner) {
        Err(Bad::Archive(why)) => why,
        // Where two of it have one name.
        Err(Bad::Output(error)) => error.to_string(),
        Ok(()) => panic!("it was taken"),
    };
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    if let Err(Bad::Archive(also)) = sift(tar, io::sink(), None) {
        assert_eq!(also, why);
    }
    why
}

#[test]
fn what_would_reach_outside_is_refused() {
    let cases: &[(&[Entry], &str)] = &[
        (&[file("/etc/passwd", "x")], "`/etc/passwd` leads out"),
        (&[file("a/../../b", "x")], "leads out"),
        (&[file("..", "x")], "leads out"),
        (&[dir("..")], "leads out"),
        (&[link("a", "/etc")], "the link `a` leads out"),
        (&[link("a", "..")], "the link `a` leads out"),
        (&[dir("d"), link("d/a", "../..")], "the link `d/a` leads out"),
        // Down through another link and up from there.
        (&[dir("d/e"), link("d/e/up", "../.."), link("a", "d/e/up/..")], "the link `a` leads out"),
        (&[link("a", "d"), file("a/b", "x")], "`a/b` stands behind the link `a`"),
        (&[link("a", "d"), file("a", "x")], "stands behind the link `a`"),
        (&[hard("a", "/etc/passwd")], "leads out"),
        (&[hard("a", "../../b")], "leads out"),
        (&[link("a", "b"), hard("c", "a")], "leads out"),
        (&[Entry { kind: EntryType::Fifo, ..file("a", "") }], "neither a file"),
        (&[Entry { kind: EntryType::Char, ..file("a", "") }], "neither a file"),
        (&[Entry { kind: EntryType::Block, ..file("a", "") }], "neither a file"),
        (&[Entry { kind: EntryType::Symlink, ..file("a", "") }], "leads out"),
        (&[file("a", "x"), file("a", "y")], "exists"),
        (&[dir("./")], "nothing in it"),
    ];
    for (entries, words) in cases {
        let why = refused(&tar(entries));
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn an_archive_that_is_cut_off_or_none_is_refused_wherever_that_is() {
    let whole = tar(&[dir("d"), file("d/a", "some text"), file("b", "")]);
    assert!(sift(&*whole, io::sink(), None).is_ok());
    // The two blocks at its end are its end.
    let end = whole.len() - 1024;
    for length in (0..end).step_by(29).chain((0..=end).step_by(512)) {
        assert!(!refused(&whole[..length]).is_empty(), "{length} of {}", whole.len());
    }
    refused(&[0x5a; 4096]);
    let mut damaged = whole.clone();
    damaged[600] ^= 1;
    refused(&damaged);
}

#[test]
fn a_name_without_an_end_fills_no_memory() {
    let mut header = Header::new_gnu();
    header.set_path("long").unwrap();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let tar = header.as_bytes().as_slice().chain(io::repeat(b'x'));
    let why = sift(tar, io::sink(), None).unwrap_err();
    assert!(matches!(&why, Bad::Archive(why) if why.contains("too long")), "{why:?}");
}

#[test]
fn what_is_packed_is_laid_out_again_for_whoever_runs_it() {
    let from = TempDir::new().unwrap();
    let deep = from.path().join("d").join("x".repeat(120)).join("y".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    fs::write(from.path().join("top"), [7; 100_000]).unwrap();
    fs::set_permissions(from.path().join("top"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(from.path().join("top"), from.path().join("same")).unwrap();
    symlink("d", from.path().join("link")).unwrap();
    fs::create_dir(from.path().join("empty")).unwrap();
    fs::set_permissions(from.path().join("empty"), fs::Permissions::from_mode(0o750)).unwrap();
    let mut packed = Vec::new();
    pack(from.path(), &mut packed).unwrap();
    let mut sifted = Vec::new();
    sift(&*packed, &mut sifted, Some(Owner { uid: 70, gid: 71 })).unwrap();
    let mut archive = tar::Archive::new(&*sifted);
    assert!(archive.entries().unwrap().all(|entry| entry.unwrap().header().uid().unwrap() == 70));
    for archive in [&packed, &sifted] {
        let to = TempDir::new().unwrap();
        unpack(&**archive, to.path()).unwrap();
        let deep = to.path().join(deep.strip_prefix(from.path()).unwrap());
        assert_eq!(fs::read_to_string(deep.join("file")).unwrap(), "deep");
        let top = fs::metadata(to.path().join("top")).unwrap();
        assert_eq!((top.len(), top.mode() & 0o7777), (100_000, 0o640));
        let before = fs::metadata(from.path().join("top")).unwrap();
        assert_eq!(top.mtime(), before.mtime());
        assert_eq!(fs::read(to.path().join("same")).unwrap(), [7; 100_000]);
        assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("d"));
        assert_eq!(fs::metadata(to.path().join("empty")).unwrap().mode() & 0o7777, 0o750);
    }
    let to = TempDir::new().unwrap();
    unpack(&*tar(&[dir("d"), file("d/a", "x")]), to.path()).unwrap();
    let mode = |path: &str| fs::metadata(to.path().join(path)).unwrap().mode() & 0o7777;
    assert_eq!(
        (mode("d"), mode("d/a")),
        (0o751, 0o751),
        "and nothing that makes somebody else of who runs it"
    );
}
