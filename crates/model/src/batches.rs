use std::fmt;
use std::ops::Range;

use crate::{HostRng, ModelError};

/// In which order a holder's rows are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BatchOrder {
    /// A new permutation every epoch, from the holder's own seed.
    Shuffled {
        /// Only the holder knows it.
        seed: [u8; 32],
    },
    /// As the file has them, from the first row again after the last.
    File,
}

/// The seed of a hospital's shuffles stays its own.
impl fmt::Debug for BatchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shuffled { .. } => "Shuffled",
            Self::File => "File",
        })
    }
}

/// The endless stream of batches over `rows` rows, entered at any step.
///
/// Step s is a pure function of (order, rows, batch, s): a restarted holder that trains round r
/// takes the same batches as one that never stopped, without going through rounds 1 to r-1.
/// The last, smaller batch of an epoch is used; no batch spans two epochs.
#[derive(Debug)]
pub struct Batches {
    order: BatchOrder,
    rows: usize,
    batch: usize,
    step: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Batches {
    /// The stream from step `step` on, counted from 0 over all rounds.
    pub fn from_step(order: BatchOrder, rows: usize, batch: usize, step: u64) -> Result<Self, ModelError> {
        if rows == 0 {
            return Err(ModelError::TooFewRows { what: "training", needed: 1, got: 0 });
        }
        if batch == 0 {
            return Err(ModelError::Plan("the batch size must be at least 1"));
        }
        Ok(Self { order, rows, batch, step, epoch: None })
    }

    /// Row indices of the next batch; never empty.
    pub fn next_batch(&mut self) -> &[usize] {
        let per_epoch = self.rows.div_ceil(self.batch) as u64;
        let (epoch, position) = (self.step / per_epoch, (self.step % per_epoch) as usize);
        self.step += 1;
        let range = self.range(position);
        let (order, rows) = (self.order, self.rows);
        let held = match self.epoch.take() {
            Some((number, indices)) if number == epoch || order == BatchOrder::File => (epoch, indices),
            _ => (epoch, arrange(order, rows, epoch)),
        };
        &self.epoch.insert(held).1[range]
    }

    fn range(&self, position: usize) -> Range<usize> {
        let start = position * self.batch;
        start..self.rows.min(start + self.batch)
    }
}

fn arrange(order: BatchOrder, rows: usize, epoch: u64) -> Vec<usize> {
    match order {
        BatchOrder::File => (0..rows).collect(),
        BatchOrder::Shuffled { seed } => HostRng::new(seed, HostRng::SHUFFLE, epoch).permutation(rows),
    }
}
