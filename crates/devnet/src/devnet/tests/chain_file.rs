use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::Ordering;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;

use super::{Fixture, LOGGER, send};
use crate::{Devnet, DevnetError};

/// A chain of five blocks.
async fn grow(fixture: &Fixture, path: &Path) -> Devnet {
    let devnet = Devnet::open(path, &fixture.config).unwrap();
    let provider = devnet.provider();
    let created = send(&provider, &fixture.create(0, LOGGER)).await;
    devnet.advance(3600).unwrap();
    fixture.clock.fetch_add(10, Ordering::Relaxed);
    for nonce in 1..4 {
        let raw = fixture.call(nonce, created.contract_address.unwrap());
        send(&provider, &raw).await;
    }
    devnet
}

async fn hashes(devnet: &Devnet) -> Vec<String> {
    let provider = devnet.provider();
    let mut all = Vec::new();
    for number in 0..=devnet.tip().0 {
        let block = provider.get_block_by_number(number.into()).full().await;
        all.push(serde_json::to_string(&block.unwrap()).unwrap());
        let receipts = provider.get_block_receipts(number.into()).await;
        all.push(serde_json::to_string(&receipts.unwrap()).unwrap());
    }
    all
}

#[tokio::test]
async fn a_restart_reproduces_every_block() {
    let (fixture, dir) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain");
    let devnet = grow(&fixture, &path).await;
    let (before, tip) = (hashes(&devnet).await, devnet.tip());
    assert!(matches!(Devnet::open(&path, &fixture.config), Err(DevnetError::InUse { .. })));
    drop(devnet);

    let again = Devnet::open(&path, &fixture.config).unwrap();
    assert_eq!(hashes(&again).await, before);
    send(&again.provider(), &fixture.call(4, Address::ZERO)).await;
    assert_eq!(again.tip().0, tip.0 + 1);
    assert_eq!(again.tip().2, tip.2 + 1, "time goes on from where it was moved to");
}

#[tokio::test]
async fn a_record_cut_short_is_cut_off() {
    let (fixture, dir) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain");
    let tip = grow(&fixture, &path).await.tip();
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    let devnet = Devnet::open(&path, &fixture.config).unwrap();
    assert_eq!(devnet.tip().0, tip.0 - 1);
    // The transaction that was lost can be sent again.
    let created = fixture.key.address().create(0);
    send(&devnet.provider(), &fixture.call(3, created)).await;
    let tip = devnet.tip();
    drop(devnet);
    assert_eq!(Devnet::open(&path, &fixture.config).unwrap().tip(), tip);
}

#[tokio::test]
async fn damage_is_noticed() {
    let (fixture, dir) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain");
    drop(grow(&fixture, &path).await);
    let whole = fs::read(&path).unwrap();
    for at in [0, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let opened = Devnet::open(&path, &fixture.config);
        assert!(matches!(opened, Err(DevnetError::Format { .. } | DevnetError::Corrupt { .. })));
    }
}

#[tokio::test]
async fn a_chain_is_opened_only_as_it_was_begun() {
    let (fixture, dir) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain");
    drop(grow(&fixture, &path).await);
    let mut config = fixture.config.clone();
    config.chain_id += 1;
    let other_id = Devnet::open(&path, &config);
    assert!(matches!(other_id, Err(DevnetError::Genesis { .. })));
    let mut config = fixture.config.clone();
    config.accounts.push((Address::ZERO, U256::ZERO));
    let other_accounts = Devnet::open(&path, &config);
    assert!(matches!(other_accounts, Err(DevnetError::Genesis { .. })));
}
