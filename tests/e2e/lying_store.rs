//! A gateway that hands out other bytes than it was asked for.

use std::sync::Arc;

use almoner_journal::Journal;
use almoner_model::DeviceChoice;
use almoner_participant::{
    ClaimPolicy, DataConfig, Duty, PolicyConfig, SeededEntropy, SiteConfig, SiteError, SiteParts, SiteProgress,
};
use almoner_proto::{ErrorKind, Kinded};
use almoner_protocol::{Stage, base_from_f32, encode_model};
use almoner_store::{
    Cid, Faults, FaultyStore, GatewayStore, Injected, Layout, Refusal, Store, StoreError, Url, cid_of, gateway,
};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::federation::{Aggregator, Federation, Quarter, all_done, honest, pass, run, settle, three_honest, without};
use crate::hand::{channel, hospital_key};

/// The file of the model that the first round starts from.
fn base_cid(federation: &Federation) -> Cid {
    let spec = &federation.scenario.spec;
    let base = base_from_f32(&federation.scenario.initial, spec.rule.frac_bits).unwrap();
    cid_of(&encode_model(&spec.model, &base).unwrap(), Layout::V1_2025)
}

/// Serves what the federation's store has, but for one artefact.
async fn lying_gateway(federation: &Federation, about: &Cid) -> Url {
    let liar = FaultyStore::new(federation.net.store.clone(), Faults::default());
    liar.inject(about, Injected::FlippedByte).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, gateway::router(Arc::new(liar))).await });
    url
}

/// Starts the agent of the last hospital over a store of the test's choice, and waits until it has joined.
async fn start_last(federation: &mut Federation, store: Arc<dyn Store>) -> broadcast::Receiver<SiteProgress> {
    let holder = federation.absent.pop().unwrap();
    let (net, seeds) = (&federation.net, &federation.seeds);
    let privacy = &federation.scenario.spec.privacy;
    let config = SiteConfig {
        claim: ClaimPolicy::Never,
        coordinator: net.url.clone(),
        rpc: None,
        gateways: Vec::new(),
        federation: net.federation,
        entity: holder.name.clone(),
        key: "unused".into(),
        state: "unused".into(),
        device: DeviceChoice::Cpu,
        // The rows come as an argument.
        participant: Some(DataConfig {
            csv: "unused".into(),
            columns: Vec::new(),
            label: "label".into(),
            features: Vec::new(),
        }),
        validator: None,
        policy: PolicyConfig { accept_leak: privacy.accept_leak, scalars_max: privacy.scalars_max, min_cohort: None },
    };
    let (progress, mut receiver) = broadcast::channel(1024);
    let parts = SiteParts {
        channel: channel(&net.url).await,
        store,
        ledger: net.ledger.clone(),
        journal: Journal::memory().unwrap(),
        key: hospital_key(seeds, 3),
        entropy: Arc::new(SeededEntropy::new(seeds.derive("hospital entropy", 3))),
        training: Some(holder.data.clone()),
        evaluation: None,
        progress,
    };
    tokio::spawn(almoner_participant::run(config, parts, CancellationToken::new()));
    match receiver.recv().await.unwrap() {
        SiteProgress::Joined { role: 0 } => receiver,
        other => panic!("it did not join: {other:?}"),
    }
}

#[test]
fn a_site_with_a_lying_gateway_refuses_the_round_and_the_others_go_on() {
    let without_it = three_honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let base = base_cid(&federation);
        let liar = lying_gateway(&federation, &base).await;
        let store = Arc::new(GatewayStore::new(vec![liar]).unwrap());
        let mut deceived = start_last(&mut federation, store).await;
        let account = hospital_key(&federation.seeds, 3).address();
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let rounds = settle(net, scenario, 1, async {
            let (duty, error) = loop {
                if let SiteProgress::Refused { round: 1, duty, error } = deceived.recv().await.unwrap() {
                    break (duty, error);
                }
            };
            assert_eq!((duty, error.kind()), (None, ErrorKind::PeerFault));
            assert!(refused_bytes(&error, &base), "{error:?}");
            all_done(hospitals, 1, Duty::Contribute).await;
            pass(&ledger, number, 1, Stage::Lock, Quarter::LastCall).await;
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
        })
        .await;
        assert_eq!(without(&rounds[0].paid, account), without_it.rounds[0].paid);
        assert_eq!(rounds[0].paid.len(), without_it.rounds[0].paid.len());
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

/// Whether the error says that the bytes given for this CID are not its bytes.
fn refused_bytes(error: &SiteError, about: &Cid) -> bool {
    let wrong_hash = |error: &StoreError| match error {
        StoreError::Refused { cid, reason: Refusal::WrongHash, .. } => **cid == *about,
        _ => false,
    };
    match error {
        SiteError::Store(StoreError::Exhausted { cid, attempts }) => {
            **cid == *about && attempts.len() == 1 && attempts.iter().all(wrong_hash)
        }
        SiteError::Store(error) => wrong_hash(error),
        _ => false,
    }
}

#[test]
fn one_honest_gateway_on_the_list_is_enough() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let base = base_cid(&federation);
        let liar = lying_gateway(&federation, &base).await;
        let store = Arc::new(GatewayStore::new(vec![liar, federation.net.url.parse().unwrap()]).unwrap());
        let _progress = start_last(&mut federation, store).await;
        let Federation { net, scenario, .. } = &mut federation;
        let rounds = settle(net, scenario, 1, async {}).await;
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        federation.net.stop().await.unwrap();
    });
}
