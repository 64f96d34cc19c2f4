//! An operation in lines: as many as there is room for, and none longer than the terminal is wide.

use std::time::Duration;

use sdk::{Operation, OperationStep};

use crate::output::{Tone, clean};
use crate::table::columns_taken;

/// The words for where a step stands are no longer.
const STATUS: usize = 7;

/// Columns of a time.
const TIME: usize = 9;

/// Where a picture is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) color: bool,
}

/// A line of a picture.
enum Row<'s> {
    Step(&'s OperationStep),
    /// Several that stand alike, and how long they took.
    Many(&'static str, usize, u64),
    /// So many for which there is no room at all.
    More(usize),
}

/// A line for each step, where there is room; `since` says how long one runs. The cursor needs the last line of the screen.
pub(super) fn picture(
    operation: &Operation,
    since: impl Fn(&str) -> Duration,
    screen: Screen,
) -> Vec<String> {
    let rows = folded(&operation.steps, screen.height.saturating_sub(1).max(1));
    let name = |row: &Row<'_>| match row {
        Row::Step(step) => one_line(&step.name),
        Row::Many(_, count, _) => format!("{count} steps"),
        Row::More(count) => format!("{count} more steps"),
    };
    // A line that fills the last column would begin another on some terminals.
    let width = screen.width.saturating_sub(1).max(1);
    let longest = rows.iter().map(|row| columns_taken(&name(row))).max().unwrap_or(0);
    let names = longest.min(width.saturating_sub(STATUS + TIME + 4).max(8));
    let line = |row: &Row<'_>| {
        let (status, time, rest) = match row {
            Row::Step(step) => (step.status.as_str(), took(step, &since), told(step)),
            Row::Many(status, _, millis) if *millis > 0 => (*status, seconds(*millis), String::new()),
            Row::Many(status, ..) => (*status, String::new(), String::new()),
            Row::More(_) => ("…", String::new(), String::new()),
        };
        let name = cut(&name(row), names);
        let gap = " ".repeat(names.saturating_sub(columns_taken(&name)));
        let status = cut(&one_line(status), STATUS);
        let text = format!("{status:<STATUS$}  {name}{gap}  {time:>TIME$}  {rest}");
        let text = cut(text.trim_end(), width);
        // The status stands first, and is there whole or not at all.
        match text.strip_prefix(status.as_str()) {
            Some(rest) => format!("{}{rest}", tone(&status).paint(&status, screen.color)),
            None => text,
        }
    };
    rows.iter().map(line).collect()
}

/// What is said where standard error is no terminal, once for each state of a step.
pub(super) fn change(step: &OperationStep) -> Option<String> {
    if step.status == "waiting" {
        return None;
    }
    let mut line = format!("{:<STATUS$}  {}", one_line(&step.status), one_line(&step.name));
    if step.status != "running" {
        if let Some(millis) = step.duration_ms {
            line.push_str(&format!(" ({})", seconds(millis)));
        }
        if let Some(detail) = &step.detail {
            line.push_str(&format!(": {}", one_line(detail)));
        }
    }
    Some(line)
}

/// At most so many rows: the oldest that are done become one, then the last that wait; what is under way stays the longest.
fn folded(steps: &[OperationStep], room: usize) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = steps.iter().map(Row::Step).collect();
    let is = |row: &Row<'_>, status: &str| matches!(row, Row::Step(step) if step.status == status);
    // One row takes the place of those that go.
    let too_many = |rows: &[Row<'_>]| if rows.len() > room { rows.len() - room + 1 } else { 0 };
    let done: Vec<usize> =
        (0..rows.len()).filter(|at| is(&rows[*at], "done")).take(too_many(&rows)).collect();
    fold(&mut rows, &done, "done");
    let waiting = (0..rows.len()).rev().filter(|at| is(&rows[*at], "waiting")).take(too_many(&rows));
    let mut waiting: Vec<usize> = waiting.collect();
    waiting.reverse();
    fold(&mut rows, &waiting, "waiting");
    if rows.len() > room {
        let hidden =
            rows.drain(room - 1..).map(|row| if let Row::Many(_, count, _) = row { count } else { 1 });
        let hidden = hidden.sum();
        rows.push(Row::More(hidden));
    }
    rows
}

/// Puts one row in the place of these, which are in order.
fn fold(rows: &mut Vec<Row<'_>>, places: &[usize], status: &'static str) {
    let (Some(first), true) = (places.first(), places.len() > 1) else { return };
    let mut millis = 0;
    for at in places.iter().rev() {
        if let Row::Step(step) = rows.remove(*at) {
            millis += step.duration_ms.unwrap_or(0);
        }
    }
    rows.insert(*first, Row::Many(status, places.len(), millis));
}

fn took(step: &OperationStep, since: &impl Fn(&str) -> Duration) -> String {
    match (step.duration_ms, step.status.as_str()) {
        (Some(millis), _) => seconds(millis),
        (None, "running") => seconds(u64::try_from(since(&step.name).as_millis()).unwrap_or(u64::MAX)),
        (None, _) => String::new(),
    }
}

/// Bytes, and what is said.
fn told(step: &OperationStep) -> String {
    let bytes = match (step.done_bytes, step.total_bytes) {
        (Some(done), Some(total)) if done < total => format!("{} of {}", bytes(done), bytes(total)),
        (Some(done), _) => bytes(done),
        (None, _) => String::new(),
    };
    let detail = step.detail.as_deref().map(one_line).unwrap_or_default();
    [bytes, detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn tone(status: &str) -> Tone {
    match status {
        "failed" => Tone::Bad,
        "undone" => Tone::Warn,
        "running" => Tone::Moving,
        "waiting" | "skipped" | "…" => Tone::Faint,
        _ => Tone::Plain,
    }
}

fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// As much of a text as so many columns hold.
fn cut(text: &str, width: usize) -> String {
    if columns_taken(text) <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += columns_taken(c.encode_utf8(&mut [0; 4]));
        if taken > width.saturating_sub(1) {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// `0.4 s`, `42 s`, `3 m 12 s`.
pub(crate) fn seconds(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..60_000 => format!("{} s", millis / 1000),
        60_000..3_600_000 => format!("{} m {} s", millis / 60_000, millis % 60_000 / 1000),
        _ => format!("{} h {} m", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

/// `512 B`, `1.2 kB`, `88.0 MB`.
fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match UNITS.iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", count / unit, count % unit / (unit / 10)),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn operation(steps: &[Value]) -> Operation {
        let body = json!({ "id": "7", "kind": "cluster.create", "cluster": "shop", "status": "running", "steps": steps });
        serde_json::from_value(body).unwrap()
    }

    fn step(name: &str, status: &str) -> Value {
        let mut step = json!({ "name": name, "action": "x", "status": status });
        if !["waiting", "running", "skipped"].contains(&status) {
            step["duration_ms"] = json!(1200);
        }
        step
    }

    fn drawn(steps: &[Value], width: usize, height: usize) -> Vec<String> {
        let screen = Screen { width, height, color: false };
        picture(&operation(steps), |_| Duration::from_millis(4100), screen)
    }

    #[test]
    fn a_line_for_each_step_with_bytes_and_times() {
        let mut pull = step("cache: pull redis:7-alpine", "running");
        (pull["done_bytes"], pull["total_bytes"]) = (json!(12_100_000), json!(88_000_000));
        pull["detail"] = json!("Downloading\nlayers");
        let mut failed = step("db: ready", "failed");
        failed["detail"] = json!("It did not answer.");
        let steps = [step("商店: stop", "done"), pull, failed, step("db: save", "waiting")];
        let expected = [
            "done     商店: stop                      1.2 s",
            "running  cache: pull redis:7-alpine      4.1 s  12.1 MB of 88.0 MB  Downloading layers",
            "failed   db: ready                       1.2 s  It did not answer.",
            "waiting  db: save",
        ];
        assert_eq!(drawn(&steps, 100, 24), expected);
        let colored = picture(
            &operation(&steps[2..3]),
            |_| Duration::ZERO,
            Screen { width: 80, height: 9, color: true },
        );
        assert!(colored[0].starts_with("\u{1b}[31mfailed\u{1b}[0m   db: ready"), "{colored:?}");
    }

    #[test]
    fn no_picture_is_larger_than_its_screen() {
        let all = |done: usize, running: usize, waiting: usize| {
            let of = |count: usize, status: &str| -> Vec<Value> {
                (0..count).map(|n| step(&format!("service-{n}: {}", "ä".repeat(n % 50)), status)).collect()
            };
            [of(done, "done"), of(running, "running"), of(waiting, "waiting")].concat()
        };
        for (done, running, waiting) in
            [(0, 0, 0), (1, 0, 0), (3, 1, 2), (30, 3, 0), (0, 3, 30), (9, 40, 9), (100, 100, 100)]
        {
            for width in [1, 2, 9, 20, 40, 80, 200] {
                for height in [0, 1, 2, 3, 5, 10, 24] {
                    let lines = drawn(&all(done, running, waiting), width, height);
                    let place = format!("{done} {running} {waiting} on {width}x{height}: {lines:#?}");
                    assert!(lines.len() <= height.saturating_sub(1).max(1), "{place}");
                    assert!(lines.iter().all(|line| columns_taken(line) < width.max(2)), "{place}");
                    assert!(lines.iter().all(|line| !line.contains(['\n', '\u{1b}'])), "{place}");
                }
            }
        }
    }

    #[test]
    fn the_oldest_that_are_done_become_one_line_then_the_last_that_wait() {
        let names = |steps: &[Value], height| -> Vec<String> {
            let short = |line: &String| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
            drawn(steps, 80, height).iter().map(short).collect()
        };
        let steps = [
            step("a", "done"),
            step("b", "done"),
            step("c", "failed"),
            step("d", "done"),
            step("e", "running"),
            step("f", "waiting"),
            step("g", "waiting"),
        ];
        assert_eq!(names(&steps, 8).len(), 7);
        assert_eq!(names(&steps, 7)[..2], ["done 2 steps", "failed c 1.2"]);
        assert_eq!(
            names(&steps, 6),
            ["done 3 steps", "failed c 1.2", "running e 4.1", "waiting f", "waiting g"]
        );
        assert_eq!(names(&steps, 5), ["done 3 steps", "failed c 1.2", "running e 4.1", "waiting 2 steps"]);
        assert_eq!(names(&steps, 4), ["done 3 steps", "failed c 1.2", "… 3 more"]);
        assert_eq!(names(&steps, 2), ["… 7 more"]);
    }

    #[test]
    fn where_nobody_looks_only_what_has_changed_is_said() {
        let of = |value: Value| change(&serde_json::from_value(value).unwrap());
        assert_eq!(of(step("a", "waiting")), None);
        let mut running = step("cache: pull", "running");
        running["detail"] = json!("Downloading");
        assert_eq!(of(running).unwrap(), "running  cache: pull");
        let mut done = step("cache: pull", "done");
        done["detail"] = json!("redis:7-alpine");
        assert_eq!(of(done).unwrap(), "done     cache: pull (1.2 s): redis:7-alpine");
        assert_eq!(of(step("b", "skipped")).unwrap(), "skipped  b");
    }

    #[test]
    fn times_and_bytes_in_their_largest_unit() {
        for (millis, expected) in
            [(0, "0.0 s"), (9_999, "9.9 s"), (42_000, "42 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 5 m")]
        {
            assert_eq!(seconds(millis), expected);
        }
        for (count, expected) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (88_049_000, "88.0 MB"), (1 << 40, "1.0 TB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
