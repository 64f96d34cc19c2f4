//! What kinds say of themselves: those with the same ability speak of the same things, so that whoever changes the
//! kind of a service can lay one beside the other.

use std::collections::HashSet;

use model::kind::Ability;

use crate::DRIVERS;

/// What every kind with an ability speaks of. It may say more.
const SHARED: &[(Ability, &[&str])] = &[
    (Ability::Http, &["protocol", "health"]),
    (Ability::KeyValue, &["durability", "eviction", "media_type", "scan", "transactions", "replica_reads"]),
    (
        Ability::Sql,
        &[
            "durability",
            "concurrent_writes",
            "isolation",
            "failed_transactions",
            "cut_results",
            "session",
            "refused_statements",
            "replica_reads",
        ],
    ),
    (
        Ability::Queue,
        &["durability", "acknowledgement", "settling", "deliveries", "idempotency", "group", "unsettled"],
    ),
];

#[test]
fn kinds_with_the_same_ability_speak_of_the_same_facts() {
    for driver in DRIVERS {
        let said: HashSet<&str> = driver.facts().iter().map(|fact| fact.name).collect();
        for ability in driver.abilities() {
            let shared = SHARED.iter().find(|(own, _)| own == ability);
            let (_, names) = shared.unwrap_or_else(|| panic!("nothing is settled for `{}`", ability.name()));
            let missing: Vec<_> = names.iter().filter(|name| !said.contains(*name)).collect();
            assert!(missing.is_empty(), "`{}` says nothing of {missing:?}", driver.name());
        }
    }
}

#[test]
fn a_fact_is_said_once_and_in_sentences() {
    for driver in DRIVERS {
        let mut names = HashSet::new();
        for fact in driver.facts() {
            let place = format!("`{}` of `{}`", fact.name, driver.name());
            assert!(names.insert(fact.name), "{place} is said twice");
            assert!(fact.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{place}");
            assert!(fact.says.ends_with('.') && !fact.says.contains("  "), "{place}: {}", fact.says);
        }
    }
}
