//! The next model from a sum and the secret of its set: opened a piece at a time, in the place of the base.

use almoner_crypto::CryptoError;
use almoner_crypto::encrypt::{CHECK_BYTES, WIDE_BLOCK_BYTES};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::N;
use almoner_crypto::share::AnswerVec;
use almoner_crypto::sum::{SumRule, find_secret, open_block};

use crate::types::{AdmitItem, Descriptor, OpenItem};
use crate::{AdmitVerdict, Error, ServerStep, step_model};

/// A sum on its way to become a model.
pub struct SumOpening {
    seed: EpochSeed,
    secret: AnswerVec,
    rule: SumRule,
    step: ServerStep,
    /// Data blocks so far.
    blocks: u64,
    /// The last piece filled no whole number of blocks.
    ended: bool,
    zeroed_blocks: Vec<u32>,
}

impl SumOpening {
    /// By the secret of the first of these answers, ascending by member, that open the check sums, a threshold of them;
    /// and who gave those. A secret that does not fit the check sums could be one that opens the data to anything.
    pub fn find(
        descriptor: &Descriptor,
        seed: EpochSeed,
        admitted: &[AdmitItem],
        answers: &[OpenItem],
        checks: &[u8],
    ) -> Result<(Vec<u16>, Self), Error> {
        let rule = sum_rule(descriptor, admitted);
        let checks = sum_words(checks, CHECK_BYTES).map_err(Error::Sum)?;
        let words = answers.iter().map(|item| AnswerVec::from_bytes(&item.words));
        let words: Vec<AnswerVec> = words.collect::<Result<_, _>>().map_err(Error::Sum)?;
        let answers: Vec<(u16, &AnswerVec)> = answers.iter().map(|item| item.member).zip(&words).collect();
        let threshold = usize::from(descriptor.threshold);
        let (members, secret) =
            find_secret(&seed, &answers, threshold, &checks, rule.weight_norm2).map_err(Error::Sum)?;
        let step = ServerStep {
            frac_bits: descriptor.scale.fracBits,
            update_bits: descriptor.scale.updateBits,
            lr_num: descriptor.lrNum,
            lr_den: descriptor.lrDen,
            weight_total: rule.weight,
        };
        Ok((members, Self { seed, secret, rule, step, blocks: 0, ended: false, zeroed_blocks: Vec::new() }))
    }

    /// Opens the next blocks, and has `model`, the base's weights there, become those of the next model. Only the last piece
    /// may end within a block. After an error neither this nor `model` is good for anything.
    pub fn take(&mut self, model: &mut [i32], sums: &[u8]) -> Result<(), Error> {
        if self.ended || sums.len() != model.len().div_ceil(N) * WIDE_BLOCK_BYTES {
            return Err(Error::Length { what: "sum", have: sums.len() / 8, want: model.len().next_multiple_of(N) });
        }
        self.ended = !model.len().is_multiple_of(N);
        for (model, sums) in model.chunks_mut(N).zip(sums.chunks(WIDE_BLOCK_BYTES)) {
            let sums = sum_words(sums, WIDE_BLOCK_BYTES).map_err(Error::Sum)?;
            let opened = open_block(&self.seed, self.blocks, &self.secret, &sums, &self.rule).map_err(Error::Sum)?;
            if !opened.ok {
                // A model has at most 2^26 parameters.
                self.zeroed_blocks.push(self.blocks as u32);
            }
            self.blocks += 1;
            step_model(model, &opened.values[..model.len()], self.step)?;
        }
        Ok(())
    }

    /// Blocks that moved nothing: what is left in them is out of bounds.
    pub fn zeroed_blocks(&self) -> &[u32] {
        &self.zeroed_blocks
    }
}

/// Weights and bounds of the admitted.
fn sum_rule(descriptor: &Descriptor, admitted: &[AdmitItem]) -> SumRule {
    let admitted = || admitted.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number());
    SumRule {
        weight: admitted().map(|item| u64::from(item.class)).sum(),
        weight_norm2: admitted().map(|item| u64::from(item.class).pow(2)).sum(),
        delta: descriptor.scale.delta,
        update_max: descriptor.scale.updateMax.into(),
    }
}

fn sum_words(bytes: &[u8], length: usize) -> Result<Vec<u64>, CryptoError> {
    if bytes.len() != length {
        return Err(CryptoError::Length { what: "sum", expected: length, actual: bytes.len() });
    }
    Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word)).collect())
}

impl std::fmt::Debug for SumOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SumOpening").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}
