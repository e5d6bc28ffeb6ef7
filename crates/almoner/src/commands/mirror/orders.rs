//! What the daemon is still to do, each thing once.

use std::collections::{HashSet, VecDeque};

use almoner_store::{Cid, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Pin(Cid),
    Unpin(Cid),
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    queue: VecDeque<Order>,
    /// All that it was ever to pin or unpin.
    known: HashSet<Cid>,
}

impl Orders {
    pub(super) fn knows(&self, cid: &Cid) -> bool {
        self.known.contains(cid)
    }

    pub(super) fn pin(&mut self, cid: Cid) {
        if self.known.insert(cid) {
            self.queue.push_back(Order::Pin(cid));
        }
    }

    /// What was not pinned yet need not be any more.
    pub(super) fn unpin(&mut self, cid: Cid) {
        if !self.known.insert(cid) {
            self.queue.retain(|order| ![Order::Pin(cid), Order::Unpin(cid)].contains(order));
        }
        self.queue.push_back(Order::Unpin(cid));
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn first(&self) -> Option<Order> {
        self.queue.front().copied()
    }

    /// What failed comes last the next time: one artefact that a daemon does not take keeps no other one back. What our
    /// store does not have is no failure of the daemon's, and is not tried again before the next start.
    pub(super) fn was_tried(&mut self, order: Order, tried: Result<(), StoreError>) -> Result<(), StoreError> {
        // None where it was taken back while it was tried.
        let queued = self.queue.iter().position(|queued| *queued == order).and_then(|at| self.queue.remove(at));
        match (tried, queued) {
            (Err(error), Some(_)) if is_lost(&error) => {
                tracing::warn!(%error, "an artefact cannot be given to the Kubo daemon; put blocks/ back and start again");
                Ok(())
            }
            (Err(error), Some(order)) => {
                self.queue.push_back(order);
                Err(error)
            }
            (Ok(()), _) | (Err(_), None) => Ok(()),
        }
    }
}

/// Whether it is our store that cannot give it, now or later.
pub(super) fn is_lost(error: &StoreError) -> bool {
    error.is_missing() || matches!(error, StoreError::Corrupt { .. } | StoreError::Malformed { .. })
}

#[cfg(test)]
mod tests {
    use almoner_store::{BlockSource, Layout, MemoryStore, cid_of};

    use super::*;

    fn failed(lost: bool) -> Result<(), StoreError> {
        let (cid, place) = (Box::new(cid("it")), MemoryStore::new().place());
        match lost {
            true => Err(StoreError::Missing { cid, place }),
            false => Err(StoreError::Unreachable { place, what: "dag/import".into(), detail: "away".into() }),
        }
    }

    fn cid(text: &str) -> Cid {
        cid_of(text.as_bytes(), Layout::V1_2025)
    }

    #[test]
    fn what_fails_waits_behind_the_others_and_what_is_lost_does_not_wait() {
        let [a, b, c] = ["a", "b", "c"].map(cid);
        let mut orders = Orders::default();
        [a, b, a, c].into_iter().for_each(|cid| orders.pin(cid));
        assert_eq!((orders.len(), orders.first()), (3, Some(Order::Pin(a))), "each once");
        assert!(orders.was_tried(Order::Pin(a), failed(false)).is_err());
        assert_eq!((orders.len(), orders.first()), (3, Some(Order::Pin(b))));
        orders.was_tried(Order::Pin(b), failed(true)).unwrap();
        orders.was_tried(Order::Pin(c), Ok(())).unwrap();
        assert_eq!((orders.len(), orders.first()), (1, Some(Order::Pin(a))));
        orders.pin(b);
        assert_eq!(orders.len(), 1, "not before the next start");
    }

    #[test]
    fn what_is_forgotten_is_not_pinned_after_it_was_unpinned() {
        let a = cid("a");
        let mut orders = Orders::default();
        orders.pin(a);
        // While it is being sent.
        orders.unpin(a);
        orders.unpin(a);
        orders.was_tried(Order::Pin(a), failed(false)).unwrap();
        assert_eq!((orders.len(), orders.first()), (1, Some(Order::Unpin(a))));
        orders.was_tried(Order::Unpin(a), Ok(())).unwrap();
        orders.pin(a);
        assert_eq!(orders.first(), None);
    }
}
