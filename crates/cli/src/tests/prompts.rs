//! Nobody is asked who cannot answer, and nothing is removed without a word.

use super::gateway::{Gateway, Recorded, SHOP};
#[cfg(target_os = "linux")]
use super::ran_in;
use crate::terminal::People;

const PERSON: People = People { type_input: true, read_out: false, read_err: false };

fn removals(gateway: &Gateway) -> usize {
    gateway.seen().iter().filter(|line| line.starts_with("DELETE")).count()
}

#[test]
fn without_a_terminal_the_flag_is_named() {
    let gateway = Gateway::new(SHOP);
    for line in [&["cluster", "delete", "shop"][..], &["route", "delete", "api"], &["delete-cluster", "shop"]]
    {
        let ran = gateway.ran(line).ended(2);
        assert!(ran.err.contains("fix:     say --yes"), "{}", ran.err);
    }
    let ran = gateway.ran_by(&["cluster", "delete", "shop", "--non-interactive"], "shop\n", PERSON).ended(2);
    assert!(ran.err.contains("nobody to ask"), "{}", ran.err);
    assert_eq!(removals(&gateway), 0);
}

#[test]
fn a_person_types_the_name_and_hears_the_consequence() {
    let gateway = Gateway::new(SHOP);
    let ran = gateway.ran_by(&["cluster", "delete", "shop"], "yes\n", PERSON).ended(1);
    assert!(ran.err.contains("cluster `shop` (web, hot; routes: 1)"), "{}", ran.err);
    assert!(ran.err.contains("nothing was removed"), "{}", ran.err);
    gateway.ran_by(&["cluster", "delete", "shop"], "", PERSON).ended(1);
    assert_eq!(removals(&gateway), 0);
    let ran = gateway.ran_by(&["cluster", "delete", "shop", "--keep-data"], "shop\n", PERSON).ended(0);
    assert!(ran.err.ends_with("removed cluster `shop`\n") && ran.out.is_empty(), "{ran:?}");
    assert_eq!(gateway.seen().last().unwrap(), "DELETE /api/v1/clusters/shop?keep_data=true");
    gateway.ran_by(&["cluster", "delete", "shopp"], "shopp\n", PERSON).ended(3);
}

#[test]
fn consent_asks_nothing() {
    let gateway = Gateway::new(SHOP);
    gateway.ran(&["route", "delete", "api", "--yes"]).ended(0);
    assert_eq!(gateway.seen(), ["DELETE /api/v1/routes/api"]);
}

#[test]
fn without_an_editor_the_other_way_is_named() {
    let gateway = Gateway::new(SHOP);
    let ran = gateway.ran(&["cluster", "edit", "shop"]).ended(2);
    assert!(ran.err.contains("throome apply FILE"), "{}", ran.err);
}

/// Stands for a person who changes one word: any editor is a program that is given a file. GNU's sed is one.
#[cfg(target_os = "linux")]
#[test]
fn an_editor_is_given_the_document_and_its_result_is_sent() {
    let editor = |name: &str| (name == "EDITOR").then(|| "sed -i s/round_robin/random/".to_owned());
    let idle = |name: &str| (name == "VISUAL").then(|| "true".to_owned());
    let gateway = Gateway::new(SHOP);
    let line = ["throome", "--url", gateway.url(), "cluster", "edit", "shop"];
    let ran = ran_in(&line, "", PERSON, editor).ended(0);
    assert_eq!(ran.err, "changed cluster `shop`\n");
    let put = gateway.seen().pop().unwrap();
    assert!(
        put.starts_with(r#"PUT /api/v1/clusters/shop {"cluster_id":"shop","name":"Shop","services":{"web""#),
        "{put}"
    );
    assert!(put.contains(r#""strategy":"random""#) && put.contains(r#""password":"***""#), "{put}");
    assert_eq!(ran_in(&line, "", PERSON, idle).ended(0).err, "nothing was changed\n");
    assert_eq!(gateway.seen().len(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn a_refused_draft_is_kept() {
    const REFUSING: &[Recorded] = &[
        (
            "GET /api/v1/clusters/refused",
            200,
            r#"{"id":"refused","services":{},"routing":{"strategy":"round_robin"}}"#,
        ),
        ("PUT /api/v1/clusters/refused", 400, r#"{"code":"invalid_config","detail":"No."}"#),
    ];
    let gateway = Gateway::new(REFUSING);
    let line = ["throome", "--url", gateway.url(), "cluster", "edit", "refused"];
    for editor in [
        |name: &str| (name == "EDITOR").then(|| "sed -i s/round_robin/random/".to_owned()),
        |name: &str| (name == "EDITOR").then(|| "sed -i s/routing:/:\\x20[/".to_owned()),
    ] {
        let ran = ran_in(&line, "", PERSON, editor).ended(8);
        let path = ran.err.split("your draft is kept in ").nth(1).unwrap().lines().next().unwrap();
        assert!(std::fs::read_to_string(path).unwrap().contains("services"), "{}", ran.err);
        std::fs::remove_file(path).unwrap();
    }
}
