use almoner_chain::{RoundStatus, StageRecord};
use almoner_protocol::types::{Contribution, LockItem, OpenCids};
use almoner_protocol::{B256, Bytes, encode_list};
use almoner_store::{Layout, MemoryStore, cid_of};

use super::super::orders::Order;
use super::*;
use crate::commands::retention::tests::record;

fn cid(text: String) -> Cid {
    cid_of(text.as_bytes(), Layout::V1_2025)
}

fn bytes(cid: &Cid) -> Bytes {
    cid.to_bytes().into()
}

fn upload_of(round: u64, file: &str) -> Cid {
    cid(format!("{file} of round {round}"))
}

const FILES: [&str; 3] = ["ciphertext", "check", "shares"];

/// The list of a round with one upload.
fn lock_list(round: u64) -> Vec<u8> {
    let [ciphertext, check, shares] = FILES.map(|file| bytes(&upload_of(round, file)));
    let manifest =
        Contribution { ciphertextCid: ciphertext, checkCid: check, sharesCid: shares, ..Contribution::default() };
    // Another one came past the coordinator, and names what is not its own.
    let (participant, other) = (Address::repeat_byte(1), bytes(&upload_of(1, "other")));
    let foreign = Contribution { participant, ciphertextCid: other, ..manifest.clone() };
    let received = LockItem { manifest, receipt: vec![1].into(), ..LockItem::default() };
    encode_list(&[received, LockItem { manifest: foreign, ..LockItem::default() }])
}

fn stage(cid: Bytes) -> StageRecord {
    StageRecord { root: B256::ZERO, transcript: B256::ZERO, cid, time: 0, block: 0, tx: B256::ZERO }
}

fn round(number: u64, status: RoundStatus, stages: &[Stage]) -> RoundRecord {
    let cid_at = |at: Stage| match at {
        Stage::Ctx => Bytes::new(),
        Stage::Lock => bytes(&cid_of(&lock_list(number), Layout::V1_2025)),
        stage => bytes(&cid(format!("{stage:?} of round {number}"))),
    };
    let stages = [Stage::Ctx].iter().chain(stages).map(|at| (*at, stage(cid_at(*at)))).collect();
    let cids = OpenCids { spec: bytes(&cid("spec".into())), ..OpenCids::default() };
    RoundRecord { cids, ..record(number, status, stages) }
}

#[derive(Default)]
struct Scene {
    orders: Orders,
    store: MemoryStore,
    seen: Seen,
}

impl Scene {
    /// What looking at these rounds adds to what is to be done.
    async fn orders(&mut self, rounds: &[RoundRecord], old: usize) -> Vec<Order> {
        self.seen = order(&mut self.orders, &self.store, rounds, old, self.seen).await.unwrap();
        let mut all = Vec::new();
        while let Some(order) = self.orders.first() {
            self.orders.was_tried(order, Ok(())).unwrap();
            all.push(order);
        }
        all
    }
}

#[tokio::test]
async fn a_round_is_wanted_stage_by_stage_and_its_uploads_until_it_is_old() {
    use RoundStatus::{Final, Running, Void};
    let mut scene = Scene::default();
    for number in [1, 2, 3] {
        scene.store.put(lock_list(number).into()).await.unwrap();
    }
    let pin = |texts: &[&str]| texts.iter().map(|text| Order::Pin(cid((*text).into()))).collect::<Vec<_>>();
    let lock = |number| Order::Pin(cid_of(&lock_list(number), Layout::V1_2025));
    let uploads = |number| FILES.map(|file| upload_of(number, file));

    let promised = [round(1, Running, &[Stage::Promise])];
    assert_eq!(scene.orders(&promised, 0).await, pin(&["spec", "Promise of round 1"]));
    assert_eq!(scene.orders(&promised, 0).await, []);
    let locked = [round(1, Running, &[Stage::Promise, Stage::Lock])];
    let expected: Vec<_> = uploads(1).map(Order::Pin).into_iter().chain([lock(1)]).collect();
    assert_eq!(scene.orders(&locked, 0).await, expected, "what the list names, and then the list");
    let scored = [round(1, Running, &[Stage::Promise, Stage::Lock, Stage::Score])];
    assert_eq!(scene.orders(&scored, 0).await, pin(&["Score of round 1"]));

    // The second round begins: the first one is over, and too old when the second one is over as well.
    let mut rounds = [round(1, Final, &[Stage::Lock, Stage::Model]), round(2, Running, &[Stage::Lock])];
    let expected: Vec<_> =
        pin(&["Model of round 1"]).into_iter().chain(uploads(2).map(Order::Pin)).chain([lock(2)]).collect();
    assert_eq!(scene.orders(&rounds, 0).await, expected);
    rounds[1].status = Void;
    assert_eq!(scene.orders(&rounds, 1).await, uploads(1).map(Order::Unpin));
    assert_eq!(scene.orders(&rounds, 1).await, []);

    // Whoever begins here, with a daemon that may be new, wants no old uploads and the rest.
    let mut scene = Scene { store: scene.store, ..Scene::default() };
    let rounds = [&rounds[..], &[round(3, Running, &[])]].concat();
    let expected: Vec<_> = pin(&["spec"])
        .into_iter()
        .chain([lock(1)])
        .chain(pin(&["Model of round 1"]))
        .chain(uploads(2).map(Order::Pin))
        .chain([lock(2)])
        .chain(uploads(1).map(Order::Unpin))
        .collect();
    assert_eq!(scene.orders(&rounds, 1).await, expected);
}

/// A file of sealed shares is whatever its participant sends.
#[tokio::test]
async fn what_rounds_name_is_no_upload_to_forget() {
    let mut scene = Scene::default();
    scene.store.put(lock_list(1).into()).await.unwrap();
    let mut rounds = [round(1, RoundStatus::Final, &[Stage::Lock]), round(2, RoundStatus::Running, &[])];
    rounds[1].cids.base = bytes(&upload_of(1, "shares"));
    let orders = scene.orders(&rounds, 1).await;
    let forgotten: Vec<_> = orders.into_iter().filter(|order| matches!(order, Order::Unpin(_))).collect();
    assert_eq!(forgotten, ["ciphertext", "check"].map(|file| Order::Unpin(upload_of(1, file))));
}

#[tokio::test]
async fn what_a_later_round_was_sent_again_is_no_upload_to_forget() {
    let mut scene = Scene::default();
    scene.store.put(lock_list(1).into()).await.unwrap();
    let mut rounds = [round(1, RoundStatus::Final, &[Stage::Lock]), round(2, RoundStatus::Final, &[Stage::Lock])];
    let lock = rounds[0].stages[&Stage::Lock].clone();
    rounds[1].stages.insert(Stage::Lock, lock);
    let orders = scene.orders(&rounds, 1).await;
    assert!(!orders.iter().any(|order| matches!(order, Order::Unpin(_))), "{orders:?}");
}

#[tokio::test]
async fn a_list_that_is_lost_names_nothing_and_stops_nothing() {
    let mut scene = Scene::default();
    let rounds = [round(1, RoundStatus::Final, &[Stage::Lock, Stage::Model])];
    let orders = scene.orders(&rounds, 0).await;
    assert_eq!(orders.len(), 3, "federation file, list and model: {orders:?}");
}
