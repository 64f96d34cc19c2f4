//! What doors count whether or not a service is known: connections of clients, and requests that were answered
//! with a problem document.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::failure::{CODES, Code};
use wire::cores::PerCore;
use wire::tls::Refused as NotLetIn;

/// The counts of one door.
#[derive(Debug)]
pub struct Door {
    /// Connections open now.
    pub connections: AtomicU64,
    refused: PerCore<Refused>,
    handshakes: PerCore<Handshakes>,
    introductions: PerCore<Introductions>,
}

#[derive(Debug)]
struct Refused([AtomicU64; CODES.len()]);

/// Handshakes of TLS that came to nothing.
#[derive(Debug)]
struct Handshakes([AtomicU64; NotLetIn::ALL.len()]);

/// Connections that had to begin with a PROXY header.
#[derive(Debug)]
struct Introductions([AtomicU64; NotIntroduced::ALL.len()]);

/// Why a connection that had to begin with a PROXY header was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NotIntroduced {
    /// It came from an address whose word is not believed.
    Untrusted,
    /// What it began with is no header, or not of the version that is asked for.
    Malformed,
    /// It did not say it in time.
    TimedOut,
    /// It left before the end of it.
    Left,
}

impl NotIntroduced {
    const ALL: [NotIntroduced; 4] =
        [NotIntroduced::Untrusted, NotIntroduced::Malformed, NotIntroduced::TimedOut, NotIntroduced::Left];

    fn name(self) -> &'static str {
        match self {
            NotIntroduced::Untrusted => "untrusted",
            NotIntroduced::Malformed => "malformed",
            NotIntroduced::TimedOut => "timeout",
            NotIntroduced::Left => "left",
        }
    }
}

impl Default for Door {
    fn default() -> Self {
        let none = || Refused([const { AtomicU64::new(0) }; CODES.len()]);
        let no_handshake = || Handshakes([const { AtomicU64::new(0) }; NotLetIn::ALL.len()]);
        let nobody = || Introductions([const { AtomicU64::new(0) }; NotIntroduced::ALL.len()]);
        Door {
            connections: AtomicU64::new(0),
            refused: PerCore::new(none),
            handshakes: PerCore::new(no_handshake),
            introductions: PerCore::new(nobody),
        }
    }
}

impl Door {
    /// A request was answered here, with this failure.
    pub fn refuse(&self, code: Code) {
        self.refused.here().0[code as usize].fetch_add(1, Relaxed);
    }

    /// A client was not let in by TLS.
    pub fn not_let_in(&self, why: NotLetIn) {
        self.handshakes.here().0[why as usize].fetch_add(1, Relaxed);
    }

    /// How many were not, by reason.
    #[must_use]
    pub fn handshakes_failed(&self) -> Vec<(&'static str, u64)> {
        let count = |why: NotLetIn| {
            self.handshakes.iter().map(|core| core.0[why as usize].load(Relaxed)).sum::<u64>()
        };
        NotLetIn::ALL
            .map(|why| (why.name(), count(why)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// A connection that had to begin with a PROXY header was closed for want of one.
    pub fn not_introduced_by(&self, why: NotIntroduced) {
        self.introductions.here().0[why as usize].fetch_add(1, Relaxed);
    }

    /// How many were, by reason.
    #[must_use]
    pub fn not_introduced(&self) -> Vec<(&'static str, u64)> {
        let count = |why: NotIntroduced| {
            self.introductions.iter().map(|core| core.0[why as usize].load(Relaxed)).sum::<u64>()
        };
        let all = NotIntroduced::ALL.map(|why| (why.name(), count(why)));
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// How many were, by code.
    #[must_use]
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        let count =
            |code: Code| self.refused.iter().map(|core| core.0[code as usize].load(Relaxed)).sum::<u64>();
        CODES.iter().map(|row| (row.name, count(row.code))).filter(|(_, count)| *count > 0).collect()
    }
}
