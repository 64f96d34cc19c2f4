//! A minute of mixed load in which something goes wrong every few seconds: memory stays where it is.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ::engines::Engines;
use throome_e2e::calls::counts;
use throome_e2e::process::{Memory, resident_kib};
use throome_e2e::{Layout, turn};

use super::{mix, three, until_healthy};

const RATE: u32 = 150;
const TIMEOUT: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(60);
/// In KiB.
const MORE: u64 = 16 * 1024;

#[test]
fn memory_stays_where_it_is_for_a_minute_of_faults() {
    let _turn = turn::alone();
    let engines = Engines::own();
    let (redis, postgres, kafka) = (engines.redis(), engines.postgres(), engines.kafka());
    let layout = Layout::default();
    layout.write_cluster("shop", &three(&redis, &postgres, &kafka, TIMEOUT));
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(10));
    mix::prepare(&redis, &postgres, &gateway);
    let fresh = resident_kib(gateway.pid());

    let load = mix::load(&gateway, RATE);
    let began = Instant::now();
    let (mut memory, mut faults) = (None::<Memory>, 0);
    while began.elapsed() < LASTS {
        for server in [&redis, &postgres, &kafka] {
            server.freeze();
            sleep(Duration::from_secs(1));
            server.thaw();
            sleep(Duration::from_secs(1));
            memory.iter_mut().for_each(Memory::look);
        }
        for server in [&redis, &postgres] {
            server.kill();
            sleep(Duration::from_millis(500));
            server.restart();
            sleep(Duration::from_secs(1));
            memory.iter_mut().for_each(Memory::look);
        }
        faults += 5;
        // What the first of each fault needs is needed again with each.
        memory.get_or_insert_with(|| Memory::of(gateway.pid()));
    }
    until_healthy(&gateway, Duration::from_secs(15));
    let told = load.finish();
    let grew = memory.map(|memory| memory.grew()).unwrap_or_default();
    println!(
        "soak: {faults} faults, {}; {fresh} KiB at the start, {} KiB at the end, {grew} KiB more than after the first \
         faults at most",
        counts(&told),
        resident_kib(gateway.pid())
    );
    mix::all_is_there_once(&told, &redis, &postgres);
    assert!(told.iter().filter(|one| one.good()).count() > told.len() / 2, "{}", counts(&told));
    assert!(grew < MORE, "{grew} KiB");
}
