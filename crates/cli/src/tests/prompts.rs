//! Nobody is asked who cannot answer, and nothing is removed without a word.

use super::gateway::{Gateway, SHOP};
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
