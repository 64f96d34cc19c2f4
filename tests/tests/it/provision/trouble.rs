//! The guide to trouble: each of its symptoms is brought about, and the words on the page are those of the program.

mod four;
mod others;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use throome_e2e::reply::Reply;

/// Brings trouble about, and gives what is said of it.
type Bring = fn() -> Vec<String>;

/// The headings of the page, and who brings about what stands below them.
const SECTIONS: &[(&str, Bring)] = &[
    ("Permission denied at the Docker socket", four::permission),
    ("A port is in use", four::ports),
    ("Connection refused", four::refused),
    ("A creation times out", four::times_out),
    ("A program ends at once", others::ends),
    ("No Docker Engine", others::no_engine),
    ("The engine goes away", others::goes_away),
    ("An image cannot be had", others::no_image),
    ("The disk is full", others::full),
    ("A program is not installed", others::not_installed),
    ("Something of that name is there", others::stranger),
    ("The gateway does not run it", others::not_ours),
    ("Another change is under way", others::under_way),
    ("A deletion does not end", others::deletion),
];

#[test]
fn permission_denied_at_the_socket() {
    check(0..1);
}

#[test]
fn a_port_in_use() {
    check(1..2);
}

#[test]
fn connection_refused() {
    check(2..3);
}

/// Costs some 5 s: as long as the program may take.
#[test]
fn a_creation_that_times_out() {
    check(3..4);
}

/// Costs some 15 s.
#[test]
fn all_other_trouble() {
    check(4..SECTIONS.len());
}

/// The page has these sections and no others that quote the program, each with a test.
#[test]
fn the_page_has_what_is_brought_about() {
    let quotes = page();
    let titles: Vec<&str> = SECTIONS.iter().map(|(title, _)| *title).collect();
    let mut sorted = titles.clone();
    sorted.sort_unstable();
    assert_eq!(quotes.keys().map(String::as_str).collect::<Vec<_>>(), sorted);
}

fn check(sections: std::ops::Range<usize>) {
    let quotes = page();
    for (title, bring_about) in &SECTIONS[sections] {
        let said = bring_about();
        for quote in &quotes[*title] {
            assert!(
                said.iter().any(|said| is_like(quote, said)),
                "{title}: nobody says {quote:?}: {said:#?}"
            );
        }
    }
}

/// What is quoted below each heading: the indented lines.
fn page() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/guide/troubleshooting.md")).unwrap();
    let mut quotes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut title = None;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = Some(heading.to_owned());
        } else if let (Some(title), Some(quote)) = (&title, line.strip_prefix("    ")) {
            quotes.entry(title.clone()).or_default().push(quote.to_owned());
        }
    }
    quotes
}

/// Whether this is what a page quotes: `…` stands for anything.
fn is_like(quote: &str, said: &str) -> bool {
    let mut rest = said;
    let mut parts = quote.split('…').peekable();
    let Some(first) = parts.next() else { return false };
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[test]
fn a_quote_is_like_what_it_leaves_open() {
    assert!(is_like("Port … is in use by … (pid …).", "Port 6379 is in use by redis (pid 7)."));
    assert!(!is_like("Port … is in use.", "Port 6379 is in use by redis."));
    assert!(!is_like("Port 1", "Port 12"));
}

/// What an answer says, which is to be an error.
#[track_caller]
fn detail(answer: &Reply) -> String {
    assert!(answer.status >= 400, "{}", answer.text());
    let problem: Value = answer.json();
    problem["detail"].as_str().unwrap_or_default().to_owned()
}
