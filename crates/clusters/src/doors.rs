//! What doors count whether or not a service is known: connections of clients, and requests that were answered
//! with a problem document.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::failure::{CODES, Code};
use wire::cores::PerCore;

/// The counts of one door.
#[derive(Debug)]
pub struct Door {
    /// Connections open now.
    pub connections: AtomicU64,
    refused: PerCore<Refused>,
}

#[derive(Debug)]
struct Refused([AtomicU64; CODES.len()]);

impl Default for Door {
    fn default() -> Self {
        let none = || Refused([const { AtomicU64::new(0) }; CODES.len()]);
        Door { connections: AtomicU64::new(0), refused: PerCore::new(none) }
    }
}

impl Door {
    /// A request was answered here, with this failure.
    pub fn refuse(&self, code: Code) {
        self.refused.here().0[code as usize].fetch_add(1, Relaxed);
    }

    /// How many were, by code.
    #[must_use]
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        let count =
            |code: Code| self.refused.iter().map(|core| core.0[code as usize].load(Relaxed)).sum::<u64>();
        CODES.iter().map(|row| (row.name, count(row.code))).filter(|(_, count)| *count > 0).collect()
    }
}
