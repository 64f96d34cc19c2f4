//! Tidiness of files, functions and links.

use std::path::Path;

use xtask::tidy::{FUNCTION, dead_links, untidy};
use xtask::{files, root, shown};

#[test]
fn the_sources_are_tidy() {
    let sources = files(&["crates", "sdks/rust", "tests", "benches", "xtask"], ".rs");
    assert!(sources.len() > 200, "the sources were not found");
    let found: Vec<String> =
        sources.iter().flat_map(|path| untidy(path, &std::fs::read_to_string(path).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let mut pages = files(&["docs", "crates", "sdks", "benches", "tests", "examples"], ".md");
    let of_root = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(of_root.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    let dead = |page: &std::path::PathBuf| {
        let links = dead_links(page, &std::fs::read_to_string(page).unwrap());
        links.into_iter().map(|link| format!("{}: {link}", shown(page))).collect::<Vec<_>>()
    };
    let dead: Vec<String> = pages.iter().flat_map(dead).collect();
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    let long =
        |head: &str| format!("//! A file.\n{head}fn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION));
    let excuse = "#[expect(clippy::too_many_lines, reason = \"a table\")]\n";
    let machine = ["//! A file.\nconst HERE: &str = \"/ho", "me/somebody\";\n"].concat();
    let cases = [
        ("fn short() {}\n".to_owned(), 1),
        ("//! A file.\nfn short() {}\n".to_owned(), 0),
        (long(""), 1),
        (long(excuse), 0),
        (long("#[expect(clippy::too_many_lines)]\n"), 1),
        (long(&format!("{excuse}fn other() {{}}\n")), 1),
        (machine, 1),
        (format!("//! A file.\n{}", "\n".repeat(600)), 1),
    ];
    for (source, faults) in cases {
        let found = untidy(Path::new("crates/x/src/planted.rs"), &source);
        assert_eq!(found.len(), faults, "{found:?}\n{source}");
    }
    let page = "[a](Cargo.toml) [b](missing.md#there) [c](https://example.org)\n```\n[d](gone)\n```\n";
    assert_eq!(dead_links(&root().join("page.md"), page), ["missing.md#there"]);
}
