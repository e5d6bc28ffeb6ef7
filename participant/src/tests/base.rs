//! Which base model a site accepts.

use std::path::Path;
use std::sync::Mutex;

use almoner_chain::RoundRecord;
use almoner_protocol::types::OpenItem;
use almoner_protocol::{B256, Bytes, Stage, encode_list, encode_model, list_root, model_root};
use almoner_store::{Block, BlockSource, Cid, Layout, MemoryStore, Place, Store, StoreError, cid_from_bytes, cid_of};

use super::scene::{Scene, post, posted};
use crate::SiteError;
use crate::committee::{answer_sum, recompute_admission};
use crate::fetch::{check_parent, result_of, trace};

const A: B256 = B256::repeat_byte(0xa);
const B: B256 = B256::repeat_byte(0xb);
const C: B256 = B256::repeat_byte(0xc);

/// Rounds 1 (from A to B), 2 (from B, void) and 3 (from B to C), and 4 from C.
fn rounds() -> Vec<RoundRecord> {
    let first = Scene::new().round;
    let round = |number: u64, parent: u64, base, result: Option<B256>| {
        let mut round = first.clone();
        round.number = number;
        round.ctx = B256::repeat_byte(number as u8);
        round.descriptor.parentCtx = B256::repeat_byte(parent as u8);
        round.descriptor.baseModelRoot = base;
        if let Some(root) = result {
            round.stages.insert(Stage::Model, posted(root, Bytes::new()));
        }
        round
    };
    vec![round(1, 0, A, Some(B)), round(2, 1, B, None), round(3, 1, B, Some(C)), round(4, 3, C, None)]
}

fn numbers(path: Result<Vec<&RoundRecord>, SiteError>) -> Vec<u64> {
    path.unwrap().iter().map(|round| round.number).collect()
}

#[test]
fn a_site_replays_what_it_missed() {
    let rounds = rounds();
    assert_eq!(numbers(trace(&rounds, &rounds[3], C)), Vec::<u64>::new());
    assert_eq!(numbers(trace(&rounds, &rounds[3], B)), [3]);
    assert_eq!(numbers(trace(&rounds, &rounds[3], A)), [1, 3]);
}

#[test]
fn a_model_that_does_not_follow_is_a_trap() {
    let mut rounds = rounds();
    let refused = trace(&rounds, &rounds[3], B256::repeat_byte(0xd)).unwrap_err();
    assert!(matches!(refused, SiteError::TrapModel { round: 4, .. }), "{refused}");
    // A parent that nobody knows.
    rounds[3].descriptor.parentCtx = B256::repeat_byte(0xee);
    let refused = trace(&rounds, &rounds[3], B).unwrap_err();
    assert!(matches!(refused, SiteError::TrapModel { .. }), "{refused}");
}

#[test]
fn a_newcomer_takes_what_the_parent_round_resulted_in() {
    let mut rounds = rounds();
    check_parent(&rounds, &rounds[0]).unwrap();
    check_parent(&rounds, &rounds[3]).unwrap();
    rounds[3].descriptor.baseModelRoot = A;
    let refused = check_parent(&rounds, &rounds[3]).unwrap_err();
    assert!(matches!(refused, SiteError::TrapModel { own: C, .. }), "{refused}");
    rounds[3].descriptor.parentCtx = rounds[1].ctx;
    assert!(matches!(check_parent(&rounds, &rounds[3]), Err(SiteError::TrapModel { .. })));
}

/// The codec of a block that is bytes of a file and nothing else.
const RAW: u64 = 0x55;

/// Knows which blocks were fetched.
#[derive(Debug, Default)]
struct Counting {
    inner: MemoryStore,
    fetched: Mutex<Vec<Cid>>,
}

#[tonic::async_trait]
impl BlockSource for Counting {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        self.fetched.lock().unwrap().push(*cid);
        self.inner.fetch(cid).await
    }

    fn place(&self) -> Place {
        self.inner.place()
    }
}

#[tonic::async_trait]
impl Store for Counting {
    async fn put(&self, bytes: almoner_store::Bytes) -> Result<Cid, StoreError> {
        self.inner.put(bytes).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        self.inner.put_file(path).await
    }
}

/// The scene with its sum opened and posted, and what was put into the store for it.
async fn posted_sum(hidden: usize, store: &Counting) -> (Scene, Vec<Bytes>) {
    let mut scene = Scene::of(hidden);
    let judged = scene.judged(&scene.answers());
    let admitted = recompute_admission(&scene.terms, &scene.revealed, &judged, None).unwrap().items;
    let answer =
        |k: u16| OpenItem { member: k, words: answer_sum(&scene.held(k.into()), &admitted).unwrap().to_bytes().into() };
    let open = vec![answer(0), answer(1), answer(3)];
    let sum = scene.sum();
    let sum_root = B256::new(almoner_crypto::tree::vector_root(almoner_crypto::tree::kind::SUM, 8, &sum));
    let mut put = Vec::new();
    for bytes in [encode_list(&admitted), sum, encode_list(&open)] {
        put.push(Bytes::from(store.put(bytes.into()).await.unwrap().to_bytes()));
    }
    let roots = [list_root(&admitted), sum_root, list_root(&open)];
    for ((stage, root), cid) in [Stage::Admit, Stage::Sum, Stage::Open].into_iter().zip(roots).zip(put.clone()) {
        post(&mut scene.round, stage, root, cid);
    }
    (scene, put)
}

/// A sum of more than two pieces, the last one of which ends within a block of the model.
#[tokio::test]
async fn a_sum_is_read_a_piece_at_a_time_and_no_piece_twice() {
    let store = Counting::default();
    let (scene, put) = posted_sum(130 * 2048 / 32, &store).await;
    let (model, base) = (&scene.terms.spec.model, scene.terms.base.to_vec());
    assert_eq!(base.len().div_ceil(2048), 131);
    let next = result_of(&store, scene.terms.seed, model, &scene.round, base).await.unwrap();
    assert!(next.values == scene.next());
    assert_eq!(next.root, model_root(&next.values));
    assert_eq!(next.cid, cid_of(&encode_model(model, &next.values).unwrap(), Layout::V1_2025));
    let mut leaves = std::mem::take(&mut *store.fetched.lock().unwrap());
    let small: Vec<Cid> = [&put[0], &put[2]].map(|cid| cid_from_bytes(cid).unwrap()).to_vec();
    leaves.retain(|cid| cid.codec() == RAW && !small.contains(cid));
    let fetched = leaves.len();
    leaves.sort();
    leaves.dedup();
    // 131 blocks and the check sums of four, in blocks of 1 MiB.
    assert_eq!((leaves.len(), fetched), (3, 3));
}

#[tokio::test]
async fn the_next_model_is_recomputed_from_the_store() {
    let store = Counting::default();
    let (mut scene, put) = posted_sum(16, &store).await;
    let base = scene.terms.base.to_vec();
    let model = scene.terms.spec.model.clone();
    let next = result_of(&store, scene.terms.seed, &model, &scene.round, base.clone()).await.unwrap();
    let mut fetched = std::mem::take(&mut *store.fetched.lock().unwrap());
    fetched.sort();
    let mut each: Vec<Cid> = put.iter().map(|cid| cid_from_bytes(cid).unwrap()).collect();
    each.sort();
    assert_eq!(fetched, each, "every file has one block, which is fetched once");
    assert!(next.values == scene.next());
    assert_eq!(next.root, model_root(&next.values));
    assert_eq!(next.cid, cid_of(&encode_model(&model, &next.values).unwrap(), Layout::V1_2025));

    // From another base another model follows; with another list under the CID nothing does.
    let mut other = base.clone();
    other[0] += 1;
    assert_ne!(result_of(&store, scene.terms.seed, &model, &scene.round, other).await.unwrap().root, next.root);
    if let Some(stage) = scene.round.stages.get_mut(&Stage::Open) {
        stage.cid = put[0].clone();
    }
    assert!(result_of(&store, scene.terms.seed, &model, &scene.round, base).await.is_err());
}
