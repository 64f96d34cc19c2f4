//! A change concerns nobody but whom it names: a thousand edits of routes, by the API and by files, and another certificate,
//! while requests, WebSockets and TLS go on. How soon each is seen is printed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::load::{Ending, Load, Rate};
use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

use super::Authority;

const BY_API: usize = 900;
const BY_FILE: usize = 100;
const SOCKETS: usize = 40;

/// Promised is 50 ms, on a machine that does nothing else.
const MOST: Duration = Duration::from_millis(250);

#[test]
fn a_thousand_edits_and_another_certificate_concern_nobody_else() {
    let _turn = turn::alone();
    let authority = Authority::new();
    authority.issue("first", &["shop.example"]);
    let service = Service::start("one");
    let secure = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let layout = Layout::default().with_file(&format!(
        "proxy: {{ listeners: [ {{ name: secure, host: 127.0.0.1, port: {}, tls: {{ certificates: [ {} ] }} }} ] }}\n",
        secure.port(),
        authority.pair("first")
    ));
    layout.write_cluster("kept", &cluster(&service, "kept", "shop.test", "/*"));
    layout.write_cluster("secure", &cluster(&service, "secure", "shop.example", "/*"));
    layout.write_cluster("moving", &cluster(&service, "moving", "moving.test", "/at/0"));
    let gateway = layout.start();

    let load = Load::begin(gateway.traffic, "shop.test", Rate { safe: 150, unsafe_: 50 });
    let stop = AtomicBool::new(false);
    let (said, asked, mut api, mut files) = std::thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&gateway, &stop));
        let asking = scope.spawn(|| ask(&authority, secure, &stop));
        let api = edit_by_api(&gateway, &service, 0..BY_API / 2);
        authority.issue("second", &["shop.example"]);
        for end in ["key", "pem"] {
            let place = |name: &str| authority.path(&format!("{name}.{end}"));
            std::fs::rename(place("second"), place("first")).unwrap();
        }
        let files = edit_by_file(&gateway, &service);
        let api: Vec<_> =
            api.into_iter().chain(edit_by_api(&gateway, &service, BY_API / 2..BY_API)).collect();
        wait_for("the new certificate", Duration::from_secs(5), || {
            authority.shown("shop.example", secure).starts_with("CN = second,").then_some(())
        });
        stop.store(true, Relaxed);
        (talking.join().unwrap(), asking.join().unwrap(), api, files)
    });
    let shots = load.finish();
    let failed: Vec<_> = shots.iter().filter(|shot| !matches!(shot.ending, Ending::Good { .. })).collect();
    let [(api, of_api), (files, of_files)] = [told(&mut api), told(&mut files)];
    println!("by the API {of_api}; by a file {of_files}");
    println!("meanwhile {} requests, {asked} by TLS, {said} messages of {SOCKETS} WebSockets", shots.len());
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), shots.len(), failed.first());
    assert!(shots.len() > 500 && said > 500 && asked > 100, "{} {said} {asked}", shots.len());
    assert!(api < MOST && files < MOST, "{api:?} by the API, {files:?} by files");
}

fn cluster(service: &Service, id: &str, host: &str, path: &str) -> String {
    format!(
        "services:\n  web:\n    type: http\n    endpoints: [ {} ]\n    health: {{ path: /healthz }}\n\
         routes:\n  - {{ id: {id}, host: {host}, path: \"{path}\", service: web }}\n",
        service.endpoint()
    )
}

/// What 99 of 100 were seen within, from before the edit was sent to the first answer by it; and all of it in words.
fn told(seen: &mut [Duration]) -> (Duration, String) {
    seen.sort();
    let [half, most, worst] = [50, 99, 100].map(|share| seen[(seen.len() - 1) * share / 100]);
    let words = format!("{}: half seen within {half:?}, 99 of 100 {most:?}, all {worst:?}", seen.len());
    (most, words)
}

/// Makes, changes and deletes routes; how long each took until it was seen.
fn edit_by_api(gateway: &Gateway, service: &Service, numbers: std::ops::Range<usize>) -> Vec<Duration> {
    let (mut control, mut client) = (gateway.control(), gateway.traffic());
    let mut id = None;
    let edit = |number: usize| {
        let began = Instant::now();
        let target = format!("http://{}/to/{number}", service.address);
        let route = json!({ "path": "/edited", "target_url": target }).to_string();
        let (method, path, body) = match (&id, number % 3) {
            (None, _) => ("POST", "/api/routes".to_owned(), Some(route.as_str())),
            (Some(id), 2) => ("DELETE", format!("/api/routes/{id}"), None),
            (Some(id), _) => ("PUT", format!("/api/routes/{id}"), Some(route.as_str())),
        };
        let reply = control.ask(request(gateway.control, method, &path, body));
        assert!(matches!(reply.status, 200 | 201), "{reply}");
        id = (method != "DELETE").then(|| reply.json()["data"]["id"].to_string());
        // What is acknowledged holds: the very next request is answered by it.
        let answer = client.ask("GET /edited HTTP/1.1\r\nHost: edited.test\r\n\r\n");
        if method == "DELETE" {
            assert_eq!(answer.status, 404, "{answer}");
        } else {
            assert_eq!(answer.expect(200).json()["target"], format!("/to/{number}"));
        }
        began.elapsed()
    };
    numbers.map(edit).collect()
}

/// Writes the file of a cluster, as an editor or a deployment does; how long each took until it was seen.
fn edit_by_file(gateway: &Gateway, service: &Service) -> Vec<Duration> {
    let mut client = gateway.traffic();
    let edit = |number: usize| {
        let path = format!("/at/{number}");
        let text = cluster(service, "moving", "moving.test", &path);
        let began = Instant::now();
        gateway.write_cluster("moving", &text);
        wait_for(&path, Duration::from_secs(5), || {
            let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: moving.test\r\n\r\n"));
            (answer.status == 200).then_some(())
        });
        began.elapsed()
    };
    (1..=BY_FILE).map(edit).collect()
}

/// Talks on WebSockets all the while; how many messages came back.
fn talk(gateway: &Gateway, stop: &AtomicBool) -> usize {
    let open = |_| {
        let mut socket = gateway.traffic();
        socket
            .send("GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        socket.until("hello");
        socket
    };
    let mut sockets: Vec<Connection> = (0..SOCKETS).map(open).collect();
    let mut said = 0;
    while !stop.load(Relaxed) {
        for (at, socket) in sockets.iter_mut().enumerate() {
            let word = format!("message {said} of {at};");
            assert!(socket.send(&word), "WebSocket {at} is cut");
            assert_eq!(socket.until(";"), word);
            said += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    said
}

/// Asks by TLS all the while, on a connection that is kept and on one that is new; how often.
fn ask(authority: &Authority, to: SocketAddr, stop: &AtomicBool) -> usize {
    let mut kept = authority.connect("shop.example", to);
    let mut asked = 0;
    while !stop.load(Relaxed) {
        let mut fresh = authority.connect("shop.example", to);
        for connection in [&mut kept, &mut fresh] {
            let reply = connection.ask("GET /echo HTTP/1.1\r\nHost: shop.example\r\n\r\n");
            assert_eq!(reply.map(|reply| reply.status), Ok(200));
            asked += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    asked
}
