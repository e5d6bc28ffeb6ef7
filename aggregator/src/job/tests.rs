//! A round's worth of jobs against a memory store: two ranges, three uploads.

use std::sync::Arc;

use almoner_crypto::encrypt::{Ciphertext, DATA_BLOCK_BYTES, Params, Secret, encrypt_update, update_digest};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::N;
use almoner_crypto::score::{Direction, answer, finish_inner, linear_form, open_score};
use almoner_crypto::share::{AnswerVec, ShareVec, deal, interpolate, weighted_sum};
use almoner_crypto::sum::{SumRule, open_block, verify_checks};
use almoner_crypto::tree::{kind, root_from_subtrees};
use almoner_proto::{Job, JobUpload, RANGE_BLOCKS, range_leaves, words_from_bytes};
use almoner_protocol::types::DirectionItem;
use almoner_protocol::{Address, AuditVerdict as Verdict, B256, encode_list, pack_direction};
use almoner_store::{Faults, FaultyStore, MemoryStore, Store};
use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

/// Odd: the last byte of a direction is half full.
const D: usize = 260 * N - 101;
const DELTA: u64 = 1 << 18;
const SEED: EpochSeed = EpochSeed([9; 32]);
const MEMBERS: usize = 4;
const THRESHOLD: usize = 3;
const CLASSES: [u16; 3] = [7, 100, 255];
const UPDATE_MAX: u16 = 500;

struct Round {
    store: Arc<MemoryStore>,
    updates: Vec<Vec<i32>>,
    ciphertexts: Vec<Ciphertext>,
    shares: Vec<Vec<ShareVec>>,
    uploads: Vec<JobUpload>,
}

fn update(i: usize) -> Vec<i32> {
    (0..D).map(|j| ((j * 7919 + i * 104_729) % 1001) as i32 - 500).collect()
}

fn direction(v: usize) -> Vec<i8> {
    (0..D).map(|j| ((j * 31 + v * 17) % 15) as i8 - 7).collect()
}

async fn round() -> Round {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let store = Arc::new(MemoryStore::new());
    let updates: Vec<_> = (0..CLASSES.len()).map(update).collect();
    let params = Params::new(DELTA, UPDATE_MAX.into()).unwrap();
    let (mut ciphertexts, mut shares, mut uploads) = (vec![], vec![], vec![]);
    for (i, update) in updates.iter().enumerate() {
        let secret = Secret::draw(&[i as u8; 32], &[1; 32], &update_digest(update));
        shares.push(deal(&secret, MEMBERS, THRESHOLD, &mut rng).unwrap());
        let ciphertext = encrypt_update(&SEED, secret, update, &params, &mut rng).unwrap();
        uploads.push(upload(&store, i, &ciphertext).await);
        ciphertexts.push(ciphertext);
    }
    Round { store, updates, ciphertexts, shares, uploads }
}

async fn upload(store: &MemoryStore, i: usize, ciphertext: &Ciphertext) -> JobUpload {
    JobUpload {
        participant: Address::repeat_byte(i as u8 + 1),
        ciphertext_cid: store.put(ciphertext.data.clone().into()).await.unwrap().to_bytes().into(),
        check_cid: store.put(ciphertext.check.clone().into()).await.unwrap().to_bytes().into(),
        check_root: B256::new(ciphertext.check_root),
        weight: CLASSES[i],
        examined: false,
    }
}

impl Round {
    fn job(&self, directions: Option<Bytes>, range: u32) -> Job {
        let first_block = range * RANGE_BLOCKS;
        Job {
            lease: 1,
            round: 1,
            first_block,
            blocks: RANGE_BLOCKS.min(260 - first_block),
            parameters: D as u32,
            drop_bits: 2,
            uploads: self.uploads.clone(),
            directions,
        }
    }

    async fn perform(&self, directions: Option<Bytes>, range: u32) -> Result<Bytes, AggregatorError> {
        perform(&self.job(directions, range), self.store.as_ref()).await
    }

    async fn read(&self, range: u32) -> Bytes {
        self.perform(None, range).await.unwrap()
    }
}

/// Verdict and subtree root.
const ROW: usize = 33;

#[tokio::test]
async fn subtrees_of_the_audit_make_the_committed_root() {
    let round = round().await;
    let ranges = [round.read(0).await, round.read(1).await];
    for (i, ciphertext) in round.ciphertexts.iter().enumerate() {
        let rows: Vec<&[u8]> = ranges.iter().map(|range| &range[ROW * i..ROW * (i + 1)]).collect();
        assert!(rows.iter().all(|row| row[0] == Verdict::Held.number()));
        let subtrees: Vec<[u8; 32]> = rows.iter().map(|row| row[1..].try_into().unwrap()).collect();
        let root = root_from_subtrees(kind::CIPHERTEXT, 260 * 16, range_leaves(D as u32), &subtrees).unwrap();
        assert_eq!(root, ciphertext.ciphertext_root);
    }
}

#[tokio::test]
async fn a_bad_upload_gets_its_verdict_and_the_others_theirs() {
    let mut round = round().await;
    let good = round.ciphertexts[0].clone();
    // 0: a word out of range. 1: another check file than committed. 2: not in the store.
    let mut malformed = good.clone();
    malformed.data[5 * DATA_BLOCK_BYTES..][..6].fill(0xff);
    round.uploads[0] = upload(&round.store, 0, &malformed).await;
    round.uploads[1].check_cid = round.uploads[2].check_cid.clone();
    let elsewhere = MemoryStore::new().put(vec![3; 100].into()).await.unwrap();
    round.uploads[2].ciphertext_cid = elsewhere.to_bytes().into();
    let result = round.read(0).await;
    let (rows, sums) = result.split_at(ROW * 3);
    let verdicts: Vec<u8> = rows.chunks(ROW).map(|row| row[0]).collect();
    let expected = [Verdict::Malformed, Verdict::CheckRoot, Verdict::Unavailable];
    assert_eq!(verdicts, expected.map(|verdict| verdict.number()));
    // Nothing of theirs is in the sum.
    assert!(rows.chunks(ROW).all(|row| row[1..] == [0; 32]) && sums.iter().all(|byte| *byte == 0));
    // Too short a file, and a check file out of range.
    round.uploads[0].ciphertext_cid = round.store.put(vec![0; 100].into()).await.unwrap().to_bytes().into();
    round.uploads[1].check_cid = round.store.put(vec![0xff; 65_536].into()).await.unwrap().to_bytes().into();
    let result = round.read(0).await;
    assert_eq!((result[0], result[ROW]), (Verdict::Malformed.number(), Verdict::Malformed.number()));
}

#[tokio::test]
async fn what_was_examined_is_only_looked_for() {
    let mut round = round().await;
    let before = round.read(0).await;
    round.uploads.iter_mut().for_each(|upload| upload.examined = true);
    let result = round.read(0).await;
    // The same sums; held, and no root.
    assert!(result[ROW * 3..] == before[ROW * 3..] && result[..ROW * 3].iter().all(|byte| *byte == 0));
    let elsewhere = MemoryStore::new().put(vec![3; 100].into()).await.unwrap();
    round.uploads[1].ciphertext_cid = elsewhere.to_bytes().into();
    assert_eq!(round.read(0).await[ROW], Verdict::Unavailable.number());
}

#[tokio::test]
async fn a_lying_store_costs_nobody_a_verdict() {
    let round = round().await;
    let faulty = FaultyStore::new(round.store.clone(), Faults { flipped_per_mille: 1000, ..Faults::default() });
    let error = perform(&round.job(None, 0), &faulty).await.unwrap_err();
    assert!(matches!(error, AggregatorError::Store(_)), "{error}");
}

async fn post_directions(round: &Round, all: &[Vec<i8>]) -> Bytes {
    let items: Vec<DirectionItem> = all
        .iter()
        .enumerate()
        .map(|(v, entries)| DirectionItem {
            validator: Address::repeat_byte(v as u8 + 1),
            entries: pack_direction(entries),
        })
        .collect();
    round.store.put(encode_list(&items).into()).await.unwrap().to_bytes().into()
}

#[tokio::test]
async fn inner_products_open_to_the_scores() {
    let round = round().await;
    let all: Vec<Vec<i8>> = (0..2).map(direction).collect();
    let cid = post_directions(&round, &all).await;
    let mut raw = vec![vec![0; all.len()]; CLASSES.len()];
    for range in 0..2 {
        let result = round.perform(Some(cid.clone()), range).await.unwrap();
        for (i, row) in result[..CLASSES.len() * (ROW + 8 * all.len())].chunks(ROW + 8 * all.len()).enumerate() {
            let row = words_from_bytes(&row[ROW..]).unwrap();
            raw[i].iter_mut().zip(&row).for_each(|(sum, word)| *sum = almoner_crypto::ring::add(*sum, *word));
        }
    }
    let directions: Vec<Direction> = all.iter().map(|entries| Direction(entries)).collect();
    let forms: Vec<_> = directions.iter().map(|direction| linear_form(&SEED, direction)).collect();
    let norms: Vec<u64> = directions.iter().map(Direction::norm2).collect();
    for i in 0..CLASSES.len() {
        let inner: Vec<u64> = raw[i].iter().zip(&directions).map(|(raw, g)| finish_inner(*raw, g)).collect();
        let rows = round.shares[i][..THRESHOLD].iter();
        let answers: Vec<u64> = rows.flat_map(|share| forms.iter().map(|form| answer(share, form))).collect();
        let opened = open_score(&inner, &[0, 1, 2], &answers, THRESHOLD, DELTA, &norms).unwrap();
        let expected: Vec<i64> = all
            .iter()
            .map(|g| g.iter().zip(&round.updates[i]).map(|(g, u)| i64::from(*g) * i64::from(*u)).sum())
            .collect();
        assert_eq!(opened.scores, expected);
    }
}

#[tokio::test]
async fn sums_open_to_the_weighted_sum() {
    let round = round().await;
    let behind_rows = |result: Bytes| result.slice(ROW * CLASSES.len()..);
    let (first, last) = (behind_rows(round.read(0).await), behind_rows(round.read(1).await));
    let data = RANGE_BLOCKS as usize * N * 8;
    assert_eq!((first.len(), last.len()), (data + 4 * N * 8, 4 * N * 8));
    let checks = words_from_bytes(&first[data..]).unwrap();
    let sums = words_from_bytes(&[&first[..data], &last].concat()).unwrap();

    let answers: Vec<AnswerVec> = (0..THRESHOLD)
        .map(|k| weighted_sum(&(0..3).map(|i| (CLASSES[i], &round.shares[i][k])).collect::<Vec<_>>()))
        .collect();
    let rows: Vec<(u16, &AnswerVec)> = (0..).zip(&answers).collect();
    let secret = interpolate(&rows, THRESHOLD).unwrap();
    let weights = || CLASSES.iter().map(|weight| u64::from(*weight));
    let (weight, weight_norm2) = (weights().sum(), weights().map(|weight| weight * weight).sum());
    let rule = SumRule { weight, weight_norm2, delta: DELTA, update_max: UPDATE_MAX.into() };
    verify_checks(&SEED, &secret, &checks, weight_norm2).unwrap();
    for (block, sums) in sums.chunks(N).enumerate() {
        let opened = open_block(&SEED, block as u64, &secret, sums, &rule).unwrap();
        assert!(opened.ok);
        for (at, value) in opened.values.iter().enumerate() {
            let j = block * N + at;
            let term = |i: usize| round.updates[i].get(j).map_or(0, |u| i64::from(*u) * i64::from(CLASSES[i]));
            assert_eq!(*value, (0..3).map(term).sum::<i64>(), "coefficient {j}");
        }
    }
}

#[tokio::test]
async fn a_direction_of_another_model_is_refused() {
    let round = round().await;
    let cid = post_directions(&round, &[vec![1; 64]]).await;
    let error = round.perform(Some(cid), 0).await.unwrap_err();
    assert!(matches!(error, AggregatorError::Directions(_)), "{error}");

    // Something behind the last entry is seen by whoever reads there.
    let mut entries = pack_direction(&direction(0)).to_vec();
    *entries.last_mut().unwrap() |= 0x10;
    let item = DirectionItem { validator: Address::repeat_byte(1), entries: entries.into() };
    let cid: Bytes = round.store.put(encode_list(&[item]).into()).await.unwrap().to_bytes().into();
    round.perform(Some(cid.clone()), 0).await.unwrap();
    let error = round.perform(Some(cid), 1).await.unwrap_err();
    assert!(matches!(error, AggregatorError::Directions(_)), "{error}");
}
