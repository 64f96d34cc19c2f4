//! The commands against doors that are secured: by flag, by environment, and where they find the gateway themselves.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use throome_e2e::process::{free_port, gateway_binary, wait_for};
use throome_e2e::{Layout, turn};

use super::Authority;

/// A gateway whose control and data doors are secured; killed when dropped.
struct Secured {
    process: Child,
    control: String,
    data: String,
    _layout: Layout,
}

impl Secured {
    fn start(authority: &Authority, more: &str) -> Secured {
        let port = free_port();
        let layout = Layout::default().with_file(&format!(
            "server: {{ tls: {{ certificates: [ {pair} ] {more} }} }}\n\
             data: {{ port: {port}, tls: {{ certificates: [ {pair} ] {more} }} }}\n",
            pair = authority.pair("gateway"),
        ));
        layout.write_cluster("shop", "name: Shop\nservices:\n  cache: { type: memory }\n");
        let process = layout.command("serve").stderr(Stdio::null()).spawn().unwrap();
        let control = format!("https://localhost:{}", layout.control.port());
        wait_for("the control door", Duration::from_secs(20), || {
            std::net::TcpStream::connect(layout.control).ok()
        });
        Secured { process, control, data: format!("https://localhost:{port}"), _layout: layout }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Exit code, standard output and standard error.
fn throome(line: &[&str], env: &[(&str, &Path)]) -> (i32, String, String) {
    let mut command = Command::new(gateway_binary());
    for name in ["THROOME_URL", "THROOME_TOKEN", "THROOME_CLUSTER", "THROOME_CA"] {
        command.env_remove(name);
    }
    let output = command.args(line).envs(env.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn secured_doors_are_asked_like_all_others() {
    let _turn = turn::together();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.issue("gateway", &["localhost", "admin.example"]);
    let gateway = Secured::start(&ours, "");
    let (ca, control) = (ours.path("ca.pem"), gateway.control.as_str());
    let env: &[(&str, &Path)] = &[("THROOME_CA", &ca), ("THROOME_URL", Path::new(control))];
    for line in [
        &["status"][..],
        &["cluster", "get", "shop"],
        &["cache", "set", "k", "v", "--cluster", "shop"],
        &["explain", "GET", "https://shop.test/"],
    ] {
        let (code, out, err) = throome(line, env);
        assert!(matches!(code, 0) || line[0] == "explain" && code == 3, "{line:?}: {out}{err}");
        assert!(line[0] != "status" || out.contains(control), "{out}");
    }
    let flags = ["--ca", &ours.ca(), "--url", &gateway.data];
    let get = [&["cache", "get", "k", "--cluster", "shop"][..], &flags].concat();
    let (code, out, err) = throome(&get, &[]);
    assert_eq!((code, out.trim()), (0, "v"), "{err}");
    // What is wrong is said with the way out.
    let clear = control.replacen("https", "http", 1);
    let address = control.replacen("localhost", "127.0.0.1", 1);
    let stranger = other.path("ca.pem");
    for (url, ca, why, fix) in [
        (control, None, "authority that is not trusted", "THROOME_CA, or --ca"),
        (control, Some(&stranger), "authority that is not trusted", "holds another authority"),
        (&address, Some(&ca), "is for `localhost`, `admin.example`, and not for `127.0.0.1`", "a name that"),
        (&clear, Some(&ca), "what listens there speaks TLS", &format!("Write the URL as {control}.")),
    ] {
        let mut env = vec![("THROOME_URL", Path::new(url))];
        env.extend(ca.map(|ca| ("THROOME_CA", ca.as_path())));
        let (code, out, err) = throome(&["status"], &env);
        assert!(code == 6 && out.is_empty(), "{url}: {code} {out}{err}");
        assert!(err.contains(why) && err.contains(fix), "{url}: {err}");
    }
}

#[test]
fn a_door_that_asks_who_its_clients_are_is_told() {
    let _turn = turn::together();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.issue("gateway", &["localhost"]);
    ours.issue("ann", &["ann.example"]);
    other.issue("eve", &["ann.example"]);
    let gateway = Secured::start(&ours, &format!(", client_auth: {{ mode: required, ca: {} }}", ours.ca()));
    for url in [&gateway.control, &gateway.data] {
        let asked = |shows: Option<(&Authority, &str)>| {
            let path = |file: &str| shows.map(|(authority, name)| authority.path(&format!("{name}.{file}")));
            let (cert, key) = (path("pem"), path("key"));
            let ca = ours.path("ca.pem");
            let mut env = vec![("THROOME_URL", Path::new(url)), ("THROOME_CA", ca.as_path())];
            env.extend(cert.as_deref().map(|cert| ("THROOME_CLIENT_CERT", cert)));
            env.extend(key.as_deref().map(|key| ("THROOME_CLIENT_KEY", key)));
            throome(&["cache", "get", "k", "--cluster", "shop"], &env)
        };
        // 3: there is no such key.
        let (code, _, err) = asked(Some((&ours, "ann")));
        assert_eq!(code, 3, "{url}: {err}");
        let (code, _, err) = asked(None);
        assert!(code == 6 && err.contains("THROOME_CLIENT_CERT"), "{url}: {code} {err}");
        let (code, _, err) = asked(Some((&other, "eve")));
        assert!(code == 6 && err.contains("`client_auth.ca`"), "{url}: {code} {err}");
    }
}

/// In a network of its own, where the usual port is free.
#[test]
fn the_gateway_of_this_machine_is_found_also_when_it_speaks_tls() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("gateway", &["localhost"]);
    authority.issue("other", &["admin.example"]);
    let throome = gateway_binary().display().to_string();
    let found = |pair: Option<&str>, trusts: bool| {
        let dir = tempfile::tempdir().unwrap();
        let tls =
            pair.map(|name| format!("server: {{ tls: {{ certificates: [ {} ] }} }}\n", authority.pair(name)));
        std::fs::write(dir.path().join("throome.yaml"), tls.unwrap_or_default()).unwrap();
        let script = format!(
            "ip link set lo up && {{ {throome} dev >log 2>&1 & }} && pid=$! && \
             for i in $(seq 200); do grep -q 'Watch it live' log && break; sleep 0.05; done; \
             {throome} status; code=$?; {throome} cluster create --name Two; kill $pid; wait $pid; exit $code"
        );
        let output = Command::new("unshare")
            .args(["-n", "sh", "-c", &script])
            .current_dir(dir.path())
            .env_remove("THROOME_CA")
            .envs(trusts.then(|| ("THROOME_CA", authority.path("ca.pem"))))
            .env_remove("THROOME_URL")
            .env_remove("THROOME_TOKEN")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let greeted = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let url = format!("Control http{}://localhost:9000 ", if pair.is_some() { "s" } else { "" });
        assert!(greeted.contains(&url), "{greeted}");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = found(Some("gateway"), true);
    assert!(code == Some(0) && out.contains("https://localhost:9000"), "{out}{err}");
    assert_eq!(err.matches("created").count(), 1, "{out}{err}");
    let (code, out, err) = found(None, false);
    assert!(code == Some(0) && out.contains("http://127.0.0.1:9000"), "{out}{err}");
    // Whoever it is, it is not taken on trust.
    let (code, out, err) = found(Some("other"), true);
    assert!(code == Some(6) && err.contains("is for `admin.example`, and not for `localhost`"), "{out}{err}");
    let (code, out, err) = found(Some("gateway"), false);
    assert!(code == Some(6) && err.contains("authority that is not trusted"), "{out}{err}");
    // Whoever says whom to trust sends nothing in the clear.
    let (code, out, err) = found(None, true);
    assert!(code == Some(6) && err.contains("does not answer in TLS"), "{out}{err}");
}
