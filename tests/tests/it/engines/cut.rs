//! The network between gateway and engines loses everything that is sent one way, and then the other. Nobody closes a
//! connection, and the kernel would wait for a quarter of an hour.

use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ::engines::{Engines, Server};
use throome_e2e::calls::{Told, counts};
use throome_e2e::network::{Cut, Network};
use throome_e2e::process::{Memory, now_us, wait_for};
use throome_e2e::turn;

use super::mix::{self, ALL, TOPIC};
use super::{CODES, SLACK, failed_clearly, three, until_healthy};

const RATE: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;
const LASTS: Duration = Duration::from_secs(4);
/// Within this time after it is mended everything is answered again; Kafka's client looks for its broker in steps.
const BACK: Duration = Duration::from_secs(4);
const KAFKA_BACK: Duration = Duration::from_secs(8);
/// So long it is watched whether that holds once everything was answered again.
const WATCHED: Duration = Duration::from_secs(2);
/// In KiB.
const MORE: u64 = 24 * 1024;

#[test]
fn a_network_that_is_cut_both_ways_recovers_by_itself() {
    let _turn = turn::alone();
    let engines = Engines::own();
    let (redis, postgres, kafka) = (engines.redis(), engines.postgres(), engines.kafka());
    let network = Network::new();
    let_others_in(&engines, &redis, &postgres);
    let layout = network.layout();
    layout.write_cluster("shop", &three(&redis, &postgres, &kafka, TIMEOUT));
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(10));
    mix::prepare(&redis, &postgres, &gateway);

    let load = mix::load(&gateway, RATE);
    sleep(Duration::from_secs(2));
    let (mut whole, mut memory) = (Vec::new(), None::<Memory>);
    for _ in 0..ROUNDS {
        for cut in [Cut::Sent, Cut::Received] {
            network.cut(cut);
            sleep(LASTS);
            network.mend(cut);
            wait_for("a network that is whole", KAFKA_BACK, || network.reaches(redis.port).then_some(()));
            let mended = now_us();
            mix::until_all_is_answered(&gateway, BACK.max(KAFKA_BACK) + TIMEOUT);
            sleep(WATCHED);
            whole.push(mended..now_us());
        }
        // What a first cut needs is needed again with each.
        memory.get_or_insert_with(|| Memory::of(gateway.pid())).look();
    }
    let well = Instant::now();
    until_healthy(&gateway, Duration::from_secs(10));
    let well = well.elapsed();
    sleep(Duration::from_secs(1));
    let told = load.finish();
    let slowest: Vec<Duration> = ALL.iter().map(|what| recovery(&told, what, &whole)).collect();
    let grew = memory.map(|memory| memory.grew()).unwrap_or_default();
    println!(
        "network cut {} times: {}; {ALL:?} failed for {slowest:?} after at most, {grew} KiB more",
        2 * ROUNDS,
        counts(&told)
    );
    for what in ALL {
        failed_clearly(&told, what, &CODES, TIMEOUT + SLACK);
        assert!(told.iter().any(|one| one.what == what && !one.good()), "{what} was never cut off");
    }
    mix::all_is_there_once(&told, &redis, &postgres);
    for (what, slowest) in ALL.iter().zip(slowest) {
        let limit = if *what == "PUBLISH" { KAFKA_BACK } else { BACK };
        assert!(slowest < limit, "{what}: {slowest:?}");
    }
    assert!(well < Duration::from_secs(3), "{well:?}");
    assert!(grew < MORE, "{grew} KiB");
    assert!(published(&kafka) >= told.iter().filter(|one| one.what == "PUBLISH" && one.good()).count());
}

/// They are used to clients of their own machine.
fn let_others_in(engines: &Engines, redis: &Server, postgres: &Server) {
    assert_eq!(redis.redis_cli(&["CONFIG", "SET", "protected-mode", "no"]), "OK");
    let rules = engines.directory().join("postgres/data/pg_hba.conf");
    let more = "host all all 10.213.0.0/16 scram-sha-256\n";
    std::fs::write(&rules, std::fs::read_to_string(&rules).unwrap() + more).unwrap();
    assert_eq!(postgres.psql("SELECT pg_reload_conf()"), "t");
}

/// How long after the network was joined the last call failed that was made while it was whole, at most over all times.
fn recovery(told: &[Told], what: &str, whole: &[Range<u64>]) -> Duration {
    let failed = || told.iter().filter(|one| one.what == what && !one.good());
    let after = |time: &Range<u64>| {
        failed().filter(|one| time.contains(&one.at_us)).map(|one| one.at_us - time.start).max()
    };
    Duration::from_micros(whole.iter().filter_map(after).max().unwrap_or_default())
}

/// Messages of the topic, as Kafka itself counts them.
fn published(kafka: &Server) -> usize {
    let server = kafka.address().to_string();
    let words = ["--bootstrap-server", &server, "--topic", TOPIC];
    let said = kafka.kafka_tool("org.apache.kafka.tools.GetOffsetShell", &words);
    said.lines().filter_map(|line| line.rsplit(':').next()?.parse::<usize>().ok()).sum()
}
