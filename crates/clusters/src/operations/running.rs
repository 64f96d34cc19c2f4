//! An operation in the hands of whoever carries it out.

use std::sync::Arc;

use model::view::{Operation, OperationStatus, StepStatus};
use model::{Code, Failure};
use store::Touched;
use tokio::runtime::Handle;

use super::board::Board;
use super::step::{At, Step};
use super::{Operations, Planned, document};

/// An operation that runs, and whose cluster is its own. Dropped before its end it counts as failed; what it may have
/// made is then put in order behind it.
pub struct Running {
    operations: Operations,
    board: Arc<Board>,
    /// Held over each write, so that they reach the store in their order.
    touched: tokio::sync::Mutex<Vec<Touched>>,
    /// Nothing is left to do at the end of its life.
    settled: bool,
}

impl Running {
    pub(super) fn new(operations: Operations, board: Arc<Board>) -> Running {
        Running { operations, board, touched: tokio::sync::Mutex::default(), settled: false }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        self.board.view().id.clone()
    }

    /// As it is shown now.
    #[must_use]
    pub fn view(&self) -> Arc<Operation> {
        self.board.view()
    }

    /// Adds steps behind those that there are.
    pub fn add_steps(&self, steps: Vec<Planned>) {
        self.board.add(steps);
    }

    /// Begins a step, by its place or its name. Steps of different services may run at once.
    pub fn step<'a>(&self, at: impl Into<At<'a>>) -> Step {
        Step::begin(&self.board, at.into())
    }

    /// A step that was done is undone.
    pub fn undone<'a>(&self, at: impl Into<At<'a>>, detail: &str) {
        let at = at.into();
        self.board.change(true, |view| {
            if let Some(step) = at.find(&view.steps).and_then(|at| view.steps.get_mut(at)) {
                step.status = StepStatus::Undone;
                step.detail = Some(detail.to_owned()).filter(|detail| !detail.is_empty());
            }
        });
    }

    /// Notes what is about to be made, before it is: it is on the disk when this returns. Of what is noted twice the
    /// first word counts, since it says what was there before.
    ///
    /// # Errors
    /// What the store says: then nothing may be made.
    pub async fn touch(&self, touched: Touched) -> Result<(), Failure> {
        let mut all = self.touched.lock().await;
        let same = |one: &Touched| one.provisioner == touched.provisioner && one.service == touched.service;
        if !all.iter().any(same) {
            all.push(touched);
        }
        Ok(self.operations.0.store.note_operation(&self.board.view(), &all).await?)
    }

    /// Says when somebody asks for its end. It can be waited for in several places at once.
    pub fn canceled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.board.canceled()
    }

    /// Whether somebody has asked for its end.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.board.is_canceled()
    }

    /// What whoever waits for it is told when it was ended by somebody.
    #[must_use]
    pub fn cancellation(&self) -> Failure {
        let by = self.board.canceled_by().map_or("nobody", |by| &*by.actor);
        let detail = format!("The operation `{}` was canceled by {by}.", self.id());
        Failure::client(Code::Conflict, detail).with_hint("What it had made is undone, as its steps say.")
    }

    /// Ends it: it is written down, its cluster let go of, and whoever follows told. It is carried through even when
    /// nobody waits for it. A failure after somebody has asked for the end is that end.
    pub async fn end(mut self, result: Result<(), &Failure>) -> Arc<Operation> {
        let status = match result {
            Ok(()) => OperationStatus::Succeeded,
            Err(_) if self.board.is_canceled() => OperationStatus::Canceled,
            Err(_) => OperationStatus::Failed,
        };
        let request_id = self.board.view().request_id.clone();
        let error = result.err().map(|failure| document(failure, request_id.as_deref()));
        let last = self.board.last(status, error);
        self.settled = true;
        let canceler = self.board.canceled_by().filter(|_| status == OperationStatus::Canceled);
        let by = canceler.map_or_else(|| last.actor.clone(), |by| by.actor.to_string());
        let (operations, board, shown) =
            (self.operations.clone(), Arc::clone(&self.board), Arc::clone(&last));
        // A panic in there has been told by whoever catches panics, and the view is what it is.
        let _ = tokio::spawn(async move { operations.finish(&board, shown, &by).await }).await;
        last
    }

    /// It has failed, and what it has made could not be taken back, or what was to go could not be taken away: it is told so,
    /// and its cluster is nobody else's until that is put in order.
    pub(crate) fn leave(mut self, failure: &Failure) {
        let is_canceled = self.board.is_canceled();
        let status = if is_canceled { OperationStatus::Canceled } else { OperationStatus::Failed };
        self.settled = true;
        self.break_off(status, failure);
    }

    /// In the store it stays unfinished, so that it is found there after a crash too.
    fn break_off(&self, status: OperationStatus, failure: &Failure) {
        let request_id = self.board.view().request_id.clone();
        let last = self.board.last(status, Some(document(failure, request_id.as_deref())));
        self.operations.known().broken.insert(last.id.clone());
        self.board.end(&last);
        self.operations.tell(&last, &last.actor, &super::sentence(&last));
    }

    /// The store has not taken it: it never was.
    pub(super) fn never_began(mut self) {
        self.settled = true;
        let view = self.board.view();
        self.operations.release(&view);
        self.operations.forget(&view.id);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let failure = Failure::gateway(Code::Internal, "It was broken off in the middle.")
            .with_hint("What it may have made is looked for, and taken away.");
        let made_nothing = self.touched.get_mut().is_empty();
        match Handle::try_current() {
            Ok(runtime) if made_nothing => {
                let request_id = self.board.view().request_id.clone();
                let document = document(&failure, request_id.as_deref());
                let last = self.board.last(OperationStatus::Failed, Some(document));
                let (operations, board) = (self.operations.clone(), Arc::clone(&self.board));
                let by = last.actor.clone();
                drop(runtime.spawn(async move { operations.finish(&board, last, &by).await }));
            }
            _ => self.break_off(OperationStatus::Failed, &failure),
        }
    }
}
