//! The next model from what a round posted: the sum, t answers and the admit list. No individual ciphertext is
//! needed; this proves the opening, and the addition is recomputed by auditors.
//!
//! The sum is read in pieces, and the model changes in its place: neither is held twice.

use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::tree::{TreeHasher, kind};
use almoner_protocol::types::{AdmitItem, Descriptor, OpenItem};
use almoner_protocol::{B256, SumOpening};

use crate::SiteError;

/// A posted sum on its way to become a model, and what its root would be.
#[derive(Debug)]
pub struct Opening {
    sum: SumOpening,
    checks: Vec<u8>,
    tree: TreeHasher,
}

impl Opening {
    /// From a round's posted lists, each held against its root already, and the check sums behind the data.
    pub fn new(
        descriptor: &Descriptor,
        seed: EpochSeed,
        admitted: &[AdmitItem],
        open: &[OpenItem],
        checks: Vec<u8>,
    ) -> Result<Self, SiteError> {
        if open.iter().any(|item| item.member >= descriptor.members) {
            return Err(SiteError::Opening("an answer of somebody outside the committee"));
        }
        if open.len() != usize::from(descriptor.threshold) {
            return Err(SiteError::Opening("not one answer for each of the threshold"));
        }
        let (_, sum) = SumOpening::find(descriptor, seed, admitted, open, &checks)
            .map_err(|_| SiteError::Opening("the answers do not open the check blocks"))?;
        Ok(Self { sum, checks, tree: TreeHasher::new(kind::SUM) })
    }

    /// Opens the next blocks, and has `model`, the base's weights there, become those of the next model.
    pub fn take(&mut self, model: &mut [i32], sums: &[u8]) -> Result<(), SiteError> {
        self.hash(sums);
        Ok(self.sum.take(model, sums)?)
    }

    /// Nothing that was opened may be used before this says that it was the posted sum.
    pub fn finish(mut self, root: B256) -> Result<(), SiteError> {
        let checks = std::mem::take(&mut self.checks);
        self.hash(&checks);
        let found = B256::new(self.tree.finish());
        if found == root {
            return Ok(());
        }
        Err(SiteError::Root { what: "sum", stated: root, found })
    }

    fn hash(&mut self, sums: &[u8]) {
        self.tree.extend(8, sums);
    }
}
