//! What clients make up (paths, hosts, methods, fields) is counted under names of our own: neither metrics nor memory grow
//! with it.

use std::fmt::Write as _;

use throome_e2e::gateway::request;
use throome_e2e::process::Memory;
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

const COUNT: usize = 10_000;
/// Sent together.
const BATCH: usize = 50;

#[test]
fn ten_thousand_names_of_clients_are_no_labels() {
    let _turn = turn::alone();
    let service = Service::start("one");
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ], health: {{ path: /healthz }} }}\n\
             routes:\n  - {{ id: some, path: \"/p/{{name}}\", service: web }}\n",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    let mut client = gateway.traffic();
    let mut control = gateway.control();
    // Both statuses, both doors, and whatever is made when it is first needed.
    make_up(&mut client, 0..200);
    look_for(&mut control, &gateway, 0..50);
    let (before, mut memory) = (series(&gateway), Memory::of(gateway.pid()));
    for begin in (200..COUNT).step_by(BATCH) {
        make_up(&mut client, begin..begin + BATCH);
        memory.look();
    }
    look_for(&mut control, &gateway, 50..1_000);
    memory.look();
    let after = series(&gateway);
    let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    println!(
        "{COUNT} names: {} series before, {} after, {} KiB more",
        before.len(),
        after.len(),
        memory.grew()
    );
    assert!(after.len() <= before.len() + 5, "{new:?}");
    let made_up = after.iter().find(|line| line.contains("made-up") || line.contains("MADE"));
    assert_eq!(made_up, None);
    assert!(memory.grew() < 8 * 1024, "{} KiB more", memory.grew());
}

/// Requests of which every name is another; half of them are for no route.
fn make_up(client: &mut Connection, numbers: std::ops::Range<usize>) {
    let mut text = String::new();
    for n in numbers.clone() {
        let path = if n % 2 == 0 { "/p" } else { "/none" };
        let _ = write!(
            text,
            "MADE-UP-{n} {path}/made-up-{n}?made-up-{n}=1 HTTP/1.1\r\nHost: made-up-{n}.test\r\nX-Made-Up-{n}: made-up\r\n\
             User-Agent: made-up-{n}\r\n\r\n"
        );
    }
    assert!(client.send(text));
    for n in numbers {
        assert_eq!(client.reply().status, if n % 2 == 0 { 200 } else { 404 });
    }
}

/// The same at the control door.
fn look_for(control: &mut Connection, gateway: &Gateway, numbers: std::ops::Range<usize>) {
    for n in numbers {
        for path in [format!("/made-up-{n}"), format!("/api/v1/clusters/made-up-{n}/services/made-up")] {
            assert_eq!(control.ask(request(gateway.control, "GET", &path, None)).status, 404);
        }
    }
}

/// The names of all series, without their values.
fn series(gateway: &Gateway) -> Vec<String> {
    let metrics = gateway.call("GET", "/metrics", None).expect(200).text();
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}
