//! What is gathered when not everything can be, and ids that rise over a restart.

use super::*;

fn entry(shape: Shape, ending: Ending) -> Entry {
    Entry {
        cluster: "shop".into(),
        service: "web".into(),
        kind: "k",
        operation: "GET",
        shape,
        ending,
        began: clock::now(),
        duration: Duration::from_micros(10),
        tries: 1,
        endpoint: None,
        request_id: RequestId::make(),
    }
}

fn routed(ending: Ending) -> Entry {
    entry(Shape::Route("all".into()), ending)
}

const FINE: Ending = Ending::Success(Some(200));

#[test]
fn failures_come_first_then_data_calls_and_the_rest_is_counted() {
    let activity = Activity::default();
    let mut marks = activity.beginning();
    for _ in 0..20 {
        activity.note(routed(FINE));
        activity.note(entry(Shape::Text("user:*".into()), Ending::Success(None)));
        activity.note(routed(Ending::Failure(Code::Timeout, None)));
    }
    let Gathered { operations, left_out } = activity.gather(&mut marks, 30);
    let count = |outcome: &str, routed| {
        operations.iter().filter(|o| o.record.outcome == outcome && o.routed == routed).count()
    };
    assert_eq!((count("error", true), count("success", false), count("success", true)), (20, 10, 0));
    assert_eq!(left_out, 30);
    assert!(operations.is_sorted_by_key(|o| o.record.id.clone()));
    assert!(activity.gather(&mut marks, 30).operations.is_empty(), "each is seen once");
    activity.note(routed(FINE));
    assert_eq!(activity.gather(&mut marks, 30).operations.len(), 1);
}

#[test]
fn what_is_overwritten_before_it_is_seen_is_counted() {
    let activity = Activity::default();
    activity.note(routed(FINE));
    let mut marks = activity.end();
    for _ in 0..KEPT + 500 {
        activity.note(routed(FINE));
    }
    let Gathered { operations, left_out } = activity.gather(&mut marks, 10_000);
    assert_eq!((operations.len(), left_out), (KEPT, 500));
    let (page, _) = activity.list(&ActivityFilter::default(), 2 * KEPT);
    assert_eq!(page.len(), KEPT);
    let mut ids: Vec<&String> = page.iter().map(|record| &record.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), KEPT);
    assert!(ids.is_sorted_by(|a, b| a > b));
    assert_eq!(ids[0], &operations[KEPT - 1].record.id, "an operation has one id wherever it is read");
}

#[test]
fn ids_go_on_rising_when_the_clock_was_set_back() {
    let now = clock::wall(clock::now()).as_microsecond();
    for last in [now - 3_600_000_000, now + 3_600_000_000] {
        let activity = Activity::default();
        let last = format!("{last:014x}-010007");
        activity.resume(&last);
        activity.note(routed(FINE));
        let (page, _) = activity.list(&ActivityFilter::default(), 1);
        assert!(page[0].id > last, "{} {last}", page[0].id);
        assert!(page[0].time.as_microsecond() < now + 60_000_000, "the time that is shown is the clock's");
    }
}
