//! Opening the range of a posted sum with the interpolated secret.
//!
//! The check blocks come first, for every range: only a secret that satisfies them opens the sum to one thing.

use almoner_crypto::encrypt::{CHECK_BYTES, WIDE_BLOCK_BYTES};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::N;
use almoner_crypto::share::AnswerVec;
use almoner_crypto::sum::{SumRule, open_block, verify_checks};
use almoner_proto::{Job, words_from_bytes, words_to_bytes};
use almoner_store::{Store, cid_from_bytes};
use bytes::{BufMut, Bytes, BytesMut};

use super::compute;
use crate::AggregatorError;

pub(super) async fn open(
    job: &Job,
    store: &dyn Store,
    sum_cid: &[u8],
    secret: &[u64],
    update_max: u16,
) -> Result<Bytes, AggregatorError> {
    let cid = cid_from_bytes(sum_cid)?;
    let block = WIDE_BLOCK_BYTES as u64;
    let all = u64::from(job.parameters.div_ceil(N as u32));
    let sums = store.range(&cid, u64::from(job.first_block) * block, u64::from(job.blocks) * block).await?;
    let checks = store.range(&cid, all * block, CHECK_BYTES as u64).await?;
    let rule = rule(job, update_max);
    let secret = AnswerVec::from_bytes(&words_to_bytes(secret)).map_err(AggregatorError::Opening)?;
    let (seed, first) = (EpochSeed(job.epoch_seed), u64::from(job.first_block));
    compute(move || {
        let words = |bytes: &[u8]| words_from_bytes(bytes).ok_or(AggregatorError::Job("a sum of broken words"));
        verify_checks(&seed, &secret, &words(&checks)?, rule.weight_norm2).map_err(AggregatorError::Opening)?;
        let (mut out, mut flags) = (BytesMut::with_capacity(sums.len() / 2 + 256), Vec::new());
        for (j, bytes) in (first..).zip(sums.chunks(WIDE_BLOCK_BYTES)) {
            let opened = open_block(&seed, j, &secret, &words(bytes)?, &rule).map_err(AggregatorError::Opening)?;
            for value in &opened.values {
                // Within weight times bound, 16 bits each.
                out.put_i32(
                    i32::try_from(*value).map_err(|_| AggregatorError::Job("a weight or a bound of another size"))?,
                );
            }
            flags.push(u8::from(!opened.ok));
        }
        out.put_slice(&flags);
        Ok(out.freeze())
    })
    .await
}

fn rule(job: &Job, update_max: u16) -> SumRule {
    let weights = || job.uploads.iter().map(|upload| u64::from(upload.weight));
    SumRule {
        weight: weights().sum(),
        weight_norm2: weights().map(|weight| weight * weight).sum(),
        delta: job.delta,
        update_max: update_max.into(),
    }
}
