//! A federation that breaks a rule is not launched, and nothing of it is on chain; a site whose rows do not fit the
//! model does not join.

use std::net::SocketAddr;

use almoner::failure::Kind;
use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ChainChoice, Localnet, ModelChoice, NetConfig, Scenario, Seeds, breast_cancer_scenario};
use almoner_coordinator::CoordinatorConfig;
use tempfile::TempDir;

use crate::federation::{SEED, run};

/// Starts a federation; `Err` with the kind and text of the refusal.
async fn launched(change: impl FnOnce(&mut Scenario)) -> Result<(), (Kind, String)> {
    let (seeds, dir) = (Seeds::insecure(SEED), TempDir::new().unwrap());
    let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
    change(&mut scenario);
    let config = NetConfig {
        dir: dir.path().to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        chain: ChainChoice::Embedded,
        seeds,
        coordinator: CoordinatorConfig::default(),
    };
    let told = |failure: almoner::failure::Failure| (failure.kind, failure.to_string());
    let mut net = Localnet::start(config, &scenario, 1).await.map_err(told)?;
    let started = net.start_sites(&scenario).await.map_err(told);
    let outcome = match started {
        Ok(_) => net.launch(1).await.map_err(told),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        let federation = net.ledger.federation(net.federation).await.unwrap().unwrap();
        assert_eq!((federation.members.len(), federation.validators.len()), (0, 0), "nobody was seated");
    }
    net.stop().await.unwrap();
    outcome
}

#[test]
fn a_federation_that_breaks_the_leak_rule_is_not_launched() {
    let refused = run(launched(|scenario| {
        let fourth = scenario.validators[0].clone();
        scenario.validators.push(fourth);
    }));
    let text = "launch the rounds: descriptor, validators: 4 directions a round tell too much about an update of 31 \
                parameters (at most 3): use fewer validators, or set privacy.accept_leak and privacy.scalars_max";
    assert_eq!(refused, Err((Kind::You, text.to_owned())));
}

#[test]
fn a_federation_that_breaks_the_range_rule_is_not_launched() {
    let refused = run(launched(|scenario| scenario.spec.rule.clip = f64::from(1 << 20)));
    let text = "launch the rounds: descriptor, clip: no update scale keeps sums and scores in range: lower clip";
    assert_eq!(refused, Err((Kind::You, text.to_owned())));
}

#[test]
fn a_federation_file_that_cannot_work_is_not_created() {
    let refused = run(launched(|scenario| scenario.spec.rule.fee_bps = 10_001));
    let text = "create the federation: federation file, rule.fee_bps: must be at most 10000";
    assert_eq!(refused, Err((Kind::You, text.to_owned())));
}

#[test]
fn a_site_whose_rows_do_not_fit_the_model_does_not_join() {
    let refused = run(launched(|scenario| {
        let rows = &scenario.hospitals[1].data;
        let narrow: Vec<f32> = rows.x().chunks(30).flat_map(|row| row[..29].to_vec()).collect();
        scenario.hospitals[1].data = almoner_model::Dataset::new(29, narrow, rows.y().to_vec()).unwrap();
    }));
    let text = "hospital 2: site configuration: data: 29 features, the federation's model takes 30";
    assert_eq!(refused, Err((Kind::You, text.to_owned())));
}
