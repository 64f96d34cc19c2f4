//! Every format; data on standard output and talk on standard error.

use insta::assert_snapshot;
use serde_json::Value;

use super::gateway::{Gateway, Recorded, SHOP};
use super::{ran, ran_in};
use crate::terminal::People;

#[test]
fn tables_of_everything() {
    let gateway = Gateway::new(SHOP);
    let mut told = String::new();
    for (line, code) in [
        (&["cluster", "list", "--no-headers", "-o", "wide"][..], 0),
        (&["cluster", "get", "shop"], 0),
        (&["service", "list"], 0),
        (&["service", "list", "-o", "wide", "--cluster", "shop"], 0),
        (&["service", "get", "shop/web", "-o", "wide"], 0),
        (&["service", "show", "shop/hot"], 0),
        (&["kinds"], 0),
        (&["kind", "beta"], 0),
        (&["route", "list"], 0),
        (&["route", "list", "--cluster", "other"], 0),
        (&["route", "get", "api"], 0),
        (&["status"], 0),
        (&["status", "--check"], 9),
        (&["explain", "get", "http://shop.local/api/x?y=1", "-H", "X-User: 7"], 0),
        (&["config", "--port", "9001"], 0),
        (&["version"], 0),
    ] {
        let alone = matches!(line[0], "config" | "version");
        let ran = if alone { ran(&[&["throome"], line].concat()) } else { gateway.ran(line) }.ended(code);
        assert_eq!(ran.err, "", "{line:?}");
        told.push_str(&format!("$ throome {}\n{}\n", line.join(" "), ran.out));
    }
    // The age of the one real time grows with the calendar.
    let age = told.find("d  2026-01-02").map(|end| told[..end].rfind(' ').unwrap() + 1..end).unwrap();
    told.replace_range(age, "N");
    assert_snapshot!(told);
}

#[test]
fn json_is_the_apis_body_and_yaml_the_same() {
    let gateway = Gateway::new(SHOP);
    for (line, path) in [
        (&["cluster", "list"][..], "GET /api/v1/clusters"),
        (&["cluster", "get", "shop"], "GET /api/v1/clusters/shop"),
        (&["service", "get", "web", "--cluster", "shop"], "GET /api/v1/clusters/shop/services/web"),
        (&["route", "list"], "GET /api/v1/routes"),
        (&["route", "get", "api"], "GET /api/v1/routes/api"),
        (&["explain", "GET", "/api"], "POST /api/v1/explain"),
        (
            &["cache", "get", "k", "--service", "hot", "--cluster", "shop"],
            "POST /api/v1/clusters/shop/cache/get?service=hot",
        ),
        (&["cluster", "create", "--name", "New"], "POST /api/v1/clusters"),
    ] {
        let recorded = SHOP.iter().find(|(known, ..)| *known == path).unwrap().2;
        let expected: Value = serde_json::from_str(recorded).unwrap();
        let json = gateway.ran(&[line, &["-o", "json"]].concat()).ended(0);
        assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), expected, "{line:?}");
        let yaml = gateway.ran(&[line, &["-o", "yaml"]].concat()).ended(0);
        assert_eq!(model::yaml::parse(&yaml.out).unwrap().to_json(), expected, "{line:?}");
    }
}

#[test]
fn names_are_for_scripts() {
    let gateway = Gateway::new(SHOP);
    for (line, names) in [
        (&["cluster", "list"][..], "shop\n"),
        (&["service", "list"], "shop/hot\nshop/web\n"),
        (&["route", "list"], "api\noff\n"),
        (&["cluster", "create", "--name", "New"], "new-1\n"),
        (&["cache", "keys", "u:*", "--cluster", "shop"], "u:1\nu:2\nu:3\n"),
    ] {
        assert_eq!(gateway.ran(&[line, &["-o", "name"]].concat()).ended(0).out, names, "{line:?}");
    }
}

#[test]
fn a_change_is_talked_about_and_is_data_only_on_demand() {
    let gateway = Gateway::new(SHOP);
    let ran = gateway.ran(&["cluster", "create", "--name", "New", "--id", "new-1"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "created cluster `new-1`\n"));
    assert_eq!(
        gateway.seen(),
        [r#"POST /api/v1/clusters {"services":{},"name":"New","cluster_id":"new-1"}"#]
    );
    let ran = gateway.ran(&["service", "drain", "shop/web"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "`web` is given no new requests\n"));
}

#[test]
fn values_of_a_cache_come_as_they_are() {
    let gateway = Gateway::new(SHOP);
    let cache = |line: &[&str]| gateway.ran(&[&["cache", "--cluster", "shop"], line].concat());
    assert_eq!(cache(&["get", "k", "--service", "hot"]).ended(0).out, "v");
    let person = People { read_out: true, ..People::default() };
    let line = ["cache", "get", "k", "--service", "hot", "--cluster", "shop"];
    assert_eq!(gateway.ran_by(&line, "", person).ended(0).out, "v\n");
    let missing = cache(&["get", "k"]).ended(3);
    assert_eq!((missing.out.as_str(), missing.err.as_str()), ("", "error: there is no key `k`\n"));
    assert_eq!(cache(&["incr", "n", "--by", "-3"]).ended(0).out, "7\n");
    assert_eq!(cache(&["ttl", "k"]).ended(0).out, "59.500\n");
    let kept = cache(&["keys", "u:*", "--limit", "2"]).ended(0);
    assert_eq!((kept.out.as_str(), kept.err.contains("more than 2")), ("u:1\nu:2\n", true));
    cache(&["set", "k", "v", "--ttl", "5m"]).ended(0);
    let piped = gateway.ran_by(&["cache", "set", "k", "-", "--cluster", "shop"], "a\nb", People::default());
    assert_eq!(piped.ended(0).err, "stored `k`\n");
    cache(&["del", "k"]).ended(3);
    let seen = gateway.seen();
    assert!(
        seen.contains(&r#"POST /api/v1/clusters/shop/cache/incr {"key":"n","by":-3}"#.to_owned()),
        "{seen:#?}"
    );
    assert!(
        seen.contains(
            &r#"POST /api/v1/clusters/shop/cache/set {"key":"k","value":"v","ttl":300}"#.to_owned()
        )
    );
    assert!(seen.contains(&r#"POST /api/v1/clusters/shop/cache/set {"key":"k","value":"a\nb"}"#.to_owned()));
}

#[test]
fn colour_is_for_people_and_only_for_what_is_wrong() {
    let gateway = Gateway::new(SHOP);
    let person = People { read_out: true, ..People::default() };
    let red = "\u{1b}[31mnot_serving\u{1b}[0m";
    assert!(gateway.ran_by(&["status"], "", person).out.contains(red));
    assert!(!gateway.ran(&["status"]).out.contains('\u{1b}'));
    assert!(gateway.ran(&["status", "--color", "always"]).out.contains(red));
    assert!(!gateway.ran_by(&["status", "--color", "never"], "", person).out.contains('\u{1b}'));
    let line = ["throome", "--url", gateway.url(), "status"];
    for asked in [
        |name: &str| (name == "NO_COLOR").then(|| "1".to_owned()),
        |name: &str| (name == "TERM").then(|| "dumb".to_owned()),
    ] {
        assert!(!ran_in(&line, "", person, asked).out.contains('\u{1b}'));
    }
    let list = gateway.ran(&["cluster", "list"]).out;
    assert!(list.contains("The \u{fffd}[31mshop"), "a name commands no terminal: {list}");
}

#[test]
fn debug_tells_requests_and_no_secret() {
    let gateway = Gateway::new(SHOP);
    let ran =
        gateway.ran(&["cache", "ttl", "k", "--cluster", "shop", "--debug", "--token", "canary"]).ended(0);
    assert_eq!(ran.out, "59.500\n");
    assert!(ran.err.starts_with("debug: GET /api/v1/clusters/shop/cache/ttl try 1: 200 in "), "{}", ran.err);
    assert!(ran.err.trim_end().ends_with("request r-1"), "{}", ran.err);
    assert!(!ran.err.contains("canary"));
}

#[test]
fn completion_is_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = ran(&["throome", "completion", shell]).ended(0).out;
        assert!(script.contains("THROOME_COMPLETE") && script.contains("throome"), "{shell}");
    }
    ran(&["throome", "completion", "bash", "-o", "json"]).ended(2);
}

#[test]
fn every_page_of_a_list_is_shown() {
    const PAGES: &[Recorded] = &[
        ("GET /api/v1/routes", 200, r#"{"routes":[{"id":"a"}],"count":1,"next_cursor":"7"}"#),
        ("GET /api/v1/routes?cursor=7", 200, r#"{"routes":[{"id":"b"}],"count":1,"next_cursor":null}"#),
    ];
    let gateway = Gateway::new(PAGES);
    assert_eq!(gateway.ran(&["route", "list", "-o", "name"]).ended(0).out, "a\nb\n");
    let body: Value = serde_json::from_str(&gateway.ran(&["route", "list", "-o", "json"]).out).unwrap();
    assert_eq!((body["count"].as_u64(), body["next_cursor"].is_null()), (Some(2), true));
}
