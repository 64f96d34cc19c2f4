//! To services: whose certificates are taken, by which name, and what is shown to them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::fixture::one_service;
use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Gateway, Layout, turn};

use super::{Authority, seen};

/// An nginx that speaks TLS and lets in whom `more` says.
struct Nginx {
    port: u16,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(authority: &Authority, pair: &str, more: &str) -> Nginx {
        Nginx::speaking(authority, pair, "", more)
    }

    fn speaking(authority: &Authority, pair: &str, http2: &str, more: &str) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let (port, at, of) = (free_port(), dir.path().display(), authority.dir.path().display());
        let text = format!(
            "daemon off; master_process off; error_log stderr; pid {at}/pid; events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
             uwsgi_temp_path {at}; scgi_temp_path {at};\n\
             server {{ listen 127.0.0.1:{port} ssl{http2}; ssl_certificate {of}/{pair}.pem; ssl_certificate_key \
             {of}/{pair}.key; ssl_protocols TLSv1.2 TLSv1.3; {more}\n\
             location / {{ return 200 \"$ssl_protocol|$ssl_server_name|$ssl_client_s_dn|$ssl_session_reused|\
             $connection|$ssl_alpn_protocol\"; }} }} }}\n"
        );
        std::fs::write(dir.path().join("conf"), text).unwrap();
        let process = Command::new("nginx")
            .args(["-p", &at.to_string(), "-c"])
            .arg(dir.path().join("conf"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("nginx", Duration::from_secs(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Nginx { port, process, _dir: dir }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn cluster(gateway: &Gateway, id: &str, port: u16, tls: &Value) {
    gateway.create(&json!({
        "cluster_id": id,
        "name": id,
        "services": { "web": { "type": "http", "host": "127.0.0.1", "port": port, "tls": tls,
            "health": { "path": "/" } } },
        "routes": [{ "id": id, "path": format!("/{id}"), "service": "web" }],
    }));
}

#[test]
fn services_are_known_by_their_certificates_and_know_ours() {
    let _turn = turn::together();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.issue("web", &["web.example", "127.0.0.1"]);
    ours.issue("gateway", &["gateway.example"]);
    let plain = Nginx::start(&ours, "web", "");
    let asks =
        Nginx::start(&ours, "web", &format!("ssl_verify_client on; ssl_client_certificate {};", ours.ca()));
    let gateway = Layout::default().start();
    let pem = |file: &str| ours.path(file).display().to_string();
    cluster(&gateway, "named", plain.port, &json!({ "ca": ours.ca(), "sni": "web.example" }));
    cluster(&gateway, "address", plain.port, &json!({ "ca": ours.ca() }));
    cluster(&gateway, "wrong-name", plain.port, &json!({ "ca": ours.ca(), "sni": "bank.example" }));
    cluster(&gateway, "stranger", plain.port, &json!({ "ca": other.ca() }));
    cluster(&gateway, "machine", plain.port, &json!({ "enabled": true }));
    cluster(&gateway, "unchecked", plain.port, &json!({ "verify": false }));
    let pair = json!({ "ca": ours.ca(), "cert": pem("gateway.pem"), "key": pem("gateway.key") });
    cluster(&gateway, "both", asks.port, &pair);
    cluster(&gateway, "nobody", asks.port, &json!({ "ca": ours.ca() }));

    let said = |id: &str| gateway.get(&format!("/{id}")).expect(200).text();
    assert!(said("named").starts_with("TLSv1.3|web.example||"), "{}", said("named"));
    assert!(said("named").ends_with("|http/1.1"), "{}", said("named"));
    // An address is no name to ask for.
    assert!(said("address").starts_with("TLSv1.3|||"), "{}", said("address"));
    assert!(said("unchecked").starts_with("TLSv1.3|"), "{}", said("unchecked"));
    assert!(said("both").contains("|O=Example\\, Inc.,CN=gateway|"), "{}", said("both"));
    // A connection is kept, whatever tickets came over it.
    let of = |said: &str| said.split('|').nth(4).unwrap().to_owned();
    let mut client = gateway.traffic();
    let mut ask = || client.ask("GET /named HTTP/1.1\r\nHost: a\r\n\r\n").expect(200).text();
    let first = of(&ask());
    assert!((0..20).all(|_| of(&ask()) == first));

    for (id, part) in [("wrong-name", "`tls.sni`"), ("stranger", "`tls.ca`"), ("machine", "`tls.ca`")] {
        let service = gateway.show(&format!("/api/v1/clusters/{id}/services/web"));
        assert!(service.to_string().contains(part), "{id}: {service:#}");
        assert_eq!(gateway.get(&format!("/{id}")).status, 503, "{id}");
    }
    // nginx answers those that show nothing, in HTTP.
    let nobody = gateway.get("/nobody");
    assert!(matches!(nobody.status, 400 | 503), "{nobody}");
}

#[test]
fn what_is_spoken_is_agreed_on() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("web", &["127.0.0.1"]);
    let old = Nginx::start(&authority, "web", "");
    let new = Nginx::speaking(&authority, "web", " http2", "");
    let gateway = Layout::default().start();
    let cluster = |id: &str, port: u16, protocol: &str| {
        gateway.create(&json!({
            "cluster_id": id,
            "name": id,
            "services": { "web": { "type": "http", "host": "127.0.0.1", "port": port, "protocol": protocol,
                "tls": { "ca": authority.ca() }, "health": { "path": "/" } } },
            "routes": [{ "id": id, "path": format!("/{id}"), "service": "web" }],
        }));
    };
    cluster("h2", new.port, "h2");
    cluster("auto-new", new.port, "auto");
    cluster("auto-old", old.port, "auto");
    cluster("h1", new.port, "http1");
    cluster("h2-old", old.port, "h2");
    for (id, agreed) in [("h2", "h2"), ("auto-new", "h2"), ("auto-old", "http/1.1"), ("h1", "http/1.1")] {
        for _ in 0..5 {
            let said = gateway.get(&format!("/{id}")).expect(200).text();
            assert!(said.ends_with(&format!("|{agreed}")), "{id}: {said}");
        }
    }
    let service = gateway.show("/api/v1/clusters/h2-old/services/web").to_string();
    assert!(service.contains("(ALPN)"), "{service}");
    assert_eq!(gateway.get("/h2-old").status, 503);
}

#[test]
fn from_gateway_to_gateway_the_identity_is_that_of_the_last() {
    let _turn = turn::together();
    let ours = Authority::new();
    ours.issue("inner", &["inner.example"]);
    ours.issue("outer", &["outer.example"]);
    let (inner, _service) = one_service(&format!(
        "proxy: {{ tls: {{ certificates: [ {} ], client_auth: {{ mode: required, ca: {} }} }} }}\n",
        ours.pair("inner"),
        ours.ca()
    ));
    let outer = Layout::default().start();
    let pem = |file: &str| ours.path(file).display().to_string();
    outer.create(&json!({
        "cluster_id": "edge", "name": "edge",
        "services": { "web": { "type": "http", "host": "127.0.0.1", "port": inner.traffic.port(),
            "health": { "path": "/healthz" },
            "tls": { "ca": ours.ca(), "sni": "inner.example", "cert": pem("outer.pem"), "key": pem("outer.key") } } },
        "routes": [{ "id": "all", "path": "/*", "service": "web" }],
    }));
    let echo = outer.get("/echo").expect(200).json();
    assert_eq!(seen(&echo, "x-client-cert-subject"), ["O=Example\\, Inc.,CN=outer"]);
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
    // Bodies of every framing, through TLS on both of its sides.
    let mut client = outer.traffic();
    for path in ["/bytes?n=3000000", "/chunks?n=300", "/until-close"] {
        let reply = client.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(200);
        assert!(!reply.body.is_empty(), "{path}");
        if !reply.keeps_alive() {
            client = outer.traffic();
        }
    }
    // A certificate that is replaced is shown from the next connection on.
    ours.issue("outer", &["outer.example"]);
    let fingerprint = |echo: &Value| seen(echo, "x-client-cert-fingerprint");
    let before = fingerprint(&echo);
    std::thread::sleep(Duration::from_millis(500));
    inner.signal("STOP");
    inner.signal("CONT");
    wait_for("another certificate", Duration::from_secs(10), || {
        // Many at once, so that there is no connection for some.
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let mut client = outer.traffic();
                client.send("GET /slow?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n");
                client
            })
            .collect();
        let echo = outer.get("/echo").expect(200).json();
        drop(asked);
        (fingerprint(&echo) != before).then_some(())
    });
}

#[test]
fn a_route_to_a_url_is_secured_where_its_url_says_so() {
    let _turn = turn::together();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.issue("web", &["localhost"]);
    other.issue("web", &["localhost"]);
    ours.issue("wrong", &["bank.example"]);
    let [good, stranger, wrong] =
        [(&ours, "web"), (&other, "web"), (&ours, "wrong")].map(|(of, pair)| Nginx::start(of, pair, ""));
    // Whom this machine trusts is what its environment says, as for other programs.
    let trusting = format!("SSL_CERT_FILE={}", ours.ca());
    let gateway = Layout::default().with_wrapper(&["env", &trusting]).start();
    let route = |path: &str, port: u16| {
        let body =
            json!({ "path": path, "target_url": format!("https://localhost:{port}/there"), "timeout": 5 });
        gateway.call("POST", "/api/routes", Some(&body)).expect(201).json()["data"]["target_url"].clone()
    };
    assert_eq!(route("/good", good.port), format!("https://localhost:{}/there", good.port));
    route("/stranger", stranger.port);
    route("/wrong", wrong.port);
    let said = gateway.get("/good").expect(200).text();
    assert!(said.starts_with("TLSv1.3|localhost|"), "{said}");
    for path in ["/stranger", "/wrong"] {
        assert!(matches!(gateway.get(path).status, 502 | 503), "{path}");
    }
    let shown = gateway.show("/api/v1/clusters/url-routes").to_string();
    assert!(shown.contains("\"enabled\":true"), "{shown}");
    for (port, part) in [(stranger.port, "authority that is not trusted"), (wrong.port, "bank.example")] {
        let service = format!("/api/v1/clusters/url-routes/services/https-localhost-{port}");
        wait_for(part, Duration::from_secs(10), || {
            gateway.show(&service).to_string().contains(part).then_some(())
        });
    }
    // After a restart it is as before.
    let gateway = gateway.kill().start();
    assert!(gateway.get("/good").expect(200).text().starts_with("TLSv1.3|localhost|"));
}
