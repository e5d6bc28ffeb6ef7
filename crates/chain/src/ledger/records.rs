//! What the events of one thing say together. `block`, `tx` and `time` tell where it was said.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes};
use almoner_protocol::Stage;
use almoner_protocol::types::{Contribution, Descriptor, OpenCids};
use serde::Serialize;

use crate::contracts::Federations::CreateParams;

/// A federation: its terms, who belongs to it, what was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FederationRecord {
    pub number: u64,
    pub owner: Address,
    pub params: CreateParams,
    pub created_at: u64,
    pub block: u64,
    pub tx: B256,
    pub members: Vec<SeatRecord>,
    pub validators: Vec<SeatRecord>,
    pub funded: Vec<FundingRecord>,
    pub closed: bool,
}

/// A seat in a role. `since` is the first round in which it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatRecord {
    pub account: Address,
    pub entity: B256,
    /// Attested size of a member; 0 for a validator.
    pub class: u16,
    pub since: u64,
    pub stake: u128,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingRecord {
    pub from: Address,
    pub amount: u128,
    pub time: u64,
    pub block: u64,
    pub tx: B256,
}

impl FundingRecord {
    /// What an account has given in all, as anybody may give; `None` above what an amount can be.
    pub fn given(funded: &[Self], by: Address) -> Option<u128> {
        let own = funded.iter().filter(|funding| funding.from == by);
        own.map(|funding| funding.amount).try_fold(0, u128::checked_add)
    }
}

/// The public matrix of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochRecord {
    pub epoch: u32,
    pub beacon: B256,
    /// `None` until it is registered.
    pub matrix_root: Option<B256>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RoundStatus {
    Running,
    Proposed,
    Final,
    Void,
    Expired,
}

/// A round as the chain has it. Its ctx and every transcript value were recomputed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoundRecord {
    pub federation: u64,
    pub number: u64,
    pub ctx: B256,
    pub descriptor: Descriptor,
    pub cids: OpenCids,
    pub opened_at: u64,
    pub readies: Vec<ReadyRecord>,
    pub promises: Vec<PromiseRecord>,
    /// Manifests committed without the coordinator.
    pub direct: Vec<ContributionRecord>,
    pub reveals: Vec<RevealRecord>,
    /// Length of the lock list.
    pub locked: Option<u32>,
    pub admitted: Option<AdmittedRecord>,
    pub proposal: Option<ProposalRecord>,
    /// What it paid, once it is final.
    pub paid: Option<u128>,
    pub status: RoundStatus,
    /// Stage 0 has ctx as its root and no CID.
    pub stages: BTreeMap<Stage, StageRecord>,
}

impl RoundRecord {
    pub fn is_over(&self) -> bool {
        match self.status {
            RoundStatus::Final | RoundStatus::Void | RoundStatus::Expired => true,
            RoundStatus::Running | RoundStatus::Proposed => false,
        }
    }
}

/// One value of the transcript chain. Stages posted by one transaction name the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageRecord {
    pub root: B256,
    /// H_s.
    pub transcript: B256,
    pub cid: Bytes,
    pub time: u64,
    pub block: u64,
    pub tx: B256,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadyRecord {
    pub member: Address,
    pub key_hash: B256,
    pub time: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromiseRecord {
    pub validator: Address,
    pub commitment: B256,
    pub time: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevealRecord {
    pub validator: Address,
    pub direction_root: B256,
    pub salt: B256,
    pub time: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContributionRecord {
    pub manifest: Contribution,
    pub signature: Bytes,
    pub time: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdmittedRecord {
    pub count: u16,
    pub signers: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProposalRecord {
    pub proposer: Address,
    pub total: u128,
    /// When the challenge window is over.
    pub ends_at: u64,
}

/// A payment to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimRecord {
    pub account: Address,
    pub cumulative: u128,
    pub paid: u128,
    pub time: u64,
    pub block: u64,
    pub tx: B256,
    pub log_index: u64,
}

/// A move of a pot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PotRecord {
    pub round: u64,
    pub change: PotChange,
    pub time: u64,
    pub tx: B256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PotChange {
    Reserved { from_free: u128, from_carry: u128 },
    Released { to_free: u128, to_carry: u128 },
    Carried { amount: u128 },
    Paid { amount: u128, payout_root: B256 },
}
