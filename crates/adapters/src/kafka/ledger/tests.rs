//! What is counted of a partition, step by step.

use super::*;
use crate::queue::Message;

fn content(text: &str) -> Arc<Content> {
    let message = Message { value: text.to_owned().into(), ..Message::default() };
    Arc::new(Content { timestamp: 0, message })
}

const ME: u64 = 7;

fn holder(sequence: u64) -> Holder {
    Holder { consumer: ME, sequence }
}

/// A ledger to which offsets 0 to 3 were delivered at the moment 0, with leases of 100.
fn four() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.assign();
    for offset in 0..4 {
        let content = content("x");
        assert_eq!(ledger.arrives(offset, &content), Arrival::Fresh);
        assert_eq!(ledger.deliver(offset, content, 100, holder(offset + 1)), 1);
    }
    ledger
}

#[test]
fn the_place_is_the_lowest_that_is_not_settled() {
    let mut ledger = four();
    assert_eq!((ledger.settled(), ledger.held_by(ME)), (Some(0), 4));
    assert!(ledger.settle(2) && !ledger.settle(2));
    assert_eq!(ledger.settled(), Some(0));
    assert!(ledger.settle(0) && ledger.settle(1));
    assert_eq!((ledger.settled(), ledger.unconfirmed()), (Some(3), Some(3)));
    ledger.confirm(3);
    assert_eq!(ledger.unconfirmed(), None);
    assert!(ledger.settle(3));
    assert_eq!((ledger.unconfirmed(), ledger.bytes(), ledger.held_by(ME)), (Some(4), 0, 0));
}

#[test]
fn what_is_not_settled_in_time_comes_again() {
    let mut ledger = four();
    assert_eq!(ledger.expire(99), Vec::<u64>::new());
    assert_eq!(ledger.due(99, 10), Vec::<u64>::new());
    assert_eq!(ledger.wakes_at(0), Some(100));
    assert_eq!(ledger.expire(100), Vec::<u64>::new());
    assert_eq!(ledger.due(100, 3), [0, 1, 2]);
    let (again, delivery) = ledger.deliver_again(1, 200, holder(5)).unwrap();
    assert_eq!((&again.message.value[..], delivery), (&b"x"[..], 2));
    assert_eq!(ledger.give_back(1, 1, 0), Fate::Unchanged, "an older delivery gives nothing back");
    assert_eq!(ledger.give_back(1, 2, 500), Fate::Again);
    assert!(!ledger.due(499, 10).contains(&1) && ledger.due(500, 10).contains(&1));
}

#[test]
fn the_tenth_is_the_last_and_is_tried_until_it_is_buried() {
    let mut ledger = four();
    for round in 1..u64::from(LAST_DELIVERY) {
        assert_eq!(ledger.expire(round * 100), Vec::<u64>::new());
        assert!(ledger.deliver_again(0, (round + 1) * 100, holder(round)).is_some());
    }
    assert_eq!(ledger.give_back(0, LAST_DELIVERY, 0), Fate::Dead);
    let end = u64::from(LAST_DELIVERY) * 100;
    assert_eq!(ledger.expire(end), [0]);
    assert_eq!(ledger.bury(0).unwrap().1, LAST_DELIVERY);
    assert!(ledger.bury(0).is_none(), "it is on its way");
    assert_eq!(ledger.expire(end + 5000), Vec::<u64>::new());
    ledger.raise(0, end);
    assert_eq!(ledger.expire(end + PAUSE - 1), Vec::<u64>::new());
    assert_eq!(ledger.expire(end + PAUSE), [0]);
    assert!(ledger.bury(0).is_some() && ledger.settle(0));
    assert_eq!(ledger.settled(), Some(1));
}

#[test]
fn who_resumes_is_sent_again_what_did_not_arrive() {
    let mut ledger = four();
    ledger.release(ME, 2, 10);
    assert_eq!((ledger.due(10, 10), ledger.held_by(ME)), (vec![2, 3], 2));
    assert_eq!(ledger.deliver_again(2, 100, holder(5)).unwrap().1, 2);
    ledger.take_back(ME, 4, 10);
    assert_eq!(ledger.deliver_again(2, 100, holder(6)).unwrap().1, 2, "nobody saw it");
}

#[test]
fn counts_outlive_a_change_of_consumers_and_messages_do_not() {
    let mut ledger = four();
    ledger.confirm(0);
    assert!(ledger.settle(1));
    assert_eq!(ledger.give_back(2, 1, 10), Fate::Again);
    ledger.revoke();
    assert_eq!((ledger.bytes(), ledger.due(10, 10)), (0, vec![]));
    assert!(ledger.bury(0).is_none(), "it is not in memory");
    ledger.assign();
    for offset in 0..4 {
        assert_eq!(ledger.arrives(offset, &content("x")), Arrival::Known);
    }
    assert_eq!(ledger.arrives(4, &content("x")), Arrival::Fresh);
    assert_eq!(ledger.due(10, 10), [2], "the others are leased, and one is settled");
    assert_eq!(ledger.deliver_again(2, 50, holder(9)).unwrap().1, 2);
    assert_eq!((ledger.owed(), ledger.settled()), (3, Some(0)));
}

#[test]
fn what_others_did_meanwhile_is_taken_over() {
    let mut ledger = four();
    ledger.confirm(0);
    ledger.revoke();
    // Others have settled the first three.
    ledger.assign();
    assert_eq!(ledger.unconfirmed(), None, "nothing is known of it yet");
    assert_eq!(ledger.arrives(3, &content("x")), Arrival::Known);
    assert_eq!((ledger.owed(), ledger.settled()), (1, Some(3)));
    ledger.confirm(3);
    // And somebody has put the group back.
    ledger.revoke();
    ledger.assign();
    assert_eq!(ledger.arrives(1, &content("x")), Arrival::Fresh);
    assert_eq!((ledger.owed(), ledger.next()), (0, None), "what was remembered is forgotten");
}
