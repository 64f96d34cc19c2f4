//! A cluster of Redis, which is one endpoint. What a client does wrong harms nobody else, and a node that is away takes
//! its own keys along and no others.

use std::thread::sleep;
use std::time::Duration;

use ::engines::{Engines, Server};
use serde_json::json;
use throome_e2e::calls::{Call, Calls, counts};
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, turn};

use super::{BASE, facts, none_failed, until_healthy};

const TIMEOUT: Duration = Duration::from_secs(2);

struct Nodes {
    nodes: [Server; 3],
    gateway: Gateway,
    _engines: Engines,
}

fn nodes() -> Nodes {
    let engines = Engines::own();
    let nodes = engines.redis_cluster();
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  cache: {{ type: redis, host: 127.0.0.1, port: {}, mode: cluster }}\nrouting: {{ timeout_ms: {} }}\n",
            nodes[0].port,
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(5));
    Nodes { nodes, gateway, _engines: engines }
}

/// Sets keys of all nodes.
fn sets(gateway: &Gateway) -> Calls {
    Calls::begin(gateway.control, 20, |number| {
        let body = json!({ "key": format!("key:{number}"), "value": "v" });
        Call::post("SET", format!("{BASE}/cache/set"), body)
    })
}

#[test]
fn a_client_with_keys_of_several_slots_harms_nobody() {
    let _turn = turn::together();
    let Nodes { gateway, _engines, .. } = nodes();
    let others = sets(&gateway);
    let wrong = [0, 1].map(|_| {
        Calls::begin(gateway.control, 50, |number| {
            let (path, commands) = match number % 4 {
                0 => ("multi-exec", json!([["SET", "a", "1"], ["SET", "b", "2"]])),
                1 => ("multi-exec", json!([["SET", "a", "1"], ["MSET", "a", "1", "b", "2"]])),
                2 => ("command", json!(["MSET", "a", "1", "b", "2"])),
                _ => ("command", json!(["EVAL", "return 1", "2", "a", "b"])),
            };
            Call::post("wrong", format!("{BASE}/cache/{path}"), commands)
        })
    });
    sleep(Duration::from_secs(3));
    for wrong in wrong {
        let told = wrong.finish();
        assert!(told.len() > 50, "{}", counts(&told));
        for one in &told {
            assert_eq!(
                (one.status, &one.answer["redis"]),
                (400, &json!("CROSSSLOT")),
                "{one}: {}",
                one.answer
            );
        }
    }
    let told = others.finish();
    assert!(told.len() > 20, "{}", counts(&told));
    none_failed(&told, "SET");
    assert_eq!(facts(&gateway, "cache")["status"], "HEALTHY");
}

#[test]
fn a_node_that_is_away_takes_its_own_keys_along_and_no_others() {
    let _turn = turn::together();
    let Nodes { nodes, gateway, _engines } = nodes();
    let away = &nodes[2];
    let name = away.address().to_string();
    let of = |node: &Server| {
        let mut names = (0..).map(|number| format!("k{number}"));
        names.find(|key| node.redis_cli(&["SET", key, "v"]) == "OK").unwrap()
    };
    let (lost, kept) = (of(away), [of(&nodes[0]), of(&nodes[1])]);
    for frozen in [false, true] {
        if frozen {
            away.freeze()
        } else {
            away.kill()
        }
        let of_lost = {
            let lost = lost.clone();
            Calls::begin(gateway.control, 20, move |_| {
                Call::post("lost", format!("{BASE}/cache/get"), json!({ "key": lost }))
            })
        };
        let of_kept = {
            let kept = kept.clone();
            Calls::begin(gateway.control, 20, move |number| {
                let key = &kept[usize::try_from(number % 2).unwrap()];
                Call::post("kept", format!("{BASE}/cache/get"), json!({ "key": key }))
            })
        };
        let reason = wait_for("the node that is away is said", Duration::from_secs(8), || {
            let facts = facts(&gateway, "cache");
            let reason = facts["reason"].as_str().unwrap().to_owned();
            (facts["status"] == "DEGRADED" && reason.contains(&format!("({name}: "))).then_some(reason)
        });
        sleep(Duration::from_secs(3));
        let (of_lost, of_kept) = (of_lost.finish(), of_kept.finish());
        println!("nodes: frozen {frozen}: {}; {}; {reason}", counts(&of_lost), counts(&of_kept));
        none_failed(&of_kept, "kept");
        assert!(of_kept.len() > 40 && of_lost.len() > 40);
        for one in &of_lost {
            assert!(!one.good() && ["timeout", "bad_gateway"].contains(&one.code()), "{one}: {}", one.answer);
            assert!(one.answer["detail"].as_str().unwrap().starts_with(&name), "{one}: {}", one.answer);
            assert_eq!(one.answer["retryable"], true, "a read may go again: {}", one.answer);
        }
        assert_eq!(facts(&gateway, "cache")["verdict"], "serving_degraded");
        if frozen {
            away.thaw()
        } else {
            away.restart()
        }
        until_healthy(&gateway, Duration::from_secs(15));
    }
}
