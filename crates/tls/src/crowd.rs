//! How many connections the holder of a certificate may have at once.
//!
//! A site needs one, and for a moment two; an operator one for each aggregator. Whoever has many more is broken, or means
//! harm, and is in nobody's way but its own: the one that is too many is refused, and those of others are not touched.
//! Counted is the account that the federation's authority names; a certificate of another authority counts for itself,
//! whatever account says hello beside it: accounts cost nothing. The log hears of it once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Holder, Peer};

/// At once. Those of a site whose line breaks over and over are given up after a minute.
pub(crate) const MOST: usize = 64;

#[derive(Debug)]
pub(crate) struct Crowd {
    open: Mutex<BTreeMap<Holder, Open>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Open {
    lines: usize,
    /// The log has heard that there was one too many.
    told: bool,
}

/// One connection's, as long as it lasts.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    holder: Holder,
}

impl Crowd {
    pub(crate) fn new() -> Arc<Self> {
        Self::of(MOST)
    }

    fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), most })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Holder, Open>> {
        // Counts are changed in one step each: nothing is left half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: it is one too many.
    pub(crate) fn enter(self: &Arc<Self>, peer: &Peer) -> Option<Place> {
        let holder = peer.holder();
        let mut all = self.locked();
        let open = all.entry(holder).or_default();
        if open.lines >= self.most {
            if !std::mem::replace(&mut open.told, true) {
                let (most, fingerprint) = (self.most, peer.fingerprint);
                tracing::warn!(?holder, %fingerprint, most, "a caller with a certificate has too many connections: refused");
            }
            return None;
        }
        open.lines += 1;
        Some(Place { crowd: self.clone(), holder })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.crowd.locked();
        if let Some(open) = all.get_mut(&self.holder) {
            open.lines -= 1;
            if open.lines == 0 {
                all.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use alloy_primitives::{Address, B256};

    use super::*;
    use crate::Role;

    fn peer(account: Option<u8>, print: u8) -> Peer {
        let named = account.map(|byte| (Role::Site, Address::repeat_byte(byte)));
        Peer { named, fingerprint: B256::repeat_byte(print), late: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn each_holder_has_its_own_places_and_gives_them_back() {
        let crowd = Crowd::of(2);
        // A renewed certificate does not make two of one.
        let mut mine = vec![crowd.enter(&peer(Some(1), 1)).unwrap(), crowd.enter(&peer(Some(1), 2)).unwrap()];
        let told = |crowd: &Crowd| crowd.locked().values().filter(|open| open.told).count();
        assert_eq!(told(&crowd), 0);
        for _ in 0..3 {
            assert!(crowd.enter(&peer(Some(1), 3)).is_none());
        }
        assert_eq!(told(&crowd), 1, "of one holder, and once");
        let others = [crowd.enter(&peer(Some(2), 4)).unwrap(), crowd.enter(&peer(None, 1)).unwrap()];
        assert!(crowd.enter(&peer(None, 1)).is_some() && crowd.enter(&peer(None, 5)).is_some());
        mine.pop();
        mine.push(crowd.enter(&peer(Some(1), 3)).unwrap());
        assert!(crowd.enter(&peer(Some(1), 3)).is_none());
        drop((mine, others));
        assert!(crowd.locked().is_empty(), "nothing is kept of whoever is gone");
    }
}
