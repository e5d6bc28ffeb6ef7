//! The next model from what a round posted: the sum, t answers and the admit list. No individual ciphertext is
//! needed; this proves the opening, and the addition is recomputed by auditors.

use almoner_crypto::encrypt::WIDE_BLOCK_BYTES;
use almoner_crypto::matrix::{CHECK_BLOCKS, EpochSeed};
use almoner_crypto::ring::N;
use almoner_crypto::share::{AnswerVec, interpolate};
use almoner_crypto::sum::{SumRule, open_block, verify_checks};
use almoner_crypto::tree;
use almoner_proto::words_from_bytes;
use almoner_protocol::types::{AdmitItem, Descriptor, OpenItem};
use almoner_protocol::{AdmitVerdict, B256, ServerStep, next_model};

use crate::SiteError;

/// A round's posted opening; every list is already held against its root.
#[derive(Clone, Copy)]
pub struct Aggregate<'a> {
    pub descriptor: &'a Descriptor,
    pub seed: &'a EpochSeed,
    pub base: &'a [i32],
    pub admitted: &'a [AdmitItem],
    /// Data sums, then check sums.
    pub sum: &'a [u8],
    pub sum_root: B256,
    pub open: &'a [OpenItem],
}

/// The model that follows.
pub fn next_base(aggregate: &Aggregate<'_>) -> Result<Vec<i32>, SiteError> {
    let Aggregate { descriptor, seed, sum, .. } = aggregate;
    let blocks = descriptor.scale.parameters.div_ceil(N as u32) as usize;
    if sum.len() != (blocks + CHECK_BLOCKS) * WIDE_BLOCK_BYTES {
        return Err(SiteError::Opening("the sum has another length than the model"));
    }
    let found = B256::new(tree::vector_root(tree::kind::SUM, 8, sum));
    if found != aggregate.sum_root {
        return Err(SiteError::Root { what: "sum", stated: aggregate.sum_root, found });
    }
    let rule = rule(aggregate);
    let secret = secret(aggregate)?;
    let (data, checks) = sum.split_at(blocks * WIDE_BLOCK_BYTES);
    // Without the check blocks a secret could be made that opens the data to anything.
    verify_checks(seed, &secret, &words(checks)?, rule.weight_norm2)
        .map_err(|_| SiteError::Opening("the answers do not open the check blocks"))?;
    let mut values = Vec::with_capacity(blocks * N);
    for (j, block) in (0u64..).zip(data.chunks(WIDE_BLOCK_BYTES)) {
        values.extend(open_block(seed, j, &secret, &words(block)?, &rule)?.values);
    }
    values.truncate(aggregate.base.len());
    let step = ServerStep {
        frac_bits: descriptor.scale.fracBits,
        update_bits: descriptor.scale.updateBits,
        lr_num: descriptor.lrNum,
        lr_den: descriptor.lrDen,
        weight_total: rule.weight,
    };
    Ok(next_model(aggregate.base, &values, step)?)
}

fn rule(aggregate: &Aggregate<'_>) -> SumRule {
    let admitted = || aggregate.admitted.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number());
    SumRule {
        weight: admitted().map(|item| u64::from(item.class)).sum(),
        weight_norm2: admitted().map(|item| u64::from(item.class).pow(2)).sum(),
        delta: aggregate.descriptor.scale.delta,
        update_max: aggregate.descriptor.scale.updateMax.into(),
    }
}

/// S from exactly t answers.
fn secret(aggregate: &Aggregate<'_>) -> Result<AnswerVec, SiteError> {
    let threshold = usize::from(aggregate.descriptor.threshold);
    if aggregate.open.iter().any(|item| item.member >= aggregate.descriptor.members) {
        return Err(SiteError::Opening("an answer of somebody outside the committee"));
    }
    let answers = aggregate.open.iter().map(|item| Ok((item.member, AnswerVec::from_bytes(&item.words)?)));
    let answers: Vec<(u16, AnswerVec)> = answers.collect::<Result<_, almoner_crypto::CryptoError>>()?;
    let rows: Vec<(u16, &AnswerVec)> = answers.iter().map(|(member, answer)| (*member, answer)).collect();
    Ok(interpolate(&rows, threshold)?)
}

fn words(bytes: &[u8]) -> Result<Vec<u64>, SiteError> {
    words_from_bytes(bytes).ok_or(SiteError::Opening("a sum of broken words"))
}

impl std::fmt::Debug for Aggregate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aggregate").field("round", &self.descriptor.round).finish_non_exhaustive()
    }
}
