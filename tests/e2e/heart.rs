//! The four heart hospitals, honest, under encryption: ten federations of fifteen rounds, run once and looked at by
//! several tests. Each is also run without encryption, on the batches that its sites took.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use almoner::localnet::{ChainChoice, Holder, Localnet, NetConfig, Scenario, Seeds, Site, heart_scenario};
use almoner_chain::RoundRecord;
use almoner_coordinator::CoordinatorConfig;
use almoner_model::{BatchOrder, Dataset, HostRng, initial_weights};
use almoner_participant::{Entropy, SeededEntropy, SiteProgress};
use almoner_protocol::types::{Member, ScoreItem};
use almoner_protocol::{Address, Stage};
use tempfile::TempDir;

use crate::federation::{read_list, run, settle};
use crate::heart_data::CENTRES;
use crate::plain::{GOLDEN_COUNTS, GOLDEN_WEIGHTS, Plain, ROUNDS, SEEDS, first_weights, largest_difference};
use crate::shared::shared;

/// Seeds of the federations: those with published first weights, and five more.
pub(crate) const ALL_SEEDS: std::ops::RangeInclusive<u64> = 42..=51;
const VALIDATORS: usize = 3;
/// What sixteen bits after the point may move a weight by in fifteen rounds.
const WEIGHT_TOLERANCE: f32 = 1e-4;

/// What came of a federation, hospital by hospital in the order of [`CENTRES`].
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) first: Vec<f32>,
    /// After the last round.
    pub(crate) model: Vec<f32>,
    /// `Σ −w_iv·a_i` over rounds and validators, in update units times class.
    pub(crate) raw_scores: [i64; 4],
    /// Base units, over all rounds.
    pub(crate) paid: [u128; 4],
    /// Updates that were shortened, of all.
    pub(crate) clipped: usize,
    pub(crate) seconds: f64,
}

/// All runs of [`ALL_SEEDS`], one after the other. `None` without the data.
pub(crate) fn runs() -> Option<&'static (Plain, Vec<Run>)> {
    static RUNS: OnceLock<Option<(Plain, Vec<Run>)>> = OnceLock::new();
    let make = || {
        let dir = shared("data/heart")?;
        let plain = Plain::load(&dir);
        let one = |seed| play(seed, &scenario(&dir, &plain, seed, first(&dir, &plain, seed)));
        let runs = ALL_SEEDS.map(one).collect();
        Some((plain, runs))
    };
    RUNS.get_or_init(make).as_ref()
}

/// Published for the first five seeds; for the others drawn by us from the same distribution, ±1/√13.
fn first(dir: &Path, plain: &Plain, seed: u64) -> Vec<f32> {
    match SEEDS.contains(&seed) {
        true => first_weights(dir, seed),
        false => initial_weights(&plain.model, Seeds::insecure(seed).derive("first weights", 0)).unwrap(),
    }
}

/// The test rows of all hospitals, each by the statistics of its own hospital.
pub(crate) fn judged_rows(plain: &Plain) -> Dataset {
    Dataset::concat(&plain.test.iter().collect::<Vec<_>>()).unwrap()
}

/// The demo's federation file, with the test rows dealt in thirds to three validators.
fn scenario(dir: &Path, plain: &Plain, seed: u64, first: Vec<f32>) -> Scenario {
    let seeds = Seeds::insecure(seed);
    let rows = judged_rows(plain);
    let order = HostRng::new(seeds.derive("thirds", 0), HostRng::SPLIT, 0).permutation(rows.rows());
    let third = |(i, rows_of): (usize, &[usize])| Holder {
        name: format!("validator {}", i + 1),
        data: rows.select(rows_of),
        mislabelled: false,
    };
    let mut scenario = heart_scenario(dir, &seeds).unwrap();
    scenario.validators = order.chunks(rows.rows().div_ceil(VALIDATORS)).enumerate().map(third).collect();
    scenario.initial = first;
    scenario
}

/// Runs a federation from training to settlement.
fn play(seed: u64, scenario: &Scenario) -> Run {
    run(async {
        let started = Instant::now();
        let dir = TempDir::new().unwrap();
        let config = NetConfig {
            dir: dir.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            chain: ChainChoice::Embedded,
            seeds: Seeds::insecure(seed),
            coordinator: CoordinatorConfig::default(),
        };
        let mut net = Localnet::start(config, scenario, ROUNDS as u32).await.unwrap();
        let (mut hospitals, _validators) = net.start_sites(scenario).await.unwrap();
        let reports = settle(&mut net, scenario, ROUNDS as u32, async {}).await;
        let seconds = started.elapsed().as_secs_f64();
        let accounts: Vec<Address> = hospitals.iter().map(|site| site.account).collect();
        let mut paid = [0; 4];
        for line in reports.iter().flat_map(|report| &report.paid).filter(|line| line.role == 0) {
            paid[accounts.iter().position(|account| *account == line.account).expect("a hospital")] += line.pay;
        }
        let mut raw_scores = [0; 4];
        for round in net.ledger.rounds(net.federation).await.unwrap().iter() {
            let scores = raw_scores_of(&net, round, &accounts).await;
            raw_scores.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
        net.stop().await.unwrap();
        let clipped = hospitals.iter_mut().map(clipped_updates).sum();
        let model = reports.last().expect("fifteen rounds").model.clone();
        Run { seed, first: scenario.initial.clone(), model, raw_scores, paid, clipped, seconds }
    })
}

/// One round's `−w_iv·a_i`, summed over the validators, from what was published.
async fn raw_scores_of(net: &Localnet, round: &RoundRecord, accounts: &[Address]) -> Vec<i64> {
    let scale = &round.descriptor.scale;
    assert_eq!((scale.delta, scale.updateBits), (1 << 17, 16), "the scale the design gives for heart");
    let members: Vec<Member> = read_list(&*net.store, &round.cids.members).await;
    let rows: Vec<ScoreItem> = read_list(&*net.store, &round.stages[&Stage::Score].cid).await;
    let score = |account: &Address| {
        let class = members.iter().find(|member| member.account == *account).expect("a member").class;
        let row = rows.iter().find(|row| row.participant == *account).expect("scores of every hospital");
        assert_eq!(row.scores.len(), VALIDATORS);
        row.scores.iter().map(|score| -score * i64::from(class)).sum()
    };
    accounts.iter().map(score).collect()
}

fn clipped_updates(site: &mut Site) -> usize {
    let seen = std::iter::from_fn(|| site.progress.try_recv().ok());
    seen.filter(|event| matches!(event, SiteProgress::Trained { clipped: true, .. })).count()
}

/// The order in which a hospital of the seeded federation takes its rows.
pub(crate) fn batches_of(seed: u64, hospital: usize) -> BatchOrder {
    let entropy = SeededEntropy::new(Seeds::insecure(seed).derive("hospital entropy", hospital as u64));
    BatchOrder::Shuffled { seed: *entropy.draw("site-seed", &[]).unwrap() }
}

#[test]
fn encrypted_accuracies_equal_plain_ones() {
    let Some((plain, runs)) = runs() else { return };
    println!("right predictions under encryption (plain FedAvg) on the hospitals' test rows");
    let rows: Vec<String> = CENTRES.iter().zip(&plain.test).map(|(c, t)| format!("{c} of {}", t.rows())).collect();
    println!("seed {} max |Δw|   clipped    s/round", rows.iter().map(|r| format!("{r:>18}")).collect::<String>());
    let mut equal = 0;
    for run in runs.iter().filter(|run| SEEDS.contains(&run.seed)) {
        let flat = plain.fedavg(run.first.clone(), |hospital| batches_of(run.seed, hospital));
        let (encrypted, without) = (plain.evaluate(&run.model), plain.evaluate(&flat));
        let cells = encrypted.iter().zip(&without).take(CENTRES.len());
        let text: String =
            cells.clone().map(|(e, p)| format!("{:>18}", format!("{} ({})", e.correct, p.correct))).collect();
        let moved = largest_difference(&run.model, &flat);
        let pace = run.seconds / ROUNDS as f64;
        println!("{:>4} {text} {moved:9.1e} {:>6} of 60 {pace:7.2}", run.seed, run.clipped);
        for (encrypted, without) in cells {
            assert!(encrypted.correct.abs_diff(without.correct) <= 1, "seed {}: {encrypted:?} {without:?}", run.seed);
            equal += usize::from(encrypted.correct == without.correct);
        }
        // Both took the same batches, so nothing but rounding lies between them.
        assert!(moved <= WEIGHT_TOLERANCE, "seed {}: {:?}, plain {flat:?}", run.seed, run.model);
    }
    println!("{equal} of 20 cells equal, the rest within one test row");
}

#[test]
fn the_golden_run_survives_encryption() {
    let Some(dir) = shared("data/heart") else { return };
    let plain = Plain::load(&dir);
    let mut scenario = scenario(&dir, &plain, 1, vec![0.0; 14]);
    scenario.spec.training.shuffle = false;
    let run = play(1, &scenario);
    let counts: Vec<usize> = plain.evaluate(&run.model)[..4].iter().map(|metrics| metrics.correct).collect();
    let worst = largest_difference(&run.model, &GOLDEN_WEIGHTS);
    println!("correct {counts:?}, published {GOLDEN_COUNTS:?}; largest weight difference {worst:.1e}");
    assert_eq!(counts, GOLDEN_COUNTS);
    assert!(worst <= WEIGHT_TOLERANCE, "{:?}", run.model);
}
