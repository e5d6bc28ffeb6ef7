//! The next model from what a round posted: the sum, t answers and the admit list. No individual ciphertext is
//! needed; this proves the opening, and the addition is recomputed by auditors.
//!
//! The sum is read in pieces, and the model changes in its place: neither is held twice.

use almoner_crypto::encrypt::WIDE_BLOCK_BYTES;
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::N;
use almoner_crypto::share::{AnswerVec, interpolate};
use almoner_crypto::sum::{SumRule, open_block, verify_checks};
use almoner_crypto::tree::{LEAF_WORDS, TreeHasher, kind};
use almoner_proto::words_from_bytes;
use almoner_protocol::types::{AdmitItem, Descriptor, OpenItem};
use almoner_protocol::{AdmitVerdict, B256, ServerStep, step_model};

use crate::SiteError;

/// A posted sum on its way to become a model.
pub struct Opening {
    seed: EpochSeed,
    secret: AnswerVec,
    rule: SumRule,
    step: ServerStep,
    checks: Vec<u8>,
    /// Data blocks so far.
    blocks: u64,
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
        let rule = rule(descriptor, admitted);
        let secret = secret(descriptor, open)?;
        // Without the check blocks a secret could be made that opens the data to anything.
        verify_checks(&seed, &secret, &words(&checks)?, rule.weight_norm2)
            .map_err(|_| SiteError::Opening("the answers do not open the check blocks"))?;
        let step = ServerStep {
            frac_bits: descriptor.scale.fracBits,
            update_bits: descriptor.scale.updateBits,
            lr_num: descriptor.lrNum,
            lr_den: descriptor.lrDen,
            weight_total: rule.weight,
        };
        Ok(Self { seed, secret, rule, step, checks, blocks: 0, tree: TreeHasher::new(kind::SUM) })
    }

    /// Opens the next blocks, and has `model`, the base's weights there, become those of the next model.
    pub fn take(&mut self, model: &mut [i32], sums: &[u8]) -> Result<(), SiteError> {
        if sums.len() != model.len().div_ceil(N) * WIDE_BLOCK_BYTES {
            return Err(SiteError::Opening("the sum has another length than the model"));
        }
        self.hash(sums);
        for (model, sums) in model.chunks_mut(N).zip(sums.chunks(WIDE_BLOCK_BYTES)) {
            let opened = open_block(&self.seed, self.blocks, &self.secret, &words(sums)?, &self.rule)?;
            self.blocks += 1;
            step_model(model, &opened.values[..model.len()], self.step)?;
        }
        Ok(())
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
        sums.chunks(8 * LEAF_WORDS).for_each(|leaf| self.tree.push(leaf));
    }
}

fn rule(descriptor: &Descriptor, admitted: &[AdmitItem]) -> SumRule {
    let admitted = || admitted.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number());
    SumRule {
        weight: admitted().map(|item| u64::from(item.class)).sum(),
        weight_norm2: admitted().map(|item| u64::from(item.class).pow(2)).sum(),
        delta: descriptor.scale.delta,
        update_max: descriptor.scale.updateMax.into(),
    }
}

/// S from exactly t answers.
fn secret(descriptor: &Descriptor, open: &[OpenItem]) -> Result<AnswerVec, SiteError> {
    let threshold = usize::from(descriptor.threshold);
    if open.iter().any(|item| item.member >= descriptor.members) {
        return Err(SiteError::Opening("an answer of somebody outside the committee"));
    }
    let answers = open.iter().map(|item| Ok((item.member, AnswerVec::from_bytes(&item.words)?)));
    let answers: Vec<(u16, AnswerVec)> = answers.collect::<Result<_, almoner_crypto::CryptoError>>()?;
    let rows: Vec<(u16, &AnswerVec)> = answers.iter().map(|(member, answer)| (*member, answer)).collect();
    Ok(interpolate(&rows, threshold)?)
}

fn words(bytes: &[u8]) -> Result<Vec<u64>, SiteError> {
    words_from_bytes(bytes).ok_or(SiteError::Opening("a sum of broken words"))
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}
