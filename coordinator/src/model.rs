//! Sums and models as files of the store, written and read a piece at a time: the coordinator holds no whole model.

use almoner_crypto::ring::N;
use almoner_crypto::tree::{LEAF_WORDS, TreeHasher, kind};
use almoner_protocol::round::Posting;
use almoner_protocol::spec::ModelSpec;
use almoner_protocol::{B256, Bytes, ModelHasher, ServerStep, model_header, step_model};
use almoner_store::{Cid, CidHasher, Incoming, Layout, Store};

use crate::CoordinatorError;
use crate::campaign::Base;
use crate::jobs::{BlockRange, RANGE_BLOCKS};

/// Weights read at a time: 2 MiB.
const PIECE: usize = RANGE_BLOCKS as usize * N;

/// Keeps a sum: the data sums of all blocks, then the check sums.
pub(crate) async fn keep_sum(store: &dyn Store, ranges: Vec<(BlockRange, Bytes)>) -> Result<Posting, CoordinatorError> {
    let mut incoming = store.incoming();
    let written = blocking(move || {
        let (mut tree, mut check) = (TreeHasher::new(kind::SUM), Bytes::new());
        let mut write = |words: &[u8]| {
            words.chunks(8 * LEAF_WORDS).for_each(|leaf| tree.push(leaf));
            incoming.write(words)
        };
        for (range, bytes) in ranges {
            let words = 8 * N * range.blocks as usize;
            write(&bytes[..words])?;
            if range.first == 0 {
                check = bytes.slice(words..);
            }
        }
        write(&check)?;
        Ok((B256::from(tree.finish()), incoming.finish()?))
    });
    let (root, whole) = written.await?;
    let cid = Bytes::from(whole.cid().to_bytes());
    store.keep(vec![whole]).await?;
    Ok(Posting { root, cid })
}

/// Keeps the model that follows from a base and the opened sums of all ranges.
pub(crate) async fn keep_next(
    store: &dyn Store,
    spec: &ModelSpec,
    base: &Base,
    step: ServerStep,
    ranges: Vec<(BlockRange, Bytes)>,
) -> Result<Posting, CoordinatorError> {
    let file = File::of(store, spec, base)?;
    let mut incoming = store.incoming();
    incoming.write(&file.header)?;
    let mut next = Next { incoming, root: ModelHasher::new(), bytes: Vec::new() };
    for (range, sums) in ranges {
        let mut values = file.read(range.first as usize * N, range.blocks as usize * N).await?;
        next = blocking(move || {
            let sums = words(&sums, values.len());
            step_model(&mut values, &sums, step)?;
            next.write(&values)?;
            Ok(next)
        })
        .await?;
    }
    let (root, incoming) = (next.root.finish(), next.incoming);
    let whole = blocking(move || Ok(incoming.finish()?)).await?;
    let cid = Bytes::from(whole.cid().to_bytes());
    store.keep(vec![whole]).await?;
    Ok(Posting { root, cid })
}

/// Reads a model and says whether it is the one with the base's root.
pub(crate) async fn is_base(store: &dyn Store, spec: &ModelSpec, base: &Base) -> Result<bool, CoordinatorError> {
    let file = File::of(store, spec, base)?;
    let mut names = (ModelHasher::new(), CidHasher::new(Layout::V1_2025));
    names.1.write(&file.header);
    for first in (0..file.parameters).step_by(PIECE) {
        let values = file.read(first, PIECE).await?;
        names = blocking(move || {
            names.0.update(&values);
            names.1.write(&bytes_of(&values));
            Ok(names)
        })
        .await?;
    }
    // The same CID: there is nothing before, behind or between what was read.
    Ok(names.0.finish() == base.root && names.1.finish() == file.cid)
}

struct Next {
    incoming: Incoming,
    root: ModelHasher,
    bytes: Vec<u8>,
}

impl Next {
    fn write(&mut self, values: &[i32]) -> Result<(), CoordinatorError> {
        self.root.update(values);
        self.bytes.clear();
        values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
        Ok(self.incoming.write(&self.bytes)?)
    }
}

/// A model's file.
struct File<'a> {
    store: &'a dyn Store,
    cid: Cid,
    header: Vec<u8>,
    parameters: usize,
}

impl<'a> File<'a> {
    fn of(store: &'a dyn Store, spec: &ModelSpec, base: &Base) -> Result<Self, CoordinatorError> {
        let cid = almoner_store::cid_from_bytes(&base.cid)?;
        Ok(Self { store, cid, header: model_header(spec)?, parameters: spec.parameters()? as usize })
    }

    /// At most `count` weights from the `first` on.
    async fn read(&self, first: usize, count: usize) -> Result<Vec<i32>, CoordinatorError> {
        let count = count.min(self.parameters.saturating_sub(first));
        let at = (self.header.len() + 4 * first) as u64;
        let bytes = self.store.range(&self.cid, at, 4 * count as u64).await?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word)).collect())
    }
}

fn bytes_of(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The first `count` of a range's opened sums.
fn words(sums: &[u8], count: usize) -> Vec<i64> {
    sums.as_chunks::<4>().0.iter().take(count).map(|word| i32::from_be_bytes(*word).into()).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CoordinatorError> + Send + 'static,
) -> Result<T, CoordinatorError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CoordinatorError::Bug(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use almoner_crypto::encrypt::CHECK_BYTES;
    use almoner_crypto::tree::vector_root;
    use almoner_protocol::spec::LayerSpec;
    use almoner_protocol::{decode_model, encode_model, model_root, next_model};
    use almoner_store::MemoryStore;

    use super::*;

    fn ranges(words: usize, word: usize, behind: &[(u32, usize)]) -> Vec<(BlockRange, Bytes)> {
        let blocks = words.div_ceil(N) as u32;
        let range = |first: u32| {
            let blocks = RANGE_BLOCKS.min(blocks - first);
            let more = behind.iter().filter(|(at, _)| *at == first).map(|(_, bytes)| *bytes).sum::<usize>();
            let bytes = (0..word * N * blocks as usize + more).map(|i| (i as u32 ^ first) as u8);
            (BlockRange { first, blocks }, bytes.collect())
        };
        (0..blocks).step_by(RANGE_BLOCKS as usize).map(range).collect()
    }

    #[tokio::test]
    async fn a_sum_has_its_checks_at_the_end() {
        let store = MemoryStore::new();
        let ranges = ranges(300 * N, 8, &[(0, CHECK_BYTES)]);
        let (first, check) = ranges[0].1.split_at(8 * N * 256);
        let expected = [first, &ranges[1].1, check].concat();
        let posting = keep_sum(&store, ranges.clone()).await.unwrap();
        assert_eq!(posting.root, B256::from(vector_root(kind::SUM, 8, &expected)));
        let cid = almoner_store::cid_from_bytes(&posting.cid).unwrap();
        assert!(store.get(&cid, 1 << 30).await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_model_made_in_pieces_is_the_one_made_at_once() {
        let store = MemoryStore::new();
        let spec = ModelSpec { layers: vec![LayerSpec::Linear { inputs: 300 * N as u32 - 9, outputs: 1 }] };
        let parameters = spec.parameters().unwrap() as usize;
        let values: Vec<i32> = (0..parameters as i32).map(|i| i.wrapping_mul(77_777)).collect();
        let cid = store.put(encode_model(&spec, &values).unwrap().into()).await.unwrap();
        let mut base = Base { parent_ctx: B256::ZERO, root: model_root(&values), cid: cid.to_bytes().into() };
        assert!(is_base(&store, &spec, &base).await.unwrap());

        let ranges = ranges(parameters, 4, &[(0, 256), (256, 44)]);
        let step = ServerStep { frac_bits: 24, update_bits: 15, lr_num: 1, lr_den: 1, weight_total: 1000 };
        let sums: Vec<i64> =
            ranges.iter().flat_map(|(range, bytes)| words(bytes, range.blocks as usize * N)).take(parameters).collect();
        let expected = next_model(&values, &sums, step).unwrap();
        let posting = keep_next(&store, &spec, &base, step, ranges).await.unwrap();
        assert_eq!(posting.root, model_root(&expected));
        let cid = almoner_store::cid_from_bytes(&posting.cid).unwrap();
        let file = store.get(&cid, 1 << 30).await.unwrap();
        assert!(decode_model(&spec, &file).unwrap() == expected);

        base.root = posting.root;
        assert!(!is_base(&store, &spec, &base).await.unwrap());
    }
}
