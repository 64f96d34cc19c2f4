//! What no cluster asks for, as containers of a real engine and as programs of this machine.

use serde_json::{Value, json};
use throome_e2e::process::wait_for;

use super::commands::throome;
use super::{By, House, LONG, gone};

/// Those of this cluster, from pages of one.
fn orphans(house: &House, name: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut page = "/api/v1/orphans?limit=1".to_owned();
    loop {
        let list = house.gateway().show(&page);
        assert_eq!(list["unseen"], json!([]), "{list}");
        assert!(list["orphans"].as_array().unwrap().len() <= 1, "{list}");
        all.extend(list["orphans"].as_array().unwrap().clone());
        let Some(cursor) = list["next_cursor"].as_str() else { break };
        page = format!("/api/v1/orphans?limit=1&cursor={cursor}");
    }
    all.retain(|orphan| orphan["cluster"] == *house.id(name));
    all
}

#[test]
fn data_that_were_kept_are_offered_and_go() {
    for by in [By::Containers, By::Processes] {
        let mut house = House::new(by);
        house.create("left", &json!({ "cache": { "type": "redis" } }));
        house.set("left", "a", "1");
        assert_eq!(orphans(&house, "left"), Vec::<Value>::new(), "{by:?}: its cluster asks for it");
        house.delete("left", true);
        let found = orphans(&house, "left");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["state"], &found[0]["own"]), (&json!("data kept"), &json!(true)), "{found:?}");
        assert_eq!(found[0]["type"], "redis", "{found:?}");
        house.again(false);
        wait_for("the log tells of it", LONG, || {
            house.gateway().log().contains("throome orphan list").then_some(())
        });
        let name = format!("{}/{}/cache", by.word(), house.id("left"));
        let listed = throome(&house, &["orphan", "list", "-o", "name"]).ends(0);
        assert!(listed.out.lines().any(|line| line == name), "{listed:?}");
        drop(throome(&house, &["orphan", "delete", &name, "--yes"]).ends(0));
        gone(&house, "left");
        assert_eq!(orphans(&house, "left"), Vec::<Value>::new());
    }
}

#[test]
fn what_another_gateway_has_made_goes_by_force_alone() {
    let (house, other) = (House::new(By::Containers), House::new(By::Containers));
    other.create("theirs", &json!({ "cache": { "type": "redis" } }));
    let list = house.gateway().show("/api/v1/orphans");
    let all = list["orphans"].as_array().unwrap();
    let theirs = all.iter().find(|orphan| orphan["cluster"] == *other.id("theirs")).unwrap();
    assert_eq!((&theirs["own"], &theirs["state"]), (&json!(false), &json!("running")), "{theirs}");
    let path = format!("/api/v1/orphans/docker/{}/cache", other.id("theirs"));
    let refused = house.call("DELETE", &path, None).expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("another gateway"), "{refused}");
    other.healthy("theirs");
    assert_eq!(orphans(&other, "theirs"), Vec::<Value>::new());
    drop(other.call("DELETE", &path, None).expect(409));
    drop(house.call("DELETE", &format!("{path}?force=true&keep_data=true"), None).expect(200));
    // Its own gateway has it run again, on the data that were kept.
    other.runs("theirs", "cache");
    other.delete("theirs", false);
    gone(&other, "theirs");
}
