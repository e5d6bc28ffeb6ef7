//! How much of a store's quota is taken: by what lies in it, and by what is on its way there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes of one store; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Books(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    /// By what is stored.
    used: u64,
    /// By what may come.
    reserved: u64,
}

impl Books {
    /// Room for so many bytes, if all together are no more than `most`.
    pub(super) fn reserve(&self, length: u64, most: u64) -> Option<Room> {
        let mut taken = self.lock();
        if taken.used.saturating_add(taken.reserved).saturating_add(length) > most {
            return None;
        }
        taken.reserved = taken.reserved.saturating_add(length);
        Some(Room { books: self.clone(), length })
    }

    pub(super) fn counted(&self, used: u64) {
        self.lock().used = used;
    }

    pub(super) fn freed(&self, length: u64) {
        let mut taken = self.lock();
        taken.used = taken.used.saturating_sub(length);
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Changed in single steps, so a panic elsewhere leaves usable numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that nobody else gets. Given back when it is dropped before it is used.
#[derive(Debug)]
pub(crate) struct Room {
    books: Books,
    length: u64,
}

impl Room {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What it was for is stored.
    pub(super) fn used(mut self) {
        let length = std::mem::take(&mut self.length);
        let mut taken = self.books.lock();
        taken.reserved = taken.reserved.saturating_sub(length);
        taken.used = taken.used.saturating_add(length);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.books.lock();
        taken.reserved = taken.reserved.saturating_sub(self.length);
    }
}
