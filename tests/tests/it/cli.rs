//! The commands, as a person and a script type them, against a real gateway and without one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use throome_e2e::process::{free_port, gateway_binary};
use throome_e2e::{Gateway, Layout, Service, turn};

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn ends(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    fn shows(self, words: &[&str]) -> Said {
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "{word:?} is not in {self:#?}");
        }
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }
}

fn run(program: &Path, url: &str, args: &[&str]) -> Said {
    let output = Command::new(program)
        .args(args)
        .env("THROOME_URL", url)
        .env_remove("THROOME_TOKEN")
        .env_remove("THROOME_CLUSTER")
        .env_remove("THROOME_BIN")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A gateway with cluster `dev` and a service, and the commands that ask it.
struct Bench {
    gateway: Gateway,
    service: Service,
    url: String,
}

impl Bench {
    fn new() -> Bench {
        let service = Service::start("one");
        let gateway = Layout::default().run("dev");
        throome_e2e::process::wait_for("cluster dev", std::time::Duration::from_secs(5), || {
            (gateway.call("GET", "/api/v1/clusters/dev", None).status == 200).then_some(())
        });
        let url = format!("http://{}", gateway.control);
        Bench { gateway, service, url }
    }

    fn run(&self, line: &str) -> Said {
        run(&gateway_binary(), &self.url, &line.split(' ').collect::<Vec<_>>())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.gateway.dir().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn shop(&self) -> String {
        format!(
            "cluster_id: shop\nname: Shop\nservices:\n  web: {{ type: http, endpoints: [ {} ] }}\nroutes:\n  \
             - {{ id: shop, host: shop.test, path: \"/*\", service: web }}\n",
            self.service.endpoint()
        )
    }
}

#[test]
fn clusters_are_planned_applied_shown_and_deleted() {
    let _turn = turn::together();
    let bench = Bench::new();
    let file = bench.file("shop.yaml", &bench.shop());
    let planned = bench.run(&format!("plan {file} -o json")).ends(0).json();
    assert_eq!(planned["changes"], true, "{planned}");
    let _ = bench.run(&format!("diff {file} --exit-code")).ends(8).shows(&["shop", "web"]);
    assert_eq!(
        bench.gateway.call("GET", "/api/v1/clusters/shop", None).status,
        404,
        "a plan changes nothing"
    );
    let _ = bench.run(&format!("apply {file} --dry-run")).ends(0).shows(&["web"]);
    assert_eq!(bench.gateway.call("GET", "/api/v1/clusters/shop", None).status, 404);
    let _ = bench.run(&format!("apply {file}")).ends(0).shows(&["shop"]);
    let _ = bench.run(&format!("plan {file} --exit-code")).ends(0);
    let reply = bench.gateway.traffic().ask("GET /echo HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!(reply.status, 200);

    let _ = bench.run("cluster list").ends(0).shows(&["shop", "dev"]);
    let list = bench.run("cluster list -o json").ends(0).json();
    assert!(list.to_string().contains("\"shop\""), "{list}");
    let _ = bench.run("cluster get shop").ends(0).shows(&["Shop", "web"]);
    assert_eq!(bench.run("cluster show shop -o json").ends(0).json()["name"], "Shop");
    let _ = bench.run("cluster get shop -o yaml").ends(0).shows(&["type: http"]);
    let _ = bench.run("status").ends(0).shows(&["shop"]);
    let _ = bench.run("status --check -o json").ends(0).json();
    let _ = bench.run("cluster create --name Second --id second").ends(0);
    let _ = bench.run("cluster create --name Second --id second").ends(5);
    let _ = bench.run("cluster delete second --yes").ends(0);
    let _ = bench.run("cluster get second").ends(3);
    let _ = bench.run("cluster delete second --yes").ends(3);
}

/// A file says its cluster's id, and needs no name beside it; whoever checks, plans and applies it says the same.
#[test]
fn a_cluster_without_a_name_is_called_by_its_id() {
    let _turn = turn::together();
    let bench = Bench::new();
    let file = bench.file("shop.yaml", &bench.shop().replace("name: Shop\n", ""));
    let _ = bench.run(&format!("validate {file}")).ends(0).shows(&["cluster shop"]);
    let _ = bench.run(&format!("plan {file} --exit-code")).ends(8).shows(&["web"]);
    let _ = bench.run(&format!("apply {file}")).ends(0).shows(&["shop"]);
    assert_eq!(bench.run("cluster get shop -o json").ends(0).json()["name"], "shop");
    let _ = bench.run(&format!("plan {file} --exit-code")).ends(0);
    let more = bench.file("shop.yaml", &bench.shop().replace("name: Shop\n", "description: Changed.\n"));
    let _ = bench.run(&format!("apply {more}")).ends(0);
    assert_eq!(bench.run("cluster get shop -o json").ends(0).json()["description"], "Changed.");
    // The id of a cluster that says none is made from its name, so that is needed then.
    let url = "/api/v1/clusters";
    let refused = bench.gateway.call("POST", url, Some(&json!({ "services": {} }))).expect(400).json();
    assert_eq!(refused["errors"][0]["path"], "name", "{refused}");
}

#[test]
fn services_and_routes() {
    let _turn = turn::together();
    let bench = Bench::new();
    let file = bench.file("shop.yaml", &bench.shop());
    let _ = bench.run(&format!("apply {file}")).ends(0);
    let address = bench.service.address.to_string();
    let _ = bench.run("service list").ends(0).shows(&["web", "cache"]);
    let _ = bench.run("service list --cluster shop -o json").ends(0).json();
    let _ = bench.run("service get shop/web").ends(0).shows(&["web", &address]);
    let facts = bench.run("service get shop/web -o json").ends(0).json();
    assert_eq!(facts["endpoints"][0]["address"], address, "{facts}");
    let _ = bench.run("service get shop/none").ends(3);
    let ask = || bench.gateway.traffic().ask("GET /echo HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let _ = bench.run("service drain shop/web").ends(0);
    assert_eq!(ask().expect(503).json()["code"], "draining");
    let _ = bench.run("service undrain shop/web").ends(0);
    assert_eq!(ask().status, 200);
    let _ = bench.run("service reset-breaker shop/web").ends(0);

    let _ = bench
        .run("route create --id extra --cluster shop --service web --path /extra/* --host extra.test")
        .ends(0);
    let _ = bench
        .run("route create --id extra --cluster shop --service web --path /extra/* --host extra.test")
        .ends(5);
    let _ = bench.run("route list").ends(0).shows(&["extra", "shop"]);
    assert_eq!(bench.run("route get extra -o json").ends(0).json()["host"], "extra.test");
    let _ = bench.run("explain GET http://extra.test/extra/x").ends(0).shows(&["extra", &address]);
    let explained = bench.run("explain GET http://extra.test/extra/x -o json").ends(0).json();
    assert_eq!(explained["route"]["id"], "extra", "{explained}");
    let _ = bench.run("explain GET http://nobody.test/").ends(3);
    let _ = bench.run("route delete extra --yes").ends(0);
    let _ = bench.run("route get extra").ends(3);
    // A route of a file is the file's.
    let _ = bench.run("route delete shop --yes").ends(5).shows(&["shop/config.yaml"]);
}

#[test]
fn keys() {
    let _turn = turn::together();
    let bench = Bench::new();
    let cache = |line: &str| bench.run(&format!("cache {line} --cluster dev"));
    let _ = cache("set greeting hello --ttl 60").ends(0);
    assert_eq!(cache("get greeting").ends(0).out.trim_end(), "hello");
    assert_eq!(cache("get greeting -o json").ends(0).json()["value"], "hello");
    let _ = cache("get nothing").ends(3);
    let ttl: f64 = cache("ttl greeting").ends(0).out.trim().parse().unwrap();
    assert!(ttl > 50.0 && ttl <= 60.0, "{ttl}");
    assert_eq!(cache("incr visits --by 5").ends(0).out.trim(), "5");
    let _ = cache("incr greeting").ends(1);
    let _ = cache("expire visits 30").ends(0);
    let _ = cache("keys").ends(0).shows(&["greeting", "visits"]);
    let _ = cache("del greeting").ends(0);
    let _ = cache("get greeting").ends(3);
    let _ = bench.run("cache get visits").ends(2).shows(&["--cluster", "THROOME_CLUSTER"]);
}

#[test]
fn a_gateway_that_is_not_there_is_said() {
    let _turn = turn::together();
    let url = format!("http://127.0.0.1:{}", free_port());
    for line in ["cluster list", "status", "cache get x --cluster dev", "route list -o json"] {
        let said = run(&gateway_binary(), &url, &line.split(' ').collect::<Vec<_>>()).ends(6);
        assert!(said.err.contains(&url), "{said:#?}");
    }
    let _ = run(&gateway_binary(), &url, &["no-such-command"]).ends(2);
}

#[test]
fn some_commands_need_no_gateway() {
    let _turn = turn::together();
    let bench = Layout::default();
    let run = |line: &str| run(&gateway_binary(), "http://127.0.0.1:1", &line.split(' ').collect::<Vec<_>>());
    let file = |name: &str, text: &str| {
        fs::write(bench.dir().join(name), text).unwrap();
        bench.dir().join(name).display().to_string()
    };
    let good = file("good.yaml", "cluster_id: shop\nservices:\n  cache: { type: memory }\n");
    let bad = file("bad.yaml", "cluster_id: shop\nservices:\n  cache: { type: memry }\n  b: { typ: http }\n");
    let gateway = file("throome.yaml", "server: { port: 9100 }\n");
    let wrong = file("wrong.yaml", "server: { prt: 9100 }\n");
    let _ = run(&format!("validate {good} {gateway}")).ends(0);
    let _ = run(&format!("validate {good} {bad}")).ends(8).shows(&[
        "bad.yaml:3:18",
        "did you mean `memory`",
        "bad.yaml:4:",
    ]);
    let _ =
        run(&format!("validate-config {wrong}")).ends(8).shows(&["wrong.yaml:1:11", "did you mean `port`"]);
    // What a table does not know is checked too.
    let clash = file("clash.yaml", "server: { port: 8080 }\n");
    let _ = run(&format!("validate {clash}")).ends(8).shows(&["clash.yaml:1:17", "`proxy.port` is the same"]);
    // A file that is named is one of the machine that the gateway runs on, which may be another one.
    let named =
        file("named.yaml", "services:\n  web: { type: http, host: a, port: 1, tls: { ca: /nope.pem } }\n");
    let _ = run(&format!("validate {named}"))
        .ends(0)
        .shows(&["it would not start on this machine", "named.yaml:2:51: services.web.tls.ca"]);
    let told = run(&format!("validate {bad} -o json")).ends(8).json().to_string();
    assert!(told.contains("\"line\":3"), "{told}");

    let _ = run(&format!("config --config {gateway} --proxy-port 8181")).ends(0).shows(&[
        "9100",
        "8181",
        "--proxy-port",
        "throome.yaml",
    ]);
    let settings = run(&format!("config --config {gateway} -o json")).ends(0).json().to_string();
    assert!(
        settings.contains("server.port") && settings.contains("9100") && settings.contains("default"),
        "{settings}"
    );
    let _ = run(&format!("config --config {wrong}")).ends(8);
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&format!("completion {shell}")).ends(0).out.contains("throome"), "{shell}");
    }
    let _ = run("version").ends(0).shows(&["throome 0."]);
    let _ = run("--version").ends(0).shows(&["throome 0."]);
    assert!(run("version -o json").ends(0).json()["version"].is_string());
}

#[test]
fn everything_is_read_and_nothing_started() {
    let _turn = turn::together();
    let layout = Layout::default().with_args(&["--check"]);
    layout.write_cluster("shop", "services: { cache: { type: memory } }\n");
    let (code, said) = layout.start_in_vain();
    assert!(code == 0 && said.contains("valid"), "{code}: {said}");
    layout.write_cluster("shop", "services: { cache: { type: memry } }\n");
    let (code, said) = layout.start_in_vain();
    assert!(code == 8 && said.contains("shop/config.yaml:1:28"), "{code}: {said}");
    assert!(!layout.clusters_dir().join(".throome").exists(), "a check leaves nothing behind");
}

#[test]
fn the_predecessors_verbs_work_under_both_names() {
    let _turn = turn::together();
    let bench = Bench::new();
    let alone = bench.gateway.dir().join("throome-cli");
    std::os::unix::fs::symlink(gateway_binary(), &alone).unwrap();
    for (number, program) in [gateway_binary(), alone.clone()].iter().enumerate() {
        let run = |line: &str| run(program, &bench.url, &line.split(' ').collect::<Vec<_>>());
        let name = format!("Legacy{number}");
        let created = run(&format!("create-cluster --name {name} -o json")).ends(0).json();
        let id = created["cluster_id"].as_str().unwrap().to_owned();
        let _ = run("list-clusters").ends(0).shows(&[&name]);
        let _ = run(&format!("get-cluster {id}")).ends(0).shows(&[&name]);
        let _ = run(&format!("delete-cluster {id} --yes")).ends(0);
        let _ = run(&format!("get-cluster {id}")).ends(3);
    }
    // It carries the commands alone.
    let _ = run(&alone, &bench.url, &["serve"]).ends(2);
}

#[test]
fn a_token_is_taken_from_flag_and_environment() {
    let _turn = turn::together();
    let gateway = Layout::default().with_file("server: { host: 0.0.0.0 }\n").start();
    let log = gateway.log();
    let token = log.split("shown this once:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let url = format!("http://{}", gateway.control);
    let _ = run(&gateway_binary(), &url, &["cluster", "list"]).ends(4);
    let _ = run(&gateway_binary(), &url, &["cluster", "list", "--token", &token]).ends(0);
    let said = run(&gateway_binary(), &url, &["cluster", "list", "--debug", "--token", &token]).ends(0);
    assert!(!said.err.contains(&token) && !said.err.is_empty(), "{said:#?}");
    let spec = json!({ "name": "Secret", "cluster_id": "secret", "services": {} });
    let path = gateway.dir().join("secret.json");
    fs::write(&path, spec.to_string()).unwrap();
    let _ = run(&gateway_binary(), &url, &["apply", &path.display().to_string(), "--token", &token]).ends(0);
}
