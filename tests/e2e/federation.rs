//! A federation under test, and what comes of one in which everybody is honest.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{
    ChainChoice, Holder, Localnet, ModelChoice, NetConfig, RoundReport, Scenario, Seeds, Site, breast_cancer_scenario,
};
use almoner_audit::{Kind, Report};
use almoner_chain::{Ledger, RoundRecord, advance_time};
use almoner_coordinator::{CoordinatorConfig, Paid, Progress};
use almoner_participant::{ClaimPolicy, Duty, SiteError, SiteProgress};
use almoner_protocol::round::Fault;
use almoner_protocol::types::LockItem;
use almoner_protocol::{Address, ListItem, Stage, decode_list};
use almoner_store::{Store, cid_from_bytes};
use tempfile::TempDir;

use crate::link::{Link, Script};

/// One seed for every run: with the same sites and rows, what is paid can be compared to the base unit.
pub(crate) const SEED: u64 = 20;
/// Far above every artefact of so small a model.
pub(crate) const MAX_BYTES: u64 = 1 << 24;
/// A lease that was lost on the way delays a run by so much; every job here takes a small part of it.
const SHORT_LEASE: Duration = Duration::from_secs(3);
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
    pub(crate) absent_validators: Vec<Holder>,
    dir: TempDir,
}

/// A federation before its sites.
struct Founded {
    scenario: Scenario,
    seeds: Seeds,
    absent: Vec<Holder>,
    absent_validators: Vec<Holder>,
    dir: TempDir,
}

impl Founded {
    fn with(self, net: Localnet, hospitals: Vec<Site>, validators: Vec<Site>) -> Federation {
        let Self { scenario, seeds, absent, absent_validators, dir } = self;
        Federation { net, scenario, seeds, hospitals, validators, absent, absent_validators, dir }
    }
}

/// What kind of federation a test wants.
pub(crate) struct Plan {
    pub(crate) seeds: Seeds,
    /// More than the four of the scenario hold the same rows again.
    pub(crate) hospitals: usize,
    pub(crate) validators: usize,
    pub(crate) aggregator: Aggregator,
    pub(crate) rounds: u32,
    pub(crate) lease: Duration,
    pub(crate) say_waits: Duration,
    pub(crate) claim: ClaimPolicy,
}

impl Plan {
    pub(crate) fn of(rounds: u32) -> Self {
        Self {
            seeds: Seeds::insecure(SEED),
            hospitals: 4,
            validators: 3,
            aggregator: Aggregator::Honest,
            rounds,
            lease: CoordinatorConfig::default().lease,
            say_waits: CoordinatorConfig::default().say_waits,
            claim: ClaimPolicy::Never,
        }
    }
}

/// Who does the work on ciphertexts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Honest,
    /// The test brings its own.
    Own,
}

/// Runs a test's future; every test has a runtime of its own. `ALMONER_LOG=debug` shows what the roles say.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("ALMONER_LOG") {
        // Another test of this process may have been first.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
    }
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
        Self::of(Plan { seeds, hospitals, aggregator, claim, ..Plan::of(rounds) }).await
    }

    /// As [`Self::found`], with the first `validators` of the three validators.
    pub(crate) async fn with_validators(
        hospitals: usize,
        validators: usize,
        aggregator: Aggregator,
        rounds: u32,
    ) -> Self {
        Self::of(Plan { hospitals, validators, aggregator, ..Plan::of(rounds) }).await
    }

    pub(crate) async fn of(plan: Plan) -> Self {
        let (mut net, founded) = Self::begin(plan).await;
        let (hospitals, validators) = net.start_sites(&founded.scenario).await.unwrap();
        founded.with(net, hospitals, validators)
    }

    /// Starts all sites, each at the end of a link with the next of `scripts`; the last link is for the aggregator that
    /// the test brings.
    pub(crate) async fn found_over(rounds: u32, scripts: &[Script], links: &mut Vec<Link>) -> Self {
        let plan = Plan { aggregator: Aggregator::Own, lease: SHORT_LEASE, ..Plan::of(rounds) };
        let (mut net, founded) = Self::begin(plan).await;
        let server = net.url.trim_start_matches("http://").parse().unwrap();
        for script in scripts {
            links.push(Link::open(server, script.clone()).await);
        }
        let mut urls = links.iter().map(|link| link.url.clone());
        let (hospitals, validators) =
            net.start_sites_at(&founded.scenario, &mut || urls.next().expect("a link for every site")).await.unwrap();
        founded.with(net, hospitals, validators)
    }

    /// Everything but the sites.
    async fn begin(plan: Plan) -> (Localnet, Founded) {
        let Plan { seeds, hospitals, validators, aggregator, rounds, lease, say_waits, claim } = plan;
        let tick = Duration::from_millis(20);
        let dir = TempDir::new().unwrap();
        let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
        for n in scenario.hospitals.len()..hospitals {
            let again = scenario.hospitals[n % 4].clone();
            scenario.hospitals.push(Holder { name: format!("hospital {}", n + 1), ..again });
        }
        let absent = scenario.hospitals.split_off(hospitals);
        let absent_validators = scenario.validators.split_off(validators);
        let config = NetConfig {
            dir: dir.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            chain: ChainChoice::Embedded,
            seeds: seeds.clone(),
            coordinator: CoordinatorConfig { tick, lease, say_waits, ..CoordinatorConfig::default() },
        };
        let mut net = match aggregator {
            Aggregator::Honest => Localnet::start(config, &scenario, rounds).await,
            Aggregator::Own => Localnet::start_without_aggregator(config, &scenario, rounds).await,
        }
        .unwrap();
        net.claim = claim;
        (net, Founded { scenario, seeds, absent, absent_validators, dir })
    }

    /// Where the run keeps its chain.
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
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

/// The same for a round that ends without a settlement: why, and who is named for it.
pub(crate) async fn given_up(
    net: &mut Localnet,
    scenario: &Scenario,
    beside: impl Future<Output = ()>,
) -> (String, Vec<Fault>) {
    let mut progress = net.progress.subscribe();
    let mut show = |_: &Progress, _: Option<&RoundReport>| {};
    // Whatever is still waited for then will not come.
    let ended = tokio::select! {
        ended = net.follow(scenario, 1, &mut show) => ended,
        never = async { beside.await; std::future::pending().await } => never,
    };
    let text = ended.expect_err("the round ends without a settlement").to_string();
    loop {
        if let Progress::Ended { faults, .. } = progress.try_recv().expect("it was said before") {
            return (text, faults);
        }
    }
}

/// Waits until every site has done its duty in a round; a refusal of any of them ends the test at once.
pub(crate) async fn all_done(sites: &mut [Site], round: u64, duty: Duty) {
    futures::future::join_all(sites.iter_mut().map(|site| done(site, round, duty))).await;
}

/// Waits until a site has done its duty in a round.
pub(crate) async fn done(site: &mut Site, round: u64, duty: Duty) {
    loop {
        match site.progress.recv().await.expect("the site runs") {
            SiteProgress::Done { round: at, duty: done } if (at, done) == (round, duty) => return,
            SiteProgress::Refused { error, duty, .. } => panic!("{} refuses {duty:?}: {error}", site.name),
            _ => {}
        }
    }
}

/// Waits until a site refuses a round as a whole, and says why.
pub(crate) async fn refuses_round(site: &mut Site, round: u64) -> Arc<SiteError> {
    loop {
        match site.progress.recv().await.expect("the site runs") {
            SiteProgress::Refused { round: at, duty: None, error } if at == round => return error,
            SiteProgress::Verified { round: at } if at == round => panic!("{} has nothing against it", site.name),
            _ => {}
        }
    }
}

/// Waits until a site refuses a duty.
pub(crate) async fn refuses(site: &mut Site, round: u64, duty: Duty) -> Arc<SiteError> {
    loop {
        match site.progress.recv().await.expect("the site runs") {
            SiteProgress::Refused { round: at, duty: Some(refused), error } if (at, refused) == (round, duty) => {
                return error;
            }
            SiteProgress::Done { round: at, duty: done } if (at, done) == (round, duty) => {
                panic!("{} has done it", site.name)
            }
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
    /// The stage was not posted in time.
    Over = 0,
}

/// Moves the chain's time on, to when `stage` no longer waits for everybody.
pub(crate) async fn pass(ledger: &Ledger, federation: u64, number: u64, stage: Stage, until: Quarter) {
    let round = ledger.round(federation, number).await.unwrap().expect("the round was opened");
    let (before, deadline) = match stage {
        Stage::Lock => (Stage::Promise, round.descriptor.deadlines[1]),
        Stage::Direction => (Stage::Lock, round.descriptor.deadlines[2]),
        Stage::Score => (Stage::Audit, round.descriptor.deadlines[4]),
        Stage::Open => (Stage::Sum, round.descriptor.deadlines[7]),
        other => panic!("no test waits for {other}"),
    };
    let start = round.stages[&before].time;
    let at = deadline - (deadline - start) * (until as u64) / 4;
    let now = ledger.now().await.unwrap();
    // The last second of a stage still belongs to it.
    advance_time(ledger.provider(), (at + 1).saturating_sub(now)).await.unwrap();
}

/// Committee index of an account: committee lists are in address order, and everybody serves.
pub(crate) fn committee_index(lock: &[LockItem], account: Address) -> u16 {
    let at = lock.iter().position(|item| item.manifest.participant == account).unwrap();
    u16::try_from(at).unwrap()
}

/// The kinds of which a check failed.
pub(crate) fn wrong_kinds(report: &Report) -> Vec<Kind> {
    report.by_kind.iter().filter(|(_, count)| count.held < count.checks).map(|(kind, _)| *kind).collect()
}

/// What everybody but one account was paid.
pub(crate) fn without(paid: &[Paid], account: Address) -> Vec<Paid> {
    paid.iter().filter(|line| line.account != account).cloned().collect()
}
