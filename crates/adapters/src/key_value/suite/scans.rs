//! A scan shows every key that stays, only keys that match, and ends.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use model::Code;

use super::{Subject, passed, refused};

pub(super) async fn run(subject: &Subject) {
    patterns_choose_keys(subject).await;
    thousands_come_page_by_page(subject).await;
    what_stays_is_seen_while_the_rest_changes(subject).await;
    nonsense_is_no_cursor(subject).await;
}

async fn patterns_choose_keys(subject: &Subject) {
    let names = ["cat", "cut", "c*t", "coat", "dog", "do\u{0}g", "d]g"];
    let prefix = subject.key("glob:");
    for name in names {
        subject.set(&[&prefix, name.as_bytes()].concat(), "v").await;
    }
    for (pattern, matches) in [
        ("*", names.to_vec()),
        ("c?t", vec!["c*t", "cat", "cut"]),
        ("c*t", vec!["c*t", "cat", "coat", "cut"]),
        ("c\\*t", vec!["c*t"]),
        ("c[ab]t", vec!["cat"]),
        ("c[a-u]t", vec!["cat", "cut"]),
        ("c[^a]t", vec!["c*t", "cut"]),
        ("d[\\]o]g", vec!["d]g", "dog"]),
        ("do?g", vec!["do\0g"]),
        ("cat", vec!["cat"]),
        ("ca", vec![]),
    ] {
        let whole = [&prefix, pattern.as_bytes()].concat();
        let found: BTreeSet<_> = subject.scan(&whole, 100).await.into_iter().collect();
        let wanted: BTreeSet<_> =
            matches.iter().map(|name| Bytes::from([&prefix, name.as_bytes()].concat())).collect();
        assert_eq!(found, wanted, "{pattern}");
    }
}

async fn thousands_come_page_by_page(subject: &Subject) {
    let wanted: BTreeSet<_> = (0..3000).map(|n| Bytes::from(subject.key(format!("page:{n}")))).collect();
    for key in &wanted {
        subject.set(key, "v").await;
    }
    let pattern = subject.key("page:*");
    for limit in [7, 1000] {
        let mut found = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = passed("scan", subject.kv().scan(Some(&pattern), cursor.as_deref(), limit)).await;
            assert!(page.keys.len() <= limit, "{} keys where {limit} were asked for", page.keys.len());
            found.extend(page.keys);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted);
    }
    // Without a pattern everything is shown, whatever else there is.
    let mut found = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = passed("scan", subject.kv().scan(None, cursor.as_deref(), 1000)).await;
        found.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(found.is_superset(&wanted));
}

async fn what_stays_is_seen_while_the_rest_changes(subject: &Subject) {
    let stays: Vec<_> = (0..1000).map(|n| subject.key(format!("stays:{n}"))).collect();
    let goes: Vec<_> = (0..1000).map(|n| subject.key(format!("stays:not:{n}"))).collect();
    for key in stays.iter().chain(&goes) {
        subject.set(key, "v").await;
    }
    let mut seen: HashMap<Bytes, usize> = HashMap::new();
    let mut going = goes.iter();
    let mut cursor = None;
    let pattern = subject.key("stays:*");
    for turn in 0.. {
        let page = passed("scan", subject.kv().scan(Some(&pattern), cursor.as_deref(), 50)).await;
        for key in page.keys {
            *seen.entry(key).or_default() += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        for key in going.by_ref().take(20) {
            assert!(subject.delete(key).await);
        }
        // Enough to change the tables; an engine may show these or not.
        for n in 0..if turn < 50 { 40 } else { 0 } {
            subject.set(&subject.key(format!("new:{turn}:{n}")), "v").await;
        }
        subject.set(&stays[turn % stays.len()], format!("changed in turn {turn}")).await;
    }
    for key in &stays {
        assert!(seen.contains_key(key.as_slice()), "{} was not seen", String::from_utf8_lossy(key));
    }
}

async fn nonsense_is_no_cursor(subject: &Subject) {
    for cursor in [b"\xff".as_slice(), b"\xffnonsense", b"", b"0x10"] {
        let code = refused(subject.kv().scan(None, Some(cursor), 10)).await;
        assert_eq!(code, Code::InvalidRequest, "{cursor:?}");
    }
}
