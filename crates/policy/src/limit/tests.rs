//! A rate holds for each client, however many there are, and forgets nobody too early.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Time {
    Time(millis * 1000)
}

/// How many of so many that come at once may pass.
fn pass(clients: &Clients, rate: Rate, client: &str, now: Time, many: u32) -> u32 {
    let key = clients.key("route", client);
    (0..many).map(|_| u32::from(clients.ask(rate, key, now).is_ok())).sum()
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let clients = Clients::new(1);
    let rate = Rate::new(10, SECOND, 5);
    let key = clients.key("route", "a");
    let told: Vec<_> = (0..7).map(|_| clients.ask(rate, key, at(1000))).collect();
    let left: Vec<u32> = told.iter().flatten().map(|told| told.remaining).collect();
    assert_eq!(left, [4, 3, 2, 1, 0]);
    assert_eq!(told[0].unwrap().reset, Duration::from_millis(100));
    let refused = told[6].unwrap_err();
    assert_eq!((refused.retry_after, refused.remaining.remaining), (Duration::from_millis(100), 0));
    assert_eq!(refused.remaining.reset, Duration::from_millis(500), "asking too often costs nothing");
    assert!(clients.ask(rate, key, at(1099)).is_err());
    assert!(clients.ask(rate, key, at(1100)).is_ok() && clients.ask(rate, key, at(1100)).is_err());
    assert_eq!(pass(&clients, rate, "a", at(60_000), 100), 5, "more than the burst is never saved up");
}

#[test]
fn whoever_waits_as_told_is_let_in() {
    let clients = Clients::new(2);
    for (requests, per, burst) in
        [(1, SECOND, 1), (3, SECOND, 3), (7, Duration::from_secs(60), 2), (1_000_000, SECOND, 10)]
    {
        let rate = Rate::new(requests, per, burst);
        let key = clients.key("route", (requests, burst));
        let refused = (0..=burst).find_map(|_| clients.ask(rate, key, at(5)).err()).unwrap();
        let after = at(5).plus(Duration::from_micros(refused.retry_after.as_nanos().div_ceil(1000) as u64));
        assert!(clients.ask(rate, key, after).is_ok(), "{requests} per {per:?}");
    }
}

#[test]
fn clients_and_routes_do_not_share() {
    let clients = Clients::new(3);
    let rate = Rate::new(5, SECOND, 5);
    assert_eq!(pass(&clients, rate, "a", at(0), 9), 5);
    assert_eq!(pass(&clients, rate, "b", at(0), 9), 5);
    assert!(clients.ask(rate, clients.key("another", "a"), at(0)).is_ok());
    assert_ne!(clients.key("ab", "c"), clients.key("a", "bc"));
    assert_ne!(clients.key("r", "a"), Clients::new(4).key("r", "a"), "nobody can tell without the seed");
}

#[test]
fn a_changed_rate_holds_at_once() {
    let clients = Clients::new(5);
    let of_a_day = Rate::new(10, Duration::from_secs(86_400), 10);
    assert_eq!(pass(&clients, of_a_day, "a", at(0), 20), 10);
    let of_a_second = Rate::new(10, SECOND, 10);
    let key = clients.key("route", "a");
    let refused = clients.ask(of_a_second, key, at(0)).unwrap_err();
    assert!(refused.retry_after <= SECOND, "what was used under the old rate counts no longer: {refused:?}");
    assert!(clients.ask(of_a_second, key, at(1000)).is_ok());
}

#[test]
fn the_table_is_bounded_and_forgets_whoever_owes_nothing() {
    let clients = Clients::new(6);
    let rate = Rate::new(1, SECOND, 1);
    assert_eq!(clients.room(), 0, "nothing is held for a limit that nobody meets");
    let all =
        |now: Time| (0..60_000_u32).filter(|n| clients.ask(rate, clients.key("r", n), now).is_ok()).count();
    assert_eq!(all(at(0)), 60_000);
    assert!(clients.room() <= 131_072, "{}", clients.room());
    // A set that is full takes a new client in the place of another, who is then let in once too often: few are.
    let again = all(at(500));
    assert!(again < 5_000, "{again} of 60,000 were forgotten while they owed time");
    assert_eq!(all(at(2000)), 60_000);
    for n in 0..2_000_000_u32 {
        let _ = clients.ask(rate, clients.key("r", ("more", n)), at(2000));
    }
    assert_eq!(clients.room(), 131_072, "more it is never");
}

#[test]
fn what_is_told_reads_as_clients_read_it() {
    let remaining = Remaining { limit: 10, remaining: 3, reset: Duration::from_millis(1200) };
    assert_eq!(
        remaining.fields(),
        [("ratelimit-limit", 10), ("ratelimit-remaining", 3), ("ratelimit-reset", 2)]
    );
    let failure = Failure::from(Refused { remaining, retry_after: Duration::from_millis(1) });
    assert_eq!((failure.code(), failure.retry_after()), (Code::RateLimited, Some(SECOND)));
}

#[test]
fn an_address_is_what_those_say_who_are_believed() {
    let trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
    for (peer, said, client) in [
        ("192.0.2.1", &["10.0.0.1"][..], "192.0.2.1"),
        ("10.0.0.9", &[], "10.0.0.9"),
        ("10.0.0.9", &["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.9", &["203.0.113.5, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.9", &["203.0.113.5, 192.0.2.7", "10.0.0.2 ,10.0.0.3"], "192.0.2.7"),
        ("10.0.0.9", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ("10.0.0.9", &["192.0.2.7, nobody, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.9", &["192.0.2.7:4711"], "192.0.2.7"),
        ("10.0.0.9", &["[2001:db8:1:2:3:4:5:6]:80"], "2001:db8:1:2::"),
        ("10.0.0.9", &["2001:db8:1:2:9::"], "2001:db8:1:2::"),
        ("::ffff:10.0.0.9", &["::ffff:192.0.2.7"], "192.0.2.7"),
        ("10.0.0.9", &[""], "10.0.0.9"),
    ] {
        let found = client_address(peer.parse().unwrap(), said.iter().map(|s| s.as_bytes()), trusted);
        assert_eq!(found.to_string(), client, "{peer} {said:?}");
    }
}

proptest! {
    /// Whatever comes when: in no stretch of time more pass than the burst and the rate of that stretch.
    #[test]
    fn no_stretch_of_time_sees_more(
        requests in 1_u32..50, per_ms in 1_u64..5000, burst in 1_u32..20, gaps in prop::collection::vec(0_u64..400, 1..200),
    ) {
        let clients = Clients::new(7);
        let rate = Rate::new(requests, Duration::from_millis(per_ms), burst);
        let key = clients.key("r", "c");
        let mut now = 0;
        let mut passed = Vec::new();
        for gap in gaps {
            now += gap;
            if clients.ask(rate, key, at(now)).is_ok() {
                passed.push(now);
            }
        }
        for (first, begin) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let most = f64::from(burst) + (end - begin) as f64 * f64::from(requests) / per_ms as f64;
                // The interval is cut to whole nanoseconds.
                prop_assert!(((last - first + 1) as f64) <= most + 0.01, "{} in {} ms", last - first + 1, end - begin);
            }
        }
    }
}
