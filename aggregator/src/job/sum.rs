//! The weighted sum of the range, one participant at a time; with the first range the sum of the check blocks.

use almoner_crypto::encrypt::DATA_BLOCK_BYTES;
use almoner_crypto::sum::{CheckSum, SumBlock};
use almoner_proto::{Job, JobUpload, words_to_bytes};
use bytes::{BufMut, Bytes, BytesMut};

use super::{RangeReader, compute};
use crate::AggregatorError;

pub(super) async fn sum(job: &Job, reader: &RangeReader<'_>) -> Result<Bytes, AggregatorError> {
    let mut blocks = vec![SumBlock::new(); job.blocks as usize];
    let mut checks = (job.first_block == 0).then(CheckSum::new);
    for upload in &job.uploads {
        let data = reader.data(upload).await?;
        let check = match &checks {
            Some(_) => Some(reader.check(upload).await?),
            None => None,
        };
        let JobUpload { participant, weight, .. } = *upload;
        (blocks, checks) = compute(move || {
            add(&mut blocks, checks.as_mut(), &data, check.as_deref(), weight)
                .map_err(|source| AggregatorError::Upload { participant, source })?;
            Ok((blocks, checks))
        })
        .await?;
    }
    let mut out = BytesMut::with_capacity((blocks.len() + 4) * 2048 * 8);
    blocks.iter().for_each(|block| out.put(words_to_bytes(block.words())));
    if let Some(checks) = checks {
        out.put(words_to_bytes(checks.words()));
    }
    Ok(out.freeze())
}

fn add(
    blocks: &mut [SumBlock],
    checks: Option<&mut CheckSum>,
    data: &[u8],
    check: Option<&[u8]>,
    weight: u16,
) -> almoner_crypto::Result<()> {
    for (sum, block) in blocks.iter_mut().zip(data.chunks(DATA_BLOCK_BYTES)) {
        sum.add(block, weight)?;
    }
    match (checks, check) {
        (Some(sum), Some(check)) => sum.add(check, weight),
        _ => Ok(()),
    }
}
