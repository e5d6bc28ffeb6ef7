//! The job board: one piece of work at a time, cut into block ranges, leased to aggregators and put together again.
//!
//! Blocks of a ciphertext are independent, so any number of aggregators may work on one round. A lease that is not
//! answered in time is given to somebody else; a late answer to it is ignored. A value, no waiting and no clock of its own.

use std::collections::BTreeMap;

/// Blocks in one lease: 3 MiB of ciphertext per participant.
pub(crate) const RANGE_BLOCKS: u32 = almoner_proto::RANGE_BLOCKS;

/// A block range of the work in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockRange {
    pub first: u32,
    pub blocks: u32,
}

#[derive(Debug)]
enum Slot<R> {
    Waiting,
    Leased { lease: u64, until: u64 },
    Done(R),
}

/// The ranges of one piece of work `W`, each of which ends in a result `R`.
#[derive(Debug)]
pub struct JobBoard<W, R> {
    work: Option<W>,
    slots: BTreeMap<BlockRange, Slot<R>>,
    next_lease: u64,
    lease_ms: u64,
    /// A lease was not answered in time, and its range given out again.
    lapsed: bool,
}

impl<W: Clone, R> JobBoard<W, R> {
    /// An empty board, whose leases last so long before their range is offered again, and are numbered from `first`.
    pub fn new(lease_ms: u64, first: u64) -> Self {
        Self { work: None, slots: BTreeMap::new(), next_lease: first, lease_ms, lapsed: false }
    }

    /// Replaces whatever was on the board by `work` over `blocks` blocks.
    pub fn start(&mut self, work: W, blocks: u32) {
        self.work = Some(work);
        self.slots = ranges(blocks).map(|range| (range, Slot::Waiting)).collect();
    }

    /// Takes everything off the board; results of old leases will find nothing.
    pub fn clear(&mut self) {
        self.work = None;
        self.slots.clear();
    }

    /// What is being worked on.
    pub fn work(&self) -> Option<&W> {
        self.work.as_ref()
    }

    /// The next range nobody is working on, under a fresh lease.
    pub fn lease(&mut self, now_ms: u64) -> Option<(u64, W, BlockRange)> {
        let work = self.work.clone()?;
        let (range, slot) = self.slots.iter_mut().find(|(_, slot)| match slot {
            Slot::Waiting => true,
            Slot::Leased { until, .. } => *until <= now_ms,
            Slot::Done(_) => false,
        })?;
        self.lapsed |= matches!(slot, Slot::Leased { .. });
        let lease = self.next_lease;
        self.next_lease += 1;
        *slot = Slot::Leased { lease, until: now_ms.saturating_add(self.lease_ms) };
        Some((lease, work, *range))
    }

    /// Whether a lease has lapsed since this was last asked.
    pub fn take_lapsed(&mut self) -> bool {
        std::mem::take(&mut self.lapsed)
    }

    /// Takes a lease back: nobody received it.
    pub fn release(&mut self, lease: u64) {
        if let Some((_, range)) = self.leased(lease) {
            self.slots.insert(range, Slot::Waiting);
        }
    }

    /// The work and range behind a lease that still stands.
    pub fn leased(&self, lease: u64) -> Option<(&W, BlockRange)> {
        let work = self.work.as_ref()?;
        self.slots
            .iter()
            .find(|(_, slot)| matches!(slot, Slot::Leased { lease: l, .. } if *l == lease))
            .map(|(range, _)| (work, *range))
    }

    /// Files a result. Returns the work and all results in block order once the last range is in.
    pub fn post(&mut self, lease: u64, result: R) -> Option<(W, Vec<(BlockRange, R)>)> {
        let (_, range) = self.leased(lease)?;
        self.slots.insert(range, Slot::Done(result));
        if !self.slots.values().all(|slot| matches!(slot, Slot::Done(_))) {
            return None;
        }
        let results = std::mem::take(&mut self.slots)
            .into_iter()
            .filter_map(|(range, slot)| match slot {
                Slot::Done(result) => Some((range, result)),
                Slot::Waiting | Slot::Leased { .. } => None,
            })
            .collect();
        Some((self.work.take()?, results))
    }
}

fn ranges(blocks: u32) -> impl Iterator<Item = BlockRange> {
    (0..blocks.div_ceil(RANGE_BLOCKS)).map(move |i| {
        let first = i * RANGE_BLOCKS;
        BlockRange { first, blocks: RANGE_BLOCKS.min(blocks - first) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: u64 = 500;

    #[test]
    fn every_block_is_leased_once_and_results_come_back_in_order() {
        let mut board: JobBoard<&str, u32> = JobBoard::new(LEASE_MS, 1);
        board.start("sum", 600);
        let mut leases = Vec::new();
        while let Some((lease, _, range)) = board.lease(0) {
            leases.push((lease, range));
        }
        assert_eq!(
            leases.iter().map(|(_, r)| (r.first, r.blocks)).collect::<Vec<_>>(),
            [(0, 256), (256, 256), (512, 88)]
        );
        let mut done = None;
        for (lease, range) in leases.into_iter().rev() {
            assert!(done.is_none());
            done = board.post(lease, range.first);
        }
        let (work, results) = done.unwrap();
        assert_eq!(work, "sum");
        assert_eq!(results.iter().map(|(_, r)| *r).collect::<Vec<_>>(), [0, 256, 512]);
    }

    #[test]
    fn an_expired_lease_is_offered_again_and_its_late_result_is_ignored() {
        let mut board: JobBoard<&str, u32> = JobBoard::new(LEASE_MS, 1);
        board.start("audit", 1);
        let (first, ..) = board.lease(0).unwrap();
        assert!(board.lease(LEASE_MS - 1).is_none());
        let (second, ..) = board.lease(LEASE_MS).unwrap();
        assert!(board.post(first, 1).is_none());
        board.release(second);
        let (second, ..) = board.lease(LEASE_MS).unwrap();
        assert_eq!(board.post(second, 2).unwrap().1[0].1, 2);
        assert!(board.lease(LEASE_MS * 10).is_none());
    }
}
