//! Inner products of every upload with every direction, over the range.

use std::sync::Arc;

use almoner_crypto::encrypt::DATA_BLOCK_BYTES;
use almoner_crypto::ring::{N, add};
use almoner_crypto::score::inner_partial;
use almoner_proto::Job;
use almoner_store::cid_from_bytes;
use bytes::{BufMut, Bytes, BytesMut};

use super::{RangeReader, compute, directions};
use crate::AggregatorError;

pub(super) async fn inner(
    job: &Job,
    reader: &RangeReader<'_>,
    directions_cid: &[u8],
) -> Result<Bytes, AggregatorError> {
    let directions = directions::entries(job, reader.store(), &cid_from_bytes(directions_cid)?).await?;
    let directions = Arc::new(directions);
    let mut out = BytesMut::with_capacity(job.uploads.len() * directions.len() * 8);
    for upload in &job.uploads {
        let data = reader.data(upload).await?;
        let (directions, participant) = (directions.clone(), upload.participant);
        let words = compute(move || {
            products(&data, &directions).map_err(|source| AggregatorError::Upload { participant, source })
        });
        words.await?.into_iter().for_each(|word| out.put_u64(word));
    }
    Ok(out.freeze())
}

fn products(data: &[u8], directions: &[Vec<i8>]) -> almoner_crypto::Result<Vec<u64>> {
    let product = |entries: &Vec<i8>| {
        let mut blocks = data.chunks(DATA_BLOCK_BYTES).zip(entries.chunks(N));
        blocks.try_fold(0, |sum, (block, entries)| Ok(add(sum, inner_partial(block, entries)?)))
    };
    directions.iter().map(product).collect()
}
