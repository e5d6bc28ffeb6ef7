//! What wakes sites. They also look at the chain now and then, so a notice that is missing costs seconds, not a round.

use std::net::SocketAddr;
use std::time::Duration;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ChainChoice, Localnet, ModelChoice, NetConfig, Seeds, breast_cancer_scenario};
use almoner_chain::SigningKey;
use almoner_coordinator::CoordinatorConfig;
use almoner_participant::{Identity, entity_id};
use almoner_proto::{JoinRequest, RoundNotice, WatchRequest, sites_client, wire};
use almoner_protocol::MAX_PARAMETERS;
use almoner_protocol::types::Join;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tempfile::TempDir;
use tokio_stream::StreamExt;

use crate::federation::run;
use crate::hand::channel;

/// Far longer than the coordinator needs. It passes only where the notice does not come.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn validators_are_woken_once_the_round_is_on_chain() {
    run(async {
        let (seeds, dir) = (Seeds::insecure(1), TempDir::new().unwrap());
        let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
        // The only validator is this test, and it never promises: the round stays as it was opened.
        scenario.validators.clear();
        let config = NetConfig {
            dir: dir.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            chain: ChainChoice::Embedded,
            seeds: seeds.clone(),
            coordinator: CoordinatorConfig::default(),
        };
        let mut net = Localnet::start(config, &scenario, 1).await.unwrap();
        let key = SigningKey::generate(&mut ChaCha20Rng::from_seed(seeds.derive("validator", 0)));
        let identity = Identity::new(key, net.ledger.deployment(), net.federation);
        let mut client = sites_client(channel(&net.url).await, MAX_PARAMETERS);
        let (federation, account, entity) = (net.federation, identity.account(), entity_id("validator"));
        let join = identity.sign_join(Join { federation, account, entity, role: 1 }).unwrap();
        client.join(wire::JoinRequest::from(JoinRequest { join, rows: 50 })).await.unwrap();
        let _sites = net.start_sites(&scenario).await.unwrap();
        net.launch(1).await.unwrap();

        let watch = WatchRequest { federation };
        let mut notices = client.watch(wire::WatchRequest::from(watch)).await.unwrap().into_inner();
        let opened = async {
            loop {
                let notice = notices.next().await.expect("the coordinator runs").unwrap();
                let notice = RoundNotice::try_from(notice).unwrap();
                if notice.round == 1 {
                    return notice;
                }
            }
        };
        let notice = tokio::time::timeout(PATIENCE, opened).await.expect("a notice of the opened round");
        assert_eq!((notice.state.as_str(), notice.next_round), ("announced", 0));
        assert!(net.ledger.round(federation, 1).await.unwrap().is_some(), "a notice is of what is on chain");
        net.stop().await.unwrap();
    });
}
