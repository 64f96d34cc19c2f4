//! A seeded fuzzer with hyper as the second opinion: where both take a request they must mean the same one,
//! and what we take alone must be of a class that is written down here.
//!
//! `THROOME_FUZZ_SECONDS` runs it for longer, `THROOME_FUZZ_SEED` repeats a run.

mod mutate;
mod ours;
mod theirs;

use std::time::{Duration, Instant};

use crate::hostile::corpus;
use crate::runner;
use crate::support::Random;

/// Rounds of a normal test run, which takes a few seconds without optimisation.
const ROUNDS: u64 = 6_000;

/// A request as either side understood it, with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Understood {
    method: String,
    /// Path and query.
    target: String,
    /// Of the target, or else of the field.
    host: String,
    body: Vec<u8>,
}

/// A class of requests, and whether one is of it.
type Excuse = (&'static str, fn(&Understood) -> bool);

/// Why hyper refuses what we take. Each is about text that we pass on as received, not about where a message
/// ends or whom it is for.
const EXCUSED: &[Excuse] = &[
    // `http::Uri` knows fewer characters than clients send; we know which ones split a target, and pass the rest.
    ("a character that RFC 3986 has no place for", |request| {
        request.target.bytes().any(|b| b"\"<>^`{|}".contains(&b))
    }),
];

#[test]
fn two_readers_agree() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("THROOME_FUZZ_SEED").unwrap_or(1);
    let until = number("THROOME_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seeds: Vec<Vec<u8>> = runner::load(&corpus()).into_iter().map(|case| case.bytes).collect();
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| &seed[..seed.len().min(2048)]).collect();
    let mut tally = Tally::default();
    let mut round = 0;
    while until.map_or(round < ROUNDS, |until| Instant::now() < until) {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0000) + round);
        let bytes = mutate::mutated(&mut random, &seeds);
        if let Err(problem) = compare(&bytes, &mut random, &mut tally) {
            panic!("seed {seed}, round {round}: {problem}\n{}", bytes.escape_ascii());
        }
        round += 1;
    }
    println!("{round} rounds: {tally:?}");
    // A fuzzer whose every request is refused would show nothing.
    assert!(tally.agreed > round / 10, "{tally:?}");
    assert!(tally.refused > round / 10, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    /// Requests that both took.
    agreed: u64,
    /// Connections that we ended with a refusal.
    refused: u64,
    /// Requests that hyper took and we did not.
    stricter: u64,
    excused: u64,
}

fn compare(bytes: &[u8], random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let ours = ours::read(bytes, &mut || bytes.len());
    let cut = ours::read(bytes, &mut || 1 + random.below(40));
    if ours != cut {
        return Err(format!("in parts we read {cut:?}, not {ours:?}"));
    }
    ours::survive_as_response(bytes, random);
    let theirs = theirs::read(bytes);
    for (i, own) in ours.requests.iter().enumerate() {
        match theirs.get(i) {
            Some(their) if their == own => tally.agreed += 1,
            Some(their) => return Err(format!("we understood {own:?}, hyper {their:?}")),
            None => {
                let excuse = EXCUSED.iter().find(|(_, holds)| holds(own));
                excuse.ok_or_else(|| format!("hyper refuses {own:?}"))?;
                tally.excused += 1;
                return Ok(());
            }
        }
    }
    tally.refused += u64::from(ours.refused);
    tally.stricter += theirs.len().saturating_sub(ours.requests.len()) as u64;
    Ok(())
}
