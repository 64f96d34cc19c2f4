//! What is counted of bytes that are carried to a service and back without being understood.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one service, made with the first connection: few services have any. Each slot is written by one core
/// only; reading sums them up.
#[derive(Debug)]
pub struct Flow {
    cores: usize,
    slots: OnceLock<Box<[Slot]>>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    connections: AtomicU64,
    to_service: AtomicU64,
    to_client: AtomicU64,
}

/// What was carried so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections that were made.
    pub connections: u64,
    /// Bytes that went to the service.
    pub to_service: u64,
    /// Bytes that came back.
    pub to_client: u64,
}

impl Flow {
    /// Counters that so many cores write to.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Flow { cores: slots.max(1), slots: OnceLock::new() }
    }

    /// A client was given a connection.
    pub fn connected(&self, slot: usize) {
        self.slot(slot).connections.fetch_add(1, Relaxed);
    }

    /// So many bytes more have gone each way.
    pub fn carried(&self, slot: usize, to_service: u64, to_client: u64) {
        let slot = self.slot(slot);
        slot.to_service.fetch_add(to_service, Relaxed);
        slot.to_client.fetch_add(to_client, Relaxed);
    }

    fn slot(&self, slot: usize) -> &Slot {
        let slots = self.slots.get_or_init(|| (0..self.cores).map(|_| Slot::default()).collect());
        &slots[slot.min(slots.len() - 1)]
    }

    /// Sums up; `None` where nothing was ever carried.
    #[must_use]
    pub fn read(&self) -> Option<Carried> {
        let slots = self.slots.get()?;
        let sum = |of: fn(&Slot) -> &AtomicU64| slots.iter().map(|slot| of(slot).load(Relaxed)).sum();
        Some(Carried {
            connections: sum(|slot| &slot.connections),
            to_service: sum(|slot| &slot.to_service),
            to_client: sum(|slot| &slot.to_client),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_summed_up_over_cores() {
        let flow = Flow::new(2);
        assert_eq!(flow.read(), None);
        flow.connected(0);
        flow.carried(1, 7, 0);
        flow.carried(9, 1, 5);
        assert_eq!(flow.read(), Some(Carried { connections: 1, to_service: 8, to_client: 5 }));
    }
}
