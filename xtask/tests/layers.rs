//! Who may depend on whom.

use xtask::layers::{ALLOWED, Edge, IN_TESTS, edges, wrong};

fn edge(from: &str, to: &str, in_tests: bool) -> Edge {
    Edge { from: from.to_owned(), to: to.to_owned(), in_tests }
}

#[test]
fn nobody_goes_against_the_layers() {
    let edges = edges().unwrap();
    // A list that could not be read would be in order too.
    assert!(edges.contains(&edge("throome-clusters", "throome-policy", false)), "the edges were not read");
    let wrong = wrong(&edges);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_line_of_the_table_is_about_a_member() {
    let edges = edges().unwrap();
    for (name, known) in ALLOWED {
        for to in *known {
            assert!(ALLOWED.iter().any(|(name, _)| name == to), "{to} has no line of its own");
            assert!(edges.contains(&edge(name, to, false)), "{name} may know {to} and does not: take it out");
        }
    }
}

#[test]
fn a_planted_edge_is_found() {
    let planted = [
        (edge("throome-policy", "throome-clusters", false), "throome-policy must not know throome-clusters"),
        (edge("throome-proxy", "throome-api", false), "throome-proxy must not know throome-api"),
        (edge("throome-proxy", "throome-store", false), "throome-proxy must not know throome-store"),
        (edge("throome-adapters", "throome-store", true), "throome-adapters must not know throome-store"),
        (
            edge("throome-api", "rusqlite", false),
            "throome-api must not use rusqlite, whose place is throome-disk",
        ),
        (edge("throome-proxy", "hyper", true), "throome-proxy must not use hyper"),
        (edge("throome-wire", "hyper", false), "throome-wire must not use hyper"),
        (edge("throome-policy", "tokio", false), "throome-policy is pure and must not use tokio"),
        (edge("throome-helper", "bytes", false), "throome-helper has no layer"),
    ];
    for (planted, told) in planted {
        let mut edges = edges().unwrap();
        edges.push(planted);
        let wrong = wrong(&edges);
        assert!(wrong.last().is_some_and(|last| last.starts_with(told)), "{told}: {wrong:?}");
    }
}

#[test]
fn tests_may_know_a_little_more() {
    assert_eq!(wrong(&[edge("throome-wire", "hyper", true)]), [""; 0]);
    for (from, to, why) in IN_TESTS {
        assert!(
            edges().unwrap().contains(&edge(from, to, true)),
            "{from} does not use {to} ({why}): take it out"
        );
    }
}
