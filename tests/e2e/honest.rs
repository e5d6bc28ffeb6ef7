//! Runs in which everybody is honest: what the others are paid is compared with these.

use std::sync::{Arc, OnceLock};

use almoner::localnet::RoundReport;
use almoner_audit::ChainFacts;
use almoner_chain::RoundRecord;
use almoner_participant::ClaimPolicy;
use almoner_protocol::Stage;
use almoner_protocol::types::LockItem;
use almoner_store::{MemoryStore, Store, cid_from_bytes};

use crate::federation::{Federation, MAX_BYTES, Plan, read_list, run, settle};

/// A run in which everybody was honest.
pub(crate) struct Honest {
    pub(crate) rounds: Vec<RoundReport>,
    /// With every claim paid.
    pub(crate) facts: ChainFacts,
    /// Everything an audit reads.
    pub(crate) store: Arc<MemoryStore>,
}

/// Four hospitals, three validators, two rounds.
pub(crate) fn honest() -> &'static Honest {
    static FOUR: OnceLock<Honest> = OnceLock::new();
    FOUR.get_or_init(|| run(play(4, 3, 2)))
}

/// The same without the last hospital, one round: what the others are paid if it stays away.
pub(crate) fn three_honest() -> &'static Honest {
    static THREE: OnceLock<Honest> = OnceLock::new();
    THREE.get_or_init(|| run(play(3, 3, 1)))
}

/// One round without the last validator: what the others are paid if it shows no direction.
pub(crate) fn two_validators() -> &'static Honest {
    static TWO: OnceLock<Honest> = OnceLock::new();
    TWO.get_or_init(|| run(play(4, 2, 1)))
}

/// What was learned, scored and paid does not depend on accidents: round by round the same roots.
pub(crate) fn assert_same_roots(reports: &[RoundReport], honest: &Honest) {
    let roots = |round: &RoundReport| (round.model_root, round.score_root, round.settle_root, round.payout_root);
    for (report, honest) in reports.iter().zip(&honest.rounds) {
        assert_eq!(roots(report), roots(honest), "round {}", honest.round);
    }
    assert_eq!(reports.len(), honest.rounds.len());
}

async fn play(hospitals: usize, validators: usize, rounds: u32) -> Honest {
    let mut federation =
        Federation::of(Plan { hospitals, validators, claim: ClaimPolicy::WhenIdle, ..Plan::of(rounds) }).await;
    let Federation { net, scenario, hospitals, validators, .. } = &mut federation;
    let reports = settle(net, scenario, rounds, async {}).await;
    net.paid_out(reports.last().unwrap(), scenario, hospitals, validators).await.unwrap();
    let report = federation.audit().await;
    assert_eq!(report.first_wrong, None);
    let facts = ChainFacts::read(&federation.net.ledger, federation.net.federation).await.unwrap();
    let store = Arc::new(MemoryStore::new());
    for cid in artefacts(&*federation.net.store, &facts.rounds).await {
        let cid = cid_from_bytes(&cid).unwrap();
        let bytes = federation.net.store.get(&cid, MAX_BYTES).await.unwrap();
        assert_eq!(store.put(bytes).await.unwrap(), cid);
    }
    federation.net.stop().await.unwrap();
    Honest { rounds: reports, facts, store }
}

/// CIDs of everything the rounds published.
async fn artefacts(store: &dyn Store, rounds: &[RoundRecord]) -> Vec<Vec<u8>> {
    let mut cids = Vec::new();
    for round in rounds {
        let open = &round.cids;
        cids.extend([&open.spec, &open.base, &open.members, &open.committee, &open.validators].map(|cid| cid.to_vec()));
        let posted = round.stages.iter().filter(|(stage, _)| **stage != Stage::Ctx);
        cids.extend(posted.map(|(_, record)| record.cid.to_vec()));
        let lock: Vec<LockItem> = read_list(store, &round.stages[&Stage::Lock].cid).await;
        for LockItem { manifest, .. } in lock {
            cids.extend([manifest.ciphertextCid, manifest.checkCid, manifest.sharesCid].map(|cid| cid.to_vec()));
        }
    }
    cids
}

#[test]
fn all_honest_hospitals_are_paid() {
    // What the other tests compare with is worth comparing with: nobody's pay is zero.
    let paid =
        |honest: &Honest, role| honest.rounds[0].paid.iter().filter(|line| line.role == role && line.pay > 0).count();
    let everybody = |honest: &Honest| (paid(honest, 0), paid(honest, 1));
    assert_eq!([honest(), three_honest(), two_validators()].map(everybody), [(4, 3), (3, 3), (4, 2)]);
}
