//! What `failover` holds, of services that speak HTTP/2 and gRPC: each fault has a cluster and a load of its own, and all of
//! them go bad at the same moment behind one gateway.
//!
//! Calls of gRPC are unsafe, all of them, and come by HTTP/2; the others come by HTTP/1.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use throome_e2e::load::{Load, Rate};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, Service, turn};

use crate::case::{Case, DETECTED, Fault, Hurts, WATCHED};
use crate::failover::{begin, end, wait_for_share};

const HTTP2: &[(Fault, Hurts)] = &[
    (Fault::Killed, Hurts::Unanswered),
    (Fault::Frozen, Hurts::Unanswered),
    (Fault::Behaves("reset-on-accept"), Hurts::Unanswered),
    (Fault::Behaves("eat"), Hurts::Unanswered),
    (Fault::Behaves("garbage"), Hurts::Unanswered),
    (Fault::Behaves("fail"), Hurts::Whole),
    (Fault::Behaves("late"), Hurts::Unanswered),
    (Fault::Behaves("trickle"), Hurts::Begun),
    (Fault::Behaves("short"), Hurts::Begun),
    (Fault::Behaves("long"), Hurts::Begun),
    (Fault::Behaves("close-in-body"), Hurts::Begun),
    (Fault::Behaves("close-in-chunks"), Hurts::Begun),
    (Fault::Behaves("reset-in-body"), Hurts::Begun),
];

/// `short` is an answer that ends without a status; `fail` says UNAVAILABLE. One that is late, and within its time, is right:
/// what may not run again waits for it.
const GRPC: &[(Fault, Hurts)] = &[
    (Fault::Killed, Hurts::Unanswered),
    (Fault::Frozen, Hurts::Unanswered),
    (Fault::Behaves("reset-on-accept"), Hurts::Unanswered),
    (Fault::Behaves("eat"), Hurts::Unanswered),
    (Fault::Behaves("garbage"), Hurts::Unanswered),
    (Fault::Behaves("fail"), Hurts::Whole),
    (Fault::Behaves("short"), Hurts::Begun),
    (Fault::Behaves("close-in-body"), Hurts::Begun),
    (Fault::Behaves("reset-in-body"), Hurts::Begun),
];

#[test]
fn services_of_http_2_go_bad_in_every_way() {
    let service = "type: http, protocol: h2c, health: { path: /healthz }";
    let rate = Rate { safe: 30, unsafe_: 12 };
    check("h2c", service, HTTP2, rate, |door, host| Load::begin(door, host, rate));
}

#[test]
fn services_of_grpc_go_bad_in_every_way() {
    let service = "type: grpc, health: { grpc: \"\" }";
    let rate = Rate { safe: 0, unsafe_: 30 };
    check("grpc", service, GRPC, rate, |door, host| Load::begin_grpc(door, host, rate.unsafe_));
}

fn check(
    protocol: &'static str,
    service: &str,
    faults: &[(Fault, Hurts)],
    rate: Rate,
    load: impl Fn(std::net::SocketAddr, &str) -> Load,
) {
    let _turn = turn::alone();
    let mut clusters: Vec<[Service; 3]> =
        faults.iter().map(|_| ["a", "b", "c"].map(|name| Service::speaking(protocol, name))).collect();
    let gateway = before(service, &clusters);
    let loads: Vec<Load> =
        (0..faults.len()).map(|at| load(gateway.traffic, &format!("c{at}.test"))).collect();
    std::thread::sleep(Duration::from_secs(1));
    let begun = now_us();
    for ((fault, _), services) in faults.iter().zip(&mut clusters) {
        begin(&mut services[1], *fault);
    }
    std::thread::sleep(DETECTED);
    let detected = now_us();
    let facts: Vec<_> = (0..faults.len())
        .map(|at| gateway.show(&format!("/api/v1/clusters/c{at}/services/app"))["endpoints"][1].clone())
        .collect();
    std::thread::sleep(WATCHED);
    let over = now_us();
    for ((fault, _), services) in faults.iter().zip(&mut clusters) {
        end(&mut services[1], *fault);
    }
    let back: Vec<Duration> = clusters.iter().map(|services| wait_for_share(&services[1], rate)).collect();
    let mut wrong = String::new();
    for ((((load, services), (fault, hurts)), facts), back) in
        loads.into_iter().zip(&clusters).zip(faults).zip(facts).zip(back)
    {
        let case = Case { fault: *fault, rate, shots: load.finish(), services, begun, detected, over };
        case.tell(back);
        let holds = || {
            case.no_answer_is_wrong();
            case.safe_requests_do_not_fail(*hurts);
            case.unsafe_failures_are_few();
            case.nothing_unsafe_runs_twice();
            case.the_bad_one_is_left();
            assert!(facts["healthy"] == false && facts["reason"].is_string(), "{facts}");
        };
        if let Err(why) = catch_unwind(AssertUnwindSafe(holds)) {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            let _ = writeln!(wrong, "{fault:?}: {why}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A gateway before a cluster for each fault, all of them well.
fn before(service: &str, clusters: &[[Service; 3]]) -> Gateway {
    let layout = Layout::default();
    for (at, services) in clusters.iter().enumerate() {
        let [a, b, c] = services.each_ref().map(Service::endpoint);
        layout.write_cluster(
            &format!("c{at}"),
            &format!(
                "services:\n  app: {{ {service}, endpoints: [ {a}, {b}, {c} ] }}\n\
                 routes:\n  - {{ id: all-{at}, host: c{at}.test, path: \"/*\", service: app, timeout: 3s }}\n"
            ),
        );
    }
    let gateway = layout.start();
    wait_for("healthy endpoints", Duration::from_secs(10), || {
        let well = |at| gateway.show(&format!("/api/v1/clusters/c{at}/health"))["status"] == "HEALTHY";
        (0..clusters.len()).all(well).then_some(())
    });
    gateway
}
