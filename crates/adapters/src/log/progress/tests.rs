//! The state machine against a model that does everything the slow way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::log::progress_row::{self, Rows};

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
fn what_never_went_out_was_not_delivered() {
    let mut progress = Progress::default();
    for round in 0..2 * u64::from(LAST_DELIVERY) {
        for offset in 0..3 {
            let holder = Holder { consumer: round, sequence: round * 10 + offset };
            let delivery = progress.deliver(offset, 1000, holder);
            assert_eq!(delivery, if offset == 0 { round.min(9) as u32 + 1 } else { 1 });
        }
        // The first went out each time.
        assert!(progress.take_back(round, round * 10, 0));
        assert!(!progress.take_back(round, round * 10, 0), "once");
        assert_eq!((progress.delivered(), progress.owed()), (1, 3));
        assert_eq!(progress.wanted(0, 3, 10), [1, 2]);
        assert!(progress.delivery_of(0) < Some(LAST_DELIVERY) || progress.dying(1000).eq([0]));
        progress.give_back(0, round.min(8) as u32 + 1, 0);
        if progress.delivery_of(0) == Some(LAST_DELIVERY) {
            assert!(progress.settle(0) && progress.settle(1));
            return;
        }
    }
    panic!("the one that went out dies");
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
    Deliver {
        most: usize,
        lease: u64,
        consumer: u64,
    },
    Settle(u64),
    GiveBack {
        offset: u64,
        delivery: u32,
        delay: u64,
    },
    Pass(u64),
    Trim(u64),
    Release {
        consumer: u64,
        behind: u64,
    },
    TakeBack {
        consumer: u64,
        behind: u64,
    },
    /// What has changed is written.
    Write,
    /// A turn that could not be written.
    Undone(Vec<Step>),
    /// What is not written yet is written, and read by the next process.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => simple(),
        1 => prop::collection::vec(simple(), 1..12).prop_map(Step::Undone),
        2 => Just(Step::Write),
        1 => Just(Step::Restart),
    ]
}

fn simple() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5usize, 1..20u64, 0..3u64)
            .prop_map(|(most, lease, consumer)| Step::Deliver { most, lease, consumer }),
        4 => (0..30u64).prop_map(Step::Settle),
        2 => (0..30u64, 1..4u32, 0..20u64)
            .prop_map(|(offset, delivery, delay)| Step::GiveBack { offset, delivery, delay }),
        3 => (1..15u64).prop_map(Step::Pass),
        1 => (0..30u64).prop_map(Step::Trim),
        1 => (0..3u64, 0..60u64).prop_map(|(consumer, behind)| Step::Release { consumer, behind }),
        1 => (0..3u64, 0..60u64).prop_map(|(consumer, behind)| Step::TakeBack { consumer, behind }),
    ]
}

/// One message, told in full.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    delivery: u32,
    /// It was handed out once, whatever became of that.
    reached: bool,
    settled: bool,
    due: u64,
    lease: Option<(u64, Holder)>,
}

const END: u64 = 30;

/// The offset of the first: some of them stand in one row and some in the next.
const START: u64 = SEGMENT - END / 2;

/// The slow way, beside what is tested.
struct Model {
    told: [Told; END as usize],
    now: u64,
    sequence: u64,
    tested: Progress,
    file: BTreeMap<u64, Vec<u8>>,
}

impl Told {
    fn is_open(&self) -> bool {
        self.reached && !self.settled
    }

    fn settle(&mut self) {
        (self.lease, self.settled) = (None, true);
    }
}

/// What must be the same again when a turn was undone.
fn state(own: &Progress) -> impl PartialEq + std::fmt::Debug + use<> {
    let Progress { next, open, waiting, leased, held, unseen, .. } = own.clone();
    (next, open, waiting, leased, held, unseen)
}

impl Model {
    fn new() -> Model {
        let (tested, file) = (Progress::at(START), BTreeMap::new());
        Model { told: [Told::default(); END as usize], now: 0, sequence: 0, tested, file }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver { most, lease, consumer } => self.deliver(most, lease, consumer),
            Step::Settle(offset) => {
                let one = &mut self.told[offset as usize];
                let counts = one.is_open();
                assert_eq!(self.tested.settle(START + offset), counts);
                if counts {
                    one.settle();
                }
            }
            Step::GiveBack { offset, delivery, delay } => {
                let (one, due) = (&mut self.told[offset as usize], self.now + delay);
                let counts = one.lease.is_some() && one.delivery == delivery;
                let fate = self.tested.give_back(START + offset, delivery, due);
                assert_eq!(fate, if counts { Fate::Again } else { Fate::Unchanged });
                if counts {
                    (one.lease, one.due) = (None, due);
                }
            }
            Step::Pass(time) => self.pass(time),
            Step::Trim(earliest) => {
                self.tested.trim(START + earliest);
                self.told[..earliest as usize].iter_mut().for_each(Told::settle);
            }
            Step::Release { consumer, behind } => {
                self.tested.release(consumer, behind, self.now);
                let unseen = |own: &Holder| own.consumer == consumer && own.sequence > behind;
                for one in self.told.iter_mut().filter(|one| one.lease.is_some_and(|(_, own)| unseen(&own))) {
                    (one.lease, one.due) = (None, self.now);
                }
            }
            Step::TakeBack { consumer, behind } => {
                self.tested.take_back(consumer, behind, self.now);
                let unseen = |own: &Holder| own.consumer == consumer && own.sequence > behind;
                for one in self.told.iter_mut().filter(|one| one.lease.is_some_and(|(_, own)| unseen(&own))) {
                    (one.lease, one.due, one.delivery) = (None, self.now, one.delivery - 1);
                }
            }
            Step::Write => self.write(),
            Step::Undone(steps) => {
                let (told, now, sequence) = (self.told, self.now, self.sequence);
                let before = self.tested.clone();
                assert!(self.tested.begin());
                steps.into_iter().for_each(|step| self.step(step));
                self.tested.undo();
                assert_eq!(state(&self.tested), state(&before));
                (self.told, self.now, self.sequence) = (told, now, sequence);
            }
            Step::Restart => {
                self.write();
                self.tested = Progress::default();
                for (segment, row) in self.file.iter().rev() {
                    progress_row::decode(&mut self.tested, *segment, row).unwrap();
                }
                // What was trimmed or skipped and never written is so once more.
                let first = self.told.iter().position(|one| !one.settled).map_or(END, |at| at as u64);
                self.tested.trim(START + first);
                // What is due already comes in the order of the rows, which may be older than it is due.
                for (at, one) in (START..).zip(&mut self.told).filter(|(_, one)| one.is_open()) {
                    let Some(Open { state: State::Waiting(due), .. }) = self.tested.open.get(&at) else {
                        panic!("{at} waits");
                    };
                    assert_eq!(*due > self.now, one.lease.is_none() && one.due > self.now);
                    (one.lease, one.due) = (None, *due);
                }
            }
        }
    }

    fn write(&mut self) {
        self.tested.begin();
        let Rows { write, gone } = progress_row::rows(&self.tested, self.now);
        self.file.extend(write);
        self.file.retain(|segment, _| !gone.contains(segment));
        self.tested.wrote();
        assert_eq!(progress_row::rows(&self.tested, self.now), Rows::default());
    }

    fn deliver(&mut self, most: usize, lease: u64, consumer: u64) {
        let told = |offset: u64| self.told[offset as usize];
        let mut again: Vec<(u64, u64)> = (0..END)
            .filter(|offset| told(*offset).is_open() && told(*offset).lease.is_none())
            .map(|offset| (told(offset).due, offset))
            .filter(|(due, _)| *due <= self.now)
            .collect();
        again.sort_unstable();
        let fresh = (0..END).filter(|offset| !told(*offset).reached && !told(*offset).settled);
        let expected: Vec<u64> = again.iter().map(|(_, offset)| *offset).chain(fresh).take(most).collect();
        let wanted = self.tested.wanted(self.now, START + END, most);
        assert_eq!(wanted, expected.iter().map(|own| START + own).collect::<Vec<_>>());
        for offset in expected {
            self.sequence += 1;
            let (until, holder) = (self.now + lease, Holder { consumer, sequence: self.sequence });
            let one = &mut self.told[offset as usize];
            (one.delivery, one.reached, one.lease) = (one.delivery + 1, true, Some((until, holder)));
            assert_eq!(self.tested.deliver(START + offset, until, holder), one.delivery);
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
        let dead: Vec<u64> = dead.into_iter().map(|(_, offset)| START + offset).collect();
        assert_eq!(self.tested.dying(self.now).collect::<Vec<u64>>(), dead);
        assert_eq!(self.tested.expire(self.now), dead);
        for offset in dead {
            self.tested.settle(offset);
            self.told[(offset - START) as usize].settle();
        }
    }

    fn check(&self) {
        let open = self.told.iter().filter(|one| one.is_open()).count();
        assert_eq!(self.tested.owed(), open as u64);
        let seen = self.told.iter().filter(|one| one.is_open() && one.delivery > 0).count();
        assert_eq!(self.tested.delivered(), seen as u64);
        for consumer in 0..3 {
            let own = |one: &&Told| one.lease.is_some_and(|(_, holder)| holder.consumer == consumer);
            assert_eq!(self.tested.held_by(consumer) as usize, self.told.iter().filter(own).count());
        }
        let first = self.told.iter().position(|one| !one.settled).map_or(END, |at| at as u64);
        assert_eq!(self.tested.settled(), START + first);
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
            model.check();
        }
    }
}
