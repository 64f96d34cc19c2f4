//! One operation as everybody sees it while it runs: a view that changes, and the wish that it may end.

use std::sync::{Arc, OnceLock};

use model::view::{Operation, OperationStatus, OperationStep, StepStatus};
use serde_json::Value;
use tokio::sync::watch;

use super::{Begin, Planned};
use crate::{By, clock};

pub(super) struct Board {
    view: watch::Sender<Arc<Operation>>,
    canceled: watch::Sender<bool>,
    canceled_by: OnceLock<By>,
    /// An earlier run has begun it: nobody here carries it out.
    left: bool,
}

impl Board {
    pub(super) fn new(id: String, begin: Begin) -> Board {
        let Begin { kind, cluster, service, by, steps } = begin;
        let mut view = Operation {
            id,
            kind,
            cluster,
            service,
            status: OperationStatus::Running,
            canceling: false,
            created_at: clock::wall(clock::now()),
            ended_at: None,
            duration_ms: None,
            actor: by.actor.into_owned(),
            request_id: by.request_id,
            steps: Vec::with_capacity(steps.len()),
            error: None,
        };
        add(&mut view, steps);
        Board::of(view, false)
    }

    pub(super) fn of_left(view: Operation) -> Board {
        Board::of(view, true)
    }

    fn of(view: Operation, left: bool) -> Board {
        let (view, canceled) = (watch::Sender::new(Arc::new(view)), watch::Sender::new(false));
        Board { view, canceled, canceled_by: OnceLock::new(), left }
    }

    /// As it is.
    pub(super) fn view(&self) -> Arc<Operation> {
        Arc::clone(&self.view.borrow())
    }

    pub(super) fn follow(&self) -> watch::Receiver<Arc<Operation>> {
        self.view.subscribe()
    }

    pub(super) fn is_left(&self) -> bool {
        self.left
    }

    /// Changes the view of one that has not ended. Whoever follows is woken where they are to be; what they are not
    /// woken for they see with the next change.
    pub(super) fn change(&self, wake: bool, change: impl FnOnce(&mut Operation)) {
        self.view.send_if_modified(|view| {
            if view.has_ended() {
                return false;
            }
            change(Arc::make_mut(view));
            wake
        });
    }

    pub(super) fn add(&self, steps: Vec<Planned>) {
        self.change(true, |view| add(view, steps));
    }

    /// Asks for its end; `None` where nobody here could bring that about any more.
    pub(super) fn cancel(&self, by: &By) -> Option<Arc<Operation>> {
        if self.left || self.view.borrow().has_ended() {
            return None;
        }
        // The first to ask is who did it.
        let _ = self.canceled_by.set(by.clone());
        self.change(true, |view| view.canceling = true);
        self.canceled.send_replace(true);
        Some(self.view()).filter(|view| !view.has_ended())
    }

    /// Whoever has asked for its end.
    pub(super) fn canceled_by(&self) -> Option<&By> {
        self.canceled_by.get()
    }

    pub(super) fn is_canceled(&self) -> bool {
        *self.canceled.borrow()
    }

    /// Says when its end is asked for, and nothing before.
    pub(super) fn canceled(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut canceled = self.canceled.subscribe();
        async move {
            if canceled.wait_for(|canceled| *canceled).await.is_err() {
                // Nobody can ask for it any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What it will be when it has ended so. Nothing has changed yet.
    pub(super) fn last(&self, status: OperationStatus, error: Option<Value>) -> Arc<Operation> {
        let mut view = Operation::clone(&self.view());
        let now = clock::wall(clock::now());
        for step in &mut view.steps {
            match step.status {
                StepStatus::Waiting => step.status = StepStatus::Skipped,
                StepStatus::Running if status == OperationStatus::Succeeded => {
                    ended(step, StepStatus::Done, now)
                }
                StepStatus::Running => ended(step, StepStatus::Failed, now),
                StepStatus::Done | StepStatus::Failed | StepStatus::Undone | StepStatus::Skipped => {}
            }
        }
        (view.status, view.canceling, view.error) = (status, false, error);
        view.ended_at = Some(now);
        view.duration_ms = Some(millis(view.created_at, now));
        Arc::new(view)
    }

    /// It has ended; nothing changes it after that.
    pub(super) fn end(&self, last: &Arc<Operation>) {
        self.view.send_replace(Arc::clone(last));
    }
}

/// A step has ended.
pub(super) fn ended(step: &mut OperationStep, status: StepStatus, now: jiff::Timestamp) {
    step.status = status;
    step.ended_at = Some(now);
    step.duration_ms = step.started_at.map(|started| millis(started, now));
}

fn millis(from: jiff::Timestamp, to: jiff::Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// Names are told apart, since steps are found by them.
fn add(view: &mut Operation, steps: Vec<Planned>) {
    for Planned { name, service, action } in steps {
        let is_taken = |name: &str| view.steps.iter().any(|step| step.name == name);
        let mut own = name.clone();
        for number in 2.. {
            if !is_taken(&own) {
                break;
            }
            own = format!("{name} ({number})");
        }
        view.steps.push(OperationStep {
            name: own,
            service,
            action: action.to_owned(),
            status: StepStatus::Waiting,
            started_at: None,
            ended_at: None,
            duration_ms: None,
            detail: None,
            done_bytes: None,
            total_bytes: None,
            log: Vec::new(),
        });
    }
}
