//! What was begun and waits for its second message. Bounded: strangers may begin.

use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Pending<K, V> {
    /// Oldest first.
    begun: VecDeque<(K, u64, V)>,
    most: usize,
    patience_s: u64,
}

impl<K: PartialEq, V> Pending<K, V> {
    pub(super) fn new(most: usize, patience_s: u64) -> Self {
        Self { begun: VecDeque::new(), most, patience_s }
    }

    pub(super) fn put(&mut self, key: K, value: V, now: u64) {
        self.begun.retain(|(_, begun, _)| now.saturating_sub(*begun) < self.patience_s);
        if self.begun.len() >= self.most {
            self.begun.pop_front();
        }
        self.begun.push_back((key, now, value));
    }

    /// Gives it out once.
    pub(super) fn take(&mut self, key: &K, now: u64) -> Option<V> {
        let at = self.begun.iter().position(|(found, _, _)| found == key)?;
        let (_, begun, value) = self.begun.remove(at)?;
        (now.saturating_sub(begun) < self.patience_s).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_given_out_once_in_time_and_there_is_an_end_to_them() {
        let mut pending = Pending::new(2, 60);
        for (key, now) in [(1, 0), (2, 10), (3, 20)] {
            pending.put(key, key * 10, now);
        }
        assert_eq!(pending.take(&1, 20), None, "it made room");
        assert_eq!(pending.take(&2, 69), Some(20));
        assert_eq!(pending.take(&2, 69), None);
        assert_eq!(pending.take(&3, 80), None, "too late");
        pending.put(4, 40, 100);
        pending.put(5, 50, 160);
        assert_eq!(pending.begun.len(), 1);
        assert_eq!(pending.take(&5, 0), Some(50), "a clock that was put back throws nobody out");
    }
}
