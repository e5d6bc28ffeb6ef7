//! Uploads that are not what they say.

use alloy_sol_types::SolCall;
use almoner_chain::Sender;
use almoner_chain::contracts::Rounds::commitDirectCall;
use almoner_crypto::tree::{kind, vector_root};
use almoner_participant::Duty;
use almoner_participant::contribute::Contributed;
use almoner_participant::fetch::Terms;
use almoner_proto::{ErrorKind, Signed};
use almoner_protocol::types::{AdmitItem, ScoreItem, VerdictItem};
use almoner_protocol::{Address, AdmitVerdict, AuditVerdict, B256, NORM_CLASSES, ScoreVerdict, SolValue, Stage};
use almoner_store::{Layout, Store, cid_of};
use bytes::Bytes;

use crate::federation::{Aggregator, Federation, Quarter, all_done, pass, run, settle, without};
use crate::hand::{Hand, hospital_key, refusal};
use crate::honest::{honest, three_honest};
use crate::worker::Worker;

/// One of the three files of an upload.
type FileOf = fn(&mut Contributed) -> &mut Bytes;

/// What is said of a file that is not what it should be.
type TextOf<'a> = &'a dyn Fn(&Bytes) -> String;
/// What is made of an upload.
type Change = fn(&mut Contributed);
/// What is made of a file.
type Spoil = fn(&Bytes) -> Bytes;

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes.into()
}

/// Its last bytes are no word below any bound.
fn out_of_range(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let last = bytes.len() - 8;
    bytes[last..].fill(0xff);
    bytes.into()
}

#[test]
fn files_off_their_commitment_and_words_out_of_range_are_refused_at_upload() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(4, Aggregator::Own, 1).await;
        let holder = federation.scenario.hospitals[3].clone();
        // The key of a hospital that is also run by its agent.
        let mut rogue = Hand::new(&federation, 3, &holder).await;
        let other = hospital_key(&federation.seeds, 0);
        let mut worker = Worker::connect(&federation.net.url).await;
        let attacks = async {
            // The round waits for its audit, so every refusal is of a running round.
            let job = worker.lease().await;
            let terms = rogue.terms(1, Stage::Lock).await;
            let good = rogue.contribution(&terms).await;
            let account = rogue.account();

            // Off its root, whatever its CID; of sealed shares the CID is all that can be seen.
            let cid =
                |bytes: &Bytes| format!("sharesCid: the bytes received have CID {}", cid_of(bytes, Layout::V1_2025));
            let root = |name: &str, kind, word, bytes: &Bytes| {
                let root = B256::from(vector_root(kind, word, bytes));
                format!("{name}Root: the bytes received have root {root}")
            };
            let files: [(FileOf, TextOf<'_>); 3] = [
                (|c| &mut c.ciphertext, &|bytes| root("ciphertext", kind::CIPHERTEXT, 6, bytes)),
                (|c| &mut c.check, &|bytes| root("check", kind::CHECK, 8, bytes)),
                (|c| &mut c.shares, &cid),
            ];
            for (file, text) in files {
                let mut bad = good.clone();
                let bytes = file(&mut bad);
                *bytes = flipped(bytes);
                let text = format!("contribution.{}", text(bytes));
                assert_eq!(refusal(rogue.upload(&terms, bad).await), (ErrorKind::Invalid, text));
            }

            // A word that no ciphertext has.
            let files: [(&str, FileOf); 2] = [("ciphertext", |c| &mut c.ciphertext), ("check", |c| &mut c.check)];
            for (name, file) in files {
                let mut bad = good.clone();
                let bytes = file(&mut bad);
                *bytes = out_of_range(bytes);
                let text = format!("upload: a {name} word is not below its bound");
                assert_eq!(refusal(rogue.upload(&terms, bad).await), (ErrorKind::Invalid, text));
            }

            let mut bad = good.clone();
            bad.manifest.normClass = NORM_CLASSES;
            let text = format!("{account}: contribution.normClass refused: above 63");
            assert_eq!(refusal(rogue.upload(&terms, bad).await), (ErrorKind::Invalid, text));

            // Somebody else's signature under its manifest.
            let hash = almoner_protocol::types::signing_hash(&good.manifest, &rogue.identity.domain());
            let signature = other.sign_hash(hash).unwrap();
            let forged = Signed { message: good.manifest.clone(), signature };
            let files = [good.ciphertext.clone(), good.check.clone(), good.shares.clone()];
            let status = rogue.upload_signed(forged, files).await.unwrap_err();
            assert_eq!(almoner_proto::kind_of(&status), ErrorKind::Invalid);
            let start = format!("{account}: signature of contribution refused");
            assert!(status.message().starts_with(&start), "{}", status.message());

            // A second manifest of the same round, whole and signed.
            let mut second = good.clone();
            second.manifest.normClass = (second.manifest.normClass + 1) % NORM_CLASSES;
            let text = format!("{account}: contribution differs from the one it gave before; both are signed");
            assert_eq!(refusal(rogue.upload(&terms, second).await), (ErrorKind::Conflict, text));

            // The same again is no offence.
            rogue.upload(&terms, good).await.unwrap();
            worker.finish(&job, |_| {}).await;
            match worker.work(|_, _| {}).await {}
        };
        let Federation { net, scenario, .. } = &mut federation;
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 1, async {}) => rounds,
            () = attacks => unreachable!(),
        };
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

/// How an upload comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Coordinator,
    /// Past the coordinator: the manifest by `commitDirect`, the files by a gateway.
    Chain,
    /// The manifest alone.
    ChainWithoutFiles,
}

/// Puts the files where a gateway has them, and their manifest on chain. Anybody's ether will do.
async fn commit_direct(store: Option<&dyn Store>, sender: &Sender, hand: &Hand, contributed: Contributed) {
    let Contributed { manifest, ciphertext, check, shares } = contributed;
    if let Some(store) = store {
        for file in [ciphertext, check, shares] {
            store.put(file).await.unwrap();
        }
    }
    let Signed { message, signature } = hand.identity.sign(manifest).unwrap();
    let arguments = (message, almoner_protocol::Bytes::copy_from_slice(&signature)).abi_encode_params();
    let data = [commitDirectCall::SELECTOR.as_slice(), &arguments].concat();
    sender.submit(hand.identity.rounds(), data).await.unwrap();
}

/// A round in which the last hospital uploads what `craft` makes and then says nothing more.
pub(crate) async fn spoiled(
    way: Way,
    until: Quarter,
    craft: impl AsyncFnOnce(&Hand, &Terms) -> Contributed,
) -> (Federation, Hand) {
    let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
    let holder = federation.absent.pop().unwrap();
    let mut hand = Hand::new(&federation, 3, &holder).await;
    hand.join().await;
    let Federation { net, scenario, hospitals, .. } = &mut federation;
    let (ledger, number) = (net.ledger.clone(), net.federation);
    let (store, sender) = (net.store.clone(), net.chain.sender.clone());
    let rounds = settle(net, scenario, 1, async {
        hand.ready(1).await;
        let terms = hand.terms(1, Stage::Promise).await;
        let contributed = craft(&hand, &terms).await;
        match way {
            Way::Coordinator => drop(hand.upload(&terms, contributed).await.unwrap()),
            Way::Chain => commit_direct(Some(&*store), &sender, &hand, contributed).await,
            Way::ChainWithoutFiles => commit_direct(None, &sender, &hand, contributed).await,
        }
        all_done(hospitals, 1, Duty::AnswerScores).await;
        pass(&ledger, number, 1, Stage::Score, until).await;
    })
    .await;
    // The honest are paid as if it had stayed away, and it is paid nothing.
    assert_eq!(without(&rounds[0].paid, hand.account()), three_honest().rounds[0].paid);
    assert!(rounds[0].paid.iter().all(|line| line.account != hand.account() || line.pay == 0));
    let report = federation.audit().await;
    assert!(report.is_sound(), "{:?}", report.first_wrong);
    (federation, hand)
}

#[test]
fn what_comes_past_the_coordinator_is_named_by_its_verdict() {
    three_honest();
    let spoil: [(AuditVerdict, Spoil); 2] =
        [(AuditVerdict::CiphertextRoot, flipped), (AuditVerdict::Malformed, out_of_range)];
    for (verdict, spoil) in spoil {
        run(async {
            let craft = async |hand: &Hand, terms: &Terms| {
                let mut contributed = hand.contribution(terms).await;
                contributed.ciphertext = spoil(&contributed.ciphertext);
                contributed.manifest.ciphertextCid = cid_of(&contributed.ciphertext, Layout::V1_2025).to_bytes().into();
                contributed
            };
            let (federation, hand) = spoiled(Way::Chain, Quarter::Half, craft).await;
            let round = federation.round(1).await;
            let verdicts: Vec<VerdictItem> = federation.list(&round, Stage::Audit).await;
            assert_eq!(verdicts.len(), 4);
            for item in verdicts {
                let expected = if item.participant == hand.account() { verdict } else { AuditVerdict::Held };
                assert_eq!(item.verdict, expected.number(), "{}", item.participant);
            }
            federation.net.stop().await.unwrap();
        });
    }
}

#[test]
fn what_is_committed_and_nowhere_holds_nobody_up() {
    three_honest();
    let cids: [(AuditVerdict, Change); 2] = [
        (AuditVerdict::Unavailable, |_| {}),
        // No CID at all, for none of the files.
        (AuditVerdict::Malformed, |contributed| {
            let manifest = &mut contributed.manifest;
            for cid in [&mut manifest.ciphertextCid, &mut manifest.checkCid, &mut manifest.sharesCid] {
                *cid = vec![7; 36].into();
            }
        }),
    ];
    for (verdict, spoil) in cids {
        run(async {
            let craft = async |hand: &Hand, terms: &Terms| {
                let mut contributed = hand.contribution(terms).await;
                spoil(&mut contributed);
                contributed
            };
            let (federation, hand) = spoiled(Way::ChainWithoutFiles, Quarter::Half, craft).await;
            let round = federation.round(1).await;
            let verdicts: Vec<VerdictItem> = federation.list(&round, Stage::Audit).await;
            let of = |item: &&VerdictItem| item.participant == hand.account();
            assert_eq!(verdicts.iter().find(of).map(|item| item.verdict), Some(verdict.number()));
            federation.net.stop().await.unwrap();
        });
    }
}

/// The account is out at `admit`, because no t answers open its scalars; everybody else is in.
pub(crate) async fn named_by_its_residual(federation: &Federation, account: Address) {
    let round = federation.round(1).await;
    let scores: Vec<ScoreItem> = federation.list(&round, Stage::Score).await;
    let row = scores.iter().find(|item| item.participant == account).unwrap();
    assert_eq!((row.verdict, row.scores.len()), (ScoreVerdict::Residual.number(), 0), "nothing was opened");
    let items: Vec<AdmitItem> = federation.list(&round, Stage::Admit).await;
    for item in items {
        let expected = if item.participant == account { AdmitVerdict::Residual } else { AdmitVerdict::Admitted };
        assert_eq!(item.verdict, expected.number(), "{}", item.participant);
    }
}

#[test]
fn shares_of_something_else_keep_their_dealer_out() {
    three_honest();
    run(async {
        let craft = async |hand: &Hand, terms: &Terms| {
            let mut contributed = hand.contribution(terms).await;
            // Every member finds a blob that does not open.
            let mut bytes = contributed.shares.to_vec();
            bytes.iter_mut().skip(1200).step_by(1000).for_each(|byte| *byte ^= 1);
            contributed.shares = bytes.into();
            contributed.manifest.sharesCid = cid_of(&contributed.shares, Layout::V1_2025).to_bytes().into();
            contributed
        };
        let (federation, hand) = spoiled(Way::Coordinator, Quarter::LastCall, craft).await;
        named_by_its_residual(&federation, hand.account()).await;
        federation.net.stop().await.unwrap();
    });
}
