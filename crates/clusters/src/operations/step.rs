//! A step in the hands of whoever carries it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::Failure;
use model::view::{OperationStep, StepStatus};

use super::board::{Board, ended};
use crate::clock;

/// Microseconds between two things that are told of one step: what comes sooner is seen with what comes next.
const BETWEEN: u64 = 100_000;

/// The most lines of what has failed that are kept, and the most bytes of each.
const LINES: usize = 100;
const LINE: usize = 1 << 10;

/// Which step.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// By its place.
    Index(usize),
    /// By its name.
    Name(&'a str),
}

impl At<'_> {
    pub(super) fn find(self, steps: &[OperationStep]) -> Option<usize> {
        match self {
            At::Index(at) => Some(at).filter(|at| *at < steps.len()),
            At::Name(name) => steps.iter().position(|step| step.name == name),
        }
    }
}

impl From<usize> for At<'_> {
    fn from(at: usize) -> Self {
        At::Index(at)
    }
}

impl<'a> From<&'a str> for At<'a> {
    fn from(name: &'a str) -> Self {
        At::Name(name)
    }
}

impl<'a> From<&'a String> for At<'a> {
    fn from(name: &'a String) -> Self {
        At::Name(name)
    }
}

/// A step that runs. Dropped before its end it has failed.
#[must_use = "a step that is let go of has failed"]
pub struct Step {
    board: Arc<Board>,
    /// None for one that is not there, of which nothing can be told, and for one that has ended.
    at: Option<usize>,
    told: AtomicU64,
}

impl Step {
    pub(super) fn begin(board: &Arc<Board>, at: At<'_>) -> Step {
        let found = at.find(&board.view().steps);
        debug_assert!(found.is_some(), "there is no step {at:?}");
        let step = Step { board: Arc::clone(board), at: found, told: AtomicU64::new(0) };
        step.change(true, |step| {
            step.status = StepStatus::Running;
            step.started_at = Some(clock::wall(clock::now()));
        });
        step
    }

    /// What is being done, in a few words.
    pub fn says(&self, text: &str) {
        let wake = self.is_due();
        self.change(wake, |step| step.detail = Some(text.to_owned()));
    }

    /// So many bytes of so many are here; `total` is 0 while that is not known.
    pub fn bytes(&self, done: u64, total: u64) {
        let wake = self.is_due();
        self.change(wake, |step| {
            step.done_bytes = Some(done);
            step.total_bytes = Some(total).filter(|total| *total > 0);
        });
    }

    /// It is done; `detail` says what came of it, where there is something to say.
    pub fn done(mut self, detail: &str) {
        self.end(StepStatus::Done, Some(detail.to_owned()), Vec::new());
    }

    /// It has failed; with the last lines of what has.
    pub fn failed(mut self, failure: &Failure, last_lines: Vec<String>) {
        self.end(StepStatus::Failed, Some(failure.detail().to_owned()), last_lines);
    }

    fn end(&mut self, status: StepStatus, detail: Option<String>, mut log: Vec<String>) {
        log.drain(..log.len().saturating_sub(LINES));
        for line in &mut log {
            if line.len() > LINE {
                line.truncate(line.floor_char_boundary(LINE));
                line.push('…');
            }
        }
        self.change(true, |step| {
            ended(step, status, clock::wall(clock::now()));
            step.detail = detail.filter(|detail| !detail.is_empty());
            step.log = log;
        });
        self.at = None;
    }

    fn change(&self, wake: bool, change: impl FnOnce(&mut OperationStep)) {
        let Some(at) = self.at else { return };
        self.board.change(wake, |view| {
            if let Some(step) = view.steps.get_mut(at) {
                change(step);
            }
        });
    }

    /// Whether enough time has gone since something was told. Two that ask at once may both be right.
    fn is_due(&self) -> bool {
        let (now, told) = (clock::now().0, self.told.load(Relaxed));
        let due = told == 0 || now.saturating_sub(told) >= BETWEEN;
        if due {
            self.told.store(now.max(1), Relaxed);
        }
        due
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.at.is_some() {
            let why = if self.board.is_canceled() { "canceled" } else { "broken off" };
            self.end(StepStatus::Failed, Some(why.to_owned()), Vec::new());
        }
    }
}
