//! What the chain says of a federation, read once. A plain value, so that an audit can be repeated without the node.

use std::collections::{BTreeMap, BTreeSet};

use almoner_chain::contracts::Payouts;
use almoner_chain::{
    ClaimRecord, Deployment, EpochRecord, FederationRecord, Ledger, LedgerError, PotRecord, RoundRecord,
};
use almoner_protocol::{B256, U256};

use crate::AuditError;

/// Attempts to read while no block comes in between.
const ATTEMPTS: usize = 8;

/// Everything an audit takes from the chain.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    pub deployment: Deployment,
    pub federation: FederationRecord,
    pub rounds: Vec<RoundRecord>,
    pub epochs: BTreeMap<u32, EpochRecord>,
    pub pots: Vec<PotRecord>,
    pub claims: Vec<ClaimRecord>,
    /// What `Payouts` was given for this federation.
    pub credited: U256,
    /// The root people claim from.
    pub payout_root: B256,
}

impl ChainFacts {
    /// Reads a federation as of one block. The chain must be the deployment's and run the contracts we know: what they
    /// check is not repeated here.
    pub async fn read(ledger: &Ledger, federation: u64) -> Result<Self, AuditError> {
        ledger.verify().await?;
        for _ in 0..ATTEMPTS {
            let before = ledger.head().await?;
            let read = Self::read_once(ledger, federation).await;
            // A block in between makes events and views disagree without anybody's fault.
            if ledger.head().await? == before {
                return read;
            }
        }
        Err(AuditError::Moving)
    }

    async fn read_once(ledger: &Ledger, federation: u64) -> Result<Self, AuditError> {
        let record = ledger.federation(federation).await?.ok_or(AuditError::NoFederation(federation))?;
        let rounds = ledger.rounds(federation).await?.to_vec();
        for round in &rounds {
            ledger.confirm(round).await?;
        }
        let numbers: BTreeSet<u32> = rounds.iter().map(|round| round.descriptor.epoch).collect();
        let mut epochs = BTreeMap::new();
        for number in numbers {
            if let Some(epoch) = ledger.epoch(federation, number).await? {
                epochs.insert(number, epoch);
            }
        }
        let deployment = ledger.deployment().clone();
        Ok(Self {
            federation: record,
            rounds,
            epochs,
            pots: ledger.pots(federation).await?,
            claims: ledger.claims(federation).await?,
            credited: ledger.view(deployment.payouts, Payouts::creditedOfCall { federation }).await?,
            payout_root: ledger.payout_root(federation).await?,
            deployment,
        })
    }
}

/// The round in which a chain contradicts itself, if that is what an error says.
pub(crate) fn contradiction(error: &AuditError) -> Option<(u64, &'static str)> {
    match error {
        AuditError::Ledger(LedgerError::Inconsistent { round, what, .. }) => Some((*round, what)),
        AuditError::Ledger(_)
        | AuditError::NoFederation(_)
        | AuditError::Moving
        | AuditError::Source(_)
        | AuditError::Task => None,
    }
}
