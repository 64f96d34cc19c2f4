//! How the service behaves. Probes of `/healthz` are answered well in every mode but those that say otherwise.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Normal,
    /// Every connection is reset as soon as it is accepted, probes included; an earlier one at its next request.
    ResetOnAccept,
    /// The answer is reset after half of its body.
    ResetInBody,
    /// A body of known length, ten bytes in a tenth of a second.
    Trickle,
    /// Says a length, sends a hundred bytes less, and waits for better times.
    Short,
    /// Says a length and sends more: another answer, that nobody asked for.
    Long,
    /// Closes properly after half of the body.
    CloseInBody,
    /// Closes properly in the middle of a chunked body.
    CloseInChunks,
    /// Does what it is asked and closes without an answer.
    Eat,
    /// Answers that it failed.
    Fail,
    /// Answers two seconds late.
    Late,
    /// Takes 50 ms for each answer.
    Slow,
    /// Ends its side before it answers nothing, and goes on reading.
    HalfClose,
    /// Answers with something that is not HTTP.
    Garbage,
    /// Fails probes and nothing else.
    Sick,
    /// Closes new connections on which nothing was asked for a while.
    Impatient,
}

const NAMES: [(&str, Mode); 16] = [
    ("normal", Mode::Normal),
    ("reset-on-accept", Mode::ResetOnAccept),
    ("reset-in-body", Mode::ResetInBody),
    ("trickle", Mode::Trickle),
    ("short", Mode::Short),
    ("long", Mode::Long),
    ("close-in-body", Mode::CloseInBody),
    ("close-in-chunks", Mode::CloseInChunks),
    ("eat", Mode::Eat),
    ("fail", Mode::Fail),
    ("late", Mode::Late),
    ("slow", Mode::Slow),
    ("half-close", Mode::HalfClose),
    ("garbage", Mode::Garbage),
    ("sick", Mode::Sick),
    ("impatient", Mode::Impatient),
];

impl Mode {
    pub(crate) fn named(name: &str) -> Option<Mode> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }
}

/// The mode that holds now.
#[derive(Default)]
pub(crate) struct Modes(AtomicUsize);

impl Modes {
    pub(crate) fn get(&self) -> Mode {
        NAMES[self.0.load(Ordering::Relaxed)].1
    }

    pub(crate) fn set(&self, mode: Mode) {
        let at = NAMES.iter().position(|(_, known)| *known == mode);
        self.0.store(at.unwrap_or(0), Ordering::Relaxed);
    }
}
