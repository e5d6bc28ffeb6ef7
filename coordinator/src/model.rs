//! Models as files of the store, written and read a piece at a time, as sums are: the coordinator holds no whole one.

use almoner_crypto::encrypt::WIDE_BLOCK_BYTES;
use almoner_crypto::ring::N;
use almoner_protocol::round::Posting;
use almoner_protocol::spec::ModelSpec;
use almoner_protocol::{Bytes, ModelHasher, SumOpening, model_header};
use almoner_store::{Cid, CidHasher, Incoming, Layout, Store};

use crate::CoordinatorError;
use crate::campaign::Base;

/// Weights read at a time. Their sums are 1 MiB, as much as a block of a sum's file, which is then read where it lies.
const PIECE: usize = 64 * N;

/// Keeps the model that follows from a base and a sum that opens; and the blocks of it that moved nothing.
pub(crate) async fn keep_next(
    store: &dyn Store,
    spec: &ModelSpec,
    base: &Base,
    sum: &[u8],
    opening: SumOpening,
) -> Result<(Posting, Vec<u32>), CoordinatorError> {
    let file = File::of(store, spec, base)?;
    let sum = almoner_store::cid_from_bytes(sum)?;
    let read = async |first: usize| {
        if first >= file.parameters {
            return Ok(Default::default());
        }
        let blocks = file.parameters.saturating_sub(first).min(PIECE).div_ceil(N);
        let [at, length] = [first / N, blocks].map(|blocks| (blocks * WIDE_BLOCK_BYTES) as u64);
        let sums = async { Ok::<_, CoordinatorError>(store.range(&sum, at, length).await?) };
        tokio::try_join!(file.read(first, PIECE), sums)
    };
    let mut incoming = store.incoming();
    incoming.write(&file.header)?;
    let mut next = Next { opening, incoming, root: ModelHasher::new(), bytes: Vec::new() };
    let mut piece = read(0).await?;
    for first in (0..file.parameters).step_by(PIECE) {
        let (values, sums) = piece;
        // The next piece is read while this one is opened.
        let (opened, ahead) = tokio::join!(blocking(move || next.take(values, &sums)), read(first + PIECE));
        (next, piece) = (opened?, ahead?);
    }
    let (root, incoming) = (next.root.finish(), next.incoming);
    let whole = blocking(move || Ok(incoming.finish()?)).await?;
    let cid = Bytes::from(whole.cid().to_bytes());
    store.keep(vec![whole]).await?;
    Ok((Posting { root, cid }, next.opening.zeroed_blocks().to_vec()))
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
    opening: SumOpening,
    incoming: Incoming,
    root: ModelHasher,
    bytes: Vec<u8>,
}

impl Next {
    fn take(mut self, mut values: Vec<i32>, sums: &[u8]) -> Result<Self, CoordinatorError> {
        self.opening.take(&mut values, sums)?;
        self.root.update(&values);
        self.bytes.clear();
        values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
        self.incoming.write(&self.bytes)?;
        Ok(self)
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

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CoordinatorError> + Send + 'static,
) -> Result<T, CoordinatorError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CoordinatorError::Bug(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use almoner_crypto::CryptoError;
    use almoner_crypto::encrypt::{DATA_BLOCK_BYTES, Params, Secret, encrypt_update, noise_rng, update_digest};
    use almoner_crypto::matrix::EpochSeed;
    use almoner_crypto::share::{deal, weighted_sum};
    use almoner_crypto::sum::{CheckSum, SumBlock};
    use almoner_protocol::spec::LayerSpec;
    use almoner_protocol::types::{AdmitItem, Descriptor, OpenItem};
    use almoner_protocol::{AdmitVerdict, Error, ServerStep, decode_model, encode_model, model_root, next_model};
    use almoner_store::MemoryStore;

    use super::*;

    const SEED: [u8; 32] = [9; 32];
    const DELTA: u64 = 1 << 18;
    const UPDATE_MAX: u16 = 500;

    /// The data sums of one upload of weight 3 and its check sums, and the answer that opens them.
    fn summed(update: &[i32]) -> (Vec<u8>, OpenItem) {
        let (os, ctx, digest) = ([1; 32], [2; 32], update_digest(update));
        let mut rng = noise_rng(&os, &ctx, &digest);
        let secret = Secret::draw(&os, &ctx, &digest);
        let share = deal(&secret, 1, 1, &mut rng).unwrap();
        let params = Params::new(DELTA, UPDATE_MAX.into()).unwrap();
        let ciphertext = encrypt_update(&EpochSeed(SEED), secret, update, &params, &mut rng).unwrap();
        let mut check = CheckSum::new();
        check.add(&ciphertext.check, 3).unwrap();
        let blocks = ciphertext.data.chunks(DATA_BLOCK_BYTES).flat_map(|block| {
            let mut sum = SumBlock::new();
            sum.add(block, 3).unwrap();
            sum.words().to_vec()
        });
        let words = blocks.chain(check.words().to_vec());
        let answer = OpenItem { member: 0, words: weighted_sum(&[(3, &share[0])]).to_bytes().into() };
        (words.flat_map(u64::to_be_bytes).collect(), answer)
    }

    #[tokio::test]
    async fn a_model_made_in_pieces_is_the_one_made_at_once() {
        let store = MemoryStore::new();
        let spec = ModelSpec { layers: vec![LayerSpec::Linear { inputs: 300 * N as u32 - 9, outputs: 1 }] };
        let parameters = spec.parameters().unwrap() as usize;
        let values: Vec<i32> = (0..parameters as i32).map(|i| i.wrapping_mul(77_777)).collect();
        let cid = store.put(encode_model(&spec, &values).unwrap().into()).await.unwrap();
        let mut base =
            Base { parent_ctx: almoner_protocol::B256::ZERO, root: model_root(&values), cid: cid.to_bytes().into() };
        assert!(is_base(&store, &spec, &base).await.unwrap());

        let update: Vec<i32> = (0..parameters as i32).map(|i| i.wrapping_mul(31) % 500).collect();
        let (mut sum, answer) = summed(&update);
        // A block that is no sum of anything.
        sum[17 * WIDE_BLOCK_BYTES..][..WIDE_BLOCK_BYTES].fill(1);
        let mut descriptor = Descriptor { lrNum: 1, lrDen: 1, threshold: 1, ..Descriptor::default() };
        descriptor.scale.delta = DELTA;
        descriptor.scale.updateMax = UPDATE_MAX;
        (descriptor.scale.fracBits, descriptor.scale.updateBits) = (24, 15);
        let admitted = [AdmitItem { class: 3, verdict: AdmitVerdict::Admitted.number(), ..AdmitItem::default() }];
        let opening = |answer, checks| SumOpening::find(&descriptor, EpochSeed(SEED), &admitted, &[answer], checks);
        let check = &sum[300 * WIDE_BLOCK_BYTES..];
        let none = OpenItem { words: vec![0; answer.words.len()].into(), ..answer.clone() };
        assert!(matches!(opening(none, check), Err(Error::Sum(CryptoError::NoSubset { tried: 1 }))));

        let sums = update.iter().map(|value| 3 * i64::from(*value)).enumerate();
        let sums: Vec<i64> = sums.map(|(at, value)| if at / N == 17 { 0 } else { value }).collect();
        let step = ServerStep { frac_bits: 24, update_bits: 15, lr_num: 1, lr_den: 1, weight_total: 3 };
        let expected = next_model(&values, &sums, step).unwrap();
        let cid = store.put(sum.clone().into()).await.unwrap().to_bytes();
        let (members, opening) = opening(answer, check).unwrap();
        assert_eq!(members, [0]);
        let opened = keep_next(&store, &spec, &base, &cid, opening).await.unwrap();
        assert_eq!(opened.1, [17]);
        assert_eq!(opened.0.root, model_root(&expected));
        let cid = almoner_store::cid_from_bytes(&opened.0.cid).unwrap();
        let file = store.get(&cid, 1 << 30).await.unwrap();
        assert!(decode_model(&spec, &file).unwrap() == expected);

        base.root = opened.0.root;
        assert!(!is_base(&store, &spec, &base).await.unwrap());
    }
}
