//! Who takes part, and everything before the round.

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolValue};
use almoner_chain::contracts::Federations::{
    self, createCall, drawEpochCall, fundCall, joinCall, postBondCall, registerMatrixCall,
};
use almoner_chain::contracts::TestToken::approveCall;
use almoner_chain::{Ledger, LedgerError, Sender, SigningKey, TxReceipt};
use almoner_protocol::types::{Join, domain, signing_hash};
use almoner_protocol::{Eip712Domain, SolStruct};

use super::record::Trace;

pub(crate) const MEMBERS: [u8; 4] = [1, 2, 3, 4];
pub(crate) const VALIDATORS: [u8; 3] = [5, 6, 7];
pub(crate) const CLASSES: [u16; 4] = [40, 30, 20, 10];
pub(crate) const POT: u128 = 1_000_000_000_000_000_000_000;
pub(crate) const BOND: u128 = 1_000;
pub(crate) const WINDOW: u64 = 2;
pub(crate) const SPEC_HASH: B256 = B256::repeat_byte(0x51);
pub(crate) const MATRIX_ROOT: B256 = B256::repeat_byte(0x52);

pub(crate) struct World {
    pub(crate) sender: Sender,
    pub(crate) ledger: Ledger,
    /// Deadlines count from here.
    pub(crate) start: u64,
}

impl World {
    pub(crate) async fn federations(&self, data: Vec<u8>) -> Result<TxReceipt, LedgerError> {
        self.sender.submit(self.ledger.deployment().federations, data).await
    }

    pub(crate) async fn rounds(&self, data: Vec<u8>) -> Result<TxReceipt, LedgerError> {
        self.sender.submit(self.ledger.deployment().rounds, data).await
    }

    pub(crate) async fn payouts(&self, data: Vec<u8>) -> Result<TxReceipt, LedgerError> {
        self.sender.submit(self.ledger.deployment().payouts, data).await
    }

    /// A signature by account `who` in the domain of Rounds.
    pub(crate) fn sign<T: SolStruct>(&self, who: u8, message: &T) -> Bytes {
        let deployment = self.ledger.deployment();
        sign(who, message, &domain(deployment.chain_id, deployment.rounds))
    }
}

/// Account `who`; 0 is the coordinator, which also deploys.
pub(crate) fn key(who: u8) -> SigningKey {
    SigningKey::from_bytes(&[who + 1; 32]).unwrap()
}

pub(crate) fn account(who: u8) -> Address {
    key(who).address()
}

pub(crate) fn sign<T: SolStruct>(who: u8, message: &T, domain: &Eip712Domain) -> Bytes {
    key(who).sign_hash(signing_hash(message, domain)).unwrap().into()
}

/// A call with arguments in the types of `almoner_protocol`, which encode as the contract's own.
pub(crate) fn call<C: SolCall>(arguments: Vec<u8>) -> Vec<u8> {
    [C::SELECTOR.as_slice(), &arguments].concat()
}

pub(crate) async fn set_up(world: &World, trace: &mut Trace) {
    let deployment = world.ledger.deployment().clone();
    let params = Federations::CreateParams {
        token: deployment.token,
        coordinator: account(0),
        specHash: SPEC_HASH,
        specCid: Bytes::from_static(b"spec"),
        feeBps: 1000,
        rule: 0,
        qualityFloor: 0,
        minAdmitted: 3,
        challengeWindow: WINDOW,
        bond: BOND,
        beaconless: true,
        acceptLeak: false,
        scalarsMax: 513,
    };
    let absurd = createCall::new((Federations::CreateParams { feeBps: 10_001, ..params.clone() },));
    let refused = world.federations(absurd.abi_encode()).await;
    trace.refused("create", refused, "Federations.BadParameter(field: feeBps, given: 10001)");
    trace.included("create", &world.federations(createCall::new((params,)).abi_encode()).await.unwrap());

    join(world, trace).await;
    let unpaid = world.federations(fundCall { federation: 1, amount: POT }.abi_encode()).await;
    let federations = deployment.federations;
    let allowance = format!("ERC20InsufficientAllowance(spender: {federations}, allowance: 0, needed: {POT})");
    let allowance = match unpaid.as_ref().unwrap_err().revert().unwrap().contract {
        Some(contract) => format!("{contract}.{allowance}"),
        None => allowance,
    };
    trace.refused("fund", unpaid, &allowance);
    let approve = approveCall { spender: federations, value: U256::from(POT + BOND) };
    trace.included("approve", &world.sender.submit(deployment.token, approve.abi_encode()).await.unwrap());
    for (name, data) in [
        ("fund", fundCall { federation: 1, amount: POT }.abi_encode()),
        ("bond", postBondCall { federation: 1, amount: BOND }.abi_encode()),
        ("epoch", drawEpochCall { federation: 1, epoch: 0 }.abi_encode()),
        ("matrix", registerMatrixCall { federation: 1, epoch: 0, root: MATRIX_ROOT }.abi_encode()),
    ] {
        trace.included(name, &world.federations(data).await.unwrap());
    }
    check(world).await;
}

async fn join(world: &World, trace: &mut Trace) {
    let deployment = world.ledger.deployment();
    let domain = domain(deployment.chain_id, deployment.federations);
    let seats = MEMBERS.into_iter().zip(CLASSES).map(|(who, class)| (who, class, 0));
    for (who, class, role) in seats.chain(VALIDATORS.map(|who| (who, 0, 1))) {
        let consent = Join { federation: 1, account: account(who), entity: B256::repeat_byte(who), role };
        let by_another = call::<joinCall>((consent.clone(), class, sign(9, &consent, &domain)).abi_encode_params());
        let refused = world.federations(by_another).await;
        let (expected, recovered) = (account(who), account(9));
        let error = format!("Federations.BadSignature(expected: {expected}, recovered: {recovered})");
        trace.refused("join", refused, &error);
        let data = call::<joinCall>((consent.clone(), class, sign(who, &consent, &domain)).abi_encode_params());
        trace.included("join", &world.federations(data).await.unwrap());
    }
}

async fn check(world: &World) {
    let record = world.ledger.federation(1).await.unwrap().unwrap();
    let members: Vec<_> = record.members.iter().map(|seat| (seat.account, seat.class, seat.since)).collect();
    let expected: Vec<_> = MEMBERS.map(account).into_iter().zip(CLASSES).map(|(a, class)| (a, class, 1)).collect();
    assert_eq!(members, expected);
    assert_eq!(record.validators.len(), VALIDATORS.len());
    assert_eq!((record.owner, record.funded[0].amount, record.closed), (account(0), POT, false));
    assert_eq!(record.params.specCid, Bytes::from_static(b"spec"));
    let state = world.ledger.federation_state(1).await.unwrap();
    assert_eq!((state.members, state.classSum, state.free), (4, 100, POT));
    let epoch = world.ledger.epoch(1, 0).await.unwrap().unwrap();
    assert_eq!((epoch.beacon, epoch.matrix_root), (B256::ZERO, Some(MATRIX_ROOT)));
    assert_eq!(world.ledger.epoch(1, 1).await.unwrap(), None);
    assert_eq!(world.ledger.federation(2).await.unwrap(), None);
}

/// On a node whose time cannot be moved: harmless transactions until a block is late enough. Returns their gas.
pub(crate) async fn make_blocks_until(world: &World, until: u64) -> u64 {
    let deployment = world.ledger.deployment();
    let mut gas = 0;
    loop {
        let approve = approveCall { spender: deployment.federations, value: U256::ZERO };
        let receipt = world.sender.submit(deployment.token, approve.abi_encode()).await.unwrap();
        gas += receipt.gas_used;
        if receipt.time >= until {
            return gas;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
