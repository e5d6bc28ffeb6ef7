//! The loop, with messages that wait for it from the start.

use almoner_chain::{Deployment, Ledger, Outbox, Sender, connect};
use almoner_protocol::list_root;
use almoner_protocol::round::Setup;
use almoner_protocol::types::{
    CommitteeMember, DirectionPromise, ListRoots, Member, Scales, Validator, domain, signing_hash,
};
use almoner_store::MemoryStore;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::ingress::Told;

/// All of them fit into one turn of the loop.
const VALIDATORS: u8 = 40;
const CHAIN: u64 = 31337;
const OPENED: u64 = 1_000;

/// A node that knows which chain it serves, and takes every question for that one.
async fn node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(async |asked: String| {
        let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
        serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "result": format!("{CHAIN:#x}") }).to_string()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn deployment() -> Deployment {
    let [federations, rounds, payouts, token] = [1, 2, 3, 4].map(Address::repeat_byte);
    Deployment { chain_id: CHAIN, federations, rounds, payouts, token, from_block: 0 }
}

async fn actor(journal: Journal, current: Current) -> Actor {
    let (url, key) = (node().await, SigningKey::from_bytes(&[99; 32]).unwrap());
    let (progress, _) = broadcast::channel(16);
    let ledger = Ledger::connect(&url, deployment()).unwrap();
    let sender = Sender::new(connect(&url).unwrap(), key.clone(), Outbox::memory().unwrap()).await.unwrap();
    let chain = Chain::new(ledger, sender, progress.clone());
    let (clock, (notices, _)): (Clock, _) = (Arc::new(|| OPENED), Notices::new());
    let store = Arc::new(MemoryStore::new());
    let mut actor = Actor::new(CoordinatorConfig::default(), chain, key, store, journal, clock, notices, progress);
    actor.current = Some(current);
    actor
}

/// Opened, and waiting for the promises of these.
fn current(validators: &[SigningKey]) -> Current {
    let account = Address::repeat_byte(9);
    let members = vec![Member { account, entity: B256::repeat_byte(9), class: 1 }];
    let committee = vec![CommitteeMember { account, key: vec![7; 1216].into() }];
    let seats = validators.iter().map(|key| key.address());
    let mut seats: Vec<_> = seats.map(|account| Validator { account, entity: account.into_word(), stake: 1 }).collect();
    seats.sort_by_key(|seat| seat.account);
    let descriptor = Descriptor {
        federation: 1,
        round: 1,
        members: 1,
        threshold: 1,
        validators: VALIDATORS.into(),
        scale: Scales { delta: 1, ..Scales::default() },
        lists: ListRoots {
            membershipRoot: list_root(&members),
            committeeRoot: list_root(&committee),
            validatorRoot: list_root(&seats),
        },
        deadlines: std::array::from_fn(|stage| OPENED * (stage as u64 + 2)),
        ..Descriptor::default()
    };
    let setup = Setup {
        chain_id: CHAIN,
        rounds: deployment().rounds,
        coordinator: account,
        descriptor,
        members,
        committee,
        validators: seats,
        cumulative: Default::default(),
        earlier_sets: Vec::new(),
    };
    let mut round = Round::announce(setup).unwrap();
    round.step(Event::RoundOpened { ctx: round.ctx(), at: OPENED }, OPENED).unwrap();
    let facts = RoundFacts { round: 1, parameters: 16, epoch_seed: [0; 32], drop_bits: 2 };
    Current { round, cids: OpenCids::default(), facts, locked: Vec::new() }
}

fn promise(key: &SigningKey, ctx: B256) -> Event {
    let promise = DirectionPromise { ctx, validator: key.address(), commitment: B256::repeat_byte(5) };
    let hash = signing_hash(&promise, &domain(CHAIN, deployment().rounds));
    Event::PromiseReceived { promise, signature: key.sign_hash(hash).unwrap().into() }
}

#[tokio::test]
async fn what_comes_in_at_one_moment_is_written_down_with_one_commit() {
    let journal = Journal::memory().unwrap();
    let keys: Vec<_> = (1..=VALIDATORS).map(|seed| SigningKey::from_bytes(&[seed; 32]).unwrap()).collect();
    let current = current(&keys);
    let ctx = current.round.ctx();
    let actor = actor(journal.clone(), current).await;
    // All but one: the round goes on waiting, and nothing else follows that would be written down.
    let promised = &keys[1..];
    let (mailbox, inbox) = mpsc::channel(keys.len());
    let mut answers = Vec::new();
    for key in promised {
        let (reply, answer) = oneshot::channel();
        let event = Box::new(promise(key, ctx));
        mailbox.send(Ingress::Told(Told::Event { event, reply })).await.unwrap();
        answers.push(answer);
    }
    let (before, stop) = (journal.commits(), CancellationToken::new());
    let running = tokio::spawn(actor.run(inbox, stop.clone()));
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(journal.commits() - before, 1);
    let mut written = 0;
    let count = |_: &[u8]| -> Result<(), CoordinatorError> {
        written += 1;
        Ok(())
    };
    journal.replay(count).unwrap();
    assert_eq!(written, promised.len());
    stop.cancel();
    running.await.unwrap().unwrap();
}
