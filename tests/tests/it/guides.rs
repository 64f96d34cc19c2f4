//! The guides and the README, typed as they stand: every line succeeds, and answers what the page shows.

mod compare;
mod errors;
mod page;
mod shell;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Layout, turn};

use page::{Answer, Step};
use shell::Said;
pub(crate) use shell::libraries;

/// The pages with lines to type; each has a test of its own below.
const TYPED: &[&str] = &[
    "README.md",
    "docs/guide/getting-started.md",
    "docs/guide/api-reference.md",
    "docs/guide/deployment.md",
];

/// Lines that are not typed here, by how they begin, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("make ", "builds and starts what runs here already"),
    ("cargo ", "builds, and runs tests that run by themselves"),
    ("examples/basic/run.sh", "is running when its page is typed, as the next three are"),
    ("examples/websocket-chat/run.sh", "the same"),
    ("examples/sse-dashboard/run.sh", "the same"),
    ("examples/microservices/run.sh", "the same"),
    ("npm install ", "the library is installed for tests/clients, in the version that is known to work"),
];

#[test]
fn the_readme_works_as_it_stands() {
    type_page("README.md");
}

#[test]
fn getting_started_works_as_it_stands() {
    type_page("docs/guide/getting-started.md");
}

#[test]
fn the_api_reference_works_as_it_stands() {
    type_page("docs/guide/api-reference.md");
}

#[test]
fn deployment_works_as_it_stands() {
    type_page("docs/guide/deployment.md");
}

/// A page that is wrong is found: a line that fails beside others that do not, and another answer.
#[test]
fn a_page_that_is_wrong_is_found() {
    let page = "```sh\nfalse\ntrue\n```\n\n```sh\nA=$(false)\n```\n\n```sh\ncurl http://localhost:9000/health\n```\n\n\
                ```json\n{ \"status\": \"sick\", … }\n```\n\n```sh\nB=kept\n```\n\n```sh\necho $B\n```\n\n```text\nkept\n```\n\n\
                ```sh\nsleep 60    # Ctrl-C ends it\n```\n";
    let (typed, faults) = faults_of("a page", page);
    assert_eq!((typed, faults.len()), (6, 3), "{faults:#?}");
    for (fault, words) in faults.iter().zip(["failed: false", "failed: A=$(false)", "\"sick\" is shown"]) {
        assert!(fault.contains(words), "{fault}");
    }
}

/// No page has lines that nobody types.
#[test]
fn every_page_with_lines_is_typed() {
    let mut pages = vec![root().join("README.md")];
    pages.extend(fs::read_dir(root().join("docs/guide")).unwrap().map(|entry| entry.unwrap().path()));
    let mut found = BTreeSet::new();
    for path in pages.iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let steps = page::steps(&fs::read_to_string(path).unwrap());
        if steps.iter().any(|step| matches!(step, Step::Type { script, .. } if !script.trim().is_empty())) {
            found.insert(name);
        }
    }
    assert_eq!(found, TYPED.iter().map(|page| (*page).to_owned()).collect());
}

/// The table of what each kind can be asked is what the gateway says.
#[test]
fn the_table_of_abilities_is_right() {
    let _turn = turn::together();
    let page = fs::read_to_string(root().join("docs/guide/api-reference.md")).unwrap();
    let table = page.split("<!-- abilities").nth(1).unwrap().split("<!-- end of abilities").next().unwrap();
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').take(3).map(|cell| cell.trim().replace('`', "")).collect()
    };
    let shown: Vec<Vec<String>> = table.lines().filter(|row| row.starts_with("| `")).map(cells).collect();
    let kinds = Layout::default().start().show("/api/v1/kinds");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let said = |kind: &Value| {
        let abilities: Vec<String> = kind["abilities"].as_array().unwrap().iter().map(text).collect();
        vec![text(&kind["name"]), text(&kind["place"]), abilities.join(", ")]
    };
    let said: Vec<Vec<String>> = kinds["kinds"].as_array().unwrap().iter().map(said).collect();
    assert_eq!(shown, said);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Types a page, which must work as it stands.
fn type_page(name: &str) {
    let (typed, faults) = faults_of(name, &fs::read_to_string(root().join(name)).unwrap());
    assert!(typed > 0, "{name} has no lines to type");
    assert!(faults.is_empty(), "{} of {typed} blocks:\n\n{}", faults.len(), faults.join("\n\n"));
}

/// Types a page into one shell, beside a gateway of its own, and compares what is answered: how many blocks were
/// typed, and what is wrong.
fn faults_of(name: &str, page: &str) -> (usize, Vec<String>) {
    let _turn = turn::together();
    let gateway = Layout::default().run("dev");
    wait_for("the greeting", Duration::from_secs(10), || gateway.printed().contains("swagger").then_some(()));
    let ports = [
        ("9000", gateway.control.port()),
        ("8080", gateway.traffic.port()),
        // Two services of the reader's own.
        ("3000", free_port()),
        ("3001", free_port()),
    ];
    faults_beside(name, page, gateway.control, &ports)
}

/// The same beside a gateway that runs, where ports that the page names are others.
pub(crate) fn faults_beside(
    name: &str,
    page: &str,
    control: SocketAddr,
    ports: &[(&str, u16)],
) -> (usize, Vec<String>) {
    let steps = page::steps(&moved(page, ports));
    let said = shell::run(control, &steps);
    let mut faults = Vec::new();
    let mut typed = 0;
    for (step, said) in steps.iter().zip(&said) {
        let Step::Type { line, script, answer, left_out } = step else { continue };
        for line in left_out {
            eprintln!("{name}: left out: {line}");
        }
        typed += 1;
        if let Some(fault) = fault(said, answer.as_ref()) {
            faults.push(format!("{name}, line {line}:\n{}\n{fault}", script.trim_end()));
        }
    }
    (typed, faults)
}

fn fault(said: &Said, answer: Option<&Answer>) -> Option<String> {
    if let Some(failed) = &said.failed {
        return Some(format!("failed: {failed}\n{}{}", said.out, said.err));
    }
    let compared = match answer {
        None => Ok(()),
        Some(Answer::Json(shown)) => compare::json(shown, &said.out),
        Some(Answer::Text(shown)) => compare::text(shown, &said.out),
    };
    compared.err().map(|why| format!("{why}\n--- it said\n{}{}", said.out, said.err))
}

/// The page for ports that are others than it names.
fn moved(page: &str, ports: &[(&str, u16)]) -> String {
    let mut moved = String::with_capacity(page.len());
    let mut rest = page;
    // Whole numbers only: 3000 is no part of 30000.
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        moved.push_str(&rest[..begin]);
        let end =
            rest[begin..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |length| begin + length);
        let number = &rest[begin..end];
        match ports.iter().find(|(shown, _)| *shown == number) {
            Some((_, port)) => moved.push_str(&port.to_string()),
            None => moved.push_str(number),
        }
        rest = &rest[end..];
    }
    moved + rest
}
