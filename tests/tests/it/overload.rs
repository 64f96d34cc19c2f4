//! More than a service bears: it is shed early and evenly, and whoever looks after the gateway is answered meanwhile.

use std::time::{Duration, Instant};

use throome_e2e::gateway::request;
use throome_e2e::load::{Ending, Load, Rate, Shot};
use throome_e2e::{Layout, Service, turn};

/// Eight at once, each of which takes 50 ms.
const CAPACITY: u32 = 160;
/// Three times as much, of two clients together.
const EACH: Rate = Rate { safe: CAPACITY * 3 / 2, unsafe_: 0 };
const LASTS: Duration = Duration::from_secs(4);

#[test]
fn three_times_what_a_service_bears_is_shed_early_and_evenly() {
    let _turn = turn::alone();
    let mut service = Service::start("one");
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web:\n    type: http\n    endpoints: [ {} ]\n    health: {{ path: /healthz }}\n\
             \x20   limits: {{ max_requests: 8, max_pending: 8 }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 3s }}\n",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    service.behave("slow");
    let loads = ["one.test", "two.test"].map(|host| Load::begin(gateway.traffic, host, EACH));
    let (began, mut control, mut took) = (Instant::now(), gateway.control(), Vec::new());
    while began.elapsed() < LASTS {
        for path in ["/health", "/api/v1/clusters/shop/health", "/metrics"] {
            let asked = Instant::now();
            assert_eq!(control.ask(request(gateway.control, "GET", path, None)).status, 200);
            took.push(asked.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let shots = loads.map(Load::finish);
    let all = shots.concat();
    let good = shots.each_ref().map(|its| times(its, |ending| matches!(ending, Ending::Good { .. })));
    let shed =
        |ending: &Ending| matches!(ending, Ending::Failed { status: 503, code } if code == "overloaded");
    let shed = times(&all, shed);
    let of_all = |its: &[Duration], share: usize| its[(its.len() - 1) * share / 100];
    took.sort();
    println!(
        "of {} requests {} and {} were answered, 99 of 100 within {:?}; {} were shed, 99 of 100 within {:?}; control \
         answered {} times, 99 of 100 within {:?}, all within {:?}",
        all.len(),
        good[0].len(),
        good[1].len(),
        of_all(&good[0], 99).max(of_all(&good[1], 99)),
        shed.len(),
        of_all(&shed, 99),
        took.len(),
        of_all(&took, 99),
        of_all(&took, 100),
    );
    let answered = good[0].len() + good[1].len();
    assert_eq!(answered + shed.len(), all.len(), "nothing else becomes of a request");
    let bears = CAPACITY as usize * usize::try_from(LASTS.as_secs()).unwrap();
    assert!(answered * 10 >= bears * 6, "{answered} of {bears}");
    let [less, more] = [good[0].len().min(good[1].len()), good[0].len().max(good[1].len())];
    assert!(less * 10 >= more * 6, "{less} of one and {more} of the other");
    // Nobody waits for more than those before him, and whoever is sent away hears of it at once.
    for (what, its, most) in
        [("shed", &shed, 100), ("one", &good[0], 500), ("two", &good[1], 500), ("control", &took, 100)]
    {
        assert!(of_all(its, 95) < Duration::from_millis(most), "{what}: {:?}", of_all(its, 95));
    }
}

/// How long those took that ended so, the shortest first.
fn times(shots: &[Shot], so: impl Fn(&Ending) -> bool) -> Vec<Duration> {
    let mut times: Vec<Duration> = shots
        .iter()
        .filter(|shot| so(&shot.ending))
        .map(|shot| Duration::from_micros(shot.ended_us.saturating_sub(shot.at_us)))
        .collect();
    times.sort();
    assert!(!times.is_empty(), "{:?}", shots.first());
    times
}
