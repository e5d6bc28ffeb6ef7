//! A gateway that hands out other bytes than it was asked for.

use std::sync::Arc;

use almoner_participant::{Duty, SiteError};
use almoner_proto::{ErrorKind, Kinded};
use almoner_protocol::{Stage, base_from_f32, encode_model};
use almoner_store::{
    Cid, Faults, FaultyStore, GatewayStore, Injected, Layout, Refusal, Store, StoreError, Url, cid_of, gateway,
};

use crate::agent::{Agent, Over, Running};
use crate::face::listen;
use crate::federation::{Aggregator, Federation, Quarter, all_done, pass, refuses_round, run, settle, without};
use crate::hand::Role;
use crate::honest::{honest, three_honest};

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
    listen(gateway::router(Arc::new(liar))).await.parse().unwrap()
}

/// Starts the agent of the last hospital over a store of the test's choice.
async fn start_last(federation: &mut Federation, store: Arc<dyn Store>) -> Running {
    let holder = federation.absent.pop().unwrap();
    let over = Over { store, ..Over::port(&federation.net.url, federation.net.ledger.deployment()).await };
    Agent::new(federation, Role::Hospital, 3, &holder).join(over).await
}

#[test]
fn a_site_with_a_lying_gateway_refuses_the_round_and_the_others_go_on() {
    let without_it = three_honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let base = base_cid(&federation);
        let liar = lying_gateway(&federation, &base).await;
        let store = Arc::new(GatewayStore::new(vec![liar.clone()]).unwrap());
        let mut deceived = start_last(&mut federation, store).await;
        let account = deceived.site.account;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let rounds = settle(net, scenario, 1, async {
            let error = refuses_round(&mut deceived.site, 1).await;
            assert_eq!(error.kind(), ErrorKind::PeerFault);
            assert!(refused_bytes(&error, &base, &liar), "{error:?}");
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

/// Whether the error says that the bytes which this gateway gave for this CID are not its bytes.
fn refused_bytes(error: &SiteError, about: &Cid, liar: &Url) -> bool {
    let at = format!("gateway {}", liar.as_str().trim_end_matches('/'));
    let wrong_hash = |error: &StoreError| match error {
        StoreError::Refused { cid, place, reason: Refusal::WrongHash } => **cid == *about && place.to_string() == at,
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
        let _running = start_last(&mut federation, store).await;
        let Federation { net, scenario, .. } = &mut federation;
        let rounds = settle(net, scenario, 1, async {}).await;
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
