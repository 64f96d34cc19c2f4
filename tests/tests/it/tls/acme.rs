//! A certificate that an authority issues by itself: Pebble, Let's Encrypt's own for tests, which `scripts/pebble.sh`
//! makes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Gateway, Layout, turn};

use super::Authority;

/// Processes that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts Pebble, which visits names at this port, wherever they lead: to this machine. Gives its directory.
fn pebble(authority: &Authority, visits: u16) -> (Running, String) {
    let made = Command::new("bash").arg("../scripts/pebble.sh").output().unwrap();
    assert!(made.status.success(), "scripts/pebble.sh: {}", String::from_utf8_lossy(&made.stderr));
    let place = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    authority.issue("pebble", &["localhost"]);
    let (port, manage, dns, dns_manage) = (free_port(), free_port(), free_port(), free_port());
    let path = |file: &str| authority.path(file).display().to_string();
    let config = json!({ "pebble": {
        "listenAddress": format!("127.0.0.1:{port}"),
        "managementListenAddress": format!("127.0.0.1:{manage}"),
        "certificate": path("pebble.pem"),
        "privateKey": path("pebble.key"),
        "httpPort": 1,
        "tlsPort": visits,
        "externalAccountBindingRequired": false,
    } });
    std::fs::write(authority.path("pebble.json"), config.to_string()).unwrap();
    let names = Command::new(format!("{place}/pebble-challtestsrv"))
        .args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
        .args(["-dnsserver", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{dns_manage}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Command::new(format!("{place}/pebble"))
        .args(["-config", &path("pebble.json"), "-dnsserver", &format!("127.0.0.1:{dns}")])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(vec![names, server]);
    for at in [dns, port] {
        wait_for("Pebble", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", at)).ok());
    }
    (running, format!("https://localhost:{port}/dir"))
}

fn events(gateway: &Gateway) -> Vec<Value> {
    let events = gateway.show("/api/v1/events?kind=certificate.");
    events["events"].as_array().or_else(|| events["items"].as_array()).cloned().unwrap_or_default()
}

fn has(gateway: &Gateway, kind: &str) -> Option<String> {
    let events = events(gateway);
    let event = events.iter().find(|event| event["kind"] == kind)?;
    Some(event["message"].as_str().unwrap().to_owned())
}

#[test]
fn an_authority_issues_what_is_asked_for_and_it_is_kept() {
    let _turn = turn::together();
    let authority = Authority::new();
    let layout = Layout::default();
    let to = layout.traffic;
    let (_pebble, directory) = pebble(&authority, to.port());
    let file = |names: &str| {
        format!(
            "proxy: {{ tls: {{ acme: {{ names: [{names}], directory: \"{directory}\", ca: {}, terms_agreed: true, \
             contact: ops@shop.example }} }} }}\n",
            authority.ca()
        )
    };
    let gateway = layout.with_file(&file("shop.example, www.shop.example")).start();
    wait_for("a certificate", Duration::from_secs(60), || {
        let refused = has(&gateway, "certificate.not_issued");
        assert_eq!(refused, None);
        has(&gateway, "certificate.issued")
    });
    // Whom Pebble's certificates are of is another each time it starts.
    let issuer = |name: &str| {
        let said = Command::new("openssl")
            .args(["s_client", "-connect", &to.to_string(), "-servername", name, "-showcerts"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let said = wait_for("the certificate", Duration::from_secs(5), || {
        Some(issuer("www.shop.example")).filter(|said| said.contains("Pebble Intermediate CA"))
    });
    assert!(said.matches("BEGIN CERTIFICATE").count() >= 2, "no chain: {said}");
    let metrics = gateway.call("GET", "/metrics", None).expect(200).text();
    let asked = "throome_tls_handshake_failures_total{door=\"traffic\",reason=\"challenge\"}";
    assert!(metrics.contains(asked), "{metrics}");
    let data = gateway.clusters_dir().join(".throome/acme");
    for secret in ["account.json", "certificate.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    // It is kept, and not asked for again.
    let certificate = std::fs::read(data.join("certificate.pem")).unwrap();
    // In order, since what has just happened is lost with one that is killed.
    let mut gateway = gateway;
    gateway.signal("TERM");
    gateway.wait(Duration::from_secs(20));
    let gateway = gateway.kill().start();
    assert!(issuer("shop.example").contains("Pebble Intermediate CA"));
    assert_eq!(events(&gateway).iter().filter(|event| event["kind"] == "certificate.issued").count(), 1);
    assert_eq!(std::fs::read(data.join("certificate.pem")).unwrap(), certificate);
    // Other names need another one.
    let layout = gateway.kill().with_file(&file("other.example"));
    let gateway = layout.start();
    wait_for("the other certificate", Duration::from_secs(60), || {
        has(&gateway, "certificate.issued").filter(|message| message.contains("other.example"))
    });
}

#[test]
fn the_data_door_has_one_of_its_own() {
    let _turn = turn::together();
    let authority = Authority::new();
    let port = free_port();
    let (_pebble, directory) = pebble(&authority, port);
    let gateway = Layout::default()
        .with_file(&format!(
            "data: {{ port: {port}, tls: {{ acme: {{ names: [data.example], directory: \"{directory}\", ca: {}, \
             terms_agreed: true }} }} }}\n",
            authority.ca()
        ))
        .start();
    wait_for("a certificate", Duration::from_secs(60), || {
        let refused = has(&gateway, "certificate.not_issued");
        assert_eq!(refused, None);
        has(&gateway, "certificate.issued")
    });
    let data = gateway.clusters_dir().join(".throome");
    assert!(data.join("acme-data/certificate.pem").is_file() && !data.join("acme").exists());
}

#[test]
fn what_is_not_issued_is_said_and_the_door_is_open_meanwhile() {
    let _turn = turn::together();
    let authority = Authority::new();
    // It visits a port at which nobody is.
    let (_pebble, directory) = pebble(&authority, free_port());
    let gateway = Layout::default()
        .with_file(&format!(
            "proxy: {{ tls: {{ acme: {{ names: [shop.example], directory: \"{directory}\", ca: {}, terms_agreed: true \
             }} }} }}\n",
            authority.ca()
        ))
        .start();
    let why = wait_for("the refusal", Duration::from_secs(60), || has(&gateway, "certificate.not_issued"));
    assert!(
        why.contains("the proof: ")
            && why.contains("Failed to connect to 127.0.0.1")
            && why.contains("in 60 s"),
        "{why}"
    );
    let curl = authority.curl("shop.example", gateway.traffic, &["-k"]);
    assert_eq!(curl.code, 0, "{}", curl.err);
    assert!(curl.out.contains("not_found"), "{}", curl.out);
}
