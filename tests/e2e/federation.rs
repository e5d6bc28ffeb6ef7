//! A federation under test, and what comes of one in which everybody is honest.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{
    ChainChoice, Holder, Localnet, ModelChoice, NetConfig, RoundReport, Scenario, Seeds, Site, breast_cancer_scenario,
};
use almoner_audit::{ChainFacts, Kind, Report};
use almoner_chain::{Ledger, RoundRecord, advance_time};
use almoner_coordinator::{CoordinatorConfig, Paid};
use almoner_participant::{ClaimPolicy, Duty, SiteProgress};
use almoner_protocol::types::LockItem;
use almoner_protocol::{Address, ListItem, Stage, decode_list};
use almoner_store::{MemoryStore, Store, cid_from_bytes};
use tempfile::TempDir;

/// One seed for every run: with the same sites and rows, what is paid can be compared to the base unit.
pub(crate) const SEED: u64 = 20;
/// Far above every artefact of so small a model.
const MAX_BYTES: u64 = 1 << 24;
/// Items of any list here.
const MAX_ITEMS: usize = 1 << 8;

/// A running federation whose sites have joined. The last hospital's rows are left to the test.
pub(crate) struct Federation {
    pub(crate) net: Localnet,
    pub(crate) scenario: Scenario,
    pub(crate) seeds: Seeds,
    pub(crate) hospitals: Vec<Site>,
    pub(crate) validators: Vec<Site>,
    /// Hospitals of the scenario that were not started.
    pub(crate) absent: Vec<Holder>,
    _dir: TempDir,
}

/// Who does the work on ciphertexts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Honest,
    /// The test brings its own.
    Own,
}

/// Runs a test's future; every test has a runtime of its own.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime").block_on(test)
}

impl Federation {
    /// Starts the first `hospitals` of the four hospitals, and the three validators.
    /// Nobody claims by itself, so that the chain stands still when the rounds are over.
    pub(crate) async fn found(hospitals: usize, aggregator: Aggregator, rounds: u32) -> Self {
        Self::found_to_claim(hospitals, aggregator, rounds, ClaimPolicy::Never).await
    }

    /// As [`Self::found`], but its sites claim.
    pub(crate) async fn found_to_claim(
        hospitals: usize,
        aggregator: Aggregator,
        rounds: u32,
        claim: ClaimPolicy,
    ) -> Self {
        Self::found_with(Seeds::insecure(SEED), hospitals, aggregator, rounds, claim).await
    }

    /// As [`Self::found_to_claim`], with a clock or a seed of the test's own.
    pub(crate) async fn found_with(
        seeds: Seeds,
        hospitals: usize,
        aggregator: Aggregator,
        rounds: u32,
        claim: ClaimPolicy,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
        let absent = scenario.hospitals.split_off(hospitals);
        let config = NetConfig {
            dir: dir.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            chain: ChainChoice::Embedded,
            seeds: seeds.clone(),
            coordinator: CoordinatorConfig { tick: Duration::from_millis(20), ..CoordinatorConfig::default() },
        };
        let mut net = match aggregator {
            Aggregator::Honest => Localnet::start(config, &scenario, rounds).await,
            Aggregator::Own => Localnet::start_without_aggregator(config, &scenario, rounds).await,
        }
        .unwrap();
        net.claim = claim;
        let (hospitals, validators) = net.start_sites(&scenario).await.unwrap();
        Self { net, scenario, seeds, hospitals, validators, absent, _dir: dir }
    }

    /// Audits what is on chain and in the store.
    pub(crate) async fn audit(&self) -> Report {
        almoner_audit::audit(&self.net.ledger, &*self.net.store, self.net.federation, &mut |_| {}).await.unwrap()
    }

    pub(crate) async fn round(&self, number: u64) -> RoundRecord {
        self.net.ledger.round(self.net.federation, number).await.unwrap().expect("the round was opened")
    }

    /// A list that a stage posted.
    pub(crate) async fn list<T: ListItem>(&self, round: &RoundRecord, stage: Stage) -> Vec<T> {
        read_list(&*self.net.store, &round.stages[&stage].cid).await
    }
}

pub(crate) async fn read_list<T: ListItem>(store: &dyn Store, cid: &[u8]) -> Vec<T> {
    let bytes = store.get(&cid_from_bytes(cid).unwrap(), MAX_BYTES).await.unwrap();
    decode_list(&bytes, MAX_ITEMS).unwrap()
}

/// Runs rounds to their settlement while something else happens beside them. What goes wrong in either ends the test.
pub(crate) async fn settle(
    net: &mut Localnet,
    scenario: &Scenario,
    rounds: u32,
    beside: impl Future<Output = ()>,
) -> Vec<RoundReport> {
    let following = async { net.follow(scenario, rounds, &mut |_, _| {}).await.unwrap() };
    tokio::join!(following, beside).0
}

/// Waits until every site has done its duty in a round; a refusal of any of them ends the test at once.
pub(crate) async fn all_done(sites: &mut [Site], round: u64, duty: Duty) {
    futures::future::join_all(sites.iter_mut().map(|site| done(site, round, duty))).await;
}

async fn done(site: &mut Site, round: u64, duty: Duty) {
    loop {
        match site.progress.recv().await.expect("the site runs") {
            SiteProgress::Done { round: at, duty: done } if (at, done) == (round, duty) => return,
            SiteProgress::Refused { error, duty, .. } => panic!("{} refuses {duty:?}: {error}", site.name),
            _ => {}
        }
    }
}

/// A moment within the time that a stage has, in quarters before its end; see `round/timing.rs` of the protocol.
#[derive(Clone, Copy)]
pub(crate) enum Quarter {
    /// t answers are enough.
    Half = 2,
    /// Whoever is missing stays out.
    LastCall = 1,
}

/// Moves the chain's time on, to when `stage` no longer waits for everybody.
pub(crate) async fn pass(ledger: &Ledger, federation: u64, number: u64, stage: Stage, until: Quarter) {
    let round = ledger.round(federation, number).await.unwrap().expect("the round was opened");
    let (before, deadline) = match stage {
        Stage::Lock => (Stage::Promise, round.descriptor.deadlines[1]),
        Stage::Score => (Stage::Audit, round.descriptor.deadlines[4]),
        other => panic!("no test waits for {other}"),
    };
    let start = round.stages[&before].time;
    let at = deadline - (deadline - start) * (until as u64) / 4;
    let now = ledger.now().await.unwrap();
    advance_time(ledger.provider(), at.saturating_sub(now)).await.unwrap();
}

/// The kinds of which a check failed.
pub(crate) fn wrong_kinds(report: &Report) -> Vec<Kind> {
    report.by_kind.iter().filter(|(_, count)| count.held < count.checks).map(|(kind, _)| *kind).collect()
}

/// What everybody but one account was paid.
pub(crate) fn without(paid: &[Paid], account: Address) -> Vec<Paid> {
    paid.iter().filter(|line| line.account != account).cloned().collect()
}

/// A run in which everybody was honest.
pub(crate) struct Honest {
    pub(crate) rounds: Vec<RoundReport>,
    /// With every claim paid.
    pub(crate) facts: ChainFacts,
    /// Everything an audit reads.
    pub(crate) store: Arc<MemoryStore>,
}

/// Four hospitals, two rounds.
pub(crate) fn honest() -> &'static Honest {
    static FOUR: OnceLock<Honest> = OnceLock::new();
    FOUR.get_or_init(|| run(play(4, 2)))
}

/// The same without the last hospital, one round: what the others are paid if it stays away.
pub(crate) fn three_honest() -> &'static Honest {
    static THREE: OnceLock<Honest> = OnceLock::new();
    THREE.get_or_init(|| run(play(3, 1)))
}

async fn play(hospitals: usize, rounds: u32) -> Honest {
    let claim = ClaimPolicy::WhenIdle;
    let mut federation = Federation::found_to_claim(hospitals, Aggregator::Honest, rounds, claim).await;
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
    let paid = |honest: &Honest| honest.rounds[0].paid.iter().filter(|line| line.role == 0 && line.pay > 0).count();
    assert_eq!((paid(honest()), paid(three_honest())), (4, 3));
}
