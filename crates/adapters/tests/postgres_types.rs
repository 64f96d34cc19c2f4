//! Every type of a real PostgreSQL that psql can print: its values come out as what they are, told by its kind, and what
//! came out goes in again as the same. psql says what the server's own text of each value is.

#[path = "postgres_types/catalog.rs"]
mod catalog;
#[path = "postgres_types/edges.rs"]
mod edges;
#[path = "postgres_types/fidelity.rs"]
mod fidelity;
#[path = "postgres_types/samples.rs"]
mod samples;
#[path = "postgres_types/session.rs"]
mod session;

use std::collections::BTreeSet;

use catalog::{SKIPPED, Schema, Type};
use engines::Engines;
use session::{Session, said_by_psql};

/// Values at once: a statement has a column and a placeholder for each.
const AT_ONCE: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_goes_out_and_in() {
    let server = Engines::shared().postgres();
    let schema = Schema::create(&server);
    let session = Session::new(&server);
    let types = catalog::of(&server, &schema);
    let mut faults = Vec::new();
    let (mut tried, mut values) = (BTreeSet::new(), 0);
    for kind in &types {
        let expressions = samples::of(kind, &types);
        assert!(!expressions.is_empty(), "there are no values for `{}`", kind.name);
        for some in expressions.chunks(AT_ONCE) {
            values += some.len();
            faults.extend(check(&session, &server, kind, some).await);
        }
        tried.insert(kind.name.as_str());
    }
    let skipped: BTreeSet<&str> = SKIPPED.iter().map(|(name, _)| *name).collect();
    println!("{} types, {values} values; {} types have none: {skipped:?}", tried.len(), skipped.len());
    assert!(faults.is_empty(), "{} values are not kept:\n{}", faults.len(), faults.join("\n"));
    // Older servers have fewer.
    let (least, few) = if samples::since_14(&types) { (500, 4_000) } else { (350, 2_700) };
    assert!(tried.len() > least && values > few, "{} types and {values} values are too few", tried.len());
}

/// What is wrong with these values of a type: each as a line.
async fn check(
    session: &Session,
    server: &engines::Server,
    kind: &Type,
    expressions: &[String],
) -> Vec<String> {
    let texts = said_by_psql(server, expressions);
    let columns = expressions.iter().map(|value| format!("{value} AS v")).collect::<Vec<_>>().join(", ");
    let (names, values) = match session.row(&format!("SELECT {columns}"), &[]).await {
        Ok(row) => row,
        Err(failure) => return vec![format!("{}: {failure}: {expressions:?}", kind.name)],
    };
    let mut faults = Vec::new();
    let (mut wheres, mut arguments) = (Vec::new(), Vec::new());
    for (((value, text), name), json) in expressions.iter().zip(&texts).zip(&names).zip(&values) {
        let mut fault =
            |what: &str| faults.push(format!("{} {value}: {what}; `{text:?}` is `{json}`", kind.name));
        if *name != kind.told_as {
            fault(&format!("its type is told as `{name}`, not `{}`", kind.told_as));
        }
        if let Err(what) = fidelity::told(kind, text.as_deref(), json) {
            fault(&what);
        }
        match fidelity::argument(kind, json) {
            // The server compares the texts, since not every type has an equality; numbers have no sign of nought.
            Some(argument) if kind.taken => {
                arguments.push((argument, value));
                wheres.push(fidelity::same(kind, &format!("${}::{}", arguments.len(), kind.sql), value));
            }
            _ => {}
        }
    }
    if arguments.is_empty() {
        return faults;
    }
    let statement = format!("SELECT {}", wheres.join(", "));
    let given: Vec<_> = arguments.iter().map(|(argument, _)| argument.clone()).collect();
    match session.row(&statement, &given).await {
        Ok((_, same)) => {
            for ((argument, value), same) in arguments.iter().zip(same) {
                if same != "true" {
                    faults.push(format!("{} {value}: {argument:?} is not the same", kind.name));
                }
            }
        }
        Err(failure) => faults.push(format!("{}: {failure}: {given:?}", kind.name)),
    }
    faults
}

/// Offsets of zones, with minutes, and with seconds as they were before there were zones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_in_time_are_the_same_in_every_zone() {
    let server = Engines::shared().postgres();
    let session = Session::new(&server);
    for zone in ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"] {
        for time in [
            "2026-07-31 12:00:00.000001+00",
            "2026-01-31 23:59:59.5+00",
            "1800-01-01 00:00:00+00",
            "1850-06-01 12:00:00.25+00",
            "0001-01-01 00:00:00+00",
            "9999-12-31 23:59:59+00",
            "10000-01-01 12:00:00+00",
            "0044-03-15 12:00:00+00 BC",
            "infinity",
        ] {
            let value = format!("'{time}'::timestamptz");
            let json = session.row_in_zone(zone, &format!("SELECT {value}, ARRAY[{value}]")).await;
            let told: String = serde_json::from_str(&json[0]).unwrap();
            assert_eq!(json[1], format!("[{}]", json[0]), "{zone} {time}");
            // At the ends of the calendar it is a year elsewhere that RFC 3339 has no form for.
            let ordinary = time.starts_with("18") || time.starts_with("20");
            assert!(!ordinary || told.contains('T'), "{zone} {time}: {told}");
            let same = format!("SELECT '{told}'::timestamptz = {value}");
            assert_eq!(session.row_in_zone(zone, &same).await, ["true"], "{zone} {time}: {told}");
        }
    }
}
