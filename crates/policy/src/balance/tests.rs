//! Shares of each strategy, also while endpoints come and go and while several cores pick at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use model::Strategy as Named;
use proptest::prelude::*;

use super::*;
use crate::fingerprint;

const NOW: Time = Time(1_000_000);

const ALL: [Named; 6] = [
    Named::RoundRobin,
    Named::Weighted,
    Named::LeastConnections,
    Named::TwoChoices,
    Named::Latency,
    Named::Hash,
];

fn loads(weights: &[u32]) -> Vec<Load> {
    let named = |(index, weight): (usize, &u32)| Load::new(*weight).named(fingerprint(&[b'0' + index as u8]));
    weights.iter().enumerate().map(named).collect()
}

/// Picks so often among the loads of these indices; gives how often each of all was picked.
fn picks(strategy: Named, loads: &[Load], among: &[usize], times: u64) -> Vec<u32> {
    let candidates: Vec<&Load> = among.iter().map(|index| &loads[*index]).collect();
    let balancer = balancer(strategy);
    let mut counts = vec![0; loads.len()];
    for seed in 0..times {
        counts[among[balancer.pick(&Candidates::new(&candidates, NOW), seed)]] += 1;
    }
    counts
}

#[test]
fn one_candidate_is_picked_and_none_does_not_panic() {
    for strategy in ALL {
        assert_eq!(picks(strategy, &loads(&[1]), &[0], 3), [3], "{strategy:?}");
        assert_eq!(balancer(strategy).pick(&Candidates::new(&[], NOW), 7), 0, "{strategy:?}");
    }
}

#[test]
fn round_robin_ignores_weights_and_stays_even_while_the_set_changes() {
    let all = loads(&[1, 9, 3, 1]);
    assert_eq!(picks(Named::RoundRobin, &all, &[0, 1, 2, 3], 400), [100; 4]);
    // One is out: the other three share evenly, and no neighbour takes its turns.
    assert_eq!(picks(Named::RoundRobin, &all, &[0, 1, 3], 300), [100, 100, 0, 100]);
    // It comes back, and gets no more than its share: not the hundred turns it missed.
    let back = picks(Named::RoundRobin, &all, &[0, 1, 2, 3], 40);
    assert!(back.iter().all(|count| (9..=11).contains(count)), "{back:?}");
    // A set that is another with every pick, in another order.
    let mut counts = [0_i32; 4];
    for n in 0..1_200_usize {
        let mut among = vec![0, 1, 2, 3];
        among.remove(n % 4);
        among.rotate_left(n % 3);
        for (count, picked) in counts.iter_mut().zip(picks(Named::RoundRobin, &all, &among, 1)) {
            *count += picked.cast_signed();
        }
    }
    assert!(counts.iter().all(|count| (count - 300).abs() <= 6), "{counts:?}");
}

#[test]
fn weighted_is_smooth() {
    let all = loads(&[5, 1, 1]);
    let candidates: Vec<&Load> = all.iter().collect();
    let balancer = balancer(Named::Weighted);
    let sequence: Vec<usize> =
        (0..700).map(|seed| balancer.pick(&Candidates::new(&candidates, NOW), seed)).collect();
    for (start, window) in sequence.windows(7).enumerate() {
        let heavy = window.iter().filter(|index| **index == 0).count();
        assert!((4..=6).contains(&heavy), "from pick {start}: {window:?}");
    }
    let longest_run = sequence.chunk_by(|one, other| one == other).map(<[usize]>::len).max().unwrap();
    assert!(longest_run <= 4, "{longest_run} times in a row");
}

#[test]
fn fewest_in_flight_for_its_weight() {
    let all = loads(&[1, 1, 2]);
    let begin = |index: usize, times| (0..times).for_each(|_: u32| all[index].begin());
    begin(0, 3);
    begin(1, 2);
    begin(2, 5);
    assert_eq!(picks(Named::LeastConnections, &all, &[0, 1, 2], 10), [0, 10, 0]);
    begin(1, 1);
    assert_eq!(picks(Named::LeastConnections, &all, &[0, 1, 2], 10), [0, 0, 10]);
    begin(2, 1);
    // All are equally busy: in turn, by weight.
    let tied = picks(Named::LeastConnections, &all, &[0, 1, 2], 40);
    assert!(tied.iter().zip([10_u32, 10, 20]).all(|(count, share)| count.abs_diff(share) <= 1), "{tied:?}");
}

#[test]
fn the_better_of_two_is_faster_or_less_busy() {
    let all = loads(&[1, 1, 1, 1]);
    let answer = |index: usize, millis, failed| {
        all[index].begin();
        all[index].end(NOW, Duration::from_millis(millis), failed, Duration::from_secs(5));
    };
    (0..4).for_each(|index| answer(index, 10, false));
    let equal = picks(Named::TwoChoices, &all, &[0, 1, 2, 3], 4_000);
    assert!(equal.iter().all(|count| (850..1_150).contains(count)), "{equal:?}");
    answer(3, 1, true);
    let failing = picks(Named::TwoChoices, &all, &[0, 1, 2, 3], 1_000);
    assert_eq!(failing[3], 0, "{failing:?}");
    (0..3).for_each(|_| all[2].begin());
    assert_eq!(picks(Named::TwoChoices, &all, &[0, 2], 100)[2], 0);
    // Never measured: load alone decides.
    all[2].forget();
    assert_eq!(picks(Named::TwoChoices, &all, &[2, 3], 100)[3], 100);
}

#[test]
fn drawn_by_weight() {
    let all = loads(&[10, 1, 1, 1, 1]);
    let counts = picks(Named::TwoChoices, &all, &[0, 1, 2, 3, 4], 1_000);
    assert!(counts[0] > 850 && counts[1..].iter().all(|count| *count > 5), "{counts:?}");
}

/// Where each of these keys goes, among the loads of these indices.
fn homes(loads: &[Load], among: &[usize], keys: u64) -> Vec<usize> {
    let candidates: Vec<&Load> = among.iter().map(|index| &loads[*index]).collect();
    let home = |key: u64| by_key().pick(&Candidates::new(&candidates, NOW).by(Some(key)), 0);
    (0..keys).map(|n| among[home(fingerprint(&n.to_le_bytes()))]).collect()
}

#[test]
fn keys_are_shared_by_weight_and_move_only_with_their_endpoint() {
    let all = loads(&[1, 1, 1, 1, 2, 1, 1, 1, 1]);
    let before = homes(&all, &[0, 1, 2, 3, 4, 5, 6, 7], 9_000);
    for index in 0..8 {
        let share = if index == 4 { 2_000 } else { 1_000 };
        let count = before.iter().filter(|home| **home == index).count();
        assert!(count.abs_diff(share) < 120, "{index} has {count} keys");
    }
    // In another order, and without one.
    let after = homes(&all, &[7, 6, 5, 4, 2, 1, 0], 9_000);
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert!(moved.clone().all(|(before, _)| *before == 3), "only what was at the one that went has moved");
    // Its keys are shared by all others.
    assert!((0..8).filter(|index| *index != 3).all(|index| moved.clone().any(|(_, after)| *after == index)));
    // And with one more: what moves, moves there.
    let more = homes(&all, &[0, 1, 2, 3, 4, 5, 6, 7, 8], 9_000);
    let moved: Vec<_> = before.iter().zip(&more).filter(|(before, after)| before != after).collect();
    assert!(
        moved.iter().all(|(_, after)| **after == 8) && moved.len().abs_diff(900) < 120,
        "{}",
        moved.len()
    );
}

#[test]
fn a_key_that_names_an_endpoint_means_it_and_a_hot_one_overflows() {
    let all = loads(&[1, 1, 1, 1]);
    let candidates: Vec<&Load> = all.iter().collect();
    let pick = |key: u64| by_key().pick(&Candidates::new(&candidates, NOW).by(Some(key)), 0);
    let hot = fingerprint(b"hot");
    let home = pick(hot);
    for _ in 0..400 {
        all[pick(hot)].begin();
    }
    // A quarter and a quarter of that more, and a few: the rest is where the key came second and third.
    let busy: Vec<u32> = all.iter().map(Load::in_flight).collect();
    assert!(busy.iter().all(|count| *count <= 125 + 9) && busy[home] > 120, "{busy:?}");
    assert_eq!(pick(all[home].name()), home, "who is named is asked however busy");
    // Who asks for a few things at once on a quiet service keeps its endpoint.
    let quiet = loads(&[1, 1, 1, 1]);
    let candidates: Vec<&Load> = quiet.iter().collect();
    for _ in 0..8 {
        let picked = by_key().pick(&Candidates::new(&candidates, NOW).by(Some(hot)), 0);
        assert_eq!(picked, home);
        quiet[picked].begin();
    }
}

#[test]
fn the_shortest_wait_is_the_fast_one_until_it_is_busy() {
    let all = loads(&[1, 1, 1]);
    let answer = |index: usize, millis| {
        all[index].begin();
        all[index].end(NOW, Duration::from_millis(millis), false, Duration::from_secs(5));
    };
    // Nothing is known: in turn.
    assert_eq!(picks(Named::Latency, &all, &[0, 1, 2], 30), [10, 10, 10]);
    answer(0, 10);
    answer(1, 40);
    assert_eq!(picks(Named::Latency, &all, &[0, 1], 10), [10, 0, 0]);
    (0..5).for_each(|_| all[0].begin());
    assert_eq!(picks(Named::Latency, &all, &[0, 1], 10), [0, 10, 0]);
    // One of which nothing is known counts as the mean of the others.
    assert_eq!(picks(Named::Latency, &all, &[0, 1, 2], 10), [0, 0, 10]);
}

#[test]
fn threads_at_once_keep_the_shares() {
    let all = loads(&[4, 2, 1, 1]);
    let counts: Vec<AtomicU32> = all.iter().map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let candidates: Vec<&Load> = all.iter().collect();
                let balancer = balancer(Named::Weighted);
                for seed in 0..4_000 {
                    let picked = balancer.pick(&Candidates::new(&candidates, NOW), seed);
                    counts[picked].fetch_add(1, Relaxed);
                }
            });
        }
    });
    let counts: Vec<u32> = counts.iter().map(|count| count.load(Relaxed)).collect();
    for (count, weight) in counts.iter().zip([4, 2, 1, 1]) {
        assert!(count.abs_diff(2_000 * weight) <= 40, "{counts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// After any number of picks each endpoint is within a turn or two of its share.
    #[test]
    fn weighted_keeps_every_share_at_every_moment(weights in prop::collection::vec(1..100_u32, 2..9)) {
        let all = loads(&weights);
        let candidates: Vec<&Load> = all.iter().collect();
        let balancer = balancer(Named::Weighted);
        let total = f64::from(weights.iter().sum::<u32>());
        let mut counts = vec![0_u32; weights.len()];
        for n in 1..=1_000_u32 {
            counts[balancer.pick(&Candidates::new(&candidates, NOW), u64::from(n))] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / total;
                let off = (f64::from(*count) - f64::from(n) * share).abs();
                prop_assert!(off <= 1.5 + share * weights.len() as f64, "{off} turns off after {n}: {counts:?} of {weights:?}");
            }
        }
    }
}
