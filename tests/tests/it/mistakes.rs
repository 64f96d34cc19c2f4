//! Mistakes in files: at a start they stop it, while running they are refused, and each is told with place and fix.

use std::time::Duration;

use serde_json::json;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, turn};

use crate::config::{running, shop};
use crate::tls::Authority;

/// A class of mistake: what the file says, and what must be said of it.
struct Mistake {
    text: &'static str,
    /// Line and column.
    at: &'static str,
    /// Words of the message, its suggestion among them.
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        text: "services: {}\nrouting: { strateg: weighted }\n",
        at: "2:12",
        says: &["strateg", "did you mean `strategy`"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: 127.0.0.1, port: eighty }\n",
        at: "2:45",
        says: &["services.web.port", "whole number", "`eighty`"],
    },
    Mistake { text: "services:\n  web: { type: http\nroutes: []\n", at: "3:7", says: &["bracket"] },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\n  web: { type: memory }\n",
        at: "3:3",
        says: &["web"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: \"${E2E_IS_NOT_SET}\", port: 1 }\n",
        at: "2:28",
        says: &["E2E_IS_NOT_SET", "${E2E_IS_NOT_SET:-default}"],
    },
    Mistake {
        text: "services:\n  web: { type: htp, host: a, port: 1 }\n",
        at: "2:16",
        says: &["`htp`", "did you mean `http`"],
    },
    Mistake { text: "services:\n  db: { type: mongodb, host: a }\n", at: "2:15", says: &["not built yet"] },
    Mistake {
        text: "services:\n  web: { type: http, provision: docker }\n",
        at: "2:33",
        says: &["`http` services are not run by the gateway", "its `host` and `port`"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: web }\n  - { id: r, path: \"/b\", service: web }\n",
        at: "5:11",
        says: &["`r`", "routes[0]"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: web }\n  - { id: s, path: \"/a\", service: web }\n",
        at: "5:5",
        says: &["same requests"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: wed }\n",
        at: "4:35",
        says: &["`wed`", "did you mean `web`"],
    },
    Mistake { text: "services: {}\nrouting: { strategy: adaptive }\n", at: "2:22", says: &["not built yet"] },
    Mistake { text: "cluster_id: elsewhere\nservices: {}\n", at: "1:13", says: &["directory"] },
];

impl Mistake {
    fn is_told_in(&self, said: &str) {
        let place = format!("shop/config.yaml:{}:", self.at);
        for words in self.says.iter().chain([&place.as_str()]) {
            assert!(said.contains(words), "{words:?} is not in {said:?}\nfor\n{}", self.text);
        }
    }
}

#[test]
fn a_wrong_file_stops_the_start_and_says_where_and_how() {
    let _turn = turn::together();
    for mistake in MISTAKES {
        let layout = Layout::default();
        layout.write_cluster("shop", mistake.text);
        let (code, said) = layout.start_in_vain();
        assert_eq!(code, 8, "{said}");
        mistake.is_told_in(&said);
    }
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let _turn = turn::together();
    let layout = Layout::default();
    layout.write_cluster("one", "services: {}\nroutin: {}\nrouting: { timeout_ms: -1 }\n");
    layout.write_cluster("two", "servces: {}\n");
    let (code, said) = layout.start_in_vain();
    assert_eq!(code, 8);
    for words in ["one/config.yaml:2:1", "one/config.yaml:3:", "two/config.yaml:1:1", "3 problems"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn a_wrong_gateway_file_stops_the_start() {
    let _turn = turn::together();
    for (text, says) in [
        ("server: { prt: 1 }\n", &["throome.yaml:1:11", "did you mean `port`"][..]),
        ("server: { port: many }\n", &["throome.yaml:1:17", "whole number"]),
        (
            "proxy:\n  request_timeout: 30s\n",
            &["throome.yaml:2:3", "not built yet", "a limit for the whole gateway"],
        ),
        ("limits: { concurrent: 10 }\n", &["throome.yaml:1:11", "limits.concurrent", "not built yet"]),
        (
            "proxy: { tls: { certificates: [] } }\n",
            &["throome.yaml:1:31", "proxy.tls.certificates", "names none"],
        ),
        ("auth: { mode: none }\n", &["throome.yaml:1:15", "auth.mode"]),
        ("errors: { timeout_status: 500 }\n", &["throome.yaml:1:27", "errors.timeout_status"]),
        (
            "data: { port: 81 }\nproxy: { listeners: [{ name: a, port: 81 }] }\n",
            &["throome.yaml:1:15", "data.port", "two doors would listen on port 81"],
        ),
        (
            "proxy: { trusted_proxies: [10.0.0.0/8, 10.0.0.0/33] }\n",
            &["throome.yaml:1:40", "trusted_proxies[1]", "`10.0.0.0/33` is not a network"],
        ),
        ("proxy: { proxy_protocol: v2 }\n", &["throome.yaml:1:26", "proxy.trusted_proxies"]),
        (
            "proxy:\n  tls: { certificates: [{ cert: /nope.pem, key: /nope.key }] }\n",
            &["throome.yaml:2:33", "throome.yaml:2:49", "/nope.pem is not there", "2 problems"],
        ),
        ("store: { url: \"mysql://a\" }\n", &["throome.yaml:1:15", "store.url"]),
    ] {
        let (code, said) = Layout::default().with_file(text).start_in_vain();
        assert_eq!(code, 8, "{said}");
        for words in says {
            assert!(said.contains(words), "{words:?} is not in {said:?} for {text}");
        }
    }
}

/// What a listener leads to stands in another file; a start goes without it, a check does not.
#[test]
fn a_check_tells_where_a_listener_leads_nowhere() {
    let _turn = turn::together();
    let text = "proxy:\n  listeners:\n    - { name: a, port: 81, protocol: tcp, cluster: shop, service: nope }\n  \
                tls: { certificates: [{ cert: /nope.pem, key: /nope.key }] }\n";
    let layout = Layout::default().with_file(text).with_args(&["--check"]);
    layout.write_cluster("shop", "services: { web: { type: http, host: a, port: 1 } }\n");
    let (code, said) = layout.start_in_vain();
    assert_eq!(code, 8, "{said}");
    for words in
        ["throome.yaml:3:67: proxy.listeners[0].service: `nope` is not", "throome.yaml:4:33: ", "3 problems"]
    {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

/// A cluster whose services name files that are not there, or do not belong together.
fn with_files(authority: &Authority) -> String {
    let dir = authority.dir.path().display();
    format!(
        "services:\n  web:\n    type: http\n    host: a\n    port: 1\n    tls:\n      ca: /nope.pem\n  \
         cache:\n    type: redis\n    host: a\n    tls:\n      cert_file: {dir}/a.pem\n      key: {dir}/b.key\n"
    )
}

/// What must be said of it, each with its place in the text.
const OF_FILES: [(&str, &str, &str); 2] = [
    ("7:11", "services.web.tls.ca", "/nope.pem is not there"),
    ("13:12", "services.cache.tls.key", "b.key is not the key of the certificate in"),
];

fn two_pairs() -> Authority {
    let authority = Authority::new();
    authority.issue("a", &["a.example"]);
    authority.issue("b", &["b.example"]);
    authority
}

#[test]
fn files_that_services_name_are_told_by_a_check_as_by_a_start() {
    let _turn = turn::together();
    let authority = two_pairs();
    for args in [&["--check"][..], &[]] {
        let layout = Layout::default().with_args(args);
        layout.write_cluster("shop", &with_files(&authority));
        let (code, said) = layout.start_in_vain();
        assert_eq!(code, 8, "{said}");
        for (at, path, words) in OF_FILES {
            let line = format!("shop/config.yaml:{at}: {path}: ");
            assert!(said.contains(&line) && said.contains(words), "{line}{words} is not in\n{said}");
        }
        assert!(said.contains("2 problems"), "{said}");
    }
}

#[test]
fn files_that_services_name_are_told_by_a_gateway_that_runs() {
    let _turn = turn::together();
    let authority = two_pairs();
    let (gateway, _service) = running();
    let text = with_files(&authority);
    gateway.write_cluster("shop", &text);
    let said = wait_for("the refusal", Duration::from_secs(3), || refusals(&gateway).pop());
    for (at, path, words) in OF_FILES {
        assert!(said.contains(&format!("shop/config.yaml:{at}: {path}: ")) && said.contains(words), "{said}");
    }
    assert_eq!(gateway.get("/echo").status, 200);

    let errors = |answer: &serde_json::Value| {
        let errors = answer["errors"].as_array().unwrap().iter();
        errors.map(|error| error["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let paths = OF_FILES.map(|(_, path, _)| path);
    let tls = |tls: serde_json::Value| json!({ "type": "http", "host": "a", "port": 1, "tls": tls });
    let pair = json!({ "cert": authority.path("a.pem"), "key": authority.path("b.key") });
    let body = json!({ "name": "New", "cluster_id": "new",
        "services": { "web": tls(json!({ "ca": "/nope.pem" })), "cache": tls(pair) } });
    for path in ["/api/v1/clusters", "/api/v1/clusters/new/plan"] {
        let refused = gateway.call("POST", path, Some(&body)).expect(400).json();
        assert_eq!(errors(&refused), paths, "{path}: {refused}");
    }
    let checked = gateway.call("POST", "/api/v1/validate", Some(&body)).expect(200).json();
    assert!(checked["valid"] == false && errors(&checked) == paths, "{checked}");
    let checked = gateway.call("POST", "/api/v1/validate", Some(&json!({ "yaml": text })));
    let checked = checked.expect(200).json();
    assert_eq!(errors(&checked), paths, "{checked}");
    assert!(checked["errors"][0]["line"] == 7 && checked["errors"][1]["line"] == 13, "{checked}");
}

fn refusals(gateway: &Gateway) -> Vec<String> {
    let events = gateway.show("/api/v1/events?limit=1000");
    let refused =
        events["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "cluster.refused");
    refused.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_wrong_edit_is_refused_with_an_event_and_what_runs_goes_on() {
    let _turn = turn::together();
    let (gateway, service) = running();
    for (count, mistake) in MISTAKES.iter().enumerate() {
        gateway.write_cluster("shop", mistake.text);
        let said = wait_for("the refusal", Duration::from_secs(3), || {
            let refusals = refusals(&gateway);
            (refusals.len() > count).then(|| refusals[0].clone())
        });
        mistake.is_told_in(&said);
        assert_eq!(gateway.get("/echo").status, 200);
    }
    gateway.write_cluster("shop", &shop(&service).replace("/*", "/new/*"));
    wait_for("the edit that is right", Duration::from_secs(3), || {
        (gateway.get("/echo").status == 404).then_some(())
    });
    assert_eq!(gateway.get("/new/x").status, 200);
    // The API refuses the same, with every place.
    let wrong = json!({ "name": "Wrong", "cluster_id": "wrong", "services": { "a": { "type": "htp" }, "b": { "typ": 1 } } });
    let refused = gateway.call("POST", "/api/v1/clusters", Some(&wrong)).expect(400).json();
    assert!(refused["errors"].as_array().unwrap().len() >= 2, "{refused}");
    assert_eq!(refused["code"], "invalid_config");
}

/// What a program has truncated and not written yet is no wish for a cluster without services.
#[test]
fn a_file_that_is_empty_is_refused() {
    let _turn = turn::together();
    let (gateway, service) = running();
    for empty in ["", "\n\n", "# Nothing but a comment.\n"] {
        let count = refusals(&gateway).len();
        std::fs::write(gateway.cluster_file("shop"), empty).unwrap();
        wait_for("the refusal", Duration::from_secs(3), || (refusals(&gateway).len() > count).then_some(()));
        assert_eq!(gateway.get("/echo").status, 200);
    }
    std::fs::write(gateway.cluster_file("shop"), shop(&service).replace("/*", "/new/*")).unwrap();
    wait_for("the rest", Duration::from_secs(3), || (gateway.get("/echo").status == 404).then_some(()));
}

#[test]
fn a_port_that_is_taken_is_said() {
    let _turn = turn::together();
    let layout = Layout::default();
    let _taken = std::net::TcpListener::bind(layout.traffic).unwrap();
    let traffic = layout.traffic;
    let (code, said) = layout.start_in_vain();
    assert!(
        code == 1 && said.contains(&traffic.port().to_string()) && said.contains("proxy.port"),
        "{code}: {said}"
    );
}

#[test]
fn a_second_gateway_on_the_same_directory_does_not_start() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let other =
        Layout::default().with_args(&["--clusters-dir", &gateway.clusters_dir().display().to_string()]);
    let (code, said) = other.start_in_vain();
    assert!(code == 1 && said.contains(".throome"), "{code}: {said}");
    // A check writes nothing, and a gateway that was killed leaves nothing that holds the next one up.
    let gateway = gateway.kill().start();
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
}

/// However often the files are looked at, and taken up when it can be read.
#[test]
fn a_file_that_is_no_text_is_refused_once() {
    let _turn = turn::together();
    let (gateway, service) = running();
    let right = shop(&service).replace("/*", "/new/*");
    std::fs::write(gateway.cluster_file("shop"), [right.as_bytes(), b"# \xFF\n"].concat()).unwrap();
    wait_for("the refusal", Duration::from_secs(3), || (refusals(&gateway).len() == 1).then_some(()));
    for id in ["one", "two"] {
        gateway.write_cluster(id, "services: {}\n");
        wait_for("another cluster", Duration::from_secs(3), || {
            (gateway.call("GET", &format!("/api/v1/clusters/{id}"), None).status == 200).then_some(())
        });
    }
    assert_eq!(refusals(&gateway).len(), 1, "{:?}", refusals(&gateway));
    assert_eq!(gateway.get("/echo").status, 200);
    gateway.write_cluster("shop", &right);
    wait_for("the file", Duration::from_secs(3), || (gateway.get("/echo").status == 404).then_some(()));
    assert_eq!(gateway.get("/new/x").status, 200);
}
