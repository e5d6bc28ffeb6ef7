//! What a round has to move, by formula: every upload once, with a share for every member of the committee; the sum once
//! to be kept and once to everybody who makes the next model of it: every site, and the validator.

use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES};
use almoner_crypto::ring::N;
use almoner_crypto::seal::SEALED_BYTES;

#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    pub(super) ciphertext: usize,
    pub(super) check: usize,
    pub(super) shares: usize,
    pub(super) sum: usize,
    pub(super) model: usize,
    pub(super) sites: usize,
}

impl Payload {
    pub(super) fn new(parameters: usize, sites: usize, committee: usize) -> Self {
        let blocks = parameters.div_ceil(N);
        // A sealed share comes with its path in the tree of shares.
        let path = 32 * committee.next_power_of_two().ilog2() as usize;
        Self {
            ciphertext: blocks * DATA_BLOCK_BYTES,
            check: CHECK_BYTES,
            shares: committee * (SEALED_BYTES + path),
            sum: blocks * N * 8 + CHECK_BYTES,
            model: parameters * 4,
            sites,
        }
    }

    /// What one site sends.
    pub(super) fn upload(&self) -> usize {
        self.ciphertext + self.check + self.shares
    }

    pub(super) fn bytes(&self) -> usize {
        self.sites * self.upload() + self.readers() * self.sum + self.sum
    }

    /// Who makes the next model of the sum.
    pub(super) fn readers(&self) -> usize {
        self.sites + 1
    }
}
