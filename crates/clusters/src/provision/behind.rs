//! What an engine makes when nobody wants it any more.
//!
//! An engine goes on with what it was asked when a gateway is killed: a network, a volume or a container appears a moment after
//! the next gateway has taken away all that there was. So it is taken away again, for a while, for as long as nobody begins
//! anything in that cluster, by the API or by a file: what is made from then on is wanted, and so are its data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use provision::{Data, Name, Provisioner};

use super::{Hands, lock};
use crate::Clusters;

/// The first pause before it is taken away again; each is twice the one before.
const FIRST: Duration = Duration::from_secs(1);
/// Behind the last, a minute has passed.
const LAST: Duration = Duration::from_secs(32);

/// Something that may appear late.
#[derive(Clone)]
pub(super) struct Late {
    name: Name,
    data: Data,
    by: Arc<dyn Provisioner>,
    pause: Duration,
    next: Instant,
}

impl Hands {
    /// It was taken away, and may appear once more.
    pub(super) fn may_come_late(&self, name: &Name, data: Data, by: &Arc<dyn Provisioner>) {
        let (name, by) = (name.clone(), Arc::clone(by));
        lock(&self.late).push(Late { name, data, by, pause: FIRST, next: Instant::now() + FIRST });
    }

    /// What appears in this cluster from here on is wanted.
    pub(super) fn nothing_comes_late(&self, cluster: &str) {
        lock(&self.late).retain(|late| *late.name.cluster != *cluster);
    }

    /// What is to be taken away now.
    fn due(&self) -> Vec<Late> {
        let now = Instant::now();
        lock(&self.late).iter().filter(|late| late.next <= now).cloned().collect()
    }

    fn may_still_come(&self, name: &Name) -> bool {
        lock(&self.late).iter().any(|late| late.name == *name)
    }

    /// It is looked for again later, or not any more.
    fn put_off(&self, name: &Name) {
        let (mut all, now) = (lock(&self.late), Instant::now());
        for late in all.iter_mut().filter(|late| late.name == *name) {
            late.pause *= 2;
            late.next = now + late.pause;
        }
        all.retain(|late| late.pause <= LAST);
    }
}

impl Clusters {
    /// Takes away what has appeared late.
    pub(super) async fn take_away_what_comes_late(&self) {
        for Late { name, data, by, .. } in self.0.hands.due() {
            let _alone = self.0.hands.alone_with(&name.cluster).await;
            if !self.is_nobodys(&name) {
                self.0.hands.nothing_comes_late(&name.cluster);
            }
            // Whoever had the turn before may have made it his.
            if !self.0.hands.may_still_come(&name) {
                continue;
            }
            if let Err(failure) = by.remove(&name, data).await {
                tracing::debug!(%failure, cluster = %name.cluster, service = %name.service, "what may have come late cannot be taken away");
            }
            self.0.hands.put_off(&name);
        }
    }
}
