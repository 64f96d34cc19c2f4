//! SIGUSR2: another program takes the gateway's place. Nobody is refused, nothing that was acknowledged is lost, and a
//! program that cannot do it changes nothing.

mod house;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::lines::{Line, Lines};
use throome_e2e::load::{Ending, Load, Rate};
use throome_e2e::process::{free_port, gateway_binary, signal, wait_for};
use throome_e2e::{Connection, Layout, Service, turn};

use crate::tls::Authority;
use house::*;

#[test]
fn five_changes_under_load_cost_nobody_anything() {
    let _turn = turn::alone();
    let (mut house, service, data) = shop("", &[]);
    let (control, traffic) = (house.gateway.control, house.gateway.traffic);
    let call = |path: &str, body: Value| {
        house.gateway.call("POST", &format!("{BASE}{path}"), Some(&body)).expect(200)
    };
    call("/db/execute", json!({ "query": "CREATE TABLE t (id INTEGER PRIMARY KEY)" }));
    call("/cache/set", json!({ "key": "stays", "value": "here", "ttl": 600 }));
    // Routes of the store are there from the first request.
    let url = json!({ "path": "/by-url", "target_url": format!("http://{}/echo", service.address) });
    let _ = house.gateway.call("POST", "/api/routes", Some(&url)).expect(201);
    let fresh = Fresh::begin(&[
        (traffic, "/echo"),
        (traffic, "/by-url"),
        (control, "/health"),
        (data, "/api/v1/clusters/shop/cache/keys/stays"),
    ]);
    let kept = Load::begin(traffic, "a", Rate { safe: 100, unsafe_: 50 });
    let calls: Vec<_> = [control, data, control, data].map(Kept::begin).into();
    let mut took = Vec::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        house.change();
        took.push(began.elapsed());
    }
    std::thread::sleep(Duration::from_millis(500));
    let answered = fresh.finish();
    let shots = kept.finish();
    let bad: Vec<_> = shots.iter().filter(|shot| !matches!(shot.ending, Ending::Good { .. })).collect();
    assert!(bad.is_empty(), "{} of {}: {:?}", bad.len(), shots.len(), &bad[..bad.len().min(5)]);
    let told: Vec<Kept> = calls
        .into_iter()
        .map(|(stop, thread)| {
            stop.store(true, Relaxed);
            thread.join().unwrap()
        })
        .collect();
    let longest = told.iter().map(|kept| kept.longest).max().unwrap();
    let [incr, insert, publish] = [0, 1, 2].map(|at| told.iter().map(|kept| kept.done[at]).sum::<u64>());
    println!(
        "{answered} on fresh connections, {} on kept ones, {} calls on {} connections, the longest {longest:?}; changes took {took:?}",
        shots.len(),
        incr + insert + publish,
        told.iter().map(|kept| kept.opened).sum::<u64>()
    );
    // Each was done once.
    let get = house
        .gateway
        .call("POST", &format!("{BASE}/cache/get"), Some(&json!({ "key": "n" })))
        .expect(200)
        .json();
    assert_eq!(
        get["value"].as_str().and_then(|n| n.parse().ok()).or(get["value"].as_u64()),
        Some(incr),
        "{get}"
    );
    let query = json!({ "query": "SELECT count(*) AS n FROM t" });
    let rows = house.gateway.call("POST", &format!("{BASE}/db/query"), Some(&query)).expect(200).json();
    assert_eq!(rows["rows"][0]["n"], json!(insert), "{rows}");
    let path = format!("{BASE}/queue/consume?topic=a&group=g&format=ndjson&wait_ms=2000&credit=10000");
    let mut messages = Lines::open(control, &path, "").unwrap();
    let mut count = 0;
    while let Line::Text(line) = messages.next(Duration::from_secs(4)) {
        count += u64::from(line.contains("\"event\":\"message\""));
    }
    assert_eq!(count, publish);
    // The time of a key goes on where it was.
    let ttl = house.gateway.show(&format!("{BASE}/cache/ttl?key=stays"));
    assert!(ttl["ttl"].as_f64().is_some_and(|left| left > 500.0 && left < 600.0), "{ttl}");
    let first = house.pids[0];
    house.gone(first);
    assert_eq!(house.gateway.wait(LONG), 0);
}

#[test]
fn calls_wait_for_what_is_under_way_and_streams_end_well() {
    let _turn = turn::together();
    let (mut house, ..) = shop("", &[]);
    let control = house.gateway.control;
    let publish = |house: &House, message: &str| {
        let body = json!({ "topic": "a", "message": message });
        house.gateway.call("POST", &format!("{BASE}/queue/publish"), Some(&body)).expect(200)
    };
    publish(&house, "one");
    let consume = format!("{BASE}/queue/consume?topic=a&group=g&format=ndjson");
    let mut messages = Lines::open(control, &consume, "").unwrap();
    let message = |lines: &mut Lines| loop {
        let line = lines.json(Duration::from_secs(10)).expect("a message");
        if line["event"] == "message" {
            break line["value"].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(message(&mut messages), "one");
    // A statement of about a second, which was begun before.
    let slow = std::thread::spawn(move || {
        let query = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 600000) SELECT count(*) AS n FROM c";
        let body = json!({ "query": query }).to_string();
        let reply =
            Connection::open(control).ask(request(control, "POST", &format!("{BASE}/db/query"), Some(&body)));
        (reply, Instant::now())
    });
    std::thread::sleep(Duration::from_millis(200));
    house.tell();
    wait_for("the change", LONG, || house.gateway.log().contains("takes the place").then_some(()));
    let set = json!({ "key": "k", "value": "v" });
    let _ = house.gateway.call("POST", &format!("{BASE}/cache/set"), Some(&set)).expect(200);
    let waited = Instant::now();
    let (reply, answered) = slow.join().unwrap();
    assert_eq!(reply.expect(200).json()["rows"][0]["n"], 600_000);
    // Its thread may read the answer a moment after it was there.
    let then = answered - Duration::from_millis(300);
    assert!(waited > then, "the engines were another's until then: {:?}", then - waited);
    house.changed();
    // The stream has an end, and what was not acknowledged comes again to whoever takes it up.
    while messages.next(Duration::from_secs(10)) != Line::Over {}
    assert!(messages.ended);
    publish(&house, "two");
    let mut messages = Lines::open(control, &consume, "").unwrap();
    let mut seen = [message(&mut messages), message(&mut messages)];
    seen.sort();
    assert_eq!(seen, ["one", "two"]);
}

#[test]
fn clients_of_http2_are_told_and_lose_nothing() {
    let _turn = turn::together();
    let (gateway, port) = crate::peers::gateway_before("type: http, protocol: http1", "");
    let house = House::new(gateway);
    let lock = house.gateway.clusters_dir().join(".throome/lock").display().to_string();
    let args = [house.gateway.traffic.port().to_string(), port.to_string(), "http1".to_owned(), lock];
    crate::peers::run("handover.py", &args, 1);
}

#[test]
fn a_websocket_stays_until_the_process_before_goes() {
    let _turn = turn::together();
    let sockets = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = sockets.local_addr().unwrap().port();
    std::thread::spawn(move || {
        sockets.incoming().for_each(|socket| drop(std::thread::spawn(|| echo(socket.unwrap()))))
    });
    let service = Service::start("web");
    let layout = Layout::default().with_file("server: { shutdown_timeout: 3s }\n");
    layout.write_cluster(
        "c",
        &format!(
            "health: {{ enabled: false }}\nservices:\n  web: {{ type: http, endpoints: [ {} ] }}\n\
             \x20 sockets: {{ type: http, host: 127.0.0.1, port: {port}, websocket: {{ max_message: 1000000 }} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 60s }}\n\
             \x20 - {{ id: ws, path: /ws, service: sockets }}\n",
            service.endpoint()
        ),
    );
    let mut house = House::new(layout.start());
    let mut socket = house.gateway.traffic();
    socket.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(socket.until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    let mut slow = house.gateway.traffic();
    slow.send("GET /slow?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    house.change();
    while told.elapsed() < Duration::from_secs(2) {
        socket.send(b"\x81\x81\0\0\0\0x");
        assert_eq!(socket.peek(3), b"\x81\x01x");
        socket.until("x");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!slow.reply().expect(200).keeps_alive());
    // 1001, and nothing before the time was over.
    assert_eq!(socket.peek(4), b"\x88\x02\x03\xe9");
    assert!(told.elapsed() >= Duration::from_millis(2_900), "{:?}", told.elapsed());
    assert_eq!(house.gateway.wait(Duration::from_secs(5)), 0);
    assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
}

/// A service of WebSockets that says every short text again.
fn echo(mut socket: std::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    socket.write_all(agreed.as_bytes()).unwrap();
    let mut frame = [0; 7];
    while socket.read_exact(&mut frame).is_ok() && frame[0] == 0x81 {
        socket.write_all(&[0x81, 1, frame[6]]).unwrap();
    }
}

#[test]
fn a_program_that_cannot_take_the_place_changes_nothing() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("throome");
    fs::copy(gateway_binary(), &program).unwrap();
    let (mut house, service, _) = shop("", &own(&program));
    let (pid, file) = (house.pid(), house.gateway.dir().join("throome.yaml"));
    let asked = |house: &House| {
        let set = json!({ "key": "k", "value": "v" });
        assert_eq!(house.gateway.call("POST", &format!("{BASE}/cache/set"), Some(&set)).status, 200);
        assert_eq!(house.gateway.get("/echo").status, 200);
        assert_eq!(house.holder(), Some(pid));
    };
    // A file that is wrong.
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}no_such_key: 1\n")).unwrap();
    house.tell();
    let message = house.event("gateway.not_replaced", "no_such_key");
    assert!(message.contains("exit status: 8"), "{message}");
    asked(&house);
    // A door that somebody else has.
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    fs::write(
        &file,
        format!("{good}proxy: {{ listeners: [ {{ name: more, host: 127.0.0.1, port: {port} }} ] }}\n"),
    )
    .unwrap();
    house.tell();
    house.event("gateway.not_replaced", &port.to_string());
    asked(&house);
    fs::write(&file, &good).unwrap();
    // A cluster that is wrong.
    house.gateway.write_cluster("shop", "name: 1\nservices: nonsense\n");
    house.tell();
    house.event("gateway.not_replaced", "services");
    asked(&house);
    write_shop(&house.gateway, &service);
    // A program that crashes, one that is none, and none at all.
    for (text, words) in [("#!/bin/sh\nexit 3\n", "exit status: 3"), ("nothing", "cannot be started")] {
        put(&program, text);
        house.tell();
        house.event("gateway.not_replaced", words);
        asked(&house);
    }
    fs::remove_file(&program).unwrap();
    house.tell();
    house.event("gateway.not_replaced", "No such file");
    asked(&house);
    // One that is slow: who asks for another change meanwhile is told, and changes of the world wait for its end.
    put(&program, &format!("#!/bin/sh\nsleep 1\nexec {} \"$@\"\n", gateway_binary().display()));
    house.tell();
    wait_for("the change", LONG, || house.gateway.log().contains("the program is changed").then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    house.tell();
    house.event("gateway.not_replaced", "already");
    house.changed();
    house.event("gateway.replaced", "takes the place");
    assert_eq!(house.gateway.get("/echo").status, 200);
}

#[test]
fn whoever_is_stopped_while_it_is_replaced_leaves_nobody_behind() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    for (pause, moment) in [(3, 0), (0, 0), (0, 150)] {
        let program = dir.path().join(format!("throome-{pause}-{moment}"));
        fs::copy(gateway_binary(), &program).unwrap();
        let (mut house, ..) = shop("", &own(&program));
        let (control, noted) = (house.gateway.control, house.gateway.dir().join("pid"));
        let text = "#!/bin/sh\necho $$ > NOTED\nsleep PAUSE </dev/null\nexec THROOME \"$@\"\n";
        let text = text.replace("NOTED", &noted.display().to_string()).replace("PAUSE", &pause.to_string());
        put(&program, &text.replace("THROOME", &gateway_binary().display().to_string()));
        house.tell();
        let read = || fs::read_to_string(&noted).ok()?.trim().parse::<u32>().ok();
        let other = wait_for("the other program", LONG, read);
        house.pids.push(other);
        std::thread::sleep(Duration::from_millis(moment));
        signal(house.pids[0], "TERM");
        assert_eq!(house.gateway.wait(LONG), 0);
        // Unless it had the place already.
        if !house.gateway.log().contains("takes the place") {
            house.gone(other);
            wait_for("a closed door", LONG, || std::net::TcpStream::connect(control).is_err().then_some(()));
        }
    }
}

#[test]
fn the_program_that_stands_at_the_path_is_the_one_that_runs() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    let (program, newer) = (dir.path().join("throome"), dir.path().join("throome.new"));
    fs::copy(gateway_binary(), &program).unwrap();
    let (mut house, _service, _) = shop("", &own(&program));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let running = |pid: u32| inode(&PathBuf::from(format!("/proc/{pid}/exe")));
    assert_eq!(running(house.pid()), inode(&program));
    let words = |pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let said = words(house.pid());
    for _ in 0..2 {
        fs::copy(gateway_binary(), &newer).unwrap();
        fs::rename(&newer, &program).unwrap();
        assert_ne!(running(house.pid()), inode(&program));
        let pid = house.change();
        assert_eq!(running(pid), inode(&program));
        assert_eq!(words(pid), said, "it is called as the first was");
    }
}

#[test]
fn doors_come_and_go_and_cores_grow_and_shrink() {
    let _turn = turn::together();
    let [first, second] = [free_port(), free_port()];
    let file = |workers: u32, port: u16| {
        format!(
            "proxy: {{ workers: {workers}, listeners: [ {{ name: more, host: 127.0.0.1, port: {port} }} ] }}\n"
        )
    };
    let (mut house, _service, _) = shop(&file(4, first), &[]);
    let path = house.gateway.dir().join("throome.yaml");
    let good = fs::read_to_string(&path).unwrap();
    let fresh = Fresh::begin(&[(house.gateway.traffic, "/echo"); 4]);
    for (workers, port) in [(1, first), (3, second), (2, second)] {
        fs::write(&path, good.replace(&file(4, first), &file(workers, port))).unwrap();
        house.change();
        assert!(once(SocketAddr::from(([127, 0, 0, 1], port)), "/echo").is_ok());
    }
    println!("{} on fresh connections", fresh.finish());
    let closed = SocketAddr::from(([127, 0, 0, 1], first));
    wait_for("a closed door", LONG, || std::net::TcpStream::connect(closed).is_err().then_some(()));
}

#[test]
fn by_tls_nobody_is_refused_either() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("a", &["a.example"]);
    let tls = format!("proxy: {{ tls: {{ certificates: [ {} ] }} }}\n", authority.pair("a"));
    let (mut house, _service, _) = shop(&tls, &[]);
    let (to, stop) = (house.gateway.traffic, Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let asking = std::thread::spawn(move || {
        let (mut connection, mut opened, mut answered) = (authority.connect("a.example", to), 1, 0);
        while !stopped.load(Relaxed) {
            let reply = connection.ask("GET /echo HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            assert_eq!(reply.status, 200);
            answered += 1;
            if !reply.keeps_alive() || answered % 20 == 0 {
                (connection, opened) = (authority.connect("a.example", to), opened + 1);
            }
        }
        (opened, answered)
    });
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        house.change();
    }
    stop.store(true, Relaxed);
    let (opened, answered) = asking.join().unwrap();
    println!("{answered} requests on {opened} connections");
    assert!(opened > 3 && answered > opened);
}

#[test]
fn whoever_manages_the_service_is_told_which_process_it_is() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(LONG)).unwrap();
    let heard = || {
        let mut words = [0; 256];
        let n = manager.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..n]).into_owned()
    };
    let (mut house, ..) = shop("", &["env", &format!("NOTIFY_SOCKET={}", place.display())]);
    assert_eq!(heard(), "READY=1\n");
    let pid = house.change();
    let mut words = [heard(), heard()];
    words.sort();
    assert_eq!(words, [format!("MAINPID={pid}\n"), "READY=1\n".to_owned()]);
}

/// A command that starts this program, and not the one that it is told.
fn own(program: &Path) -> Vec<&str> {
    vec!["sh", "-c", "shift; exec \"$0\" \"$@\"", program.to_str().unwrap()]
}

/// Puts another program in its place.
fn put(program: &Path, text: &str) {
    let beside = program.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, program).unwrap();
}
