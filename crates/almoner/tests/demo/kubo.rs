//! A coordinator that gives a Kubo daemon what its rounds name. The daemon is a stand-in: a server of our own that answers
//! as the RPC is documented. A real one was not at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use almoner_chain::Ledger;
use almoner_protocol::types::LockItem;
use almoner_protocol::{Stage, decode_list};
use almoner_store::{Cid, FakeKubo, GatewayStore, Store, cid_from_bytes};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::kills::{account, keys};
use super::on_nodes::{Node, in_one_process, played};
use super::processes::{EVERYTHING, GUARD, HOSPITALS, House, LOG, free_port};

const TOKEN: &str = "bearer-of-the-stand-in";

/// A daemon at one port, which may be killed and started again.
pub(super) struct StandIn {
    port: u16,
    daemon: Arc<FakeKubo>,
    serving: Option<Runtime>,
}

impl StandIn {
    pub(super) fn start(daemon: FakeKubo) -> Self {
        let mut stand_in = Self { port: free_port(), daemon: Arc::new(daemon), serving: None };
        stand_in.start_again();
        stand_in
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start_again(&mut self) {
        let serving = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = serving.block_on(TcpListener::bind(("127.0.0.1", self.port))).unwrap();
        let router = self.daemon.clone().router();
        serving.spawn(async move { axum::serve(listener, router).await });
        self.serving = Some(serving);
    }

    /// Closes its port and every connection.
    fn kill(&mut self) {
        drop(self.serving.take());
    }

    /// Waits until it has pinned exactly these, and then reads every one of them out of its blocks.
    pub(super) fn until_pinned(&self, expected: &BTreeSet<Cid>) {
        block_on(async {
            let pinned = tokio::time::timeout(GUARD, self.daemon.until(|pins| pins == expected)).await;
            let pins = self.daemon.pins();
            let (missing, more) = (expected.difference(&pins), pins.difference(expected));
            assert!(pinned.is_ok(), "missing: {:?}, too many: {:?}", Vec::from_iter(missing), Vec::from_iter(more));
            for cid in expected {
                self.daemon.blocks.get(cid, u64::MAX).await.unwrap();
            }
        });
    }
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The chain and the store behind a coordinator, as anybody reads them.
pub(super) async fn reader(url: &str) -> (Ledger, GatewayStore) {
    let client = almoner_tls::Client::default().http("127.0.0.1").build().unwrap();
    let deployment = client.get(format!("{url}/deployment.json")).send().await.unwrap().bytes().await.unwrap();
    let ledger = Ledger::connect(&format!("{url}/rpc"), serde_json::from_slice(&deployment).unwrap()).unwrap();
    (ledger, GatewayStore::new(vec![url.parse().unwrap()]).unwrap())
}

/// What the coordinator's federation and its rounds name, as anybody finds it: by the chain, and by the lists of what was
/// locked. The uploads of the first `forgotten` rounds are left out.
pub(super) fn named(url: &str, forgotten: usize) -> BTreeSet<Cid> {
    block_on(async {
        let (ledger, store) = reader(url).await;
        let mut cids = BTreeSet::from([ledger.federation(1).await.unwrap().unwrap().params.specCid]);
        for (index, round) in ledger.rounds(1).await.unwrap().iter().enumerate() {
            let opened = &round.cids;
            cids.extend(
                [&opened.spec, &opened.base, &opened.members, &opened.committee, &opened.validators].map(Clone::clone),
            );
            cids.extend(round.stages.iter().filter(|(stage, _)| **stage != Stage::Ctx).map(|(_, at)| at.cid.clone()));
            if index < forgotten {
                continue;
            }
            let lock = cid_from_bytes(&round.stages[&Stage::Lock].cid).unwrap();
            let items: Vec<LockItem> = decode_list(&store.get(&lock, 1 << 20).await.unwrap(), 100).unwrap();
            assert_eq!(items.len(), HOSPITALS);
            for LockItem { manifest, .. } in items {
                cids.extend([manifest.ciphertextCid, manifest.checkCid, manifest.sharesCid]);
            }
        }
        cids.iter().map(|cid| cid_from_bytes(cid).unwrap()).collect()
    })
}

#[test]
fn what_a_round_names_is_pinned_whatever_becomes_of_the_daemon_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    what_a_round_names_is_pinned(home.path(), &keys(home.path()), None);
}

#[test]
fn what_a_round_on_anvil_names_is_pinned_whatever_becomes_of_the_daemon_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let keys = keys(home.path());
    let Some(node) = Node::anvil(&account(&keys["coordinator"])) else { return };
    what_a_round_names_is_pinned(home.path(), &keys, Some(&node));
}

fn what_a_round_names_is_pinned(home: &Path, keys: &BTreeMap<String, PathBuf>, node: Option<&Node>) {
    let token = home.join("kubo.token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut kubo = StandIn::start(FakeKubo::with_token(TOKEN));
    let settings = format!("[kubo]\nurl = \"{}\"\ntoken_file = {token:?}\n", kubo.url());
    let mut house = House::new();
    house.log = EVERYTHING;
    let played = played(house, keys, node, &settings, |house, url| {
        let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", url]);
        watch.until("training");
        kubo.kill();
    });
    assert_eq!(played.outcome, in_one_process(), "no round waits for it, and none comes to anything else by it");
    let named_by_it = named(&played.url, 0);
    assert!(named_by_it.len() > 3 * HOSPITALS + 10, "uploads, lists, sum, models, federation file: {named_by_it:?}");
    assert!(!named_by_it.is_subset(&kubo.daemon.pins()), "it is dead");
    kubo.start_again();
    kubo.until_pinned(&named_by_it);

    // Another daemon, which has nothing, is given everything by a coordinator that is started again.
    kubo.kill();
    played.house.children.kill(played.coordinator);
    kubo.daemon = Arc::new(FakeKubo::with_token(TOKEN));
    kubo.start_again();
    let room = played.house.room("coordinator");
    let _coordinator = played.house.start(&room, &["coordinator", "--config", "settings.toml"]);
    kubo.until_pinned(&named_by_it);

    let log = fs::read_to_string(room.join(LOG)).unwrap();
    assert!(!log.contains(TOKEN), "the token is in the log");
    // A line may have been cut by the kill.
    let said = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let waits = said.filter(|said| said["waiting_for"] == "kubo");
    let levels: Vec<Value> = waits.map(|said| said["level"].clone()).collect();
    assert_eq!(levels, ["WARN"], "an outage is spoken of once");
}
