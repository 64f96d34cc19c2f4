//! The state machine against a model that does everything the slow way.

use proptest::prelude::*;

use super::*;

const HOLDER: Holder = Holder { consumer: 1, sequence: 1 };

#[test]
fn what_is_settled_in_any_order_moves_the_beginning() {
    let mut progress = Progress::at(5);
    assert_eq!(progress.wanted(0, 9, 10), [5, 6, 7, 8]);
    for offset in 5..9 {
        assert_eq!(progress.deliver(offset, 100, HOLDER), 1);
    }
    assert!(progress.wanted(0, 9, 10).is_empty());
    assert!(progress.settle(7));
    assert_eq!((progress.settled(), progress.delivered()), (5, 3));
    assert!(progress.settle(5) && progress.settle(6) && !progress.settle(6));
    assert_eq!((progress.settled(), progress.next(), progress.held_by(1)), (8, 9, 1));
}

#[test]
fn a_lease_that_runs_out_raises_the_delivery_and_the_tenth_is_the_last() {
    let mut progress = Progress::default();
    for delivery in 1..=LAST_DELIVERY {
        let now = u64::from(delivery) * 10;
        assert_eq!(progress.wanted(now, 1, 10), [0]);
        assert_eq!(progress.deliver(0, now + 5, HOLDER), delivery);
        assert_eq!(progress.wakes_at(now), Some(now + 5));
        assert!(progress.expire(now + 4).is_empty() && !progress.expires(now + 4));
        let dead = progress.expire(now + 5);
        assert_eq!(dead.as_slice(), if delivery == LAST_DELIVERY { &[0][..] } else { &[] });
    }
    assert!(progress.settle(0));
    assert_eq!(progress.settled(), 1);
}

#[test]
fn only_the_latest_delivery_is_given_back() {
    let mut progress = Progress::default();
    progress.deliver(0, 100, HOLDER);
    assert_eq!(progress.give_back(0, 1, 50), Fate::Again);
    assert_eq!(progress.give_back(0, 1, 10), Fate::Unchanged, "it waits already");
    assert!(progress.wanted(49, 1, 10).is_empty());
    assert_eq!(progress.wakes_at(49), Some(50));
    assert_eq!(progress.wanted(50, 1, 10), [0]);
    progress.deliver(0, 100, HOLDER);
    assert_eq!(progress.give_back(0, 1, 10), Fate::Unchanged, "an earlier delivery");
    assert_eq!(progress.give_back(9, 1, 10), Fate::Unchanged, "never delivered");
}

#[test]
fn what_a_consumer_never_saw_comes_again_at_once() {
    let mut progress = Progress::default();
    for offset in 0..4 {
        progress.deliver(offset, 100, Holder { consumer: 1, sequence: 10 + offset });
    }
    progress.deliver(4, 100, Holder { consumer: 2, sequence: 20 });
    progress.release(1, 11, 7);
    assert_eq!(progress.wanted(7, 5, 10), [2, 3]);
    assert_eq!((progress.held_by(1), progress.held_by(2)), (2, 1));
}

#[test]
fn one_message_that_is_stuck_holds_nobody_up_and_memory_is_bounded() {
    let mut progress = Progress::default();
    let end = 3 * MOST_OPEN as u64;
    for offset in progress.wanted(0, end, usize::MAX) {
        progress.deliver(offset, 1000, HOLDER);
    }
    assert_eq!(progress.delivered(), MOST_OPEN as u64);
    assert!(progress.wanted(0, end, 1).is_empty());
    for offset in 1..MOST_OPEN as u64 {
        progress.settle(offset);
    }
    assert_eq!(progress.settled(), 0);
    assert_eq!(progress.wanted(0, end, usize::MAX).len(), MOST_OPEN - 1, "all but the one that is stuck");
}

#[test]
fn what_is_trimmed_is_forgotten() {
    let mut progress = Progress::default();
    for offset in 0..6 {
        progress.deliver(offset, 100, HOLDER);
    }
    progress.give_back(1, 1, 50);
    progress.trim(4);
    assert_eq!((progress.settled(), progress.delivered(), progress.held_by(1)), (4, 2, 2));
    assert!(progress.wanted(60, 6, 10).is_empty());
    progress.trim(20);
    assert_eq!((progress.settled(), progress.next()), (20, 20));
    assert_eq!(progress.wakes_at(0), None);
}

/// What may be done to it.
#[derive(Debug, Clone)]
enum Step {
    Deliver { most: usize, lease: u64, consumer: u64 },
    Settle(u64),
    GiveBack { offset: u64, delivery: u32, delay: u64 },
    Pass(u64),
    Trim(u64),
    Release { consumer: u64, behind: u64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5usize, 1..20u64, 0..3u64)
            .prop_map(|(most, lease, consumer)| Step::Deliver { most, lease, consumer }),
        4 => (0..30u64).prop_map(Step::Settle),
        2 => (0..30u64, 1..4u32, 0..20u64)
            .prop_map(|(offset, delivery, delay)| Step::GiveBack { offset, delivery, delay }),
        3 => (1..15u64).prop_map(Step::Pass),
        1 => (0..30u64).prop_map(Step::Trim),
        1 => (0..3u64, 0..60u64).prop_map(|(consumer, behind)| Step::Release { consumer, behind }),
        1 => Just(Step::Restart),
    ]
}

/// One message, told in full.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    delivery: u32,
    settled: bool,
    due: u64,
    lease: Option<(u64, Holder)>,
}

const END: u64 = 30;

/// The slow way, beside what is tested.
#[derive(Default)]
struct Model {
    told: [Told; END as usize],
    now: u64,
    sequence: u64,
    tested: Progress,
}

impl Told {
    fn is_open(&self) -> bool {
        self.delivery > 0 && !self.settled
    }

    fn settle(&mut self) {
        (self.lease, self.settled) = (None, true);
    }
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver { most, lease, consumer } => self.deliver(most, lease, consumer),
            Step::Settle(offset) => {
                let one = &mut self.told[offset as usize];
                let counts = one.is_open();
                assert_eq!(self.tested.settle(offset), counts);
                if counts {
                    one.settle();
                }
            }
            Step::GiveBack { offset, delivery, delay } => {
                let (one, due) = (&mut self.told[offset as usize], self.now + delay);
                let counts = one.lease.is_some() && one.delivery == delivery;
                let fate = self.tested.give_back(offset, delivery, due);
                assert_eq!(fate, if counts { Fate::Again } else { Fate::Unchanged });
                if counts {
                    (one.lease, one.due) = (None, due);
                }
            }
            Step::Pass(time) => self.pass(time),
            Step::Trim(earliest) => {
                self.tested.trim(earliest);
                self.told[..earliest as usize].iter_mut().for_each(Told::settle);
            }
            Step::Release { consumer, behind } => {
                self.tested.release(consumer, behind, self.now);
                let unseen = |own: &Holder| own.consumer == consumer && own.sequence > behind;
                for one in self.told.iter_mut().filter(|one| one.lease.is_some_and(|(_, own)| unseen(&own))) {
                    (one.lease, one.due) = (None, self.now);
                }
            }
            Step::Restart => {
                let row = crate::log::progress_row::encode(&self.tested, self.now);
                self.tested = crate::log::progress_row::decode(&row).unwrap();
                for one in self.told.iter_mut().filter(|one| one.is_open()) {
                    if one.lease.is_some() || one.due <= self.now {
                        (one.lease, one.due) = (None, 0);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, most: usize, lease: u64, consumer: u64) {
        let told = |offset: u64| self.told[offset as usize];
        let mut again: Vec<(u64, u64)> = (0..END)
            .filter(|offset| told(*offset).is_open() && told(*offset).lease.is_none())
            .map(|offset| (told(offset).due, offset))
            .filter(|(due, _)| *due <= self.now)
            .collect();
        again.sort_unstable();
        let fresh = (0..END).filter(|offset| told(*offset).delivery == 0 && !told(*offset).settled);
        let expected: Vec<u64> = again.iter().map(|(_, offset)| *offset).chain(fresh).take(most).collect();
        assert_eq!(self.tested.wanted(self.now, END, most), expected);
        for offset in expected {
            self.sequence += 1;
            let (until, holder) = (self.now + lease, Holder { consumer, sequence: self.sequence });
            let one = &mut self.told[offset as usize];
            (one.delivery, one.lease) = (one.delivery + 1, Some((until, holder)));
            assert_eq!(self.tested.deliver(offset, until, holder), one.delivery);
        }
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        let mut dead = Vec::new();
        for (offset, one) in self.told.iter_mut().enumerate() {
            let Some((until, _)) = one.lease.filter(|(until, _)| *until <= self.now) else { continue };
            if one.delivery >= LAST_DELIVERY {
                dead.push((until, offset as u64));
            } else {
                (one.lease, one.due) = (None, self.now);
            }
        }
        dead.sort_unstable();
        let dead: Vec<u64> = dead.into_iter().map(|(_, offset)| offset).collect();
        assert_eq!(self.tested.dying(self.now).collect::<Vec<u64>>(), dead);
        assert_eq!(self.tested.expire(self.now), dead);
        for offset in dead {
            self.tested.settle(offset);
            self.told[offset as usize].settle();
        }
    }

    fn check(&self) {
        let open = self.told.iter().filter(|one| one.is_open()).count();
        assert_eq!(self.tested.delivered(), open as u64);
        for consumer in 0..3 {
            let own = |one: &&Told| one.lease.is_some_and(|(_, holder)| holder.consumer == consumer);
            assert_eq!(self.tested.held_by(consumer) as usize, self.told.iter().filter(own).count());
        }
        let first = self.told.iter().position(|one| !one.settled).map_or(END, |at| at as u64);
        assert_eq!(self.tested.settled(), first);
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::default();
        for step in steps {
            model.step(step);
            model.check();
        }
    }
}
