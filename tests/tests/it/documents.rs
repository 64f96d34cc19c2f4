//! The documents that asked for this product: their commands, requests and files work as they are printed, against
//! real engines. Each runs on a machine that has the ports, names and passwords that the documents speak of.

mod machine;
mod network;
mod page;
mod shape;

use std::path::{Path, PathBuf};

use throome_e2e::turn;

use machine::Machine;
use page::{Item, Page};

/// Lines that are not typed, by how they begin, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("docker run ", "needs an engine for containers"),
    ("git clone ", "fetches the program that the document is about, which is not this one"),
    ("cd ", "a directory of its author's"),
    ("go ", "that program was written in Go"),
    ("npm install", "libraries of a later part, and a dashboard too"),
    ("pip install ", "libraries of a later part"),
    ("mkdir -p pkg/", "where that program kept its dashboard"),
    ("cp -r ui/", "where that program kept its dashboard"),
    ("vim ", "opens an editor"),
    ("make ", "builds; that the Makefile knows it is asked below"),
    ("./scripts/", "that it is there is asked below"),
];

/// Blocks in a language that nobody runs here, and why.
const UNREAD: &[(&str, &str)] = &[
    ("", "pictures made of characters"),
    ("go", "the SDKs are a later part"),
    ("typescript", "the SDKs are a later part"),
    ("python", "the SDKs are a later part"),
];

#[test]
fn document_000_works_as_printed() {
    works("000.txt", "documents::document_000_works_as_printed");
}

#[test]
fn document_001_works_as_printed() {
    works("001.txt", "documents::document_001_works_as_printed");
}

#[test]
fn document_002_works_as_printed() {
    works("002.txt", "documents::document_002_works_as_printed");
}

/// What the documents say of commands that build, and of scripts, is known here too.
#[test]
fn the_makefile_and_the_scripts_are_those_of_the_documents() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    // What stands before the colon of a rule. Make itself runs some recipes also when it is told not to.
    let rules = makefile.lines().filter_map(|line| line.split_once(':'));
    let known: Vec<&str> = rules.flat_map(|(names, _)| names.split(' ')).collect();
    let mut asked = 0;
    for name in ["000.txt", "001.txt", "002.txt"] {
        let text = read(name);
        // `make test` in a list, and lines that begin so in a block.
        let commands = text.lines().map(|line| line.strip_prefix("- `").unwrap_or(line));
        for command in commands {
            let words: Vec<&str> = command.split([' ', '`']).collect();
            match words.as_slice() {
                ["make", target, ..] => {
                    assert!(known.contains(target), "{name}: make {target} is not known");
                    asked += 1;
                }
                [script, ..] if script.starts_with("./scripts/") => {
                    assert!(root.join(script).is_file(), "{name}: there is no {script}");
                    asked += 1;
                }
                _ => {}
            }
        }
    }
    assert!(asked >= 25, "only {asked} commands were found");
}

fn read(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("documents").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Goes through a document from its top, as a reader does.
fn works(name: &str, test: &str) {
    let _turn = turn::together();
    if !network::is_ours(test) {
        return;
    }
    let page = Page::read(&read(name), LEFT_OUT, UNREAD);
    let mut machine = Machine::new(&page);
    let (mut done, mut metrics) = (0, Vec::new());
    for item in &page.items {
        eprintln!("{name}:{}: {}", item.line, item.what);
        match &item.what {
            Item::Line(line) => machine.type_line(line),
            Item::Request { method, path, body } => machine.request(method, path, body.as_deref()),
            Item::Answer(shown) => machine.compare(shown),
            Item::GatewayFile(text) => machine.gateway_file(text),
            Item::ClusterFile(text) => machine.cluster_file(text),
            Item::PartOfService(text) => machine.part_of_service(text),
            Item::Url(url) => machine.type_line(&format!("curl {url}")),
            // What nobody has asked for yet is not counted either.
            Item::Metric(metric) => metrics.push(metric.as_str()),
            Item::Verb(verb) => machine.type_line(&format!("./bin/throome-cli {verb} --help")),
        }
        done += 1;
    }
    machine.has_metrics(&metrics);
    assert!(done >= 10, "only {done} examples were found in {name}");
}
